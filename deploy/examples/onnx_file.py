"""What both training scripts do to a converted model: say its tensors' names, and make its bytes reproducible."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

OPSET = 17
IR_VERSION = 8


def finished(model: onnx.ModelProto, name: str, renamed: Mapping[str, str]) -> bytes:
    """The model's bytes: tensors renamed wherever they are made, used or returned, and nothing in the file that
    differs from one release of the converter to the next. Raises onnx's ValidationError if the result is no model.
    """
    graph = model.graph
    for node in graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [renamed.get(tensor, tensor) for tensor in tensors]
    for output in graph.output:
        output.name = renamed.get(output.name, output.name)
    graph.name = name
    model.producer_name, model.producer_version = "penstock-examples", ""
    model.ir_version = IR_VERSION
    domains = {entry.domain: entry.version for entry in model.opset_import}
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, domains[domain]) for domain in sorted(domains))
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)

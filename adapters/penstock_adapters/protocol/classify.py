"""The classification extension, computed here: the N highest values of an output as `value:index[:label]` (3.3, 6.11, 6.17)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock_adapters.protocol.datatypes import DATATYPES
from penstock_adapters.protocol.errors import InvalidArgument
from penstock_adapters.protocol.message import RequestMessage, ResponseMessage, Signature, Tensor
from penstock_adapters.protocol.tensors import join_bytes, to_array

ELEMENTS_MAX: Final = 1_000_000
_NO_LABELS: Final[Mapping[str, Sequence[str]]] = {}


def apply_classification(
    response: ResponseMessage,
    request: RequestMessage,
    signature: Signature | None = None,
    labels: Mapping[str, Sequence[str]] = _NO_LABELS,
) -> ResponseMessage:
    """The answer with the outputs classified that the request asked to have classified; else the answer itself.

    `signature` tells whether the first dimension is a batch (without one: whether there are two or more). `labels` are
    the class names of an output, by index. Raises InvalidArgument for BOOL and BYTES outputs.
    """
    wanted = {output.name: output.classification for output in request.outputs if output.classification}
    if not wanted:
        return response
    outputs = tuple(
        classified(tensor, wanted[tensor.name], batched=_batched(tensor, signature), labels=labels.get(tensor.name, ()))
        if tensor.name in wanted
        else tensor
        for tensor in response.outputs
    )
    return msgspec.structs.replace(response, outputs=outputs)


def _batched(tensor: Tensor, signature: Signature | None) -> bool:
    if len(tensor.shape) < 2:
        return False
    for meta in signature.outputs if signature is not None else ():
        if meta.name == tensor.name:
            return meta.shape[:1] == (-1,)
    return True


def classified(tensor: Tensor, count: int, *, batched: bool, labels: Sequence[str] = ()) -> Tensor:
    """The `count` highest elements (of each row, if batched) as a BYTES tensor of shape [count] or [batch, count].

    Ties go to the lower index, NaN sorts last, `count` is cut to the elements there are. Raises InvalidArgument.
    """
    row = DATATYPES[tensor.datatype]
    if row.kind not in {"int", "float"}:
        raise InvalidArgument("classification_invalid", tensor=tensor.name, problem=f"needs numbers, not {row.name}")
    array = to_array(tensor)
    rows = array.reshape(array.shape[0], -1) if batched and array.size else array.reshape(1, -1)
    if rows.shape[1] > ELEMENTS_MAX:
        raise InvalidArgument(
            "classification_invalid", tensor=tensor.name, problem=f"takes at most {ELEMENTS_MAX} elements"
        )
    count = min(count, rows.shape[1])
    elements = [text for values in rows for text in _highest(values, count, labels)]
    shape = (array.shape[0], count if array.size else 0) if batched else (count,)
    return Tensor(tensor.name, "BYTES", shape, join_bytes(elements), tensor.parameters)


def _highest(values: NDArray[Any], count: int, labels: Sequence[str]) -> list[bytes]:
    if values.dtype.kind in "iu":
        # Bitwise not reverses the order of integers without overflowing at the ends of their range.
        order = np.argsort(~values, kind="stable")[:count]
        texts = [str(int(value)) for value in values[order]]
    else:
        with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
            wide = values.astype(np.float64)
        order = np.argsort(-wide, kind="stable")[:count]
        texts = [f"{value:.6f}" for value in wide[order].tolist()]
    return [
        (f"{text}:{index}:{labels[index]}" if index < len(labels) else f"{text}:{index}").encode()
        for text, index in zip(texts, order.tolist(), strict=True)
    ]

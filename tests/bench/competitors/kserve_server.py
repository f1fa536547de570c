"""KServe's Python server with an ONNX file in process. argv: PORT MODEL_FILE lean|default.

ModelServer.start() would bind every interface and knows no option against it, so its parts are put together here and
the host is set before anything listens; gRPC, whose address cannot be set, is not started.
"""

from __future__ import annotations

# mypy: ignore-errors
# Lives in KServe's own environment, where none of this project's packages is installed.
import asyncio
import logging
import sys

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.protocol.rest.server import RESTServer


class OnnxModel(Model):
    def load_file(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options)
        self._types = {"tensor(float)": "FP32", "tensor(int64)": "INT64"}
        self.ready = True

    async def predict(self, payload: InferRequest, headers=None, response_headers=None):  # noqa: ANN001, ANN201, ARG002
        feeds = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        outputs = []
        for spec, array in zip(self._session.get_outputs(), self._session.run(None, feeds), strict=True):
            output = InferOutput(spec.name, list(array.shape), self._types[spec.type])
            output.set_data_from_numpy(array, binary_data=False)
            outputs.append(output)
        return InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=outputs)


def main(port: int, path: str, *, lean: bool) -> None:
    model = OnnxModel("digits")
    model.load_file(path)
    server = ModelServer(http_port=port, enable_grpc=False)
    server.register_model(model)
    if lean:
        logging.disable(logging.INFO)  # no access log, no timing log
    rest = RESTServer("kserve.model_server:app", server.dataplane, server.model_repository_extension, port)
    rest.config.host = "127.0.0.1"
    asyncio.run(rest.start())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], lean=sys.argv[3] == "lean")

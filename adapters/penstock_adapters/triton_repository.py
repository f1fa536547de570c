"""Questions about Triton's models and the model repository, over either leg, in the JSON form of the REST extensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import quote

import msgspec

from penstock_adapters.adapter import IndexEntry, ModelState
from penstock_adapters.http1 import HttpClient
from penstock_adapters.protocol.errors import BadBackendAnswer, Unimplemented
from penstock_adapters.protocol.message import Buffer, Json, ModelMetadata, TensorMetadata
from penstock_adapters.protocol.messages import METHODS, ProtoMessage
from penstock_adapters.triton_errors import http_error
from penstock_adapters.triton_grpc import GrpcLeg, to_json

_JSON: Final = (b"content-type", b"application/json")
_STATES: Final[Mapping[str, ModelState]] = {
    "READY": "READY",
    "UNAVAILABLE": "UNAVAILABLE",
    "LOADING": "LOADING",
    "UNLOADING": "UNLOADING",
}


class Management(Protocol):
    """What both legs offer. `deadline` is absolute, on the loop's clock."""

    async def ready(self, name: str, version: str, deadline: float) -> bool: ...

    async def metadata(self, name: str, version: str, deadline: float) -> Mapping[str, Json]: ...

    async def config(self, name: str, version: str, deadline: float) -> Mapping[str, Json]: ...

    async def statistics(self, name: str, version: str, deadline: float) -> Sequence[Mapping[str, Json]]: ...

    async def index(self, deadline: float) -> Sequence[IndexEntry]: ...

    async def load(self, name: str, versions: Sequence[str], deadline: float) -> None:
        """Load the versions given, or, if none is, those that the model's own policy names."""
        ...

    async def unload(self, name: str, deadline: float) -> None: ...


class HttpManagement:
    """Over REST."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def ready(self, name: str, version: str, deadline: float) -> bool:
        path = f"{model_path(name, version)}/ready" if name else "/v2/health/ready"
        response = await self._http.request(b"GET", path.encode(), deadline=deadline, idempotent=True, model=name)
        return response.status == 200

    async def metadata(self, name: str, version: str, deadline: float) -> Mapping[str, Json]:
        return _object(await self._get(model_path(name, version), name, deadline), name)

    async def config(self, name: str, version: str, deadline: float) -> Mapping[str, Json]:
        return _object(await self._get(f"{model_path(name, version)}/config", name, deadline), name)

    async def statistics(self, name: str, version: str, deadline: float) -> Sequence[Mapping[str, Json]]:
        path = f"{model_path(name, version)}/stats" if name else "/v2/models/stats"
        return _objects(_object(await self._get(path, name, deadline), name).get("model_stats"), name)

    async def index(self, deadline: float) -> Sequence[IndexEntry]:
        return read_index(_objects(_json(await self._post("/v2/repository/index", b"{}", "*", deadline), "*"), "*"))

    async def load(self, name: str, versions: Sequence[str], deadline: float) -> None:
        body: Mapping[str, Json] = {}
        if versions:
            config = dict(await self.config(name, "", deadline))
            config["version_policy"] = {"specific": {"versions": [int(version) for version in versions]}}
            body = {"parameters": {"config": msgspec.json.encode(config).decode()}}
        await self._post(f"{_repository(name)}/load", msgspec.json.encode(body), name, deadline)

    async def unload(self, name: str, deadline: float) -> None:
        await self._post(f"{_repository(name)}/unload", b"{}", name, deadline)

    async def _get(self, path: str, model: str, deadline: float) -> Buffer:
        response = await self._http.request(b"GET", path.encode(), deadline=deadline, idempotent=True, model=model)
        if response.status != 200:
            raise http_error(response.status, bytes(response.body), model)
        return response.body

    async def _post(self, path: str, body: bytes, model: str, deadline: float) -> Buffer:
        # Loading twice is loading once: a request lost on a stale connection may be sent again.
        response = await self._http.request(
            b"POST", path.encode(), (_JSON,), (body,), deadline=deadline, idempotent=True, model=model
        )
        if response.status != 200:
            raise http_error(response.status, bytes(response.body), model)
        return response.body


class GrpcManagement:
    """Over gRPC, for endpoints without a REST address."""

    def __init__(self, leg: GrpcLeg) -> None:
        self._leg = leg

    async def ready(self, name: str, version: str, deadline: float) -> bool:
        if not name:
            return bool((await self._call("ServerReady", "", deadline)).ready)
        return bool((await self._call("ModelReady", name, deadline, name=name, version=version)).ready)

    async def metadata(self, name: str, version: str, deadline: float) -> Mapping[str, Json]:
        return to_json(await self._call("ModelMetadata", name, deadline, name=name, version=version))

    async def config(self, name: str, version: str, deadline: float) -> Mapping[str, Json]:
        return to_json((await self._call("ModelConfig", name, deadline, name=name, version=version)).config)

    async def statistics(self, name: str, version: str, deadline: float) -> Sequence[Mapping[str, Json]]:
        answer = await self._call("ModelStatistics", name, deadline, name=name, version=version)
        return [to_json(row) for row in answer.model_stats]

    async def index(self, deadline: float) -> Sequence[IndexEntry]:
        return read_index([to_json(row) for row in (await self._call("RepositoryIndex", "*", deadline)).models])

    async def load(self, name: str, versions: Sequence[str], deadline: float) -> None:
        if versions:
            # The whole configuration must be sent back, and our messages hold only the part of it that clients read.
            raise Unimplemented("backend_unimplemented", model=name)
        await self._call("RepositoryModelLoad", name, deadline, model_name=name)

    async def unload(self, name: str, deadline: float) -> None:
        await self._call("RepositoryModelUnload", name, deadline, model_name=name)

    async def _call(self, method: str, model: str, deadline: float, **fields: str) -> ProtoMessage:
        return await self._leg.call(method, METHODS[method].request(**fields), deadline=deadline, model=model)


class _Metadata(msgspec.Struct):
    versions: list[str] = []
    platform: str = ""
    inputs: list[TensorMetadata] = []
    outputs: list[TensorMetadata] = []


def read_metadata(answer: Mapping[str, Json], name: str) -> ModelMetadata:
    """Raises BadBackendAnswer."""
    try:
        found = msgspec.convert(answer, _Metadata)
    except msgspec.ValidationError:
        raise BadBackendAnswer("backend_answer", model=name, problem="its metadata is not the protocol's") from None
    return ModelMetadata(
        name, tuple(found.versions), found.platform or "triton", tuple(found.inputs), tuple(found.outputs)
    )


def read_index(rows: Sequence[Mapping[str, Json]]) -> Sequence[IndexEntry]:
    """Rows of a repository index. A model that was never loaded has no version and no state."""
    return [
        IndexEntry(
            str(row.get("name", "")),
            str(row.get("version", "")),
            _STATES.get(str(row.get("state", "")), "UNKNOWN"),
            _reason(str(row.get("reason", ""))),
        )
        for row in rows
    ]


def _reason(text: str) -> str:
    """Triton's reasons are stacks with paths; the one word among them that helps is kept."""
    return text if text in {"", "unloaded"} else "the server could not load it; its log says why"


def model_path(name: str, version: str) -> str:
    """The path of a model. Names are quoted: they come from manifests, and a path can be spelled many ways."""
    path = f"/v2/models/{quote(name, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def _repository(name: str) -> str:
    return f"/v2/repository/models/{quote(name, safe='')}"


def _json(body: Buffer, model: str) -> Json:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadBackendAnswer("backend_answer", model=model, problem="it is not JSON") from None


def _object(body: Buffer, model: str) -> Mapping[str, Json]:
    found = _json(body, model)
    if not isinstance(found, dict):
        raise BadBackendAnswer("backend_answer", model=model, problem="it is not a JSON object")
    return found


def _objects(found: object, model: str) -> Sequence[Mapping[str, Json]]:
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise BadBackendAnswer("backend_answer", model=model, problem="it is not a JSON array of objects")
    return found

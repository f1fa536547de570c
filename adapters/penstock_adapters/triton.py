"""NVIDIA Triton: inference over its binary HTTP leg, which is the cheaper one, or over gRPC, which can be stopped.

`triton_legs` says when which.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container, Mapping, Sequence
from functools import lru_cache
from math import inf
from typing import Final

from penstock_adapters.adapter import EndpointSpec, IndexEntry
from penstock_adapters.http1 import HttpClient
from penstock_adapters.http1_connection import AnswerCaps, Response
from penstock_adapters.protocol import grpc_codec, rest_codec
from penstock_adapters.protocol.body import ResponseBody, RestWire
from penstock_adapters.protocol.errors import BadBackendAnswer, InvalidArgument, PenstockError
from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_adapters.protocol.message import Json, ModelMetadata, ResponseMessage, Tensor
from penstock_adapters.protocol.parameters import INT64_MAX, sequence_id
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_adapters.protocol.validate import validate_response
from penstock_adapters.triton_errors import about_model, http_error
from penstock_adapters.triton_grpc import GrpcLeg
from penstock_adapters.triton_legs import LegChoice
from penstock_adapters.triton_repository import GrpcManagement, HttpManagement, Management, model_path, read_metadata

PROBE_S: Final = 2.0
"""How long a readiness question may take."""
ASK_S: Final = 10.0
"""How long any other question about models may take."""
LOAD_S: Final = 600.0
"""How long a load or unload may take: large models read for minutes."""
DRAIN_S = 10.0
"""How long an unloaded model may take for its last calls before nobody waits for it any more."""
POLL_S: Final = 0.02
TRACE_HEADERS: Final = ("traceparent", "tracestate", "x-request-id")
"""What crosses to a backend of a request's headers."""
_OCTETS: Final = (b"content-type", b"application/octet-stream")


@lru_cache(maxsize=4096)
def infer_path(name: str, version: str) -> bytes:
    """The target of an inference. Names are quoted: they come from manifests, and a path can be spelled many ways."""
    return f"{model_path(name, version)}/infer".encode()


class TritonAdapter:
    """An Adapter with Repository, Configured and Statistics over one Triton server. Belongs to one event loop."""

    def __init__(self, *, http: HttpClient | None, grpc: GrpcLeg | None, limits: Limits = DEFAULT_LIMITS) -> None:
        self._http = http
        self._grpc = grpc
        self._limits = limits
        self._manage: Management = HttpManagement(http) if http is not None else GrpcManagement(_given(grpc))
        self._changing: dict[str, asyncio.Lock] = {}
        self._legs = LegChoice()

    # -- Adapter --

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        name = request.model_name
        size = _bytes(request.body.message.inputs)
        started = time.monotonic()
        try:
            response = await self._infer(request, size)
            size += _bytes(response.body.message.outputs)
            return response
        finally:
            self._legs.took(name, time.monotonic() - started, size)

    async def _infer(self, request: InferenceRequest, size: int) -> InferenceResponse:
        http, grpc = self._http, self._grpc
        if http is None:
            return await self._infer_grpc(request, _given(grpc))
        stop = self._legs.worth_stopping(request.model_name, size, caller_deadline=request.caller_deadline)
        if grpc is not None and stop and fits_grpc(request):
            return await self._infer_grpc(request, grpc)
        return await self._infer_http(request, http)

    async def _infer_http(self, request: InferenceRequest, http: HttpClient) -> InferenceResponse:
        name = request.model_name
        wire = request.body.rest()
        headers = [_OCTETS, (b"inference-header-content-length", b"%d" % (wire.header_length or 0))]
        headers += ((key.encode(), value.encode()) for key, value in trace_headers(request))
        message = request.body.message
        response = await http.request(
            b"POST",
            infer_path(name, request.model_version),
            headers,
            wire.parts,
            deadline=request.deadline,
            idempotent=not (message.parameters and sequence_id(message)),
            model=name,
        )
        if response.status != 200:
            raise http_error(response.status, bytes(response.body), name)
        answer = RestWire((response.body,), _header_length(response, name))
        decoded = rest_codec.decode_response(answer, self._limits, model=name)
        check_answer(decoded, request)
        # Ensembles answer with parameters whose keys stand twice: what carries any is written anew.
        kept = answer if answer.header_length is not None and not decoded.parameters else None
        return InferenceResponse(ResponseBody(decoded, rest=kept))

    async def _infer_grpc(self, request: InferenceRequest, leg: GrpcLeg) -> InferenceResponse:
        answer = await leg.call(
            "ModelInfer",
            request.body.grpc(request.model_name, request.model_version),
            deadline=request.deadline,
            model=request.model_name,
            metadata=tuple(trace_headers(request)),
        )
        decoded = grpc_codec.decode_response(answer, self._limits, model=request.model_name)
        check_answer(decoded, request)
        return InferenceResponse(ResponseBody(decoded))

    async def metadata(self, name: str, version: str) -> ModelMetadata:
        try:
            return read_metadata(await self._manage.metadata(name, version, _in(ASK_S)), name)
        except PenstockError as error:
            raise about_model(error, name, version) from error

    async def ready(self, name: str = "", version: str = "") -> bool:
        try:
            return await self._manage.ready(name, version, _in(PROBE_S))
        except PenstockError:
            return False

    async def aclose(self) -> None:
        if self._http is not None:
            await self._http.aclose()
        if self._grpc is not None:
            await self._grpc.aclose()

    # -- Configured, Statistics --

    async def config(self, name: str, version: str) -> Mapping[str, Json]:
        try:
            return await self._manage.config(name, version, _in(ASK_S))
        except PenstockError as error:
            raise about_model(error, name, version) from error

    async def statistics(self, name: str, version: str) -> Sequence[Mapping[str, Json]]:
        try:
            return await self._manage.statistics(name, version, _in(ASK_S))
        except PenstockError as error:
            raise about_model(error, name, version) from error

    # -- Repository --

    async def index(self) -> Sequence[IndexEntry]:
        return await self._manage.index(_in(ASK_S))

    async def load(self, name: str, version: str, *, artifact: str = "", sha256: str = "") -> None:  # noqa: ARG002
        """Load the model from the server's own repository; `artifact` and `sha256` are not for Triton to read.

        Triton loads the versions that the model's own policy names. If that leaves out the version asked for, the model
        is loaded once more with a policy that names it and those that serve.
        """
        if version and not version.isdecimal():
            raise InvalidArgument("model_unloadable", model=name, problem="Triton's versions are numbers")
        async with self._changing.setdefault(name, asyncio.Lock()):
            deadline = _in(LOAD_S)
            try:
                if not version or version not in await self._serving(name, deadline):
                    await self._manage.load(name, (), deadline)
                serving = await self._serving(name, deadline)
                if version and version not in serving:
                    await self._manage.load(name, (*serving, version), deadline)
                    serving = await self._serving(name, deadline)
            except PenstockError as error:
                if error.reason in {"backend_refused", "model_failed", "model_not_ready"}:
                    raise _unloadable(name) from error
                raise
            if not serving or (version and version not in serving):
                raise _unloadable(name)

    async def unload(self, name: str, version: str) -> None:
        """Unload one version, or with "" all of them. Triton unloads whole models, so the others are loaded anew."""
        async with self._changing.setdefault(name, asyncio.Lock()):
            deadline = _in(LOAD_S)
            serving = await self._serving(name, deadline)
            if version and version not in serving:
                return
            rest = tuple(other for other in serving if version and other != version)
            if rest:
                await self._manage.load(name, rest, deadline)
            elif serving:
                await self._manage.unload(name, deadline)
            # Triton answers before the calls in flight have ended. A model whose process was killed never ends its
            # unloading; it takes no calls either, and can be loaded again.
            drained = _in(DRAIN_S)
            while set(await self._versions(name, {"READY", "UNLOADING"}, deadline)) - set(rest):
                if asyncio.get_running_loop().time() > drained:
                    return
                await asyncio.sleep(POLL_S)

    async def _serving(self, name: str, deadline: float) -> tuple[str, ...]:
        return await self._versions(name, {"READY"}, deadline)

    async def _versions(self, name: str, states: Container[str], deadline: float) -> tuple[str, ...]:
        """The versions of a model that are in one of the states."""
        entries = await self._manage.index(deadline)
        return tuple(entry.version for entry in entries if entry.name == name and entry.state in states)


def check_answer(answer: ResponseMessage, request: InferenceRequest) -> None:
    """Is this an answer to that? Raises BadBackendAnswer."""
    name = request.model_name
    if answer.model_name != name or request.model_version not in {"", answer.model_version}:
        raise BadBackendAnswer("backend_answer", model=name, problem="it comes from another model or version")
    validate_response(answer, request.body.message, None, model=name)


def fits_grpc(request: InferenceRequest) -> bool:
    """False for parameters Triton takes in JSON only: integers beyond 63 bits."""
    values = request.body.message.parameters.values()
    return not any(isinstance(value, int) and value > INT64_MAX for value in values)


def trace_headers(request: InferenceRequest) -> list[tuple[str, str]]:
    """What of the request's headers goes on to the backend."""
    get = request.headers.get
    found = [(name, get(name)) for name in TRACE_HEADERS]
    return [(name, value) for name, value in found if value and value.isascii() and value.isprintable()]


def _header_length(response: Response, model: str) -> int | None:
    given = response.headers.get(b"inference-header-content-length")
    if given is None:
        return None
    if not given.isdigit() or len(given) > 10 or int(given) > len(response.body):
        raise BadBackendAnswer("backend_answer", model=model, problem="its header length is not one")
    return int(given)


def _unloadable(name: str) -> InvalidArgument:
    return InvalidArgument("model_unloadable", model=name, problem="the Triton server cannot load it; its log says why")


def _in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds if seconds < inf else inf


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(len(tensor.data) for tensor in tensors)


def _given(leg: GrpcLeg | None) -> GrpcLeg:
    if leg is None:
        raise InvalidArgument("url_invalid", where="endpoint", expected="given: a REST URL, a gRPC address or both")
    return leg


async def connect(spec: EndpointSpec) -> TritonAdapter:
    """Raises InvalidArgument for an endpoint without a usable address, or with options (there are none)."""
    for option in spec.options:
        raise InvalidArgument("option_unknown", where=f"backend '{spec.name}'", option=option, known="none")
    http = None
    if spec.url:
        http = HttpClient(
            spec.url,
            connections_max=spec.connections_max,
            connect_timeout_s=spec.connect_timeout_s,
            caps=AnswerCaps(body=DEFAULT_LIMITS.body),
        )
    if "/" in spec.grpc_url or (spec.grpc_url and ":" not in spec.grpc_url):
        raise InvalidArgument("url_invalid", where="endpoint", expected="host:port for the gRPC leg")
    grpc = GrpcLeg(spec.grpc_url, body_max=DEFAULT_LIMITS.body) if spec.grpc_url else None
    return TritonAdapter(http=http, grpc=grpc)

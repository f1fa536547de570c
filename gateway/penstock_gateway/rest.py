"""The REST surface: one function from a request to an answer. It knows no transport; `http_protocol` calls it.

This is one of the two edges where an error becomes a status, and where an error nobody foresaw becomes a 500.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from penstock_adapters.protocol.errors import (
    InvalidArgument,
    MethodNotAllowed,
    PenstockError,
    Unavailable,
    Unimplemented,
)
from penstock_adapters.protocol.message import Buffer
from penstock_gateway import rest_bodies
from penstock_gateway.incidents import Fault
from penstock_gateway.request_ids import RequestIds
from penstock_gateway.rest_answers import Answer, error_answer, json_answer, length, metadata_json
from penstock_gateway.rest_headers import REQUEST_ID, RestHeaders
from penstock_gateway.rest_infer import RestInfer
from penstock_gateway.rest_paths import Operation, Target, infer_target, parse
from penstock_router.plane import DataPlane

EXTENSIONS: Final = (
    "classification",
    "binary_tensor_data",
    "parameters",
    "statistics",
    "model_configuration",
)
"""Only what is switched on (protocol policy 6.4)."""

TARGETS_MAX: Final = 10_000

Scrape = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Accept header -> (body, content type) of the metrics page."""


class RestApp:
    """The predict listener's application."""

    def __init__(self, plane: DataPlane, infer: RestInfer, scrape: Scrape, fault: Fault, *, version: str) -> None:
        self._plane = plane
        self._infer = infer
        self._scrape = scrape
        self._fault = fault
        self._version = version
        self._ids = RequestIds()
        self._targets: dict[bytes, tuple[str, str]] = {}
        self._answers: dict[Operation, Callable[[Target], Answer]] = {
            Operation.SERVER_METADATA: self._server_metadata,
            Operation.LIVE: self._live,
            Operation.READY: self._ready,
            Operation.LIST: self._list,
            Operation.MODEL_METADATA: self._model_metadata,
            Operation.MODEL_READY: self._model_ready,
            Operation.MODEL_CONFIG: self._model_config,
            Operation.STATISTICS: self._statistics,
            Operation.EXTENSION: self._extension,
        }

    async def answer(self, method: str, path: bytes, headers: RestHeaders, body: Buffer) -> Answer | None:
        """The answer to a whole request; `path` is raw and without query. None = the client has gone."""
        answer: Answer | None
        try:
            target = self._infer_target(path) if method == "POST" else None
            if target is not None:
                answer = await self._infer.answer(*target, headers, body)
            else:
                answer = await self._other(method, path, headers, body)
        except PenstockError as error:
            answer = error_answer(error)
        except Exception as unforeseen:  # noqa: BLE001 - the edge: see the module's docstring
            answer = error_answer(self._fault(unforeseen))
        return None if answer is None else self._finished(answer, headers.raw(REQUEST_ID))

    def _infer_target(self, path: bytes) -> tuple[str, str] | None:
        """`infer_target`, remembered: the paths of predictions are few, and bounded if somebody makes them many."""
        found = self._targets.get(path)
        if found is None:
            found = infer_target(path)
            if found is not None:
                if len(self._targets) >= TARGETS_MAX:
                    self._targets.clear()
                self._targets[path] = found
        return found

    def refusal(self, error: PenstockError) -> Answer:
        """The answer to a message that never became a request."""
        return self._finished(error_answer(error), None)

    def _finished(self, answer: Answer, request_id: bytes | None) -> Answer:
        """x-request-id stands on every answer: the caller's own, or a fresh one."""
        return Answer(answer.status, (*answer.headers, (REQUEST_ID, self._ids.answering(request_id))), answer.parts)

    async def _other(self, method: str, path: bytes, headers: RestHeaders, body: Buffer) -> Answer:
        target = parse(path)
        if method not in target.methods:
            return _not_allowed(method, target.methods)
        if target.operation is Operation.METRICS:
            page, content_type = await self._scrape(headers.get("accept"))
            return Answer(200, ((b"content-type", content_type.encode()), length(len(page))), (page,))
        if target.operation is Operation.INDEX:
            return self._index(await rest_bodies.decompressed(headers, body, self._infer.options.limits))
        return self._answers[target.operation](target)

    # -- one method per operation ------------------------------------------------------------------------------------

    def _server_metadata(self, _: Target) -> Answer:
        return json_answer({"name": "penstock", "version": self._version, "extensions": EXTENSIONS})

    def _live(self, _: Target) -> Answer:
        return json_answer({"live": True})

    def _ready(self, _: Target) -> Answer:
        reason = self._plane.not_ready_reason
        if not reason:
            return json_answer({"live": True, "ready": True})
        return _not_ready(Unavailable(reason), {"live": True, "ready": False})

    def _list(self, _: Target) -> Answer:
        return json_answer({"models": list(self._plane.names())})

    def _model_ready(self, target: Target) -> Answer:
        if self._plane.model_ready(target.model, target.version):
            return json_answer({"name": target.model, "ready": True})
        error = Unavailable("model_not_ready", model=target.model)
        return _not_ready(error, {"name": target.model, "ready": False})

    def _model_metadata(self, target: Target) -> Answer:
        return json_answer(metadata_json(self._plane.metadata(target.model, target.version)))

    def _model_config(self, target: Target) -> Answer:
        return json_answer(self._plane.config(target.model, target.version))

    def _statistics(self, target: Target) -> Answer:
        return json_answer({"model_stats": self._plane.statistics(target.model, target.version)})

    def _index(self, body: Buffer) -> Answer:
        ready_only = index_ready_only(body)
        rows = self._plane.index(ready_only=ready_only)
        return json_answer([{"name": r.name, "version": r.version, "state": r.state, "reason": r.reason} for r in rows])

    def _extension(self, target: Target) -> Answer:
        raise Unimplemented("extension_unsupported", extension=target.extension)


def index_ready_only(body: Buffer) -> bool:
    """The `ready` member of the index request; an empty body is `{}`. Raises InvalidArgument."""
    if not bytes(body).strip():
        return False
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidArgument("json_invalid", problem="it is not a JSON object") from None
    if not isinstance(found, dict):
        raise InvalidArgument("json_invalid", problem="it is not a JSON object")
    ready = found.get("ready")
    if ready is not None and not isinstance(ready, bool):
        raise InvalidArgument("field_type", field="ready", expected="true or false", found=type(ready).__name__)
    return bool(ready)


def _not_allowed(method: str, methods: tuple[str, ...]) -> Answer:
    allowed = ", ".join(methods)
    error = MethodNotAllowed("method_not_allowed", method=method, allowed=allowed)
    return error_answer(error, ((b"allow", allowed.encode()),))


def _not_ready(error: Unavailable, state: dict[str, object]) -> Answer:
    """A readiness probe's 503: the shape of an error, with the state beside it."""
    base = error_answer(error)
    body = msgspec.json.encode({**state, "error": error.text})
    kept = tuple(header for header in base.headers if header[0] != b"content-length")
    return Answer(base.status, (*kept, length(len(body))), (body,))

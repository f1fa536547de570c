"""What Triton's statuses mean here. Its texts never travel: they name paths, stacks and addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import grpc

from penstock_adapters.protocol.errors import (
    BadBackendAnswer,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    PenstockError,
    Unavailable,
    Unimplemented,
)

STUB_DEAD: Final = "is not healthy"
"""In Triton's 500 when a Python model's process was killed: it never restarts by itself, and `ready` stays true."""

Make = Callable[[str], PenstockError]


def _refused(model: str) -> PenstockError:
    return InvalidArgument("backend_refused", model=model)


def _absent(model: str) -> PenstockError:
    # We list the model, the server lacks it: to the caller that is "not now", and another server may have it.
    return Unavailable("model_not_ready", model=model)


def _busy(model: str) -> PenstockError:
    return Unavailable("backend_unavailable", model=model)


def _failed(model: str) -> PenstockError:
    return Internal("model_failed", model=model)


def _unoffered(model: str) -> PenstockError:
    return Unimplemented("backend_unimplemented", model=model)


def _credentials(model: str) -> PenstockError:
    return BadBackendAnswer("backend_answer", model=model, problem="it refuses the gateway's credentials")


HTTP_ERRORS: Final[Mapping[int, Make]] = {
    400: _refused,
    401: _credentials,
    403: _credentials,
    404: _absent,
    408: _busy,
    413: _refused,
    429: _busy,
    500: _failed,
    501: _unoffered,
    502: _busy,
    503: _busy,
    504: _busy,
}
_Status = grpc.StatusCode
GRPC_ERRORS: Final[Mapping[grpc.StatusCode, Make]] = {
    _Status.INVALID_ARGUMENT: _refused,
    _Status.FAILED_PRECONDITION: _refused,
    _Status.ALREADY_EXISTS: _refused,
    _Status.OUT_OF_RANGE: _refused,
    _Status.UNAUTHENTICATED: _credentials,
    _Status.PERMISSION_DENIED: _credentials,
    _Status.NOT_FOUND: _absent,
    _Status.UNAVAILABLE: _busy,
    _Status.CANCELLED: _busy,
    _Status.ABORTED: _busy,
    _Status.RESOURCE_EXHAUSTED: _busy,
    _Status.INTERNAL: _failed,
    _Status.UNKNOWN: _failed,
    _Status.UNIMPLEMENTED: _unoffered,
}


def http_error(status: int, body: bytes, model: str) -> PenstockError:
    """The error of an answer that is not a 200."""
    if status == 500 and STUB_DEAD.encode() in body[:4096]:
        return _busy(model)
    make = HTTP_ERRORS.get(status)
    if make is not None:
        return make(model)
    return BadBackendAnswer("backend_answer", model=model, problem=f"its HTTP status is {status}")


def grpc_error(code: grpc.StatusCode, details: str, model: str, timeout_s: float) -> PenstockError:
    """The error of a call that did not end with OK. `timeout_s` is what the call was given."""
    if code is _Status.DEADLINE_EXCEEDED:
        return DeadlineExceeded("deadline_exceeded", timeout_ms=max(0, round(timeout_s * 1000)))
    if code is _Status.INTERNAL and STUB_DEAD in details:
        return _busy(model)
    if code is _Status.RESOURCE_EXHAUSTED and "larger than max" in details:
        return BadBackendAnswer("backend_answer", model=model, problem="it is too large")
    make = GRPC_ERRORS.get(code)
    if make is not None:
        return make(model)
    return BadBackendAnswer("backend_answer", model=model, problem=f"its gRPC status is {code.name}")


def about_model(error: PenstockError, name: str, version: str) -> PenstockError:
    """The same, for a question about a model instead of an inference: what is absent is not found."""
    if error.reason not in {"model_not_ready", "backend_refused"}:  # 404 or 400, by the question
        return error
    if not version:
        return NotFound("model_not_found", model=name)
    return NotFound("version_not_found", model=name, version=version, known="none that serves")

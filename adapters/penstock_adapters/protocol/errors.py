"""Every error a caller can see: one tree, one table, two edges that read it.

PenstockError
├── InvalidArgument       400  the request is wrong; sending it again will not help
├── Unauthenticated       401
├── PermissionDenied      403
├── NotFound              404
├── MethodNotAllowed      405
├── RequestTimeout        408  the client was too slow to send
├── Conflict              409  somebody else changed it first
├── TooLarge              413  a byte or chunk cap
├── UriTooLong            414
├── UnsupportedEncoding   415
├── HeadersTooLarge       431
├── RateLimited           429
├── Cancelled             499  the client went away (logs only)
├── Internal              500  the model failed, or we did
├── Unimplemented         501
├── BadBackendAnswer      502  the backend answered, but not with an answer
├── Unavailable           503  not now; trying again may help
└── DeadlineExceeded      504

An error is raised where its cause is known, as `NotFound("model_not_found", model=name)`: the class is the code, the
word is a row of `reasons.REASONS`, and the fields fill that row's text. Text never comes from anywhere else, so no
backend's words, path or stack can reach a caller. Status numbers: protocol policy 6.2 in docs/reference/errors.md.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar, NamedTuple

from penstock_adapters.protocol.reasons import REASONS

QUOTE_MAX = 64
"""Quoted caller input is cut to this many characters."""


class Status(NamedTuple):
    """What one code means at both edges."""

    grpc: int
    http: int
    retryable: bool


class Code(Enum):
    """The one table: code -> (gRPC status number, HTTP status, may the same call succeed elsewhere or later)."""

    INVALID_ARGUMENT = Status(3, 400, retryable=False)
    UNAUTHENTICATED = Status(16, 401, retryable=False)
    PERMISSION_DENIED = Status(7, 403, retryable=False)
    NOT_FOUND = Status(5, 404, retryable=False)
    METHOD_NOT_ALLOWED = Status(12, 405, retryable=False)
    REQUEST_TIMEOUT = Status(4, 408, retryable=False)
    CONFLICT = Status(10, 409, retryable=False)
    TOO_LARGE = Status(8, 413, retryable=False)
    URI_TOO_LONG = Status(3, 414, retryable=False)
    UNSUPPORTED_ENCODING = Status(12, 415, retryable=False)
    RATE_LIMITED = Status(8, 429, retryable=False)
    HEADERS_TOO_LARGE = Status(8, 431, retryable=False)
    CANCELLED = Status(1, 499, retryable=False)
    INTERNAL = Status(13, 500, retryable=False)
    UNIMPLEMENTED = Status(12, 501, retryable=False)
    BAD_BACKEND_ANSWER = Status(13, 502, retryable=True)
    UNAVAILABLE = Status(14, 503, retryable=True)
    DEADLINE_EXCEEDED = Status(4, 504, retryable=False)

    @property
    def grpc(self) -> int:
        return self.value.grpc

    @property
    def http(self) -> int:
        return self.value.http

    @property
    def retryable(self) -> bool:
        return self.value.retryable


# Equal values would make Enum members aliases of each other; HTTP statuses are all different, so they are not.
assert len(Code) == len({code.http for code in Code})


def quote(value: object) -> str:
    """Caller input made fit for a message: cut, and without control characters or lone surrogates."""
    text = str(value)
    cut = text if len(text) <= QUOTE_MAX else text[: QUOTE_MAX - 1] + "…"
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in cut)


class PenstockError(Exception):
    """The root. Never raised itself: a subclass names the code, `reason` names the row of the text table."""

    code: ClassVar[Code] = Code.INTERNAL
    served_by = ""
    """The deployment that failed, where one was called; set by the layer that called it, for metrics and headers."""

    def __init__(self, reason: str, /, **fields: object) -> None:
        self.reason = reason
        self.text = REASONS[reason].format(**{key: quote(value) for key, value in fields.items()})
        super().__init__(self.text)

    @property
    def retryable(self) -> bool:
        return self.code.retryable


class InvalidArgument(PenstockError):
    code = Code.INVALID_ARGUMENT


class Unauthenticated(PenstockError):
    code = Code.UNAUTHENTICATED


class PermissionDenied(PenstockError):
    code = Code.PERMISSION_DENIED


class NotFound(PenstockError):
    code = Code.NOT_FOUND


class MethodNotAllowed(PenstockError):
    code = Code.METHOD_NOT_ALLOWED


class RequestTimeout(PenstockError):
    code = Code.REQUEST_TIMEOUT


class Conflict(PenstockError):
    code = Code.CONFLICT


class TooLarge(PenstockError):
    code = Code.TOO_LARGE


class UriTooLong(PenstockError):
    code = Code.URI_TOO_LONG


class UnsupportedEncoding(PenstockError):
    code = Code.UNSUPPORTED_ENCODING


class RateLimited(PenstockError):
    code = Code.RATE_LIMITED


class HeadersTooLarge(PenstockError):
    code = Code.HEADERS_TOO_LARGE


class Cancelled(PenstockError):
    code = Code.CANCELLED


class Internal(PenstockError):
    code = Code.INTERNAL


class Unimplemented(PenstockError):
    code = Code.UNIMPLEMENTED


class BadBackendAnswer(PenstockError):
    code = Code.BAD_BACKEND_ANSWER


class Unavailable(PenstockError):
    code = Code.UNAVAILABLE


class DeadlineExceeded(PenstockError):
    code = Code.DEADLINE_EXCEEDED

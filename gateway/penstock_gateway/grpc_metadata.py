"""Metadata at the gRPC edge: the request's as headers, an error's as trailing metadata."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Final

from penstock_adapters.protocol.errors import Code, InvalidArgument, PenstockError
from penstock_gateway.rest_headers import parse_timeout_ms

Metadata = tuple[tuple[str, str], ...]
PUSHBACK: Final = "grpc-retry-pushback-ms"
_PUSHBACK: Final[Mapping[Code, str]] = {
    Code.RATE_LIMITED: "1000",
    Code.TOO_LARGE: "-1",
    Code.HEADERS_TOO_LARGE: "-1",
}
"""Milliseconds a client waits before it retries; -1 = never (protocol policy 6.2)."""


class GrpcHeaders:
    """Request metadata by lower-case name."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def get(self, name: str, default: str = "", /) -> str:
        return self._fields.get(name, default)

    def timeout_s(self) -> float:
        """The caller's `penstock-timeout-ms` in seconds; infinite if there is none or it is 0. Raises InvalidArgument."""
        value = self._fields.get("penstock-timeout-ms")
        if value is None:
            return inf
        if not value.isascii():
            raise InvalidArgument("header_invalid", name="penstock-timeout-ms", expected="a whole number")
        return parse_timeout_ms(value.encode())


def error_metadata(error: PenstockError) -> Metadata:
    """The trailing metadata of an error: its stable word, and whether to come back."""
    pushback = _PUSHBACK.get(error.code)
    reason = (("penstock-reason", error.reason),)
    return reason if pushback is None else (*reason, (PUSHBACK, pushback))

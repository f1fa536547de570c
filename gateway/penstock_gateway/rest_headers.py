"""Request headers: scanned once into a dict of bytes, decoded only when asked for, and what the edge reads in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Final

from penstock_adapters.protocol.errors import InvalidArgument

REQUEST_ID: Final = b"x-request-id"
TIMEOUT: Final = b"penstock-timeout-ms"
BINARY_LENGTH: Final = b"inference-header-content-length"

_CHARSET: Final = re.compile(rb";\s*charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)
_SINGLE: Final = frozenset(
    {
        b"authorization",
        b"content-type",
        BINARY_LENGTH,
        TIMEOUT,
        REQUEST_ID,
        b"traceparent",
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"expect",
    }
)
"""A second one of these is refused: two readers would disagree on which counts (protocol policy 6.15)."""
_TIMEOUT_DIGITS: Final = 12


class RestHeaders:
    """Headers of one request, by lower-case name. Repeated list headers are joined with commas, as RFC 9110 5.3 says."""

    __slots__ = ("_fields",)

    def __init__(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """`pairs` have lower-case names. Raises InvalidArgument if a single-valued header is repeated."""
        fields = dict(pairs)
        if len(fields) != len(pairs):
            fields = _joined(pairs)
        self._fields: Mapping[bytes, bytes] = fields

    def get(self, name: str, default: str = "", /) -> str:
        value = self._fields.get(name.encode())
        return default if value is None else value.decode("latin-1")

    def raw(self, name: bytes) -> bytes | None:
        return self._fields.get(name)


def _joined(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Raises InvalidArgument if a header that has one meaning stands there twice."""
    fields: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif name in _SINGLE:
            raise InvalidArgument("header_invalid", name=name.decode("latin-1"), expected="given at most once")
        else:
            fields[name] += b", " + value
    return fields


def timeout_s(headers: RestHeaders) -> float:
    """The caller's `penstock-timeout-ms` in seconds; infinite if there is none or it is 0. Raises InvalidArgument."""
    value = headers.raw(TIMEOUT)
    if value is None:
        return inf
    return parse_timeout_ms(value)


def parse_timeout_ms(value: bytes) -> float:
    """Whole milliseconds as seconds, 0 = none given (protocol policy 6.17)."""
    if not value.isdigit() or len(value) > _TIMEOUT_DIGITS:
        raise InvalidArgument(
            "header_invalid", name=TIMEOUT.decode(), expected="a whole number of milliseconds, at most 12 digits"
        )
    return int(value) / 1000 or inf


def binary_length(headers: RestHeaders) -> int | None:
    """The length of the JSON part in front of binary tensors; None = the header is absent. Raises InvalidArgument."""
    value = headers.raw(BINARY_LENGTH)
    if value is None:
        return None
    if not value.isdigit() or len(value) > 10:
        raise InvalidArgument(
            "header_invalid", name="Inference-Header-Content-Length", expected="a number of 1 to 10 digits"
        )
    return int(value)


def check_charset(headers: RestHeaders) -> None:
    """Content-Type does not matter (protocol policy 6.5), but a charset other than UTF-8 would be misread."""
    value = headers.raw(b"content-type")
    if value is None or b"harset" not in value.lower():
        return
    found = _CHARSET.search(value)
    if found is not None and found[1].lower() not in {b"utf-8", b"utf8"}:
        raise InvalidArgument("header_invalid", name="Content-Type", expected="without charset, or with charset=utf-8")

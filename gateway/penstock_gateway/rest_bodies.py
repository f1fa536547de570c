"""Bodies at the REST edge: content codings off and on, and the three ways to frame a request."""

from __future__ import annotations

import asyncio
from typing import Final

from penstock_adapters.protocol import compression
from penstock_adapters.protocol.body import RequestBody
from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.message import Buffer
from penstock_adapters.protocol.wire import RestWire
from penstock_gateway.rest_answers import VARY, Header
from penstock_gateway.rest_headers import RestHeaders, binary_length, check_charset

COMPRESS_MIN: Final = 1024
"""Smaller answers are not worth compressing (protocol policy 6.13)."""
_THREAD_MIN: Final = 4 * 1024
"""Larger bodies are (de)compressed in a thread: 4 KiB of gzip can hold 4 MiB, 10 ms in which nobody else is served."""


async def decompressed(headers: RestHeaders, body: Buffer, limits: Limits) -> Buffer:
    """The body without its content coding. Raises UnsupportedEncoding, InvalidArgument, TooLarge."""
    coding = compression.coding_of(headers.get("content-encoding"))
    if coding is None:
        return body
    if len(body) < _THREAD_MIN:
        return compression.decompress(body, coding, limits.body)
    return await asyncio.to_thread(compression.decompress, body, coding, limits.body)


def request_body(headers: RestHeaders, body: Buffer, limits: Limits) -> RequestBody:
    """The request, not read yet: all JSON, JSON and binary tensors, or raw (length header 0). Raises InvalidArgument."""
    check_charset(headers)
    return RequestBody(rest=RestWire((body,), binary_length(headers)), limits=limits)


async def compressed(
    parts: tuple[Buffer, ...], size: int, fields: tuple[Header, ...], headers: RestHeaders
) -> tuple[tuple[Buffer, ...], int, tuple[Header, ...]]:
    """Parts, size and headers of an answer, coded as the caller prefers."""
    coding = compression.accepted(headers.get("accept-encoding"))
    fields = (*fields, VARY)
    if coding is None:
        return parts, size, fields
    if size < _THREAD_MIN:
        body = compression.compress(parts, coding)
    else:
        body = await asyncio.to_thread(compression.compress, parts, coding)
    return (body,), len(body), (*fields, (b"content-encoding", coding.encode()))

"""Answers of the REST surface as values: status, pre-encoded headers, body parts. Errors are `{"error": text}`, always."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from penstock_adapters.protocol.errors import Code, PenstockError
from penstock_adapters.protocol.message import Buffer, ModelMetadata

Header = tuple[bytes, bytes]

JSON: Final[Header] = (b"content-type", b"application/json")
BINARY: Final[Header] = (b"content-type", b"application/octet-stream")
EMPTY_LENGTH: Final[Header] = (b"content-length", b"0")
VARY: Final[Header] = (b"vary", b"Accept-Encoding")
CLOSE: Final[Header] = (b"connection", b"close")
_RETRY_AFTER: Final[Header] = (b"retry-after", b"1")
_EXTRA: Final[Mapping[Code, tuple[Header, ...]]] = {
    Code.UNAUTHENTICATED: ((b"www-authenticate", b"Bearer"),),
    Code.UNSUPPORTED_ENCODING: ((b"accept-encoding", b"gzip, deflate"),),
    Code.RATE_LIMITED: (_RETRY_AFTER,),
    Code.UNAVAILABLE: (_RETRY_AFTER,),
}
"""Headers that a status promises (protocol policy 6.2)."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer. `headers` include Content-Length; the shell adds x-request-id and framing."""

    status: int
    headers: tuple[Header, ...]
    parts: tuple[Buffer, ...] = ()


def length(size: int) -> Header:
    return (b"content-length", b"%d" % size)


def json_answer(value: object, status: int = 200, extra: tuple[Header, ...] = ()) -> Answer:
    body = msgspec.json.encode(value)
    return Answer(status, (JSON, length(len(body)), *extra), (body,))


def error_answer(error: PenstockError, extra: tuple[Header, ...] = ()) -> Answer:
    """The one shape of every non-2xx: the text of our own table, and its stable word in `penstock-reason`."""
    code = error.code
    return json_answer(
        {"error": error.text},
        code.http,
        ((b"penstock-reason", error.reason.encode()), *_EXTRA.get(code, ()), *extra),
    )


def metadata_json(metadata: ModelMetadata) -> dict[str, object]:
    """The body of the model metadata operation; `versions` and `platform` always stand there."""
    return {
        "name": metadata.name,
        "versions": list(metadata.versions),
        "platform": metadata.platform,
        "inputs": [{"name": t.name, "datatype": t.datatype, "shape": t.shape} for t in metadata.inputs],
        "outputs": [{"name": t.name, "datatype": t.datatype, "shape": t.shape} for t in metadata.outputs],
    }

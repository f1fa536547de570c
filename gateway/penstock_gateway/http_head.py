"""One request head, judged strictly: llhttp reads it, and what llhttp lets pass is refused here before it or after it.

HTTP libraries disagree on malformed messages, and every disagreement between two hops is a way to smuggle a request past
the first one. So a head is read only when all of it is there, from its own bytes, and doubt is a refusal (policy 6.15).
"""

from __future__ import annotations

import re
from typing import Final

import httptools
import msgspec

from penstock_adapters.protocol.errors import HeadersTooLarge, InvalidArgument, UriTooLong
from penstock_adapters.protocol.limits import Limits
from penstock_gateway.rest_headers import RestHeaders

END: Final = b"\r\n\r\n"
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_LENGTH_DIGITS: Final = 18


class Head(msgspec.Struct, frozen=True, gc=False):
    """A request head that is in order. `path` is raw, without query; `length` is None for a chunked body."""

    method: str
    path: bytes
    headers: RestHeaders
    length: int | None
    keep_alive: bool
    expects_continue: bool


class _Reader:
    """llhttp's callbacks."""

    __slots__ = ("headers", "url")

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))


def malformed(problem: str) -> InvalidArgument:
    return InvalidArgument("framing_invalid", problem=problem)


def check_unfinished(data: bytes, limits: Limits) -> None:
    """Judge the beginning of a head that has not all arrived: what is wrong already will not become right."""
    line_end = data.find(b"\r\n")
    if (line_end if line_end >= 0 else len(data)) > limits.request_line:
        raise UriTooLong("uri_too_long", limit=limits.request_line)
    if len(data) - max(line_end, 0) > limits.headers:
        raise HeadersTooLarge("headers_too_large", limit=limits.headers, count=limits.header_count)
    _check_line_ends(data)
    _feed(data, _Reader())


def parse_head(data: bytes, limits: Limits) -> Head:
    """The head in `data`, which ends with the empty line. Raises InvalidArgument, UriTooLong or HeadersTooLarge."""
    line_end = data.find(b"\r\n")
    if line_end > limits.request_line:
        raise UriTooLong("uri_too_long", limit=limits.request_line)
    line_count = data.count(b"\r\n")
    if len(data) - line_end > limits.headers or line_count - 2 > limits.header_count:
        raise HeadersTooLarge("headers_too_large", limit=limits.headers, count=limits.header_count)
    _check_line_ends(data)
    if b"\r\n " in data or b"\r\n\t" in data:
        raise malformed("a header is folded over two lines")
    reader = _Reader()
    parser = _feed(data, reader)
    headers = RestHeaders(reader.headers)
    version = parser.get_http_version()
    if version not in {"1.1", "1.0"}:
        raise malformed("only HTTP/1.1 and HTTP/1.0 are spoken here")
    host = headers.raw(b"host")
    if (host is None and version == "1.1") or (host is not None and not _HOST.fullmatch(host)):
        raise malformed("Host is missing or not a host")
    expect = headers.raw(b"expect")
    if expect is not None and expect.lower() != b"100-continue":
        raise malformed("Expect can only be 100-continue")
    return Head(
        parser.get_method().decode("ascii"),
        _path(reader.url, host),
        headers,
        _length(headers, version),
        _keep_alive(headers, version),
        expect is not None and version == "1.1",
    )


def _check_line_ends(data: bytes) -> None:
    pairs = data.count(b"\r\n")
    if data.count(b"\n") != pairs or data.count(b"\r") - data.endswith(b"\r") != pairs or b"\x00" in data:
        raise malformed("lines end with CR LF, and CR, LF and NUL stand nowhere else")


def _feed(data: bytes, reader: _Reader) -> httptools.HttpRequestParser:
    parser = httptools.HttpRequestParser(reader)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # No protocol is switched to: the request is answered as HTTP/1.1, as RFC 9110 7.8 allows.
    except httptools.HttpParserError:
        raise malformed("it is not an HTTP/1.1 request") from None
    return parser


def _path(url: bytes, host: bytes | None) -> bytes:
    """The path of the request target; an absolute URI is accepted for the Host it was sent to (RFC 9112 3.2.2)."""
    if not url.startswith(b"/"):
        try:
            parsed = httptools.parse_url(url)
        except httptools.HttpParserInvalidURLError:
            raise malformed("the request target is not a path") from None
        authority = url.partition(b"://")[2].partition(b"/")[0]
        if parsed.schema not in {b"http", b"https"} or host is None or authority.lower() != host.lower():
            raise malformed("the request target is not a path on this host")
        url = parsed.path or b"/"
    return url.partition(b"?")[0] if b"?" in url else url


def _keep_alive(headers: RestHeaders, version: str) -> bool:
    connection = headers.raw(b"connection")
    if connection is None:
        return version == "1.1"
    tokens = [token.strip() for token in connection.lower().split(b",")]
    return b"close" not in tokens and (version == "1.1" or b"keep-alive" in tokens)


def _length(headers: RestHeaders, version: str) -> int | None:
    """Body length, 0 if there is no body, None if it is chunked."""
    length = headers.raw(b"content-length")
    coding = headers.raw(b"transfer-encoding")
    if coding is not None:
        if length is not None or version != "1.1" or coding.lower() != b"chunked":
            raise malformed("Transfer-Encoding can only be chunked, in HTTP/1.1, without Content-Length")
        return None
    if length is None:
        return 0
    if not length.isdigit() or len(length) > _LENGTH_DIGITS:
        raise malformed("Content-Length is not a number")
    return int(length)

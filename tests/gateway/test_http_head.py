"""A head is read strictly: whatever two servers could read differently is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_adapters.protocol.errors import HeadersTooLarge, InvalidArgument, UriTooLong
from penstock_adapters.protocol.limits import DEFAULT_LIMITS
from penstock_gateway.http_head import check_unfinished, parse_head

LINE = b"POST /v2/models/m/infer HTTP/1.1\r\n"
HOST = b"Host: penstock:8100\r\n"


def head(*lines: bytes, first: bytes = LINE, host: bytes = HOST) -> bytes:
    return first + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def test_a_plain_head_is_read() -> None:
    found = parse_head(head(b"Content-Length: 12", b"X-Thing:  spaced "), DEFAULT_LIMITS)

    assert (found.method, found.path, found.length) == ("POST", b"/v2/models/m/infer", 12)
    assert found.keep_alive
    assert not found.expects_continue
    assert found.headers.get("x-thing").strip() == "spaced"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (b"/v2?x=1", b"/v2"),
        (b"/v2/models/a%20b?", b"/v2/models/a%20b"),
        (b"http://penstock:8100/v2/models?x", b"/v2/models"),
        (b"http://PENSTOCK:8100", b"/"),
    ],
)
def test_the_path_stands_without_query_and_authority(url: bytes, path: bytes) -> None:
    assert parse_head(head(first=b"GET " + url + b" HTTP/1.1\r\n"), DEFAULT_LIMITS).path == path


@pytest.mark.parametrize(
    ("lines", "length"),
    [((), 0), ((b"Content-Length: 0",), 0), ((b"Transfer-Encoding: Chunked",), None), ((b"content-length: 007",), 7)],
)
def test_the_body_length_is_known(lines: tuple[bytes, ...], length: int | None) -> None:
    assert parse_head(head(*lines), DEFAULT_LIMITS).length == length


@pytest.mark.parametrize(
    ("first", "lines", "kept"),
    [
        (LINE, (), True),
        (LINE, (b"Connection: close",), False),
        (b"GET / HTTP/1.0\r\n", (), False),
        (b"GET / HTTP/1.0\r\n", (b"Connection: keep-alive",), True),
    ],
)
def test_keep_alive_follows_version_and_connection_header(first: bytes, lines: tuple[bytes, ...], kept: bool) -> None:
    assert parse_head(head(*lines, first=first), DEFAULT_LIMITS).keep_alive is kept


def test_an_upgrade_is_answered_as_http_1_1() -> None:
    found = parse_head(head(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 3"), DEFAULT_LIMITS)

    assert found.length == 3


@pytest.mark.parametrize(
    "data",
    [
        head(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        head(b"Content-Length: 3", b"Content-Length: 4"),
        head(b"Content-Length: 3", b"Content-Length: 3"),
        head(b"Content-Length: 3, 3"),
        head(b"Content-Length: +3"),
        head(b"Content-Length: -3"),
        head(b"Content-Length: 0x3"),
        head(b"Content-Length: 3 3"),
        head(b"Content-Length: " + b"9" * 30),
        head(b"Content-Length:"),
        head(b"Transfer-Encoding: xchunked"),
        head(b"Transfer-Encoding: chunked, identity"),
        head(b"Transfer-Encoding: gzip, chunked"),
        head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        head(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0\r\n"),
        head(b"Transfer-Encoding : chunked"),
        head(b"X: a", b" folded"),
        head(b"X: a", b"\tfolded"),
        head(host=b""),
        head(host=b"Host:\r\n"),
        head(host=b"Host: x/#@y\r\n"),
        head(host=b"Host: a b\r\n"),
        head(host=b"Host: x:port\r\n"),
        head(b"Host: penstock:8100"),
        head(b"X: a\x00b"),
        head(b"X: a\rb"),
        head(b"X: a\nb"),
        head(b"X Y: a"),
        head(b": a"),
        head(b"nothing"),
        head(b"Expect: 200-ok"),
        head(first=b"GET / HTTP/3.0\r\n"),
        head(first=b"GET / HTTP/1.2\r\n"),
        head(first=b"GET /\r\n"),
        head(first=b"FETCH / HTTP/1.1\r\n"),
        head(first=b"get / HTTP/1.1\r\n"),
        head(first=b"GET / a HTTP/1.1\r\n"),
        head(first=b"GET / http/1.1\r\n"),
        head(first=b"CONNECT penstock:8100 HTTP/1.1\r\n"),
        head(first=b"GET http://elsewhere/v2 HTTP/1.1\r\n"),
        head(first=b"GET http://penstock:8100@elsewhere/v2 HTTP/1.1\r\n"),
        head(first=b"GET //penstock HTTP/1.1\n"),
        b"PRI * HTTP/2.0\r\n\r\n",
        LINE.replace(b"\r", b"") + HOST + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_what_could_be_read_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        parse_head(data, DEFAULT_LIMITS)


def test_the_caps_of_a_head_have_statuses_of_their_own() -> None:
    with pytest.raises(UriTooLong):
        parse_head(head(first=b"GET /" + b"a" * 8200 + b" HTTP/1.1\r\n"), DEFAULT_LIMITS)
    with pytest.raises(HeadersTooLarge):
        parse_head(head(b"X: " + b"a" * 33_000), DEFAULT_LIMITS)
    with pytest.raises(HeadersTooLarge):
        parse_head(head(*(b"X%d: a" % i for i in range(101))), DEFAULT_LIMITS)
    with pytest.raises(UriTooLong):
        check_unfinished(b"GET /" + b"a" * 8200, DEFAULT_LIMITS)
    with pytest.raises(HeadersTooLarge):
        check_unfinished(LINE + b"X: " + b"a" * 33_000, DEFAULT_LIMITS)


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01", b"GET / HTTP/1.1\n", LINE + b"X\x00", b"FETCH /", LINE + b"X: a\n\n"]
)
def test_a_beginning_that_is_wrong_is_refused_before_its_end(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        check_unfinished(data, DEFAULT_LIMITS)


@pytest.mark.parametrize("data", [b"G", b"POST /v2", LINE, LINE + b"Ho", LINE + HOST, LINE + HOST + b"\r"])
def test_a_beginning_that_may_become_right_is_waited_for(data: bytes) -> None:
    check_unfinished(data, DEFAULT_LIMITS)


@given(st.binary(max_size=300))
def test_garbage_raises_only_our_errors(data: bytes) -> None:
    for whole in (data + b"\r\n\r\n", LINE + data + b"\r\n\r\n", LINE + HOST + b"X: " + data + b"\r\n\r\n"):
        with suppress(InvalidArgument, UriTooLong, HeadersTooLarge):
            parse_head(whole, DEFAULT_LIMITS)

"""HTTP/1.1 messages that must be refused, and the ways to put them on a wire."""

from __future__ import annotations

import random
from collections.abc import Iterator

GOOD_BODY = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}'
PATH = b"/v2/models/digits/infer"
HOST = b"Host: penstock\r\n"
LINE = b"POST " + PATH + b" HTTP/1.1\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(GOOD_BODY)
GOOD = LINE + HOST + LENGTH + b"\r\n" + GOOD_BODY
CHUNKED = LINE + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


def _first_lines() -> Iterator[tuple[str, bytes]]:
    """Complete heads whose first line is wrong."""
    for word in (b"get", b"FOO", b"G\0T", b"POST\t", b"", b"\x16\x03\x01\x02", b"POST POST", b"{}", b"-", b"GE/T"):
        yield f"method {word!r}", word + b" " + PATH + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    for version in (
        b"HTTP/0.9",
        b"HTTP/1.2",
        b"HTTP/2.0",
        b"HTTP/3.0",
        b"http/1.1",
        b"HTTP/1",
        b"HTTP/11",
        b"HTP/1.1",
        b"",
    ):
        yield f"version {version!r}", b"POST " + PATH + b" " + version + b"\r\n" + HOST + b"\r\n"
    for url in (
        b"",
        b" ",
        b"no-slash",
        b"/a b",
        b"http://",
        b"http://other/v2",
        b"http://a@penstock/v2",
        b"//",
        b"ftp://penstock/",
    ):
        yield f"target {url!r}", b"GET " + url + b" HTTP/1.1\r\n" + HOST + b"\r\n"


def _lengths() -> Iterator[tuple[str, bytes]]:
    """Complete heads that do not say how long the body is."""
    for value in (
        b"+5",
        b"-1",
        b"0x10",
        b"1e2",
        b"5 5",
        b"5,5",
        b"5,6",
        b"",
        b"five",
        b"9" * 25,
        b"\xd9\xa5",
        b"1_0",
        b"5;5",
    ):
        yield f"length {value!r}", LINE + HOST + b"Content-Length: " + value + b"\r\n\r\n"
    for first, second in ((b"5", b"6"), (b"5", b"5"), (b"0", b"5")):
        yield (
            f"lengths {first!r} {second!r}",
            LINE + HOST + b"Content-Length: " + first + b"\r\nContent-Length: " + second + b"\r\n\r\n",
        )
    for coding in (
        b"xchunked",
        b"chunked, identity",
        b"identity",
        b"gzip, chunked",
        b"chunked, chunked",
        b"",
        b"chunked;x",
        b"\x0bchunked",
    ):
        yield f"coding {coding!r}", LINE + HOST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
    yield "both lengths", LINE + HOST + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    yield "both lengths, other order", LINE + HOST + b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n0\r\n\r\n"
    yield "chunked in 1.0", LINE.replace(b"1.1", b"1.0") + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


def _fields() -> Iterator[tuple[str, bytes]]:
    """Complete heads with one field wrong, or too much of everything."""
    for host in (b"", b"Host:\r\n", HOST * 2, HOST + b"Host: other\r\n", b"Host: a b\r\n", b"Host: a/b\r\n", b"Host: x/#@y\r\n",
                 b"Host: a:b\r\n", b"Host: [::1\r\n", b"Host: a:123456\r\n", b"Host: a,b\r\n", b"Host: \xff\r\n"):  # fmt: skip
        yield f"host {host!r}", LINE + host + LENGTH + b"\r\n" + GOOD_BODY
    for line in (b"X : y\r\n", b" X: y\r\n", b"X\r\n", b": y\r\n", b"X\x00: y\r\n", b"X: \x00\r\n", b"X: a\rb\r\n", b"X: a\nb\r\n",
                 b"X: a\r\n b\r\n", b"X: a\r\n\tb\r\n", b"X(y): z\r\n", b"\xe9: z\r\n", b"X: a\x01\r\n"):  # fmt: skip
        yield f"header {line!r}", LINE + HOST + line + LENGTH + b"\r\n" + GOOD_BODY
    yield "bare line feeds", GOOD.replace(b"\r\n", b"\n")
    yield "one bare line feed", GOOD.replace(HOST, b"Host: penstock\n")
    yield "carriage returns", GOOD.replace(b"\r\n", b"\r") + b"\r\n\r\n"
    yield "a long request line", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    yield "a large header", LINE + HOST + b"X: " + b"a" * 40_000 + b"\r\n\r\n"
    yield "many headers", LINE + HOST + b"".join(b"X%d: y\r\n" % n for n in range(200)) + b"\r\n"
    yield "an unknown expectation", LINE + HOST + LENGTH + b"Expect: gold\r\n\r\n" + GOOD_BODY
    yield "a body beyond the cap", LINE + HOST + b"Content-Length: 999999999999\r\n\r\n"
    for name in (b"Content-Type", b"Inference-Header-Content-Length", b"Penstock-Timeout-Ms", b"Authorization"):
        yield f"{name!r} twice", LINE + HOST + LENGTH + (name + b": 1\r\n") * 2 + b"\r\n" + GOOD_BODY


def _chunked() -> Iterator[tuple[str, bytes]]:
    """Chunked bodies with one thing wrong."""
    for size in (b"", b"g", b"-1", b"+1", b"0x1", b" 1", b"1 ", b"f" * 17, b"1\n", b"\x00", b"1.0", b"\xb2"):
        yield f"chunk size {size!r}", CHUNKED + size + b"\r\na\r\n0\r\n\r\n"
    yield "a long extension", CHUNKED + b"1;" + b"x" * 300 + b"\r\na\r\n0\r\n\r\n"
    yield "an extension with NUL", CHUNKED + b"1;\x00\r\na\r\n0\r\n\r\n"
    yield "a chunk too long", CHUNKED + b"1\r\nab\r\n0\r\n\r\n"
    yield "a chunk too short", CHUNKED + b"5\r\nab\r\n0\r\n\r\n"
    yield "line feeds between chunks", CHUNKED + b"1\na\n0\n\n"
    yield "a chunk beyond the cap", CHUNKED + b"fffffffffff\r\n"
    yield "no header as trailer", CHUNKED + b"0\r\nnonsense\r\n\r\n"
    yield "trailers without end", CHUNKED + b"0\r\n" + b"X: y\r\n" * 3000


CASES = dict([*_first_lines(), *_lengths(), *_fields(), *_chunked()])
TRUNCATED = {f"cut at {at}": GOOD[:at] for at in range(1, len(GOOD), 7)}


def cuts(data: bytes, seed: int) -> Iterator[list[bytes]]:
    """The message whole, in two, in many pieces, and behind a good request."""
    yield [data]
    random_ = random.Random(seed)
    at = random_.randrange(1, len(data)) if len(data) > 1 else 1
    yield [data[:at], data[at:]]
    step = max(1, len(data) // 60)
    yield [data[start : start + step] for start in range(0, len(data), step)]
    yield [GOOD + data]

"""Broken framing, byte for byte: what is no HTTP/1.1 request, and what is no HTTP/2 connection. Same code, same cases."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

PATH: Final = b"/v2/models/m/infer"
BODY: Final = b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}'
HOST: Final = b"Host: penstock"
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS: Final = b"\0\0\0\4\0\0\0\0\0"


class Bytes(NamedTuple):
    """What is sent on a connection of its own, before our side of it is closed.

    `refused` says that no part of it may be answered with success.
    """

    name: str
    data: bytes
    refused: bool = True


def request(
    *lines: bytes, first: bytes = b"POST " + PATH + b" HTTP/1.1", body: bytes = b"", host: bytes = HOST
) -> bytes:
    return b"\r\n".join([first, *filter(None, [host]), *lines, b"", body])


GOOD: Final = request(b"Content-Length: %d" % len(BODY), body=BODY)


def http1_cases() -> Iterator[Bytes]:
    yield from _lines()
    yield from _lengths()
    yield from _chunks()
    for cut in range(len(GOOD)):
        yield Bytes(f"cut/{cut}", GOOD[:cut])
    rng = random.Random(1)
    head_end = GOOD.index(b"\r\n\r\n")
    for index in range(400):
        data = bytearray(GOOD)
        for _ in range(rng.randrange(1, 4)):
            match rng.randrange(3):
                case 0:
                    data[rng.randrange(head_end)] = rng.randrange(256)
                case 1:
                    del data[rng.randrange(head_end)]
                case _:
                    data.insert(rng.randrange(head_end), rng.choice(b"\0\r\n\t :,;%\x7f\xff"))
        yield Bytes(f"mutated/{index}", bytes(data), refused=False)
    for index in range(100):
        yield Bytes(f"random/{index}", rng.randbytes(rng.randrange(1, 400)))


def _lines() -> Iterator[Bytes]:
    firsts = (
        *(b"GET / HTTP/3.0", b"GET / HTTP/1.2", b"GET / HTTP/2.0", b"GET /", b"GET", b"FETCH / HTTP/1.1"),
        *(
            b"get /v2 HTTP/1.1",
            b"GET /v2 a HTTP/1.1",
            b"GET /v2 http/1.1",
            b"GET\t/v2\tHTTP/1.1",
            b"GET  /v2 HTTP/1.1 x",
        ),
        *(
            b"CONNECT penstock:80 HTTP/1.1",
            b"GET http://elsewhere/v2 HTTP/1.1",
            b"GET /v2\0 HTTP/1.1",
            b" GET /v2 HTTP/1.1",
        ),
        *(b"GET /" + b"a" * 9000 + b" HTTP/1.1", b"POST /v2/models/%zz/infer HTTP/1.1", b"GET /v2/%00 HTTP/1.1"),
        *(
            b"GET /v2/models/%2e%2e/ready HTTP/1.1",
            b"GET /v2//models HTTP/1.1",
            b"GET \xff HTTP/1.1",
            b"OPTIONS * HTTP/1.1",
        ),
        *(b"TRACE /v2 HTTP/1.1", b"DELETE /v2 HTTP/1.1", b"PUT /v2/models/m HTTP/1.1", b"PATCH " + PATH + b" HTTP/1.1"),
    )
    for index, first in enumerate(firsts):
        yield Bytes(f"first/{index}", request(first=first))
    headers = (
        *(b"X: a\0b", b"X: a\rb", b"X: a\nb", b"X Y: a", b": a", b"nothing", b"X: a\r\n folded", b"X : a", b"X\xff: a"),
        *(b"X: " + b"a" * 40_000, b"\r\n".join(b"X%d: a" % n for n in range(150)), b"Expect: 200-ok", b"\x7fX: a"),
        *(b"Inference-Header-Content-Length: 1\r\nInference-Header-Content-Length: 1", b"Host: penstock"),
    )
    for index, header in enumerate(headers):
        yield Bytes(f"header/{index}", request(header, b"Content-Length: %d" % len(BODY), body=BODY))
    for index, host in enumerate(
        (b"", b"Host:", b"Host: a b", b"Host: x/y", b"Host: x:port", b"Host: x@y", b"Host: \xff")
    ):
        yield Bytes(f"host/{index}", request(b"Content-Length: %d" % len(BODY), host=host, body=BODY))
    yield Bytes("newlines/bare", GOOD.replace(b"\r\n", b"\n"))
    yield Bytes("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64))
    yield Bytes("http2", PREFACE + SETTINGS)


def _lengths() -> Iterator[Bytes]:
    for index, value in enumerate(
        (
            *(
                b"",
                b"-1",
                b"+5",
                b"0x5",
                b"5 5",
                b"5, 5",
                b"5,6",
                b"1e2",
                b"5.0",
                b"\xd9\xa1",
                b"9" * 30,
                b"99999999999",
            ),
            *(b"67108865", b"abc", b"5\r\nContent-Length: 5", b"5\r\nContent-Length: 6"),
            *(b"5\r\nTransfer-Encoding: chunked", b"5\r\nTransfer-Encoding: identity"),
        )
    ):
        yield Bytes(f"length/{index}", request(b"Content-Length: " + value, body=BODY))
    for index, value in enumerate(
        (
            b"xchunked",
            b"chunked, identity",
            b"gzip, chunked",
            b"identity",
            b"chunked\r\nTransfer-Encoding: chunked",
            b"",
        )
    ):
        yield Bytes(f"transfer/{index}", request(b"Transfer-Encoding: " + value, body=b"0\r\n\r\n"))
    old = b"POST " + PATH + b" HTTP/1.0"
    yield Bytes("transfer/old", request(b"Transfer-Encoding: chunked", first=old, body=b"0\r\n\r\n"))


def _chunks() -> Iterator[Bytes]:
    whole = b"%x\r\n%b\r\n" % (len(BODY), BODY)
    for index, chunks in enumerate(
        (
            *(
                b"g\r\n",
                b"-1\r\n",
                b"0x3\r\nabc\r\n",
                b"3 \r\nabc\r\n",
                b" 3\r\nabc\r\n",
                b"3\nabc\r\n",
                b"3\r\nabcd\r\n",
            ),
            *(
                b"3\r\nabc0\r\n\r\n",
                b"1" * 17 + b"\r\n",
                b"3;" + b"x" * 300 + b"\r\nabc\r\n0\r\n\r\n",
                b"3;\0\r\n",
                b"\r\n",
            ),
            *(b"ffffffffffffffff\r\n", b"7fffffff\r\n", whole + b"0\r\nnot a header\r\n\r\n"),
            *(whole + b"0\r\n" + b"X: y\r\n" * 2000 + b"\r\n", b"1\r\n \r\n" * 65_537 + b"0\r\n\r\n"),
        )
    ):
        yield Bytes(f"chunks/{index}", request(b"Transfer-Encoding: chunked", body=chunks))


def frame(kind: int, flags: int, stream: int, payload: bytes, length: int | None = None) -> bytes:
    """One HTTP/2 frame; `length` instead of the true one."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def http2_cases() -> Iterator[Bytes]:
    for cut in range(len(PREFACE)):
        yield Bytes(f"h2/preface-{cut}", PREFACE[:cut])
    frames = {
        "data on an idle stream": frame(0, 0, 1, b"x"),
        "data on stream 0": frame(0, 0, 0, b"x"),
        "headers on stream 0": frame(1, 4, 0, b"\x82"),
        "headers on an even stream": frame(1, 4, 2, b"\x82"),
        "headers no table knows": frame(1, 5, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
        "headers cut short": frame(1, 5, 1, b"\x40\x0aab"),
        "headers with padding beyond the frame": frame(1, 0xD, 1, b"\xffabc"),
        "headers without end": frame(1, 0, 1, b"\x82") + frame(0, 0, 1, b"x"),
        "continuation of nothing": frame(9, 4, 1, b"\x82"),
        "continuation for ever": frame(1, 0, 1, b"\x82") + frame(9, 0, 1, b"\x82" * 1000) * 200,
        "priority of a wrong size": frame(2, 0, 1, b"abc"),
        "reset of stream 0": frame(3, 0, 0, b"\0\0\0\0"),
        "reset of an idle stream": frame(3, 0, 9, b"\0\0\0\0"),
        "settings of a wrong size": frame(4, 0, 0, b"abc"),
        "settings on a stream": frame(4, 0, 1, b""),
        "settings beyond all windows": frame(4, 0, 0, struct.pack(">HI", 4, 2**32 - 1)),
        "settings for ever": frame(4, 0, 0, b"") * 3000,
        "push promise": frame(5, 4, 1, b"\0\0\0\2\x82"),
        "ping of a wrong size": frame(6, 0, 0, b"abc"),
        "ping for ever": frame(6, 0, 0, b"12345678") * 3000,
        "window of nothing": frame(8, 0, 0, b"\0\0\0\0"),
        "window beyond its end": frame(8, 0, 0, b"\x7f\xff\xff\xff") * 2,
        "a frame too large": frame(0, 0, 1, b"", length=2**24 - 1) + bytes(20_000),
        "an unknown frame": frame(250, 255, 7, b"abc"),
    }
    for name, data in frames.items():
        yield Bytes(f"h2/{name}", PREFACE + SETTINGS + data, refused=False)
    rng = random.Random(2)
    for index in range(300):
        sent = b"".join(
            frame(
                rng.randrange(11), rng.randrange(256), rng.choice((0, 1, 1, 2, 3, 5)), rng.randbytes(rng.randrange(30))
            )
            for _ in range(rng.randrange(1, 8))
        )
        yield Bytes(f"h2/random-{index}", PREFACE + SETTINGS + sent, refused=False)
    for index in range(50):
        yield Bytes(f"h2/garbage-{index}", rng.randbytes(rng.randrange(1, 300)))
    yield Bytes("h2/http1", GOOD)

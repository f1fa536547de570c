"""A client that writes what it is told, byte for byte, and reads what an HTTP server answers."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self

import msgspec

PATIENCE_S = 5.0


class RawAnswer(msgspec.Struct, frozen=True):
    """One HTTP answer. `status` 0 = the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


NOTHING = RawAnswer(0, {}, b"")


class RawConnection:
    """One connection. Every read is bounded."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> RawConnection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._writer.close()

    def half_close(self) -> None:
        self._writer.write_eof()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def send_soon(self, data: bytes) -> None:
        """Send without waiting until the server takes it."""
        self._writer.write(data)

    async def answer(self, *, method: str = "GET", patience_s: float = PATIENCE_S) -> RawAnswer:
        """The next answer. Raises TimeoutError if none comes in time; a closed connection is NOTHING."""
        async with asyncio.timeout(patience_s):
            try:
                head = await self._reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return NOTHING
            lines = head.decode("latin-1").split("\r\n")
            headers = {}
            for line in lines[1:-2]:
                name, _, value = line.partition(":")
                assert name.lower() not in headers, f"{name} stands twice in {head!r}"
                headers[name.lower()] = value.strip()
            status = int(lines[0].split(" ")[1])
            if status == 100:
                return RawAnswer(status, headers, b"")
            size = 0 if method == "HEAD" else int(headers["content-length"])
            return RawAnswer(status, headers, await self._reader.readexactly(size))

    async def is_closed(self, *, patience_s: float = PATIENCE_S) -> bool:
        """True once the server has closed its side. Raises TimeoutError if it does not, AssertionError if more comes."""
        async with asyncio.timeout(patience_s):
            try:
                more = await self._reader.read(1)
            except ConnectionResetError:
                return True
        assert not more, "the server sent more"
        return True


async def ask(port: int, data: bytes, *, patience_s: float = PATIENCE_S) -> RawAnswer:
    """One message on a connection of its own, and the answer to it."""
    async with await RawConnection.open(port) as connection:
        await connection.send(data)
        method = data.partition(b" ")[0].decode("latin-1")
        return await connection.answer(method=method, patience_s=patience_s)


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: penstock", *headers, "", "")).encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: penstock", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body

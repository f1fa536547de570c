"""Writers on the admin API: many at once, each acknowledgement remembered."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import aiohttp

from tests.support.load import manifest
from tests.support.penstock import Penstock

PATIENCE_S: Final = 30.0


class Reply(NamedTuple):
    """One answer of the admin API. `status` 0 = none."""

    status: int
    body: dict[str, Any]
    etag: str
    headers: Mapping[str, str]
    seconds: float

    @property
    def says_later(self) -> bool:
        """A clean refusal: 503, a reason word, words, and when to come back."""
        return self.status == 503 and bool(self.body.get("error") and self.body.get("reason") and self._retry_after)

    @property
    def _retry_after(self) -> str:
        return self.headers.get("Retry-After", "")


class AdminClient:
    """Some connections to the admin listener, kept alive."""

    def __init__(self, product: Penstock, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._base = product.server

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """One request; header names are written with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        started = time.monotonic()
        try:
            async with self._session.request(method, self._base + path, json=body, headers=named) as answer:
                text = await answer.read()
                found = json.loads(text) if text else {}
                seconds = time.monotonic() - started
                return Reply(answer.status, found, answer.headers.get("ETag", ""), dict(answer.headers), seconds)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Reply(0, {"error": repr(error)}, "", {}, time.monotonic() - started)

    async def put_model(self, name: str, **spec: object) -> Reply:
        document = manifest("Model", name, {"versions": [{"id": "1"}], **spec})
        return await self.call("PUT", f"/v1/models/{name}", document)


@asynccontextmanager
async def admin_client(product: Penstock, connections: int = 16) -> AsyncIterator[AdminClient]:
    """A client while the block runs."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        yield AdminClient(product, session)


class Writers:
    """Clients that create models, each name once, until they are told to stop."""

    def __init__(self, product: Penstock, clients: int = 8, prefix: str = "w") -> None:
        self.acknowledged: list[str] = []
        self.unknown: set[str] = set()
        """Refused, or lost on the way: they may have been written or not."""
        self.refusals: Counter[str] = Counter()
        self.unclean: list[str] = []
        self.slowest_refusal_s = 0.0
        self._product = product
        self._clients = clients
        self._prefix = prefix
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._work(number)) for number in range(self._clients)]

    async def _work(self, number: int) -> None:
        async with admin_client(self._product) as client:
            count = 0
            while not self._stop.is_set():
                name, count = f"{self._prefix}{number}-{count}", count + 1
                reply = await client.put_model(name)
                if reply.status in {200, 201}:
                    self.acknowledged.append(name)
                    continue
                self.unknown.add(name)
                if reply.says_later:
                    self.refusals[reply.body["reason"]] += 1
                    self.slowest_refusal_s = max(self.slowest_refusal_s, reply.seconds)
                else:
                    self.unclean.append(f"{reply.status} {reply.body} after {reply.seconds:.2f} s")
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def grown(self, by: int, *, patience_s: float = 60.0) -> None:
        """Wait until so many more writes are acknowledged."""
        wanted = len(self.acknowledged) + by
        async with asyncio.timeout(patience_s):
            while len(self.acknowledged) < wanted:  # noqa: ASYNC110 - the list grows in other tasks
                await asyncio.sleep(0.01)


async def exported(product: Penstock, kind: str = "Model") -> dict[str, dict[str, Any]]:
    """Every resource of a kind as the registry has it now, by name."""
    async with admin_client(product) as client:
        reply = await client.call("GET", "/v1/export")
    assert reply.status == 200, reply
    return {row["metadata"]["name"]: row for row in reply.body["resources"] if row["kind"] == kind}

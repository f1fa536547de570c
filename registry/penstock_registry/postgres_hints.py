"""Hints from PostgreSQL: every commit of a new snapshot notifies a channel, in the same transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import asyncpg
from sqlalchemy import make_url

from penstock_registry.writing import CHANNEL

CONNECT_S: Final = 2.0
CHECK_S: Final = 5.0
"""How often a silent connection is asked whether it still stands."""
RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0


class PostgresHints:
    """LISTEN on a connection of its own, made again whenever it breaks. What is sent meanwhile is lost: see Watch."""

    def __init__(self, url: str) -> None:
        """`url` as for the registry: postgresql+asyncpg://..."""
        parsed = make_url(url)
        self._where = {**parsed.translate_connect_args(username="user"), **parsed.query}

    async def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` for each notification, and once after each connect. Until cancelled."""
        delay_s = RETRY_FIRST_S
        while True:
            try:
                connection = await asyncpg.connect(**self._where, timeout=CONNECT_S, command_timeout=CONNECT_S)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, RETRY_MAX_S)
                continue
            try:
                gone = asyncio.Event()
                connection.add_termination_listener(lambda _, gone=gone: gone.set())
                await connection.add_listener(CHANNEL, lambda *_: wake())
                delay_s = RETRY_FIRST_S
                # Something may have changed while nobody listened.
                wake()
                await self._stands(connection, gone)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                continue
            finally:
                # Not close(): that would wait for a server that may be hung.
                connection.terminate()

    @staticmethod
    async def _stands(connection: asyncpg.Connection, gone: asyncio.Event) -> None:
        """Return when the connection was closed; raise if it no longer answers."""
        while not gone.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), CHECK_S)
            if not gone.is_set():
                await connection.execute("SELECT 1")

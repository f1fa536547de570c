"""Hints through Redis: whoever commits publishes the revision, whoever watches subscribes. Never needed, only faster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from penstock_registry.writing import CHANNEL

CONNECT_S: Final = 1.0
PUBLISH_S: Final = 0.05
"""After that a hint is given up. Nobody waits for it: the commit was answered already."""
SILENCE_S: Final = 5.0
RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0


class RedisHints:
    """Publishes and listens. Both survive a Redis that is down, hung or forgetful; hints are then missing, nothing else."""

    def __init__(self, url: str) -> None:
        # By default redis-py tries ten times: 4 s for a Redis that is dead, a minute for one that hangs.
        self._client: Redis = Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=CONNECT_S,
            socket_connect_timeout=CONNECT_S,
            max_connections=4,
        )
        self._newest = 0
        self._sending: asyncio.Task[None] | None = None

    def announce(self, revision: int) -> None:
        """Tell everybody who listens, soon and without waiting. For `Registry(announce=...)`."""
        self._newest = revision
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        sent = -1
        # Revisions announced meanwhile go out as one.
        while sent != self._newest:
            sent = self._newest
            try:
                async with asyncio.timeout(PUBLISH_S):
                    await self._client.publish(CHANNEL, str(sent))
            except (RedisError, OSError, TimeoutError):
                return

    async def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` for each message, and once after each connect. Until cancelled."""
        delay_s = RETRY_FIRST_S
        while True:
            try:
                async with self._client.pubsub() as subscription:
                    await subscription.subscribe(CHANNEL)
                    while True:
                        # The subscription's confirmation comes first: something may have changed before it.
                        if await subscription.get_message(timeout=SILENCE_S) is None:
                            await subscription.ping()
                        else:
                            delay_s = RETRY_FIRST_S
                            wake()
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, RETRY_MAX_S)

    async def aclose(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self._client.aclose()

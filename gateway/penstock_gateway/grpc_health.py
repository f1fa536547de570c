"""grpc.health.v1: the server under "" and under its service name, and every model under its own name (policy 6.4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from penstock_adapters.protocol.errors import NotFound, RateLimited
from penstock_adapters.protocol.messages import HEALTH_METHODS, SERVICE_NAME
from penstock_gateway.grpc_answers import Message
from penstock_router.plane import DataPlane

SERVING: Final = 1
NOT_SERVING: Final = 2
SERVICE_UNKNOWN: Final = 3
WATCH_S: Final = 0.5
"""How often a watched state is looked at; only changes are sent."""
WATCHERS_MAX: Final = 1024
_Response: Final = HEALTH_METHODS["Check"].response
_List: Final = HEALTH_METHODS["List"].response


class GrpcHealth:
    """Answers from the data plane's memory."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self._watchers = 0

    def _status(self, service: str) -> int:
        """Raises NotFound for a name that is neither the server's nor a model's."""
        if service in {"", SERVICE_NAME}:
            return NOT_SERVING if self._plane.not_ready_reason else SERVING
        return SERVING if self._plane.model_ready(service, "") else NOT_SERVING

    def check(self, request: Message) -> Message:
        return _Response(status=self._status(request.service))

    def list(self, _: Message) -> Message:
        """The server's own rows; models are asked for one by one, or listed by RepositoryIndex."""
        answer = _List()
        for service in ("", SERVICE_NAME):
            answer.statuses[service].status = self._status(service)
        return answer

    async def watch(self, request: Message) -> AsyncGenerator[bytes, None]:
        """The state now, and each time it changes. An unknown name may become known, so it is a state, not an error."""
        if self._watchers >= WATCHERS_MAX:
            raise RateLimited("rate_limited", retry_after_s=1)
        self._watchers += 1
        try:
            last = None
            while True:
                try:
                    status = self._status(request.service)
                except NotFound:
                    status = SERVICE_UNKNOWN
                if status != last:
                    last = status
                    yield _Response(status=status).SerializeToString()
                await asyncio.sleep(WATCH_S)
        finally:
            self._watchers -= 1

"""The request is judged against the signature of the version that will answer it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from penstock_adapters.protocol.message import Signature
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_router.service import Layer, Service


def checked(signature: Callable[[], Signature | None]) -> Layer:
    """Refuse what the model cannot take, before any backend sees it. `signature` is asked each time: it may be learnt."""

    def layer(service: Service) -> Service:
        async def check(request: InferenceRequest) -> InferenceResponse:
            body = request.body
            if body.heavy:
                await asyncio.to_thread(body.check, signature())
            else:
                body.check(signature())
            return await service(request)

        return check

    return layer

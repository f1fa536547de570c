"""The request is judged against the signature of the version that will answer it."""

from __future__ import annotations

from collections.abc import Callable

from penstock_adapters.protocol.limits import Limits
from penstock_adapters.protocol.message import Signature
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_adapters.protocol.validate import validate_request
from penstock_router.service import Layer, Service


def checked(signature: Callable[[], Signature | None], limits: Limits) -> Layer:
    """Refuse what the model cannot take, before any backend sees it. `signature` is asked each time: it may be learnt."""

    def layer(service: Service) -> Service:
        async def check(request: InferenceRequest) -> InferenceResponse:
            validate_request(request.body.message, signature(), limits)
            return await service(request)

        return check

    return layer

"""Every call of a model version is in its statistics, whoever answered it and however it ended."""

from __future__ import annotations

import time
from collections.abc import Callable

from penstock_adapters.protocol.message import Signature
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_router.service import Layer, Service
from penstock_router.stats import VersionStats, batch_elements


def has_batch(signature: Signature | None) -> bool:
    """Is the first dimension of the first input a batch?"""
    if signature is None or not signature.inputs:
        return False
    shape = signature.inputs[0].shape
    return bool(shape) and shape[0] == -1


def counted(stats: VersionStats, signature: Callable[[], Signature | None]) -> Layer:
    """Count success, failure, time and batch elements."""

    def layer(service: Service) -> Service:
        async def count(request: InferenceRequest) -> InferenceResponse:
            started = time.monotonic()
            answered = False
            try:
                response = await service(request)
                answered = True
            finally:
                elapsed = time.monotonic() - started
                if answered:
                    elements = batch_elements(request.body.message, batched=has_batch(signature()))
                    stats.succeeded(elapsed, elements, time.time())
                else:
                    stats.failed(elapsed)
            return response

        return count

    return layer

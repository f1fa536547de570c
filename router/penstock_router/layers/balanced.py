"""The bottom of the stack: pick an endpoint, call it, and once more elsewhere if the first one answered nothing.

A call is made again only when the error says it may be (`retryable`), the request may run twice (no sequence), and
another endpoint is there to take it: a definite answer is never asked for twice, and nothing is retried in place.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from penstock_adapters.protocol.errors import PenstockError, Unavailable
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_router.balance import Choice, pick
from penstock_router.fleet import Deployed, LiveEndpoint
from penstock_router.metrics import Buckets, Metrics
from penstock_router.service import Service


class Place:
    """A deployment on an endpoint: where a call can go."""

    __slots__ = ("deployed", "endpoint", "upstream")

    def __init__(self, deployed: Deployed, endpoint: LiveEndpoint, upstream: Buckets) -> None:
        self.deployed = deployed
        self.endpoint = endpoint
        self.upstream = upstream


def serves(choice: Choice[Place]) -> bool:
    """May a call go there now?"""
    return choice.item.deployed.serves_on(choice.item.endpoint)


def may_run_twice(request: InferenceRequest) -> bool:
    """A sequence keeps state on its server; everything else only computes (protocol policy 6.11)."""
    return not request.body.message.parameters.get("sequence_id")


def balanced(version: str, places: Sequence[Choice[Place]], metrics: Metrics, clock: Callable[[], float]) -> Service:
    """The service of one model version over every place it is deployed."""
    """Every call of one model version. `places` are all it is deployed to, whether they answer now or not."""
    only = places[0] if len(places) == 1 else None

    def chosen(request: InferenceRequest) -> Choice[Place]:
        if only is not None and serves(only) and only.load.in_flight < only.item.endpoint.limit:
            return only  # The common case, without a list or a draw.
        return pick(eligible(request, None), random.random)

    def eligible(request: InferenceRequest, tried: Place | None) -> list[Choice[Place]]:
        found = [c for c in places if c.item is not tried and serves(c)]
        if not found:
            raise _nobody(request, places)
        free = [c for c in found if c.load.in_flight < c.item.endpoint.limit]
        if not free:
            limit = found[0].item.endpoint.limit
            raise Unavailable("overloaded", limit=limit, model=request.model_name)
        return free

    async def serve(request: InferenceRequest) -> InferenceResponse:
        choice = chosen(request)
        try:
            return await call(request, choice)
        except PenstockError as error:
            if not error.retryable or not may_run_twice(request):
                raise
            if not any(serves(c) for c in places if c is not choice):
                raise
        choice = pick(eligible(request, choice.item), random.random)
        metrics.retries.cell(choice.item.endpoint.backend).value += 1
        return await call(request, choice)

    async def call(request: InferenceRequest, choice: Choice[Place]) -> InferenceResponse:
        place, load = choice.item, choice.load
        replica = place.deployed.replica
        started = clock()
        load.in_flight += 1
        try:
            response = await place.endpoint.adapter.infer(
                replace(request, model_name=replica.remote_name, model_version=replica.remote_version)
            )
        except PenstockError as error:
            error.served_by = replica.deployment
            if isinstance(error, Unavailable):
                place.endpoint.suspected.set()
            raise
        finally:
            load.in_flight -= 1
            elapsed = clock() - started
            load.observe(elapsed, started + elapsed)
            place.upstream.observe(elapsed)
        return InferenceResponse(
            response.body.renamed(request.model_name, version), replica.deployment, response.degraded, elapsed
        )

    return serve


def _nobody(request: InferenceRequest, places: Sequence[Choice[Place]]) -> Unavailable:
    """Why nobody can answer: nothing is loaded, or nobody is up."""
    loaded = any(c.item.deployed.ready_on or c.item.deployed.state == "PENDING" for c in places)
    return Unavailable("no_endpoint" if loaded else "model_not_ready", model=request.model_name)

"""ModelInfer: from a message's bytes to an answer's bytes, through the same service a REST request takes."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Final

import msgspec

from penstock_adapters.protocol.body import RequestBody
from penstock_adapters.protocol.errors import Code, PenstockError, TooLarge
from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_adapters.protocol.messages import ModelInferRequest
from penstock_adapters.protocol.parameters import timeout_us
from penstock_adapters.protocol.request import InferenceRequest
from penstock_gateway.deadline import under_deadline
from penstock_gateway.grpc_answers import parsed
from penstock_gateway.grpc_metadata import GrpcHeaders, Metadata
from penstock_gateway.prediction_metrics import PredictionMetrics
from penstock_router.plane import DataPlane, Entry

SERVED_CACHE_MAX: Final = 10_000


class GrpcOptions(msgspec.Struct, frozen=True):
    """What the gRPC edge may do. `timeout_s` bounds an inference whose caller and route set nothing."""

    limits: Limits = DEFAULT_LIMITS
    timeout_s: float = 60.0


class GrpcInfer:
    """Answers predictions. What nobody foresaw is counted here and raised to the edge."""

    def __init__(self, plane: DataPlane, metrics: PredictionMetrics, options: GrpcOptions) -> None:
        self._plane = plane
        self._metrics = metrics
        self.options = options
        self._served: dict[tuple[str, int], Metadata] = {}

    async def answer(self, data: bytes, headers: GrpcHeaders, left_s: float) -> tuple[bytes, Metadata]:
        """The answer's bytes and trailing metadata. `left_s` is what the call's own deadline leaves. Raises PenstockError."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        metrics = self._metrics
        metrics.inflight.value += 1
        route = served_by = ""
        upstream_s = 0.0
        code = Code.INTERNAL.http  # Stays if what nobody foresaw passes through here to the edge.
        try:
            limits = self.options.limits
            if len(data) > limits.body:
                raise TooLarge("body_too_large", limit=limits.body)
            message = parsed(ModelInferRequest, data)
            entry = self._plane.resolve(message.model_name, message.model_version)
            route = entry.name
            request = RequestBody(grpc=message, limits=limits)
            limit_s, asked_s = self._limits_s(entry, request, headers, left_s)
            call = InferenceRequest(
                route, request, headers, entry.version, started + limit_s, caller_deadline=asked_s <= limit_s
            )
            response = await under_deadline(entry.service, call, limit_s)
            served_by, upstream_s = response.served_by, response.upstream_s
            answer: bytes = response.body.grpc(request.message).SerializeToString()
            code = 200
        except PenstockError as error:
            code = error.code.http
            served_by = error.served_by
            raise
        except asyncio.CancelledError:
            code = Code.CANCELLED.http
            raise
        else:
            return answer, self.served_metadata(served_by, response.degraded)
        finally:
            metrics.inflight.value -= 1
            metrics.count(route, served_by, code, loop.time() - started, upstream_s)

    def _limits_s(self, entry: Entry, request: RequestBody, headers: GrpcHeaders, left_s: float) -> tuple[float, float]:
        """(the smallest of the caller's, the route's and the server's time limits, the caller's)."""
        asked_s = min(left_s, headers.timeout_s(), timeout_us(request) / 1e6 or inf)
        return min(asked_s, entry.timeout_s if entry.timeout_s != inf else self.options.timeout_s), asked_s

    def served_metadata(self, served_by: str, degraded: str = "") -> Metadata:
        """Who answered, and from which snapshot. Cached: they change a few times a day."""
        generation = self._plane.generation
        found = self._served.get((served_by, generation))
        if found is None:
            if len(self._served) >= SERVED_CACHE_MAX:
                self._served.clear()
            found = (("penstock-generation", str(generation)),)
            if served_by:
                found = (("penstock-served-by", served_by), *found)
            self._served[served_by, generation] = found
        return (*found, ("penstock-degraded", degraded)) if degraded else found

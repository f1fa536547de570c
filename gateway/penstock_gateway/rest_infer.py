"""POST …/infer: from a body's bytes to an answer's bytes. The one REST path where every microsecond counts.

Nothing here decodes tensors: the body is read as far as its check needs, handed to the model's service, and the answer
is passed on in the form it came if that is the form asked for.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import Final

import msgspec

from penstock_adapters.protocol.body import RequestBody
from penstock_adapters.protocol.errors import Code, PenstockError
from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_adapters.protocol.message import Buffer
from penstock_adapters.protocol.parameters import timeout_us
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_gateway import rest_bodies
from penstock_gateway.deadline import under_deadline
from penstock_gateway.prediction_metrics import PredictionMetrics
from penstock_gateway.rest_answers import BINARY, JSON, Answer, Header, error_answer
from penstock_gateway.rest_headers import RestHeaders, timeout_s
from penstock_router.plane import DataPlane, Entry

SERVED_CACHE_MAX: Final = 10_000
_OK: Final = 200


class RestOptions(msgspec.Struct, frozen=True):
    """What the REST edge may do. `timeout_s` bounds an inference whose caller and route set nothing."""

    limits: Limits = DEFAULT_LIMITS
    timeout_s: float = 60.0
    compression: bool = True


class RestInfer:
    """Answers predictions. What nobody foresaw is counted here and raised to the edge."""

    def __init__(self, plane: DataPlane, metrics: PredictionMetrics, options: RestOptions) -> None:
        self._plane = plane
        self._metrics = metrics
        self.options = options
        self._served: dict[tuple[str, int], tuple[Header, ...]] = {}

    async def answer(self, model: str, version: str, headers: RestHeaders, body: Buffer) -> Answer | None:
        """The answer of one prediction; None = the client has gone and nobody reads one."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        metrics = self._metrics
        metrics.inflight.value += 1
        route = served_by = ""
        upstream_s = 0.0
        code = Code.INTERNAL.http  # Stays if what nobody foresaw passes through here to the edge.
        try:
            entry = self._plane.resolve(model, version)
            route = entry.name
            if headers.raw(b"content-encoding") is not None:
                body = await rest_bodies.decompressed(headers, body, self.options.limits)
            request = rest_bodies.request_body(headers, body, self.options.limits)
            response = await self._infer(entry, request, headers, started)
            served_by, upstream_s = response.served_by, response.upstream_s
            answer = await self._answer(response, request, headers)
            code = _OK
        except PenstockError as error:
            code = error.code.http
            served_by = error.served_by
            return None if error.code is Code.CANCELLED else error_answer(error, self._served_headers(served_by))
        except asyncio.CancelledError:
            code = Code.CANCELLED.http
            return None
        else:
            return answer
        finally:
            metrics.inflight.value -= 1
            metrics.count(route, served_by, code, loop.time() - started, upstream_s)

    async def _infer(self, entry: Entry, body: RequestBody, headers: RestHeaders, started: float) -> InferenceResponse:
        """Call the service under the smallest of the caller's, the route's and the server's time limits."""
        if body.heavy:
            await asyncio.to_thread(getattr, body, "parameters")
        asked_s = min(timeout_s(headers), timeout_us(body) / 1e6 or inf)
        limit_s = min(asked_s, entry.timeout_s if entry.timeout_s != inf else self.options.timeout_s)
        request = InferenceRequest(
            entry.name, body, headers, entry.version, started + limit_s, caller_deadline=asked_s <= limit_s
        )
        return await under_deadline(entry.service, request, limit_s)

    async def _answer(self, response: InferenceResponse, request: RequestBody, headers: RestHeaders) -> Answer:
        wire = response.body.rest(request.message)
        fields = self._served_headers(response.served_by)
        if response.degraded:
            fields = (*fields, (b"penstock-degraded", response.degraded.encode("ascii", "replace")))
        size = wire.size
        parts = wire.parts
        if self.options.compression and size >= rest_bodies.COMPRESS_MIN:
            parts, size, fields = await rest_bodies.compressed(parts, size, fields, headers)
        if wire.header_length is None:
            return Answer(_OK, (JSON, (b"content-length", b"%d" % size), *fields), parts)
        return Answer(
            _OK,
            (
                BINARY,
                (b"inference-header-content-length", b"%d" % wire.header_length),
                (b"content-length", b"%d" % size),
                *fields,
            ),
            parts,
        )

    def _served_headers(self, served_by: str) -> tuple[Header, ...]:
        """Who answered, and from which snapshot. Cached: they change a few times a day."""
        generation = self._plane.generation
        found = self._served.get((served_by, generation))
        if found is None:
            if len(self._served) >= SERVED_CACHE_MAX:
                self._served.clear()
            found = ((b"penstock-generation", b"%d" % generation),)
            if served_by:
                found = ((b"penstock-served-by", served_by.encode("ascii", "replace")), *found)
            self._served[served_by, generation] = found
        return found

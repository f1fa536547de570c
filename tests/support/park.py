"""A fleet of fake servers for router tests: whoever connects to a URL gets the fake that stands there."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence

from penstock_adapters.adapter import EndpointSpec
from penstock_adapters.fake import SIGNATURE, FakeAdapter, oracle
from penstock_adapters.protocol.body import RequestBody
from penstock_adapters.protocol.errors import InvalidArgument
from penstock_adapters.protocol.message import Parameters, RequestMessage, Tensor
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse
from penstock_registry.snapshot import Snapshot
from penstock_router.entries import EntryMaker
from penstock_router.fleet import Fleet
from penstock_router.follow import Follower
from penstock_router.live import LivePlane
from penstock_router.metrics import Metrics
from penstock_router.observe import Observer
from penstock_router.stats import StatsBook

WRONG = "http://127.0.0.1:65535"
"""What stands here takes no options."""


class Headers(dict[str, str]):
    """Headers of a request, by lower-case name."""

    def get(self, name: str, default: str = "", /) -> str:  # type: ignore[override]
        return super().get(name, default)


class Park:
    """Fakes by URL ("" = in this process), and everything a router needs around them."""

    def __init__(self, *models: str) -> None:
        self.models = models
        self.fakes: dict[str, FakeAdapter] = {}
        self.connected: list[EndpointSpec] = []
        self.metrics = Metrics()
        self.fleet = Fleet({"fake": self.connect}, self.metrics, time.monotonic)
        self.stats = StatsBook()
        self.maker = EntryMaker(self.fleet, self.stats, self.metrics, time.monotonic)
        self.plane = LivePlane(self.fleet, self.maker, self.stats)
        self.follower = Follower(self.plane, self.fleet, self.maker, self.stats, self.metrics)
        self.observer = Observer(self.fleet, self.metrics, time.monotonic)

    async def connect(self, spec: EndpointSpec) -> FakeAdapter:
        if spec.url == WRONG:
            raise InvalidArgument("option_range", where=spec.name, option="workers", expected="a whole number")
        self.connected.append(spec)
        return self.at(spec.url)

    def at(self, url: str) -> FakeAdapter:
        """The fake at a URL; it has every model of the park."""
        fake = self.fakes.get(url)
        if fake is None or fake.closed:
            loaded = {(name, version): SIGNATURE for name, _, version in (m.partition("@") for m in self.models)}
            fake = self.fakes[url] = FakeAdapter(loaded or None)
            if not loaded:
                fake.models.clear()
        return fake

    async def serve(self, snapshot: Snapshot) -> None:
        assert await self.follower.apply(snapshot)

    async def infer(self, name: str, version: str = "", *values: float, **headers: str) -> InferenceResponse:
        return await self.plane.resolve(name, version).service(
            ask(name, version, values or (1.0, 2.0), headers=headers)
        )


def ask(
    name: str,
    version: str = "",
    values: Sequence[float] = (1.0, 2.0),
    *,
    headers: dict[str, str] | None = None,
    parameters: Parameters | None = None,
    datatype: str = "FP32",
) -> InferenceRequest:
    """A request with one tensor x of shape [1, n]."""
    data = struct.pack(f"<{len(values)}f", *values)
    tensor = Tensor("x", datatype, (1, len(values)), data)
    message = RequestMessage(id="", inputs=(tensor,), parameters=parameters or {})
    named = {key.replace("_", "-"): value for key, value in (headers or {}).items()}
    return InferenceRequest(name, RequestBody(message=message), Headers(named), version)


def right_answer(response: InferenceResponse, request: InferenceRequest, model: str, version: str) -> bool:
    """Is it what the fake of this (remote) model and version answers?"""
    expected = oracle(model, version, "", request.body.message.inputs, SIGNATURE.outputs)
    return response.body.message.outputs == expected

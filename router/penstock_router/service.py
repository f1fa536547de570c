"""Everything that answers a request is a Service; everything around one is a Layer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import reduce

from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse

Service = Callable[[InferenceRequest], Awaitable[InferenceResponse]]
Layer = Callable[[Service], Service]


def stack(service: Service, *layers: Layer) -> Service:
    """Wrap a service in layers, the outermost first: `stack(s, a, b)` is `a(b(s))`."""
    return reduce(lambda inner, layer: layer(inner), reversed(layers), service)

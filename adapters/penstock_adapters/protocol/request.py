"""What is passed around: a request on its way in, a response on its way back. Both are values."""

from __future__ import annotations

from math import inf
from typing import Protocol

import msgspec

from penstock_adapters.protocol.body import RequestBody, ResponseBody


class Headers(Protocol):
    """Request headers or gRPC metadata, looked up by lower-case name."""

    def get(self, name: str, default: str = "", /) -> str: ...


class InferenceRequest(msgspec.Struct, frozen=True, gc=False):
    """One inference call. Frozen: a layer that changes something makes a new one with `msgspec.structs.replace`."""

    model_name: str
    """The name asked for; below the endpoint layer the backend's own name."""
    body: RequestBody
    headers: Headers
    model_version: str = ""
    """"" = the route decides."""
    deadline: float = inf
    """Absolute, on the event loop's monotonic clock, in seconds; set once at the edge."""
    caller_deadline: bool = False
    """True if the caller set it (and so expects the work to stop); False if it is only the server's own bound."""
    principal: str = ""


class InferenceResponse(msgspec.Struct, frozen=True, gc=False):
    """One answer. `served_by` names the deployment; `degraded` is "" or why the answer is second best."""

    body: ResponseBody
    served_by: str = ""
    degraded: str = ""
    upstream_s: float = 0.0
    """How long the backend took, in seconds; 0 = unknown."""

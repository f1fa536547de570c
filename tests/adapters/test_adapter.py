"""What the interface to model servers promises about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from penstock_adapters.adapter import Adapter, Configured, EndpointSpec, IndexEntry, Repository, Statistics
from penstock_adapters.protocol.errors import Unavailable
from penstock_adapters.protocol.message import Json, ModelMetadata
from penstock_adapters.protocol.request import InferenceRequest, InferenceResponse


class Smallest:
    """As little as an adapter can do."""

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        raise Unavailable("backend_unreachable", model=request.model_name)

    async def metadata(self, name: str, version: str) -> ModelMetadata:
        return ModelMetadata(name, (version,), "none", (), ())

    async def ready(self, name: str = "", version: str = "") -> bool:
        return bool(name or version)

    async def aclose(self) -> None:
        return


class Able(Smallest):
    """One with every optional power."""

    async def load(self, name: str, version: str, *, artifact: str = "", sha256: str = "") -> None: ...

    async def unload(self, name: str, version: str) -> None: ...

    async def index(self) -> Sequence[IndexEntry]:
        return [IndexEntry("m", "1", "READY")]

    async def config(self, name: str, version: str) -> Mapping[str, Json]:
        return {"name": name, "version": version}

    async def statistics(self, name: str, version: str) -> Sequence[Mapping[str, Json]]:
        return [{"name": name, "version": version}]


def test_a_power_is_a_protocol_that_is_implemented() -> None:
    powers = (Repository, Configured, Statistics)

    assert isinstance(Smallest(), Adapter)
    assert isinstance(Able(), Adapter)
    assert not any(isinstance(Smallest(), power) for power in powers)
    assert all(isinstance(Able(), power) for power in powers)


def test_an_endpoint_needs_a_name_and_a_platform_only() -> None:
    spec = EndpointSpec("local", "onnxruntime")

    assert (spec.url, spec.grpc_url, dict(spec.options)) == ("", "", {})
    assert spec.connections_max > 0
    assert spec.connect_timeout_s > 0


def test_an_endpoint_is_a_value() -> None:
    spec: Any = EndpointSpec("local", "onnxruntime")

    with pytest.raises(AttributeError):
        spec.url = "http://127.0.0.1:1"
    assert spec == EndpointSpec("local", "onnxruntime")


def test_a_row_of_the_index_needs_no_reason() -> None:
    assert IndexEntry("m", "1", "READY").reason == ""

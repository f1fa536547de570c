from __future__ import annotations

import pytest

from penstock_adapters.adapter import Adapter, EndpointSpec
from penstock_adapters.platforms import PLATFORMS


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_every_platform_connects_without_a_server(platform: str) -> None:
    adapter = await PLATFORMS[platform](EndpointSpec("b", platform, url="http://127.0.0.1:1", grpc_url="127.0.0.1:1"))

    assert isinstance(adapter, Adapter)
    await adapter.aclose()

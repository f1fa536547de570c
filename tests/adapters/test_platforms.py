from __future__ import annotations

import subprocess
import sys

import pytest

from penstock_adapters.adapter import Adapter, EndpointSpec
from penstock_adapters.platforms import PLATFORMS


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_every_platform_connects_without_a_server(platform: str) -> None:
    adapter = await PLATFORMS[platform](EndpointSpec("b", platform, url="http://127.0.0.1:1", grpc_url="127.0.0.1:1"))

    assert isinstance(adapter, Adapter)
    await adapter.aclose()


def test_the_names_are_known_without_loading_any_library() -> None:
    code = (
        "import sys; from penstock_adapters.platforms import PLATFORMS; "
        "print(len(PLATFORMS), 'onnxruntime' in sys.modules, 'grpc' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert said == [str(len(PLATFORMS)), "False", "False"]

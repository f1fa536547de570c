from __future__ import annotations

from penstock_adapters.adapter import EndpointSpec
from penstock_adapters.onnxruntime import OnnxRuntimeAdapter
from penstock_adapters.platforms import PLATFORMS
from penstock_gateway.settings import load
from penstock_gateway.worker import platforms


def test_every_platform_of_the_adapters_is_served() -> None:
    assert platforms(load(environ={})).keys() == PLATFORMS.keys()


async def test_the_threads_of_the_settings_are_the_in_process_backends_default() -> None:
    connect = platforms(load(flags={"model_threads": "3"}, environ={}))["onnxruntime"]
    by_setting = await connect(EndpointSpec("local", "onnxruntime"))
    by_backend = await connect(EndpointSpec("local", "onnxruntime", options={"workers": 1}))
    assert isinstance(by_setting, OnnxRuntimeAdapter)
    assert isinstance(by_backend, OnnxRuntimeAdapter)
    assert [len(adapter._pool._threads) for adapter in (by_setting, by_backend)] == [3, 1]
    await by_setting.aclose()
    await by_backend.aclose()

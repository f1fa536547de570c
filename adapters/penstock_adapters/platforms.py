"""Which platforms there are: a Backend's `platform` -> what connects to one of its servers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from penstock_adapters import fake, onnxruntime, triton
from penstock_adapters.adapter import Connect

PLATFORMS: Final[Mapping[str, Connect]] = MappingProxyType(
    {
        "fake": fake.connect,
        "onnxruntime": onnxruntime.connect,
        "triton": triton.connect,
    }
)

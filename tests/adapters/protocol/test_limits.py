"""The caps, said a second time from the documentation's side (protocol policy 6.14)."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_adapters.protocol.limits import DEFAULT_LIMITS, MIB, Limits


def test_the_defaults_are_the_documented_caps() -> None:
    assert (
        Limits(
            body=64 * MIB,
            json=16 * MIB,
            json_depth=64,
            rank=32,
            elements=2**28,
            bytes_elements=2**20,
            inputs=1024,
            outputs=1024,
            parameters=256,
            parameter_key=256,
            parameter_value=64 * 1024,
            id=1024,
            tensor_name=1024,
            chunks=65_536,
            request_line=8192,
            headers=32 * 1024,
            header_count=100,
        )
        == DEFAULT_LIMITS
    )


def test_every_cap_is_a_positive_number() -> None:
    assert all(getattr(DEFAULT_LIMITS, name) > 0 for name in Limits.__struct_fields__)


def test_caps_are_a_value() -> None:
    limits: Any = DEFAULT_LIMITS

    with pytest.raises(AttributeError):
        limits.body = 1

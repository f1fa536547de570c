"""Caps on what one request may cost. Defaults: protocol policy 6.14. Over a byte cap is 413, over a structural one 400."""

from __future__ import annotations

from typing import Final

import msgspec

MIB: Final = 1 << 20


class Limits(msgspec.Struct, frozen=True):
    """Sizes in bytes, the rest counts."""

    body: int = 64 * MIB
    json: int = 16 * MIB
    """JSON text of one request: parsing costs many times its size in memory."""
    json_depth: int = 64
    json_containers: int = 1 << 21
    """Arrays and objects in one request's JSON: each costs far more memory than its two bytes."""
    rank: int = 32
    elements: int = 1 << 28
    """Product of the non-zero dimensions of one tensor."""
    bytes_elements: int = 1 << 20
    """BYTES elements in one request."""
    inputs: int = 1024
    outputs: int = 1024
    parameters: int = 256
    parameter_key: int = 256
    parameter_value: int = 64 * 1024
    id: int = 1024
    tensor_name: int = 1024
    chunks: int = 65_536
    request_line: int = 8 * 1024
    headers: int = 32 * 1024
    header_count: int = 100


DEFAULT_LIMITS: Final = Limits()

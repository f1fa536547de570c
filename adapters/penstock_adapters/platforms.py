"""Which platforms there are: a Backend's `platform` -> what connects to one of its servers.

Light to import: the command line asks for the names only, and a platform's libraries are loaded when it is first used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock_adapters.adapter import Adapter, Connect, EndpointSpec


def _from(module: str) -> Connect:
    """The `connect` of a module of this package."""

    async def connect(spec: EndpointSpec) -> Adapter:
        adapter: Adapter = await import_module(f"penstock_adapters.{module}").connect(spec)
        return adapter

    return connect


PLATFORMS: Final[Mapping[str, Connect]] = MappingProxyType(
    {name: _from(name) for name in ("fake", "onnxruntime", "triton")}
)


def preload(names: Iterable[str]) -> None:
    """Import what these platforms need now, so that the first use does not hold the event loop for half a second."""
    for name in names:
        import_module(f"penstock_adapters.{name}")

"""What all routes share."""

from __future__ import annotations

from penstock_adapters.protocol.errors import Unavailable
from penstock_gateway.admin_state import PLURALS, AdminState
from penstock_registry.kinds import KINDS
from penstock_registry.registry import Registry
from penstock_router.live import Standing
from tests.support.admin import FixedServing
from tests.support.resources import backend, deployment, model


async def no_registry() -> Registry:
    raise Unavailable("store_unavailable")


def test_every_kind_has_its_collection() -> None:
    assert tuple(PLURALS.values()) == KINDS
    assert list(PLURALS) == ["backends", "models", "deployments", "placements", "routes"]


def test_a_deployment_has_an_observed_state() -> None:
    state = AdminState(no_registry, lambda name: ("READY", name), FixedServing())

    assert state.shown(deployment("m@1", "b"))["status"] == {"state": "READY", "reason": "m-1-b"}
    assert "status" not in state.shown(backend("b"))
    assert state.shown(backend("b"))["revision"] == 0


def test_a_model_shows_where_its_versions_run() -> None:
    here = Standing("m@1.b", "1", "b", placed=True, state="FAILED", reason="no such file")
    state = AdminState(no_registry, lambda name: ("READY", name), FixedServing(standing={"m": [here]}))

    assert state.shown(model("m", "1"))["status"] == {
        "replicas": [
            {"deployment": "m@1.b", "version": "1", "backend": "b", "placed": True, "state": "FAILED",
             "reason": "no such file"}
        ]
    }  # fmt: skip
    assert state.shown(model("n", "1"))["status"] == {"replicas": []}

from __future__ import annotations

from collections import Counter

import pytest

from penstock_adapters.fake import SIGNATURE
from penstock_adapters.protocol.errors import NotFound, Unavailable
from tests.support.park import Park, ask, right_answer
from tests.support.polling import eventually
from tests.support.resources import backend, deployment, model, route, snapshot

A = "http://127.0.0.1:1"
LOADED = (model("m", "1", "2"), deployment("m@1", "b"), deployment("m@2", "b"))


async def park_with(*rows: object) -> Park:
    park = Park("m@1", "m@2")
    await park.serve(snapshot(1, backend("b", endpoints=[A]), *rows))  # type: ignore[arg-type]
    return park


async def version_of(park: Park, name: str, version: str = "", **headers: str) -> str:
    return (await park.infer(name, version, **headers)).body.message.model_version


async def test_a_version_in_the_path_is_that_version() -> None:
    park = await park_with(*LOADED)
    request = ask("m", "1")
    response = await park.plane.resolve("m", "1").service(request)
    assert right_answer(response, request, "m", "1")


async def test_an_alias_is_accepted_as_a_version_and_the_answer_names_the_concrete_one() -> None:
    park = await park_with(model("m", "1", "2", aliases={"candidate": "2"}), *LOADED[1:])
    assert await version_of(park, "m", "candidate") == "2"


async def test_without_a_version_stable_decides() -> None:
    park = await park_with(model("m", "1", "2", aliases={"stable": "1"}), *LOADED[1:])
    assert await version_of(park, "m") == "1"


async def test_without_stable_the_highest_ready_version_decides_call_by_call() -> None:
    park = await park_with(*LOADED)
    for deployed, version in (("m-1-b", "1"), ("m-2-b", "2")):
        known = park.fleet.deployed(deployed)
        assert known is not None
        known.ready_on = frozenset({A})
        known.set("READY")
        assert await version_of(park, "m") == version


async def test_a_model_that_is_deployed_nowhere_is_not_ready() -> None:
    park = await park_with(model("m", "1"))
    with pytest.raises(Unavailable, match="model 'm' is not ready"):
        await park.infer("m")


async def test_latest_and_minus_one_are_not_versions() -> None:
    park = await park_with(*LOADED)
    for version in ("latest", "-1", "01"):
        with pytest.raises(NotFound):
            park.plane.resolve("m", version)


async def test_a_route_splits_by_weight_and_keeps_a_caller_where_it_was() -> None:
    park = await park_with(*LOADED, route("r", {"m@1": 90, "m@2": 10}, sticky={"by": "header/x-user"}))
    seen = Counter([await version_of(park, "r", x_user=f"user-{i}") for i in range(1000)])
    assert 60 < seen["2"] < 140
    for user in ("ann", "bob", "eve"):
        assert len({await version_of(park, "r", x_user=user) for _ in range(10)}) == 1


async def test_a_route_without_the_key_splits_at_random() -> None:
    park = await park_with(*LOADED, route("r", {"m@1": 1, "m@2": 1}, sticky={"by": "header/x-user"}))
    assert {await version_of(park, "r") for _ in range(60)} == {"1", "2"}


async def test_the_answer_of_a_route_carries_the_routes_name() -> None:
    park = await park_with(*LOADED, route("r", {"m@1": 1}))
    message = (await park.infer("r")).body.message
    assert (message.model_name, message.model_version) == ("r", "1")


async def test_a_route_may_shadow_the_model_it_leads_to() -> None:
    park = await park_with(*LOADED, route("m", {"m@1": 1}))
    assert await version_of(park, "m") == "1"
    assert await version_of(park, "m", "2") == "2"


async def test_a_version_of_a_route_is_the_models_if_it_leads_to_one_model() -> None:
    park = await park_with(*LOADED, model("n", "1"), route("r", {"m@1": 1}), route("two", {"m@1": 1, "n@1": 1}))
    assert await version_of(park, "r", "2") == "2"
    with pytest.raises(NotFound):
        park.plane.resolve("two", "1")


async def test_a_routes_timeout_and_common_signature_stand_in_its_entry() -> None:
    park = await park_with(*LOADED, route("r", {"m@1": 1, "m@2": 1}, timeoutMs=250))
    for name in ("m-1-b", "m-2-b"):
        known = park.fleet.deployed(name)
        assert known is not None
        known.signature = SIGNATURE
    entry = park.plane.resolve("r", "")
    assert (entry.timeout_s, entry.signature) == (0.25, SIGNATURE)


async def test_the_routes_weights_are_a_metric() -> None:
    park = await park_with(*LOADED, route("r", {"m@1": 90, "m@2": 10}))
    park.plane.resolve("r", "")
    assert park.metrics.route_weight.cell("r", "m@1").value == 90


async def test_statistics_follow_the_version_that_answered() -> None:
    park = await park_with(*LOADED, route("r", {"m@1": 1}))
    await park.infer("r")
    await park.infer("m", "2")
    await eventually(lambda: park.stats.of("m", "1").success_count == 1)
    assert park.stats.of("m", "2").success_count == 1

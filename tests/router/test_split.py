from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from penstock_adapters.protocol.body import RequestBody
from penstock_adapters.protocol.message import RequestMessage
from penstock_adapters.protocol.request import InferenceRequest
from penstock_router.split import choose, cumulative, sticky_key, sticky_point

weights = st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any)


@given(weights, st.floats(0, 1, exclude_max=True))
def test_a_target_without_weight_is_never_chosen(shares: list[int], point: float) -> None:
    assert shares[choose(cumulative(shares), point)] > 0


@given(st.integers(0, 100), st.integers(0, 100), st.text(min_size=1, max_size=20))
def test_moving_weight_moves_only_that_share_of_the_keys(before: int, after: int, key: str) -> None:
    point = sticky_point("r", key)
    was, now = (choose(cumulative([share, 100 - share]), point) for share in (before, after))
    if was != now:
        low, high = sorted((before / 100, after / 100))
        assert low <= point <= high


def test_the_split_follows_the_weights_over_many_keys() -> None:
    edges = cumulative([90, 10])
    seen = Counter(choose(edges, sticky_point("digits-live", f"user-{i}")) for i in range(20_000))
    assert abs(seen[1] / 20_000 - 0.10) < 0.01


def test_the_split_follows_the_weights_over_random_draws() -> None:
    draw = random.Random(7)
    edges = cumulative([1, 2, 1])
    seen = Counter(choose(edges, draw.random()) for _ in range(20_000))
    assert abs(seen[1] / 20_000 - 0.5) < 0.015


def test_the_same_key_lands_elsewhere_on_another_route() -> None:
    points = {sticky_point(f"route-{i}", "user-1") for i in range(50)}
    assert len(points) == 50


def test_the_point_of_a_key_never_changes_between_releases() -> None:
    # Written down: a gateway of another version must send the same caller to the same target.
    assert round(sticky_point("digits-live", "user-1"), 6) == 0.477156


class Headers(dict[str, str]):
    def get(self, name: str, default: str = "", /) -> str:  # type: ignore[override]
        return super().get(name, default)


def _request(headers: dict[str, str], parameters: dict[str, str | int]) -> InferenceRequest:
    body = RequestBody(message=RequestMessage(id="", inputs=(), parameters=parameters))
    return InferenceRequest("m", body, Headers(headers))


def test_the_key_comes_from_the_named_header_or_parameter() -> None:
    request = _request({"x-user": "ann"}, {"tenant": 7})
    assert sticky_key("header/x-user", request) == "ann"
    assert sticky_key("parameter/tenant", request) == "7"
    assert sticky_key("header/x-none", request) == ""
    assert sticky_key("parameter/none", request) == ""

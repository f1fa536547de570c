"""The REST surface over real sockets: every operation, every refusal in the one shape."""

from __future__ import annotations

import json

import pytest

from penstock_gateway.rest import EXTENSIONS
from penstock_gateway.rest_infer import RestOptions
from tests.support.edges import rest_listener
from tests.support.plane import MemoryPlane
from tests.support.raw_http import RawAnswer, ask, get, post


async def got(path: str, *headers: str, plane: MemoryPlane | None = None) -> RawAnswer:
    async with rest_listener(plane) as rest:
        return await ask(rest.port, get(path, *headers))


def is_error(answer: RawAnswer, status: int, reason: str) -> bool:
    assert (answer.status, answer.headers.get("penstock-reason")) == (status, reason)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    return list(answer.json) == ["error"] and bool(answer.json["error"])


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2", {"name": "penstock", "version": "0.0-test", "extensions": list(EXTENSIONS)}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"live": True, "ready": True}),
        ("/v2/models", {"models": ["digits", "pair", "words"]}),
        ("/v2/models/digits/ready", {"name": "digits", "ready": True}),
        ("/v2/models/digits/versions/1/ready", {"name": "digits", "ready": True}),
    ],
)
async def test_health_and_lists_have_bodies(path: str, slash: str, body: object) -> None:
    answer = await got(path + slash)

    assert (answer.status, answer.json) == (200, body)


async def test_metadata_config_and_statistics_of_a_model() -> None:
    async with rest_listener() as rest:
        metadata = (await ask(rest.port, get("/v2/models/digits"))).json
        one = (await ask(rest.port, get("/v2/models/digits/versions/1"))).json
        config = (await ask(rest.port, get("/v2/models/digits/config"))).json
        statistics = (await ask(rest.port, get("/v2/models/digits/stats"))).json
        everything = (await ask(rest.port, get("/v2/models/stats"))).json

    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert (metadata["versions"], one["versions"]) == (["1", "2"], ["1"])
    assert config["model_transaction_policy"] == {"decoupled": False}
    assert [row["version"] for row in statistics["model_stats"]] == ["1", "2"]
    assert len(everything["model_stats"]) == 4


async def test_head_works_wherever_get_does() -> None:
    async with rest_listener() as rest:
        for path in ("/v2", "/v2/health/ready", "/v2/models/digits", "/v2/models/nothing", "/metrics"):
            whole = await ask(rest.port, get(path))
            head = await ask(rest.port, get(path).replace(b"GET", b"HEAD", 1))
            assert (head.status, head.headers["content-length"]) == (whole.status, whole.headers["content-length"])


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v2", "GET, HEAD"),
        ("DELETE", "/v2/models/digits", "GET, HEAD"),
        ("GET", "/v2/models/digits/infer", "POST"),
        ("HEAD", "/v2/repository/index", "POST"),
        ("PUT", "/v2/logging", "GET, HEAD, POST"),
        ("OPTIONS", "/v2/models/digits/infer", "POST"),
    ],
)
async def test_other_methods_are_405_with_allow(method: str, path: str, allow: str) -> None:
    async with rest_listener() as rest:
        answer = await ask(rest.port, get(path).replace(b"GET", method.encode(), 1))

    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert method == "HEAD" or is_error(answer, 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/v2/models/nothing", "model_not_found"),
        ("/v2/models/nothing/ready", "model_not_found"),
        ("/v2/models/digits/versions/01", "version_not_found"),
        ("/v2/models/digits/versions/latest/ready", "version_not_found"),
        ("/v2/models/a%2Fb", "model_not_found"),
        ("/v2/nothing", "path_not_found"),
        ("/v2//models", "path_not_found"),
        ("/", "path_not_found"),
    ],
)
async def test_what_does_not_exist_is_404(path: str, reason: str) -> None:
    assert is_error(await got(path), 404, reason)


@pytest.mark.parametrize("path", ["/v2/repository/models/m/load", "/v2/models/m/generate", "/v2/logging"])
async def test_extensions_that_are_not_offered_are_501(path: str) -> None:
    async with rest_listener() as rest:
        assert is_error(await ask(rest.port, post(path, b"{}")), 501, "extension_unsupported")


async def test_readiness_follows_the_plane() -> None:
    plane = MemoryPlane()
    plane.not_ready_reason = "draining"
    plane.adapter.not_ready.add("digits")
    async with rest_listener(plane) as rest:
        live = await ask(rest.port, get("/v2/health/live"))
        ready = await ask(rest.port, get("/v2/health/ready"))
        model = await ask(rest.port, get("/v2/models/digits/ready"))

    assert (live.status, live.json) == (200, {"live": True})
    assert (ready.status, ready.json["live"], ready.json["ready"]) == (503, True, False)
    assert (ready.headers["penstock-reason"], ready.headers["retry-after"]) == ("draining", "1")
    assert (model.status, model.json["name"], model.json["ready"]) == (503, "digits", False)
    assert model.json["error"]


@pytest.mark.parametrize(("body", "count"), [(b"", 4), (b"{}", 4), (b'{"ready":true}', 2), (b'{"ready":null}', 4)])
async def test_the_index_lists_models_by_readiness(body: bytes, count: int) -> None:
    plane = MemoryPlane()
    plane.adapter.not_ready.add("digits")
    async with rest_listener(plane) as rest:
        answer = await ask(rest.port, post("/v2/repository/index", body))

    assert (answer.status, len(answer.json)) == (200, count)
    assert {row["state"] for row in answer.json} <= {"READY", "UNAVAILABLE"}


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"ready":1}', b"\xff", b"nonsense"])
async def test_an_index_request_that_is_none_is_400(body: bytes) -> None:
    async with rest_listener() as rest:
        answer = await ask(rest.port, post("/v2/repository/index", body))

    assert answer.status == 400
    assert list(answer.json) == ["error"]


async def test_the_metrics_page_follows_accept() -> None:
    answer = await got("/metrics", "Accept: application/openmetrics-text")

    assert (answer.status, answer.body) == (200, b"# EOF\n")
    assert "asked=application/openmetrics-text" in answer.headers["content-type"]


async def test_the_request_id_is_the_callers_or_fresh() -> None:
    assert (await got("/v2", "X-Request-ID: trace-1")).headers["x-request-id"] == "trace-1"
    assert (await got("/v2", "X-Request-ID: not one")).headers["x-request-id"] not in {"", "not one"}
    assert (await got("/nothing", "X-Request-ID: trace-2")).headers["x-request-id"] == "trace-2"


async def test_what_nobody_foresaw_is_500_without_details() -> None:
    plane = MemoryPlane()
    plane.explode = ZeroDivisionError("/srv/secret")
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}).encode()
    async with rest_listener(plane) as rest:
        answer = await ask(rest.port, post("/v2/models/digits/infer", body))
        counted = rest.counted()

    assert is_error(answer, 500, "internal")
    assert "secret" not in answer.body.decode()
    assert counted == {("digits", "", "", "", "rest", "500"): 1}


async def test_query_strings_are_ignored() -> None:
    async with rest_listener(options=RestOptions()) as rest:
        assert (await ask(rest.port, get("/v2/models/digits/ready?x=/y"))).status == 200

"""The admin API as a whole: status, health, who may call it, and that its document holds."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from penstock_gateway.admin import host_name
from tests.support.admin import AdminServer
from tests.support.resources import backend, deployment, model


def test_health_asks_nothing_of_the_database(admin: AdminServer) -> None:
    admin.store_is_down = True

    assert admin.call("GET", "/healthz").json == {"status": "ok"}
    assert admin.call("GET", "/v1/status").error == (503, "store_unavailable")
    assert admin.call("GET", "/v1/status").headers["retry-after"] == "1"


def test_the_status_counts_what_there_is(admin: AdminServer) -> None:
    admin.apply(backend("b"), model("m", "1", "2"), deployment("m@1", "b"), deployment("m@2", "b"))
    admin.states["m-1-b"] = ("READY", "")
    admin.serving.generation = 1
    admin.serving.not_ready_reason = "model_not_ready"

    assert admin.call("GET", "/v1/status").json == {
        "version": "0.0.test",
        "revision": 1,
        "generation": 1,
        "ready": False,
        "reason": "model_not_ready",
        "resources": {"Backend": 1, "Model": 1, "Deployment": 2, "Placement": 0, "Route": 0},
        "deployments": {"READY": 1, "PENDING": 1},
    }


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("127.0.0.1:8102", True), ("10.1.2.3", True), ("localhost:1", True), ("[::1]:8102", True), ("[::1]", True),
        ("PENSTOCK.test", True), ("penstock.test:9", True), ("evil.example", False), ("127.0.0.1.evil.example", False),
        ("x/#@y", False), ("", False), ("localhost:x", False), ("penstock.test.", False),
    ],
)  # fmt: skip
def test_a_host_that_is_not_ours_is_refused(admin: AdminServer, host: str, *, served: bool) -> None:
    answer = admin.call("GET", "/healthz", host=host)

    if served:
        assert answer.status == 200
    else:
        assert answer.error == (403, "host_not_allowed")


def test_a_page_of_another_site_may_not_change_anything(admin: AdminServer) -> None:
    manifest = backend("b").manifest()
    own = admin.url

    assert admin.call("PUT", "/v1/backends/b", manifest, origin="https://evil.example").error == (
        403,
        "origin_not_allowed",
    )
    assert admin.call("PUT", "/v1/backends/b", manifest, origin="null").error == (403, "origin_not_allowed")
    assert admin.call("PUT", "/v1/backends/b", manifest, origin="http://[").error == (403, "origin_not_allowed")
    assert admin.call("POST", "/v1/apply", b"{}", content_type="text/plain").error == (415, "content_type_unsupported")
    assert admin.call("PUT", "/v1/backends/b", manifest, origin=own).status == 201
    assert "access-control-allow-origin" not in admin.call("GET", "/v1/backends", origin="https://evil.example").headers


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("GET", "/nothing", (404, "path_not_found")),
        ("GET", "/v1/models/", (404, "path_not_found")),
        ("GET", "/v1/models/a%2Fb", (404, "path_not_found")),
        ("POST", "/v1/models", (405, "method_not_allowed")),
        ("DELETE", "/v1/export", (405, "method_not_allowed")),
    ],
)
def test_paths_and_methods_there_are_none_of_are_problems_too(
    admin: AdminServer, method: str, path: str, error: tuple[int, str]
) -> None:
    assert admin.call(method, path).error == error


def test_the_host_of_a_header_is_its_name() -> None:
    assert [host_name(host) for host in ("A.b:1", "[::1]:1", "[::1]", "a", "a:b")] == ["a.b", "::1", "::1", "a", "a:b"]


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_to_any_request_is_documented_and_none_is_a_5xx(admin: AdminServer, mode: GenerationMode) -> None:
    admin.apply(backend("b"), model("m", "1", "2", aliases={"stable": "1"}), deployment("m@1", "b"))
    schema = schemathesis.openapi.from_url(f"{admin.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) >= 30

    for operation in operations:

        @settings(
            max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def run(case: object) -> None:
            assert isinstance(case, schemathesis.Case)
            body: object = case.body
            metadata = body.get("metadata") if isinstance(body, dict) else None
            if isinstance(metadata, dict):
                # A name that fits the path, so that writes get past the first check.
                case.path_parameters = {"name": str(metadata.get("name") or "x")}
            case.call_and_validate(checks=[not_a_server_error, status_code_conformance, content_type_conformance])

        try:
            run()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label  # nothing can be wrong about this one

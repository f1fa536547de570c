"""Every error becomes a problem document with the status of the one table and a hint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi import FastAPI

from penstock_adapters.protocol.errors import Conflict, PenstockError, Unavailable
from penstock_adapters.protocol.reasons import REASONS
from penstock_gateway.admin_problems import HINTS, PROBLEMS_MAX, InvalidRequest, install, problem_response
from penstock_gateway.explanations import FieldProblem
from tests.support.admin import AdminServer, serving


def document(error: PenstockError) -> dict[str, object]:
    response = problem_response(error)
    assert response.media_type == "application/problem+json"
    made = json.loads(bytes(response.body))
    assert isinstance(made, dict)
    assert response.status_code == made["status"] == error.code.http
    return made


@pytest.mark.parametrize("kind", PenstockError.__subclasses__(), ids=lambda kind: kind.__name__)
def test_every_class_of_error_has_its_status_and_a_hint(kind: type[PenstockError]) -> None:
    made = document(kind("cancelled"))

    assert made["type"] == "urn:penstock:reason:cancelled"
    assert made["error"] == made["detail"] == REASONS["cancelled"]
    assert made["hint"]


def test_hints_are_for_reasons_there_are() -> None:
    assert HINTS.keys() <= REASONS.keys()


def test_a_conflict_says_how_to_go_on() -> None:
    made = document(Conflict("revision_conflict", kind="Model", name="m", found=3, expected=2))

    assert made["title"] == "Conflict"
    assert "at revision 3, not 2" in str(made["error"])


def test_trying_again_later_is_said_in_a_header() -> None:
    assert problem_response(Unavailable("store_unavailable")).headers["retry-after"] == "1"


def test_the_list_of_problems_is_bounded_and_its_count_is_not() -> None:
    made = document(InvalidRequest([FieldProblem(("a", i), "is wrong") for i in range(PROBLEMS_MAX + 1)]))

    assert isinstance(made["problems"], list)
    assert len(made["problems"]) == PROBLEMS_MAX
    assert made["problems"][0] == {"path": "a[0]", "text": "is wrong"}
    assert str(PROBLEMS_MAX + 1) in str(made["error"])


def test_a_fault_of_ours_shows_an_incident_and_nothing_else(tmp_path: Path) -> None:
    class Broken(AdminServer):
        def app(self) -> FastAPI:
            app = FastAPI()
            install(app)

            async def fail() -> None:
                raise RuntimeError(f"secret {tmp_path}")

            app.add_api_route("/fail", fail)
            return app

    admin = Broken("")
    with serving(admin):
        answer = admin.call("GET", "/fail")

    assert answer.error == (500, "internal")
    assert "secret" not in answer.body.decode()
    assert "incident" in answer.json["error"]

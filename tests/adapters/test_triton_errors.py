from __future__ import annotations

import grpc
import pytest

from penstock_adapters.protocol.errors import (
    BadBackendAnswer,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    PenstockError,
    Unavailable,
    Unimplemented,
)
from penstock_adapters.triton_errors import HTTP_ERRORS, about_model, grpc_error, http_error

SECRET = b'{"error":"at /srv/models/m/1/model.py(7), 10.0.0.7"}'


def test_every_http_status_is_one_of_ours_and_leaks_nothing() -> None:
    for status in range(100, 600):
        error = http_error(status, SECRET, "m")

        assert isinstance(error, HTTP_ERRORS[status]("m").__class__ if status in HTTP_ERRORS else BadBackendAnswer)
        assert "'m'" in error.text
        assert "model.py" not in error.text
        assert "10.0.0.7" not in error.text


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_grpc_status_is_one_of_ours_and_leaks_nothing(code: grpc.StatusCode) -> None:
    error = grpc_error(code, SECRET.decode(), "m", 1.5)

    assert isinstance(error, PenstockError)
    assert "model.py" not in error.text


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "INVALID_ARGUMENT", InvalidArgument),
        (401, "UNAUTHENTICATED", BadBackendAnswer),
        (403, "PERMISSION_DENIED", BadBackendAnswer),
        (404, "NOT_FOUND", Unavailable),
        (500, "INTERNAL", Internal),
        (501, "UNIMPLEMENTED", Unimplemented),
        (503, "UNAVAILABLE", Unavailable),
        (418, "DATA_LOSS", BadBackendAnswer),
    ],
)
def test_both_legs_mean_the_same(status: int, code: str, error: type[PenstockError]) -> None:
    over_http, over_grpc = http_error(status, b"", "m"), grpc_error(grpc.StatusCode[code], "", "m", 0)

    assert type(over_http) is type(over_grpc) is error
    assert over_http.reason == over_grpc.reason


def test_a_deadline_is_named_in_milliseconds() -> None:
    error = grpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "", "m", 0.25)

    assert isinstance(error, DeadlineExceeded)
    assert "250 ms" in error.text


def test_an_answer_that_is_too_large_is_bad_and_not_busy() -> None:
    details = "CLIENT: Received message larger than max (5 vs. 4)"

    assert isinstance(grpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, details, "m", 0), BadBackendAnswer)
    assert isinstance(grpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, "", "m", 0), Unavailable)


def test_a_dead_stub_is_unavailable_so_that_another_server_may_answer() -> None:
    text = "Stub process 'm_0_0' is not healthy."

    assert isinstance(http_error(500, text.encode(), "m"), Unavailable)
    assert isinstance(grpc_error(grpc.StatusCode.INTERNAL, text, "m", 0), Unavailable)


def test_to_a_question_about_a_model_absent_means_not_found() -> None:
    absent = http_error(404, b"", "m")
    busy = http_error(503, b"", "m")

    assert about_model(absent, "m", "").reason == "model_not_found"
    assert about_model(absent, "m", "3").reason == "version_not_found"
    assert isinstance(about_model(absent, "m", "3"), NotFound)
    assert about_model(busy, "m", "") is busy

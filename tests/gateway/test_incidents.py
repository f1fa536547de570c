"""The caller gets an incident id, the log gets the rest."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from penstock_gateway.incidents import fault_reporter


def test_a_fault_is_logged_whole_and_shown_as_an_id() -> None:
    secret = ZeroDivisionError("/srv/models/secret.onnx")
    with capture_logs() as logs:
        error = fault_reporter(structlog.get_logger())(secret)

    [line] = logs
    assert (error.code.http, error.reason) == (500, "internal")
    assert line["incident"] in error.text
    assert line["exc_info"] is secret
    assert "secret" not in error.text

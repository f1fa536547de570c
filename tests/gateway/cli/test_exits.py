"""Exit codes are stable and every one is explained."""

from __future__ import annotations

import pytest
import typer

from penstock_adapters.protocol.errors import Code
from penstock_gateway.cli.exits import BY_STATUS, MEANINGS, Exit, exit_for, fail


def test_the_numbers_never_change() -> None:
    assert {code.name: code.value for code in Exit} == {
        "OK": 0, "DIFFERENT": 1, "USAGE": 2, "UNREACHABLE": 3, "CONFLICT": 4, "NOT_FOUND": 5, "FAILED": 6,
    }  # fmt: skip
    assert MEANINGS.keys() == set(Exit)


def test_every_status_has_an_exit_code_that_is_no_success() -> None:
    assert BY_STATUS.keys() <= {code.http for code in Code}
    assert all(exit_for(code.http) not in {Exit.OK, Exit.DIFFERENT} for code in Code)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Exit.USAGE),
        (404, Exit.NOT_FOUND),
        (409, Exit.CONFLICT),
        (413, Exit.USAGE),
        (500, Exit.FAILED),
        (502, Exit.FAILED),
        (503, Exit.UNREACHABLE),
    ],
)
def test_statuses_are_sorted_by_what_to_do(status: int, code: Exit) -> None:
    assert exit_for(status) is code


def test_a_failure_says_what_and_what_to_do_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as raised:
        fail(Exit.CONFLICT, "too late", "look again")

    assert raised.value.exit_code == 4
    assert capsys.readouterr() == ("", "error: too late\nhint: look again\n")

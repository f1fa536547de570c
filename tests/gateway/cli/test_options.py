"""Words on the command line become what the API calls them."""

from __future__ import annotations

import pytest
import typer

from penstock_gateway.cli.options import ADDRESS, KINDS, SERVER, flags_of, kind_of, plural_of
from penstock_gateway.settings import load


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_may_be_singular_plural_and_in_any_case(kind: str) -> None:
    assert {kind_of(word) for word in (kind, kind.lower(), plural_of(kind), plural_of(kind).upper())} == {kind}


def test_what_is_no_kind_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as raised:
        kind_of("pod")

    assert raised.value.exit_code == 2
    assert "kinds: backends, models, deployments, placements, routes" in capsys.readouterr().err


def test_settings_are_given_as_pairs_or_options_and_options_win() -> None:
    assert flags_of(["http-port=1", "redis=redis://h?a=b"], http_port=2, workers=None) == {
        "http_port": "2", "redis": "redis://h?a=b",
    }  # fmt: skip
    with pytest.raises(typer.Exit):
        flags_of(["gzip"])


def test_the_default_addresses_are_where_a_default_server_listens() -> None:
    settings = load(environ={})

    assert f"http://{settings.admin_host}:{settings.admin_port}" == SERVER
    assert f"http://{settings.http_host}:{settings.http_port}" == ADDRESS

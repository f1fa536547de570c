"""A command that cannot reach its server, or is refused, says so and ends with the code of its kind."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import typer

from penstock_adapters.protocol.reasons import REASONS
from penstock_gateway.cli.client import HINTS, Client, author, escaped
from tests.gateway.cli.commands import penstock
from tests.support.admin import AdminServer
from tests.support.resources import backend


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address where something listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def hanging_up() -> Iterator[str]:
    """An address where every connection is accepted, and closed as soon as something was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


@pytest.fixture
def closed() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_no_server_is_exit_code_3_with_a_hint(closed: str) -> None:
    ran = penstock("get", "models", "--server", closed)

    assert ran.code == 3
    assert ran.out == ""
    assert ran.err.splitlines() == [
        f"error: the admin API at {closed} cannot be reached: Connection refused",
        "hint: start it with `penstock serve`, or name another address with --server",
    ]


def test_a_server_that_does_not_answer_is_given_up(deaf: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as raised:
        Client(deaf, what="it", flag="--server", timeout_s=0.05).get("/")

    assert raised.value.exit_code == 3
    assert "did not answer within" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["", "ftp://h", "http://", "http://h:99999", "http://h:x"])
def test_what_is_no_address_is_exit_code_2(address: str) -> None:
    ran = penstock("get", "models", "--server", address)

    assert ran.code == 2
    assert "not an address" in ran.err


def test_a_host_there_can_be_none_of_is_exit_code_3() -> None:
    ran = penstock("get", "models", "--server", "http://a..b:1")

    assert ran.code == 3
    assert "there can be no host of that name" in ran.err


def test_a_server_that_hangs_up_is_exit_code_3(hanging_up: str) -> None:
    ran = penstock("get", "models", "--server", hanging_up)

    assert ran.code == 3
    assert "closed the connection without an answer" in ran.err


def test_a_reason_of_several_lines_goes_into_one_header(admin: AdminServer) -> None:
    admin.apply(backend("b"))
    ran = penstock("delete", "backend", "b", "--reason", "moved\nto Triton", PENSTOCK_SERVER=admin.url)

    assert ran.code == 0
    assert admin.call("GET", "/v1/snapshots/2").json["reason"] == "moved to Triton"


def test_an_address_may_come_from_the_environment_and_without_scheme(admin: AdminServer) -> None:
    assert penstock("get", "models", PENSTOCK_SERVER=admin.url.removeprefix("http://")).code == 0


def test_a_store_that_is_down_is_exit_code_3(admin: AdminServer) -> None:
    admin.store_is_down = True

    ran = penstock("get", "models", "--server", admin.url)

    assert ran.code == 3
    assert "database cannot be reached" in ran.err
    assert "penstock doctor" in ran.err


def test_every_page_of_a_collection_is_read(admin: AdminServer, monkeypatch: pytest.MonkeyPatch) -> None:
    admin.apply(*(backend(f"b{i}") for i in range(5)))
    monkeypatch.setattr("penstock_gateway.cli.client.PAGE", 2)

    assert len(list(Client(admin.url, what="it", flag="-").items("backends"))) == 5


def test_a_name_is_one_segment_of_a_path(admin: AdminServer) -> None:
    assert escaped("a/../b?c") == "a%2F..%2Fb%3Fc"
    assert penstock("get", "model", "../status", "--server", admin.url).code == 5


def test_hints_are_for_reasons_there_are() -> None:
    assert HINTS.keys() <= REASONS.keys()


def test_the_author_is_who_is_logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")

    assert author() == "ann"

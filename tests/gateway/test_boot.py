from __future__ import annotations

import socket
from pathlib import Path

import pytest

from penstock_gateway.boot import addresses, run
from penstock_gateway.listeners import Address
from penstock_gateway.settings import load
from penstock_gateway.workers import PERMANENT

pytestmark = pytest.mark.usefixtures("restored_logs")


def test_the_addresses_are_those_of_the_settings() -> None:
    where = addresses(load(flags={"http_port": "1", "grpc_port": "2", "admin_port": "3"}, environ={}))
    assert (where.http, where.grpc, where.admin) == tuple(Address("127.0.0.1", port) for port in (1, 2, 3))


def test_a_port_in_use_is_said_and_nothing_is_started(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        flags = {"http_port": port, "grpc_port": "0", "admin_port": "0", "data_dir": str(tmp_path / "data")}
        assert run(load(flags=flags, environ={})) == PERMANENT
    said = capfd.readouterr().err
    assert f"127.0.0.1:{port} is in use" in said
    assert "--http-port" in said
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    flags = {"http_port": "0", "grpc_port": "0", "admin_port": "0", "data_dir": str(tmp_path / "file" / "data")}
    assert run(load(flags=flags, environ={})) == PERMANENT
    said = capfd.readouterr().err
    assert "Not a directory" in said
    assert "--data-dir" in said
    assert "Traceback" not in said

from __future__ import annotations

from pathlib import Path

from deploy.triton.launch import Ports, clean, command, environment, shm_prefix

PORTS = Ports(18000, 18001, 18002)


def test_every_listener_is_on_loopback() -> None:
    argv = command(Path("/home"), Path("/models"), PORTS)

    assert [word for word in argv if "-address=" in word] == [
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        "--metrics-address=127.0.0.1",
    ]
    assert {"--http-port=18000", "--grpc-port=18001", "--metrics-port=18002"} <= set(argv)


def test_models_and_further_arguments_are_passed_on() -> None:
    argv = command(Path("/home"), Path("/models"), PORTS, load=["a", "b"], extra=["--log-verbose=1"])

    assert argv[-3:] == ["--load-model=a", "--load-model=b", "--log-verbose=1"]


def test_two_servers_never_share_a_shared_memory_prefix() -> None:
    other = Ports(18010, 18001, 18002)

    assert shm_prefix(PORTS) != shm_prefix(other)
    assert not shm_prefix(other).startswith(shm_prefix(PORTS))
    assert any(shm_prefix(PORTS) in word for word in command(Path("/home"), Path("/models"), PORTS))


def test_the_server_inherits_nothing_but_what_it_needs() -> None:
    assert set(environment(Path("/home"))) == {"PATH", "LD_LIBRARY_PATH", "ORT_DISABLE_TELEMETRY"}


def test_what_a_killed_server_left_in_shared_memory_is_removed() -> None:
    ports = Ports(1, 2, 3)
    left = Path("/dev/shm") / f"{shm_prefix(ports)}left-by-a-test"
    left.write_bytes(b"")

    clean(ports)

    assert not left.exists()

"""Settings come from file, environment and flags, in this order, and nothing misspelt is ignored."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock_gateway.settings import CLIENT_VARIABLES, Settings, SettingsError, is_loopback, load, masked

PORTS = st.none() | st.integers(0, 65_535)


def problems(config: Path | None = None, environ: dict[str, str] | None = None, /, **flags: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(config, flags, environ or {})
    return raised.value.problems


@given(in_file=PORTS, in_environment=PORTS, in_flags=PORTS)
def test_flags_win_over_the_environment_and_that_over_the_file(
    tmp_path_factory: pytest.TempPathFactory, in_file: int | None, in_environment: int | None, in_flags: int | None
) -> None:
    path = tmp_path_factory.mktemp("settings") / "penstock.toml"
    path.write_text("" if in_file is None else f"http_port = {in_file}\n")
    environ = {} if in_environment is None else {"PENSTOCK_HTTP_PORT": str(in_environment)}
    flags = {} if in_flags is None else {"http_port": str(in_flags)}

    settings = load(path, flags, environ)

    given_ones = [
        (in_flags, "flag --http-port"), (in_environment, "environment PENSTOCK_HTTP_PORT"), (in_file, str(path)),
    ]  # fmt: skip
    expected = next(((port, origin) for port, origin in given_ones if port is not None), (8100, "default"))
    assert (settings.http_port, settings.origins["http_port"]) == expected


def test_without_anything_there_are_defaults_on_loopback() -> None:
    settings = load(environ={})

    assert {settings.http_host, settings.grpc_host, settings.admin_host} == {"127.0.0.1"}
    assert (settings.http_port, settings.grpc_port, settings.admin_port) == (8100, 8101, 8102)
    assert settings.database_url == f"sqlite+aiosqlite:///{Path('penstock-data').absolute()}/penstock.db"
    assert set(settings.origins.values()) == {"default"}
    assert settings.origins.keys() == Settings.model_fields.keys() == settings.shown().keys()


def test_settings_cannot_be_changed_after_they_are_built() -> None:
    with pytest.raises(ValidationError):
        load(environ={}).http_port = 1


def test_a_misspelt_name_is_an_error_that_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "penstock.toml"
    path.write_text("htp_port = 1\n[limits]\nbody = 1\n")

    found = problems(path, {"PENSTOCK_WORKER": "2"}, drain_second="3")

    assert found == [
        f"{path}: htp_port: no such setting; did you mean 'http_port'?",
        f"{path}: [limits]: there are no sections; write `name = value` lines; `penstock config show` lists them all",
        "PENSTOCK_WORKER: no such setting; did you mean 'PENSTOCK_WORKERS'?",
        "--set drain_second: no such setting; did you mean 'drain_seconds'?",
    ]


def test_variables_of_the_command_line_are_not_taken_for_settings() -> None:
    environ = {name: "http://127.0.0.1:1" for name in CLIENT_VARIABLES if name != "PENSTOCK_CONFIG"}

    assert set(load(environ=environ).origins.values()) == {"default"}


def test_the_variable_for_the_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.toml"
    path.write_text("workers = 3\n")

    assert load(environ={"PENSTOCK_CONFIG": str(path)}).workers == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("workers = 0", "workers: must be at least 1"),
        ('workers = "many"', "workers: must be a whole number, not text"),
        ('log_level = "inf"', "log_level: must be one of debug, info, warning, error; did you mean 'info'?"),
        ('http_host = "example.org"', "http_host: must be an IP address or 'localhost'"),
        ('gzip = "ja"', "gzip: must be true or false, not text"),
        ('database = "mysql://u:secret@h/d"', "database: must start with sqlite+aiosqlite:// or postgresql+asyncpg://"),
        ('redis = "http://:secret@h"', "redis: must start with redis://, rediss:// or unix://"),
        ("body_max_bytes = 1", "body_max_bytes: must be at least 1024"),
    ],
)
def test_a_wrong_value_is_an_error_with_file_and_name(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "penstock.toml"
    path.write_text(text + "\n")

    found = problems(path)

    assert found == [f"{path}: {problem}"]
    assert "secret" not in found[0]


def test_what_is_no_toml_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "penstock.toml"
    path.write_text("workers 3\n")

    assert f"{path}: " in problems(path)[0]
    assert "line 1" in problems(path)[0]


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert problems(tmp_path / "no.toml") == [f"{tmp_path / 'no.toml'}: there is no such file"]


@pytest.mark.parametrize("listener", ["http", "grpc", "admin"])
def test_a_listener_beyond_loopback_without_authentication_refuses_to_start(listener: str) -> None:
    flags = {f"{listener}_host": "0.0.0.0"}

    assert "would be reachable from other machines" in problems(None, {}, **flags)[0]
    assert load(flags={**flags, "allow_insecure_bind": "true"}, environ={}).allow_insecure_bind


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("::", False)],
)
def test_loopback_is_what_no_other_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_passwords_are_neither_shown_nor_in_the_repr() -> None:
    environ = {
        "PENSTOCK_DATABASE": "postgresql+asyncpg://penstock:hunter2@db:5432/p?ssl=hunter2",
        "PENSTOCK_REDIS": "redis://:hunter2@r/0",
    }

    settings = load(environ=environ)

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.shown())
    assert settings.shown()["database"] == "postgresql+asyncpg://penstock:***@db:5432/p?ssl=***"
    assert settings.shown()["redis"] == "redis://:***@r/0"
    assert settings.database_url == environ["PENSTOCK_DATABASE"]
    assert settings.redis_url == environ["PENSTOCK_REDIS"]


def test_a_secret_can_be_mounted_as_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "redis"
    secret.write_text("redis://:hunter2@r/0\n")

    settings = load(environ={"PENSTOCK_REDIS_FILE": str(secret)})

    assert settings.redis_url == "redis://:hunter2@r/0"
    assert settings.origins["redis"] == "environment PENSTOCK_REDIS_FILE"
    assert "cannot be read" in problems(None, {"PENSTOCK_REDIS_FILE": str(tmp_path / "no")})[0]


def test_a_list_is_comma_separated_outside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "penstock.toml"
    path.write_text('allowed_hosts = ["a.example", "b.example"]\n')

    assert load(path, environ={}).allowed_hosts == ("a.example", "b.example")
    assert load(environ={"PENSTOCK_ALLOWED_HOSTS": "a.example, b.example"}).allowed_hosts == ("a.example", "b.example")


def test_the_limits_of_a_request_are_the_settings() -> None:
    limits = load(flags={"body_max_bytes": "4096", "json_max_bytes": "2048", "json_max_depth": "9"}, environ={}).limits

    assert (limits.body, limits.json, limits.json_depth) == (4096, 2048, 9)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite+aiosqlite:////var/p.db", "sqlite+aiosqlite:////var/p.db"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://u@h/0", "redis://u@h/0"),
        ("redis://u:p@ss@h/0?a=b&c=d", "redis://u:***@h/0?a=***&c=***"),
        ("postgresql+asyncpg://u:p/w@h/db", "postgresql+asyncpg://u:***@h/db"),
        ("postgresql+asyncpg://u:p?w@h/db?ssl=x", "postgresql+asyncpg://u:***@h/db?ssl=***"),
        ("redis://:s/ec@h:6379/0", "redis://:***@h:6379/0"),
        ("postgresql+asyncpg:///db?host=a&user=x@y", "postgresql+asyncpg:///db?host=***&user=***"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert masked(url) == shown

"""Every setting, in one frozen object that is built once: file < environment < flags. The only file that reads os.environ.

One name, three spellings: `http_port` is `http_port = 8100` in penstock.toml, PENSTOCK_HTTP_PORT in the environment and
`--http-port 8100` (or `--set http_port=8100`) on the command line. A name nobody knows is an error, never ignored: a
misspelt limit that silently does not apply is worse than a server that does not start.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, PrivateAttr, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from penstock_adapters.protocol.limits import DEFAULT_LIMITS, Limits
from penstock_gateway.explanations import explain

PREFIX: Final = "PENSTOCK_"
DEFAULT_FILE: Final = "penstock.toml"
FILE_SUFFIX: Final = "_FILE"
"""PENSTOCK_DATABASE_FILE names a file that holds the value: how secrets are mounted into containers."""
DATABASES: Final = ("sqlite+aiosqlite", "postgresql+asyncpg")
CLIENT_VARIABLES: Final[Mapping[str, str]] = {
    "PENSTOCK_CONFIG": "the settings file, instead of ./penstock.toml",
    "PENSTOCK_SERVER": "the admin address the commands talk to",
    "PENSTOCK_ADDRESS": "the predict address `penstock infer` talks to",
}
"""Variables of the command line. They are not settings of the server, and are not taken for misspelt ones."""


class SettingsError(Exception):
    """The settings cannot be used. `problems` has one line for each thing that is wrong and how to mend it."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def _host(host: str) -> str:
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ValueError("must be an IP address or 'localhost'") from None
    return host


def is_loopback(host: str) -> bool:
    """True if a socket bound to `host` cannot be reached from another machine."""
    return host == "localhost" or ipaddress.ip_address(host).is_loopback


def _database(url: SecretStr) -> SecretStr:
    # Never quotes the value: it may hold a password.
    scheme = url.get_secret_value().partition("://")[0]
    if url.get_secret_value() and scheme not in DATABASES:
        raise ValueError(f"must start with {' or '.join(f'{name}://' for name in DATABASES)}")
    return url


def _redis(url: SecretStr) -> SecretStr:
    if url.get_secret_value() and url.get_secret_value().partition("://")[0] not in {"redis", "rediss", "unix"}:
        raise ValueError("must start with redis://, rediss:// or unix://")
    return url


Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Bytes = Annotated[int, Field(ge=1024, le=1 << 32)]


class Settings(BaseSettings):
    """The settings of one server. Sizes in bytes; times in the unit their name ends with."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, env_prefix=PREFIX)

    http_host: Host = Field("127.0.0.1", description="address of the REST listener")
    http_port: Port = Field(8100, description="port of the REST listener; 0 = any free one")
    grpc_host: Host = Field("127.0.0.1", description="address of the gRPC listener")
    grpc_port: Port = Field(8101, description="port of the gRPC listener; 0 = any free one")
    admin_host: Host = Field("127.0.0.1", description="address of the admin listener")
    admin_port: Port = Field(8102, description="port of the admin listener; 0 = any free one")
    allow_insecure_bind: bool = Field(
        default=False, description="allow listeners beyond loopback although no caller has to show a credential"
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="host names the admin listener answers to, besides localhost and IP addresses"
    )
    data_dir: Path = Field(
        Path("penstock-data"), description="folder of the SQLite file, the last good snapshot and loaded artifacts"
    )
    database: Annotated[SecretStr, AfterValidator(_database)] = Field(
        SecretStr(""),
        description="SQLAlchemy URL of the registry: sqlite+aiosqlite:///file or postgresql+asyncpg://user@host/name; "
        "empty = penstock.db in data_dir",
    )
    redis: Annotated[SecretStr, AfterValidator(_redis)] = Field(
        SecretStr(""), description="redis://host:port/n; empty = none. Makes changes visible faster, never needed"
    )
    workers: int = Field(1, ge=1, le=256, description="processes that serve the same ports")
    model_threads: int = Field(
        0, ge=0, le=1024, description="threads of the in-process ONNX Runtime per model; 0 = one per core and worker"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe line that is logged"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto = console on a terminal, json otherwise"
    )
    body_max_bytes: Bytes = Field(DEFAULT_LIMITS.body, description="largest request or gRPC message; more is 413")
    json_max_bytes: Bytes = Field(DEFAULT_LIMITS.json, description="largest JSON text in one request; more is 413")
    json_max_depth: int = Field(
        DEFAULT_LIMITS.json_depth, ge=4, le=256, description="deepest nesting of JSON in a request; more is 400"
    )
    admin_body_max_bytes: Bytes = Field(64 << 20, description="largest body the admin API reads; more is 413")
    gzip: bool = Field(default=True, description="compress REST answers for clients that accept it")
    request_timeout_ms: int = Field(
        60_000, ge=1, le=86_400_000, description="bound of an inference whose caller and route set none"
    )
    drain_seconds: float = Field(
        30.0, ge=0, le=3600, description="how long a stopping server lets requests in flight finish"
    )
    poll_interval_seconds: float = Field(
        0.5, gt=0, le=60, description="how often the registry is asked whether something changed"
    )
    ready_policy: Literal["required", "all", "none"] = Field(
        "required", description="which models must be ready before the server is: those marked `required`, all, or none"
    )

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # `load` merges the sources itself, because it must know where each value came from.
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @model_validator(mode="after")
    def _bind_safely(self) -> Settings:
        open_ones = [
            f"{name}_host={host}"
            for name, host in (("http", self.http_host), ("grpc", self.grpc_host), ("admin", self.admin_host))
            if not is_loopback(host)
        ]
        if open_ones and not self.allow_insecure_bind:
            raise ValueError(
                f"{', '.join(open_ones)} would be reachable from other machines, and no caller has to show a credential; "
                "bind 127.0.0.1 behind a proxy that authenticates, or set allow_insecure_bind = true"
            )
        return self

    def with_origins(self, origins: Mapping[str, str]) -> Settings:
        """The same settings, knowing where their values came from."""
        made = self.model_copy()
        made._origins = dict(origins)  # noqa: SLF001  # of the same class
        return made

    @property
    def origins(self) -> dict[str, str]:
        """Setting -> where its value came from."""
        return {name: self._origins.get(name, "default") for name in type(self).model_fields}

    @property
    def database_url(self) -> str:
        """The registry's URL, with its password: not for logs."""
        return self.database.get_secret_value() or f"sqlite+aiosqlite:///{self.data_dir.absolute() / 'penstock.db'}"

    @property
    def redis_url(self) -> str:
        """The URL of Redis, with its password, or "": not for logs."""
        return self.redis.get_secret_value()

    @property
    def limits(self) -> Limits:
        """The caps of one inference request."""
        return Limits(body=self.body_max_bytes, json=self.json_max_bytes, json_depth=self.json_max_depth)

    def shown(self) -> dict[str, str | int | float | bool | list[str]]:
        """Setting -> its value, fit for people and logs: passwords are masked."""
        values: dict[str, str | int | float | bool | list[str]] = self.model_dump(mode="json")
        values["database"] = masked(self.database_url)
        values["redis"] = masked(self.redis_url)
        return values


_CREDENTIALS: Final = re.compile(r"[^:/?@]*(?::[^@]*)?@")


def masked(url: str) -> str:
    """A URL without what is secret in it: the password, and the values of its query."""
    scheme, separator, rest = url.partition("://")
    # A password may hold / and ? unescaped, as the drivers take it: it ends at the last @ before the query.
    credentials = _CREDENTIALS.match(rest)
    end = rest.find("?", credentials.end() if credentials else 0)
    rest, question, query = (rest, "", "") if end < 0 else (rest[:end], "?", rest[end + 1 :])
    user, at, address = rest.rpartition("@") if credentials else ("", "", rest)
    name, colon, _ = user.partition(":")
    hidden = "&".join(item.partition("=")[0] + "=***" for item in query.split("&"))
    shown = f"{name}{':***' if colon else ''}{at}{address}"
    return f"{scheme}{separator}{shown}{question}{hidden if question else ''}"


def load(
    config: Path | None = None,
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings from file, environment and flags; a later source wins. Raises SettingsError with every problem found.

    config: the file; without one PENSTOCK_CONFIG, else ./penstock.toml if it exists. flags: setting -> text.
    environ: instead of the process's own environment.
    """
    variables = os.environ if environ is None else environ
    problems: list[str] = []
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    layers = (
        _from_file(config, variables, problems),
        _from_environment(variables, problems),
        _from_flags(flags or {}, problems),
    )
    for layer in layers:
        for name, (value, origin) in layer.items():
            values[name], origins[name] = value, origin
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        for problem in explain(error, Settings):
            origin = origins.get(problem.path, "default")
            problems.append(f"{origin}: {problem}" if problem.path else problem.text)
        raise SettingsError(problems) from None
    if problems:
        raise SettingsError(problems)
    return settings.with_origins(origins)


_Layer = dict[str, tuple[object, str]]


def _from_file(config: Path | None, variables: Mapping[str, str], problems: list[str]) -> _Layer:
    named = config or (Path(variables["PENSTOCK_CONFIG"]) if variables.get("PENSTOCK_CONFIG") else None)
    path = named or Path(DEFAULT_FILE)
    try:
        parsed = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named is not None:
            problems.append(f"{path}: there is no such file")
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(f"{path}: {error}")
        return {}
    layer: _Layer = {}
    for name, value in parsed.items():
        if name in Settings.model_fields:
            layer[name] = (value, str(path))
        elif isinstance(value, dict):
            problems.append(f"{path}: [{name}]: there are no sections; write `name = value` lines" + _nearest(name))
        else:
            problems.append(f"{path}: {name}: no such setting{_nearest(name)}")
    return layer


def _from_environment(variables: Mapping[str, str], problems: list[str]) -> _Layer:
    layer: _Layer = {}
    for variable in sorted(variables):
        if not variable.startswith(PREFIX) or variable in CLIENT_VARIABLES:
            continue
        name = variable[len(PREFIX) :].lower()
        text = variables[variable]
        if name.endswith(FILE_SUFFIX.lower()) and name[: -len(FILE_SUFFIX)] in Settings.model_fields:
            name = name[: -len(FILE_SUFFIX)]
            try:
                text = Path(text).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{variable}: cannot be read: {error}")
                continue
        if name in Settings.model_fields:
            layer[name] = (_from_text(name, text), f"environment {variable}")
        else:
            problems.append(f"{variable}: no such setting{_nearest(name, PREFIX)}")
    return layer


def _from_flags(flags: Mapping[str, str], problems: list[str]) -> _Layer:
    layer: _Layer = {}
    for name, text in flags.items():
        if name in Settings.model_fields:
            layer[name] = (_from_text(name, text), "flag --" + name.replace("_", "-"))
        else:
            problems.append(f"--set {name}: no such setting{_nearest(name)}")
    return layer


def _from_text(name: str, text: str) -> object:
    # Lists are comma-separated in the environment and in flags; pydantic reads every other type from its text.
    if name == "allowed_hosts":
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _nearest(name: str, prefix: str = "") -> str:
    found = difflib.get_close_matches(name.lower(), Settings.model_fields, n=1, cutoff=0.5)
    if not found:
        return "; `penstock config show` lists them all"
    near = prefix + found[0].upper() if prefix else found[0]
    return f"; did you mean '{near}'?"

"""Options that several commands share, so that each is spelt and explained once."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from penstock_gateway.cli.client import Client
from penstock_gateway.cli.exits import Exit, fail

SERVER: Final = "http://127.0.0.1:8102"
ADDRESS: Final = "http://127.0.0.1:8100"
KINDS: Final = ("Backend", "Model", "Deployment", "Placement", "Route")
"""Here once more, so that a command need not load pydantic to know them; a test compares."""

Server = Annotated[
    str, typer.Option("--server", envvar="PENSTOCK_SERVER", metavar="URL", help="Admin address of the server.")
]
Files = Annotated[
    list[str],
    typer.Option(
        "--filename", "-f", metavar="FILE", help="Manifest file, folder, or - for standard input; may be repeated."
    ),
]
Prune = Annotated[
    bool, typer.Option("--prune", help="Also delete resources of the kinds in the files that the files do not name.")
]
Selector = Annotated[
    str, typer.Option("--selector", "-l", metavar="LABELS", help="Labels: a=b,c!=d,e,!f; all must hold.")
]
Reason = Annotated[str, typer.Option("--reason", "-m", metavar="TEXT", help="Why; kept in the history.")]
Config = Annotated[
    str,
    typer.Option(
        "--config", "-c", envvar="PENSTOCK_CONFIG", metavar="FILE", help="Settings file instead of ./penstock.toml."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="NAME=VALUE", help="Any setting: --set name=value; may be repeated."),
]


def admin(server: str) -> Client:
    """The client of the admin API."""
    return Client(server, what="the admin API", flag="--server")


def kind_of(word: str) -> str:
    """model, models or Model -> Model. Ends the command if there is no such kind."""
    found = next((kind for kind in KINDS if word.lower() in {kind.lower(), f"{kind.lower()}s"}), None)
    if found is None:
        fail(Exit.USAGE, f"'{word}' is not a kind", f"kinds: {', '.join(f'{kind.lower()}s' for kind in KINDS)}")
    return found


def plural_of(kind: str) -> str:
    """Model -> models, as in the API's paths."""
    return f"{kind.lower()}s"


def flags_of(pairs: list[str] | None, **named: object) -> dict[str, str]:
    """--set name=value pairs and named options (None = not given) as setting -> text."""
    flags: dict[str, str] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            fail(Exit.USAGE, f"--set {pair}: there is no '='", "write --set name=value")
        flags[name.strip().replace("-", "_")] = value
    flags.update({name: str(value) for name, value in named.items() if value is not None})
    return flags

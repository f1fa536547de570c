"""Reading: get and describe."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

import typer

from penstock_gateway.cli.client import Client, escaped
from penstock_gateway.cli.exits import Exit, fail, warn
from penstock_gateway.cli.options import KINDS, SERVER, Selector, Server, admin, kind_of, plural_of
from penstock_gateway.cli.output import (
    Format,
    Resource,
    as_documents,
    as_json,
    as_yaml,
    at,
    columns,
    entries,
    line,
    name,
    pairs,
    table,
    text,
)

ALL: Final = "all"
WATCH_S: Final = 1.0
PLACED: Final = "(placed)"
"""Stands for the name of what a placement rule deploys."""


def get(
    kind: Annotated[str, typer.Argument(help="backends, models, deployments, placements, routes, or all.")],
    resource: Annotated[str, typer.Argument(metavar="[NAME]", help="Only this one.", show_default=False)] = "",
    *,
    output: Annotated[Format, typer.Option("--output", "-o", help="How to print.")] = Format.TABLE,
    selector: Selector = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on printing what changes, until Ctrl-C.")] = False,
    server: Server = SERVER,
) -> None:
    """List resources, or print one.

    Examples:
      penstock get models
      penstock get deployments -o wide -w
      penstock get models -l team=vision -o name
      penstock get route digits -o yaml

    """
    client = admin(server)
    kinds = list(KINDS) if kind.lower() == ALL else [kind_of(kind)]
    if resource and len(kinds) > 1:
        fail(Exit.USAGE, f"'all' and the name '{resource}' exclude each other", "name a kind: penstock get model NAME")
    items = _read(client, kinds, resource, selector)
    _print(kinds, items, output, single=bool(resource))
    if not items and output in {Format.TABLE, Format.WIDE}:
        what = "resources" if len(kinds) > 1 else plural_of(kinds[0])
        warn(f"no {what}{' match' if selector else ' yet; create some with `penstock apply -f FILE`'}")
    if watch:
        _watch(client, kinds, resource, selector, items=items, output=output)


def _read(client: Client, kinds: Sequence[str], resource: str, selector: str) -> list[Resource]:
    if resource:
        return [client.get(f"/v1/{plural_of(kinds[0])}/{escaped(resource)}")]
    return [item for kind in kinds for item in client.items(plural_of(kind), selector)]


def _watch(
    client: Client, kinds: Sequence[str], resource: str, selector: str, *, items: list[Resource], output: Format
) -> None:
    """Print what differs from the reading before, once a second. A deleted resource is said on standard error."""
    before = {_key(item): item for item in items}
    try:
        while True:
            time.sleep(WATCH_S)
            now = {_key(item): item for item in _read(client, kinds, resource, selector)}
            changed = [item for key, item in now.items() if before.get(key) != item]
            _print(kinds, changed, output, single=False, header=False)
            for gone in before.keys() - now.keys():
                warn(f"{gone} deleted")
            before = now
    except KeyboardInterrupt:
        return


def _key(item: Resource) -> str:
    return f"{text(item, 'kind')}/{name(item)}"


def _print(kinds: Sequence[str], items: list[Resource], output: Format, *, single: bool, header: bool = True) -> None:
    if output is Format.NAME:
        for item in items:
            line(_key(item))
    elif output is Format.JSON:
        line(as_json(items[0] if single else items))
    elif output is Format.YAML:
        if items:
            line(as_documents(items))
    else:
        blocks = [(kind, [item for item in items if item.get("kind") == kind]) for kind in kinds]
        for index, (kind, members) in enumerate((kind, members) for kind, members in blocks if members):
            if index and header:
                line()
            line(_table(kind, members, wide=output is Format.WIDE, full_names=len(kinds) > 1, header=header))


def _table(kind: str, items: Iterable[Resource], *, wide: bool, full_names: bool, header: bool) -> str:
    shown = columns(kind, wide=wide)
    if full_names:
        shown = [("NAME", _key), *shown[1:]]
    made = table([title for title, _ in shown], [[cell(item) for _, cell in shown] for item in items])
    return made if header else made.partition("\n")[2]


def describe(
    kind: Annotated[str, typer.Argument(help="backend, model, deployment, placement or route.")],
    resource: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    *,
    server: Server = SERVER,
) -> None:
    """Print one resource with all that concerns it.

    Its fields, who changed it last, and what is connected with it.

    Examples:
      penstock describe model digits
      penstock describe deployment digits-1-local

    """
    client = admin(server)
    known = kind_of(kind)
    item = client.get(f"/v1/{plural_of(known)}/{escaped(resource)}")
    line(f"{known}: {name(item)}")
    line(f"Labels: {pairs(at(item, 'metadata', 'labels'))}")
    annotations = at(item, "metadata", "annotations")
    if annotations:
        line(f"Annotations: {pairs(annotations)}")
    change = client.get(f"/v1/snapshots/{text(item, 'revision')}")
    reason = f": {text(change, 'reason')}" if text(change, "reason") else ""
    line(
        f"Last changed: snapshot {text(item, 'revision')}, {text(change, 'created_at')[:19]}Z "
        f"by {text(change, 'author')}{reason}"
    )
    if known == "Deployment":
        line(f"State: {text(item, 'status', 'state')}{_because(item)}")
    line("Spec:")
    for row in as_yaml(item["spec"]).splitlines():
        line(f"  {row}")
    if known in {"Model", "Backend"}:
        _deployments(client, known, item)
    if known == "Model":
        _routes(client, name(item))


def _because(item: Resource) -> str:
    return _reason(text(item, "status", "reason"))


def _reason(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _deployments(client: Client, kind: str, described: Resource) -> None:
    """Where it runs: its deployments, and the versions of a model that a placement covers."""
    wanted = name(described)

    def concerns(item: Resource) -> bool:
        named = text(item, "spec", "model").partition("@")[0] if kind == "Model" else text(item, "spec", "backend")
        return named == wanted

    rows = [
        [
            name(item),
            text(item, "spec", "model"),
            text(item, "spec", "backend"),
            text(item, "status", "state") + _because(item),
        ]
        for item in client.items("deployments")
        if concerns(item)
    ]
    rows += [
        [
            PLACED,
            f"{wanted}@{text(it, 'version')}",
            text(it, "backend"),
            text(it, "state") + _reason(text(it, "reason")),
        ]
        for it in entries(described, "status", "replicas")
        if it.get("placed")
    ]
    line("Deployments:" if rows else "Deployments: none")
    if rows:
        for row in table(["NAME", "MODEL", "BACKEND", "STATE"], rows).splitlines():
            line(f"  {row}")


def _routes(client: Client, model: str) -> None:
    found = [
        f"{name(item)} -> {text(target, 'to')} (weight {target.get('weight', 1)})"
        for item in client.items("routes")
        for target in entries(item, "spec", "targets")
        if text(target, "to").partition("@")[0] == model
    ]
    line("Routes:" if found else "Routes: none; it is called by its own name")
    for row in found:
        line(f"  {row}")

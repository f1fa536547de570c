"""Changing and undoing: delete, snapshots, rollback."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock_gateway.cli.client import escaped
from penstock_gateway.cli.declare import print_changes
from penstock_gateway.cli.options import SERVER, Reason, Server, admin, kind_of, plural_of
from penstock_gateway.cli.output import Format, as_json, as_yaml, entries, line, table, text


def delete(
    kind: Annotated[str, typer.Argument(help="backend, model, deployment, placement or route.")],
    resources: Annotated[list[str], typer.Argument(metavar="NAME...", help="One or more names.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only; change nothing.")] = False,
    reason: Reason = "",
    server: Server = SERVER,
) -> None:
    """Delete resources by name.

    What others still refer to is not deleted.

    Examples:
      penstock delete route digits
      penstock delete deployment digits-1-local digits-2-local -m "on Triton now"

    """
    client = admin(server)
    known = kind_of(kind)
    for resource in resources:
        path = f"/v1/{plural_of(known)}/{escaped(resource)}{'?dry_run=true' if dry_run else ''}"
        answer = client.send("DELETE", path, None, {"x-penstock-reason": reason} if reason else None)
        line(f"{known}/{resource} {text(answer, 'outcome')}{' (dry run)' if dry_run else ''}")


def snapshots(
    revision: Annotated[int | None, typer.Argument(help="Show what this one changed.", show_default=False)] = None,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, metavar="N", help="How many.")] = 20,
    output: Annotated[Format, typer.Option("--output", "-o", help="How to print.")] = Format.TABLE,
    server: Server = SERVER,
) -> None:
    """List the history, or show one snapshot.

    Examples:
      penstock snapshots
      penstock snapshots 12

    """
    client = admin(server)
    if revision is not None:
        answer = client.get(f"/v1/snapshots/{revision}")
        if output in {Format.JSON, Format.YAML}:
            line(as_json(answer) if output is Format.JSON else as_yaml(answer))
            return
        line(f"snapshot {revision}, {text(answer, 'created_at')[:19]}Z by {text(answer, 'author')}")
        if text(answer, "reason"):
            line(f"reason: {text(answer, 'reason')}")
        line(f"hash: {text(answer, 'hash')}")
        print_changes(entries(answer, "changes"))
        return
    items = entries(client.get("/v1/snapshots", limit=limit), "items")
    if output is Format.JSON:
        line(as_json(items))
    elif output is Format.YAML:
        line(as_yaml(items))
    elif output is Format.NAME:
        for item in items:
            line(text(item, "revision"))
    else:
        header = ["REVISION", "CREATED", "AUTHOR", "CHANGED", "REASON", *(["HASH"] if output is Format.WIDE else [])]
        rows = [
            [
                text(item, "revision"),
                text(item, "created_at")[:19] + "Z",
                text(item, "author"),
                text(item, "changed"),
                text(item, "reason") or "-",
                *([text(item, "hash")] if output is Format.WIDE else []),
            ]
            for item in items
        ]
        line(table(header, rows))


def rollback(
    *,
    to: Annotated[int, typer.Option("--to", min=0, metavar="N", help="Snapshot to go back to.")],
    reason: Reason = "",
    server: Server = SERVER,
) -> None:
    """Make everything as it was at a snapshot.

    That is a new snapshot, so it can be undone in the same way.

    Examples:
      penstock snapshots
      penstock rollback --to 12 --reason "v3 confuses 3 and 8"

    """
    answer = admin(server).send("POST", "/v1/rollback", {"to": to, "reason": reason})
    changed = text(answer, "changed")
    plural = "resource" if changed == "1" else "resources"
    line(f"snapshot {text(answer, 'revision')} is equal to snapshot {to}; {changed} {plural} changed")

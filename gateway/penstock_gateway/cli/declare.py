"""Declarative commands: apply, diff, validate, export."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from penstock_gateway.cli.client import Client, escaped
from penstock_gateway.cli.exits import Exit, fail, warn
from penstock_gateway.cli.options import SERVER, Files, Prune, Reason, Selector, Server, admin, plural_of
from penstock_gateway.cli.output import Format, Resource, as_documents, as_json, as_yaml, entries, line, text

if TYPE_CHECKING:
    from penstock_gateway.manifests import Manifest

POLL_S: Final = 0.2
MARKS: Final = {"created": "+", "updated": "~", "deleted": "-"}


def apply(
    filename: Files,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Let the server check everything; change nothing.")
    ] = False,
    prune: Prune = False,
    prune_selector: Annotated[
        str, typer.Option("--prune-selector", metavar="LABELS", help="Prune only what these labels match.")
    ] = "",
    reason: Reason = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the change is served and its models are ready.")
    ] = False,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="Longest --wait.")] = 60.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the summary.")] = False,
    server: Server = SERVER,
) -> None:
    """Make the registry as manifests say.

    All of them are changed, as one snapshot, or none. Applying twice changes nothing. Everything is checked before anything is changed.

    Examples:
      penstock apply -f deploy/examples
      penstock apply -f model.yaml --reason "new digits model" --wait
      penstock apply -f . --prune --dry-run

    """
    manifests = read(filename)
    client = admin(server)
    answer = client.send(
        "POST",
        "/v1/apply",
        {
            "resources": [manifest.resource.manifest() for manifest in manifests],
            "prune": prune,
            "prune_scope": {"selector": prune_selector},
            "dry_run": dry_run,
            "reason": reason,
        },
    )
    outcomes = entries(answer, "outcomes")
    for item in [] if quiet else outcomes:
        line(f"{text(item, 'kind')}/{text(item, 'name')} {text(item, 'outcome')}{' (dry run)' if dry_run else ''}")
    counts = Counter(text(item, "outcome") for item in outcomes)
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "nothing to do"
    # On standard error: the lines above are for programs, too.
    revision = int(text(answer, "revision"))
    warn(f"{summary}{' (dry run: nothing was changed)' if dry_run else f'; snapshot {revision}'}")
    if wait and not dry_run:
        _wait(client, manifests, revision, timeout)


def diff(
    filename: Files,
    *,
    prune: Prune = False,
    prune_selector: Annotated[
        str, typer.Option("--prune-selector", metavar="LABELS", help="Prune only what these labels match.")
    ] = "",
    output: Annotated[
        Format, typer.Option("--output", "-o", metavar="table|json|yaml", help="How to print.")
    ] = Format.TABLE,
    server: Server = SERVER,
) -> None:
    """Show what apply would change, field by field.

    Exit code: 0 no differences, 1 differences, above 1 an error.

    Examples:
      penstock diff -f deploy/examples
      penstock export | penstock diff -f -
      penstock diff -f . --prune -o json

    """
    manifests = read(filename)
    answer = admin(server).send(
        "POST",
        "/v1/diff",
        {
            "resources": [manifest.resource.manifest() for manifest in manifests],
            "prune": prune,
            "prune_scope": {"selector": prune_selector},
        },
    )
    changes = entries(answer, "changes")
    if output is Format.JSON:
        line(as_json(changes))
    elif output is Format.YAML:
        line(as_yaml(changes))
    else:
        print_changes(changes)
    if changes:
        raise typer.Exit(Exit.DIFFERENT)
    warn("no differences")


def validate(
    filename: Files,
    *,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing when all is well.")] = False,
) -> None:
    """Check manifests without a server.

    Syntax, fields, values, the files of artifacts, and references among the manifests themselves.

    Examples:
      penstock validate -f deploy/examples
      cat model.yaml | penstock validate -f -

    """
    manifests = read(filename)
    if not quiet:
        line(f"{len(manifests)} manifests are valid" if len(manifests) != 1 else "1 manifest is valid")


def export(
    *,
    output: Annotated[Format, typer.Option("--output", "-o", metavar="yaml|json", help="How to print.")] = Format.YAML,
    revision: Annotated[
        int | None, typer.Option("--revision", metavar="N", help="Snapshot to export instead of the newest.")
    ] = None,
    selector: Selector = "",
    server: Server = SERVER,
) -> None:
    """Print every resource as a manifest.

    Applying the output changes nothing.

    Examples:
      penstock export > all.yaml
      penstock export --revision 12 | penstock diff -f -

    """
    query: dict[str, str | int] = {"selector": selector}
    if revision is not None:
        query["revision"] = revision
    resources = entries(admin(server).get("/v1/export", **query), "resources")
    if output is Format.JSON:
        line(as_json(resources))
    elif resources:
        line(as_documents(resources))


def read(filenames: Sequence[str]) -> list[Manifest]:
    """The manifests of the files; every problem is printed, and one ends the command."""
    from penstock_gateway.manifest_references import dangling  # noqa: PLC0415  # pydantic takes a while to load
    from penstock_gateway.manifests import ManifestError, read_manifests  # noqa: PLC0415

    try:
        manifests = read_manifests(filenames)
        problems = dangling(manifests)
    except ManifestError as error:
        problems = error.problems
    if problems:
        for problem in problems:
            warn(str(problem))
        plural = "problem" if len(problems) == 1 else "problems"
        fail(Exit.USAGE, f"{len(problems)} {plural}; nothing was changed")
    return manifests


def print_changes(changes: Sequence[object]) -> None:
    """Changes for people: + created, ~ updated with each field's before and after, - deleted."""
    for change in entries({"changes": list(changes)}, "changes"):
        outcome = text(change, "outcome")
        line(f"{MARKS.get(outcome, ' ')} {text(change, 'kind')}/{text(change, 'name')} {outcome}")
        for field in entries(change, "fields") if outcome == "updated" else []:
            line(f"    {text(field, 'path')}: {_shown(field.get('before'))} -> {_shown(field.get('after'))}")


def _shown(value: object) -> str:
    return "(not set)" if value is None else as_json(value).replace("\n", "").replace("  ", "")


def _wait(client: Client, manifests: Sequence[Manifest], revision: int, timeout_s: float) -> None:
    """Poll until the snapshot is served and the applied deployments and models are as wanted; a FAILED one ends it at once."""
    keys = [m.resource.key for m in manifests if m.resource.kind in {"Deployment", "Model"}]
    until = time.monotonic() + timeout_s
    while True:
        waiting = _waiting(client, keys, revision)
        if not waiting:
            warn("everything is ready")
            return
        if time.monotonic() > until:
            fail(Exit.DIFFERENT, f"not ready after {timeout_s:.0f} s: {waiting}", "penstock get deployments")
        time.sleep(POLL_S)


def _waiting(client: Client, keys: Sequence[tuple[str, str]], revision: int) -> str:
    """What is not as wanted yet, "" if all is."""
    generation = int(text(client.get("/v1/status"), "generation"))
    if generation < revision:
        return f"the server still serves snapshot {generation}"
    for kind, name in keys:
        resource = client.get(f"/v1/{plural_of(kind)}/{escaped(name)}")
        for who, state, reason in _states(kind, name, resource):
            if state == "FAILED":
                fail(Exit.FAILED, f"{who} failed: {reason}", f"penstock describe {kind.lower()} {name}")
            if state != "READY":
                return f"{who} is {state}"
    return ""


def _states(kind: str, name: str, resource: Resource) -> Iterator[tuple[str, str, str]]:
    """(who, state, reason) of what should be ready: a deployment, or the versions of a model that a placement covers."""
    if kind == "Deployment":
        if (text(resource, "spec", "state") or "READY") == "READY":
            yield f"Deployment/{name}", text(resource, "status", "state"), text(resource, "status", "reason")
        return
    for replica in entries(resource, "status", "replicas"):
        if replica.get("placed"):
            who = f"Model/{name} version {text(replica, 'version')} on {text(replica, 'backend')}"
            yield who, text(replica, "state"), text(replica, "reason")

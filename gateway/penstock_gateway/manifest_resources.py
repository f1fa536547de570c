"""One parsed document -> one Resource, or everything that is wrong with it. Used for files and for admin requests alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from pydantic import ValidationError

from penstock_adapters.platforms import PLATFORMS
from penstock_adapters.protocol.errors import quote
from penstock_gateway.explanations import FieldProblem, explain, kind_of, nearest
from penstock_registry.kinds import API_VERSION, KINDS, SPECS, BackendSpec, Frozen, Kind, Metadata, Resource

Part = TypeVar("Part", bound=Frozen)

MEMBERS: Final = ("apiVersion", "kind", "metadata", "spec")
READ_ONLY: Final = ("revision", "status")
"""What the server adds when it shows a resource. Accepted and ignored, so that what `get` printed can be applied."""


def resource_from(document: object) -> Resource | list[FieldProblem]:
    """The resource a manifest describes, or every problem in it."""
    if not isinstance(document, Mapping):
        return [FieldProblem((), f"a manifest must be a mapping with {', '.join(MEMBERS)}, not {kind_of(document)}")]
    problems = [
        FieldProblem((str(name),), f"unknown field; {nearest(str(name), MEMBERS)}")
        for name in document
        if name not in MEMBERS and name not in READ_ONLY
    ]
    problems += [
        FieldProblem((), f"'{name}' is missing" + (f"; write {name}: {API_VERSION}" if name == "apiVersion" else ""))
        for name in MEMBERS[:3]
        if name not in document
    ]
    if document.get("apiVersion", API_VERSION) != API_VERSION:
        problems.append(
            FieldProblem(("apiVersion",), f"must be '{API_VERSION}', not '{quote(document.get('apiVersion'))}'")
        )
    kind = _kind(document.get("kind"), problems)
    metadata = _part(document.get("metadata"), Metadata, "metadata", problems) if "metadata" in document else None
    spec = _part(document.get("spec", {}), SPECS[kind], "spec", problems) if kind is not None else None
    if isinstance(spec, BackendSpec) and spec.platform not in PLATFORMS:
        text = f"'{spec.platform}' is not a platform; {nearest(spec.platform, PLATFORMS)}"
        problems.append(FieldProblem(("spec", "platform"), text))
    if problems or kind is None or metadata is None or spec is None:
        return problems
    try:
        # Both parts are validated values already; this checks only what concerns them together.
        return Resource.model_validate({"kind": kind, "metadata": metadata, "spec": spec})
    except ValidationError as error:
        return explain(error, Resource)


def _kind(value: object, problems: list[FieldProblem]) -> Kind | None:
    for kind in KINDS:
        if value == kind:
            return kind
    if value is not None:
        problems.append(FieldProblem(("kind",), f"'{quote(value)}' is not a kind; {nearest(str(value), KINDS)}"))
    return None


def _part(value: object, model: type[Part], name: str, problems: list[FieldProblem]) -> Part | None:
    try:
        return model.model_validate({} if value is None else value)
    except ValidationError as error:
        problems += explain(error, model, (name,))
        return None

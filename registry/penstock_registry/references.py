"""Who refers to whom, and what a change may not break. Pure: a write checks only what it touches.

Deployment -> Model@version and Backend; Placement -> Backend; Route target -> Model, Model@version or Model@alias.
A Route may have a Model's name: it then stands in front of the model, which is how a rollout works.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

from penstock_adapters.protocol.errors import InvalidArgument
from penstock_registry.kinds import DeploymentSpec, ModelSpec, PlacementSpec, Resource, RouteSpec
from penstock_registry.snapshot import Change, Key, Snapshot

NAMED_MAX: Final = 5
"""Users named in an error; the others are counted."""
VERSION: Final = "version:"
"""Marks a selector that only a version satisfies. No name contains a colon."""


class Reference(msgspec.Struct, frozen=True, order=True):
    """`source` names `target` in `field`.

    `selector` is what it needs of the target: "" = that it exists, "version:2" = that version, "2" = a version or alias.
    """

    source: Key
    target: Key
    selector: str = ""
    field: str = ""


def references_of(resource: Resource | None) -> tuple[Reference, ...]:
    """Everything a resource refers to, in the order of its fields."""
    if resource is None:
        return ()
    key, spec = resource.key, resource.spec
    if isinstance(spec, DeploymentSpec):
        model = Reference(key, ("Model", spec.model_name), VERSION + spec.model_version, "spec.model")
        return model, Reference(key, ("Backend", spec.backend), "", "spec.backend")
    if isinstance(spec, PlacementSpec):
        return (Reference(key, ("Backend", spec.backend), "", "spec.backend"),)
    if isinstance(spec, RouteSpec):
        parts = (target.to.partition("@") for target in spec.targets)
        return tuple(
            Reference(key, ("Model", model), selector, f"spec.targets[{index}].to")
            for index, (model, _, selector) in enumerate(parts)
        )
    return ()


def offers(resource: Resource | None) -> frozenset[str]:
    """The selectors that a resource satisfies."""
    if resource is None:
        return frozenset()
    if not isinstance(resource.spec, ModelSpec):
        return frozenset([""])
    versions = [version.id for version in resource.spec.versions]
    return frozenset(["", *versions, *resource.spec.aliases, *(VERSION + version for version in versions)])


def withdrawn(changes: Iterable[Change]) -> dict[Key, frozenset[str]]:
    """What the changes take away: key -> selectors satisfied before and not after."""
    gone = ((change.key, offers(change.before) - offers(change.after)) for change in changes if change.before)
    return {key: selectors for key, selectors in gone if selectors}


def missing(references: Iterable[Reference], offered: Mapping[Key, Collection[str]]) -> list[InvalidArgument]:
    """One error for each reference that finds nothing. `offered`: what the targets will offer once the change is made."""
    return [
        InvalidArgument(
            "reference_missing",
            kind=reference.source[0],
            name=reference.source[1],
            field=reference.field,
            target=f"{reference.target[0]} '{_selected(reference.target, reference.selector)}'",
        )
        for reference in references
        if reference.selector not in offered.get(reference.target, ())
    ]


def in_use(gone: Mapping[Key, Collection[str]], users: Iterable[Reference]) -> list[InvalidArgument]:
    """One error for each withdrawn thing that is still used. `users`: references of resources that do not change."""
    found: dict[tuple[Key, str], set[Key]] = {}
    for user in users:
        if user.selector in gone.get(user.target, ()):
            place = (user.target, _selected(user.target, user.selector))
            found.setdefault(place, set()).add(user.source)
    return [
        InvalidArgument("reference_in_use", kind=target[0], name=name, users=_named(sorted(sources)))
        for (target, name), sources in sorted(found.items())
    ]


def problems(snapshot: Snapshot) -> list[InvalidArgument]:
    """Every reference of a whole snapshot that finds nothing, sorted by who refers."""
    references = [r for key in sorted(snapshot.resources) for r in references_of(snapshot.resources[key])]
    targets = {reference.target for reference in references}
    return missing(references, {target: offers(snapshot.resources.get(target)) for target in targets})


def _selected(target: Key, selector: str) -> str:
    return f"{target[1]}@{selector.removeprefix(VERSION)}" if selector else target[1]


def _named(users: list[Key]) -> str:
    """Kind 'name', ... and N more: texts stay short however many use it."""
    shown = ", ".join(f"{kind} '{name}'" for kind, name in users[:NAMED_MAX])
    return f"{shown} and {len(users) - NAMED_MAX} more" if len(users) > NAMED_MAX else shown

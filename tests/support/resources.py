"""Short ways to write resources in tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from penstock_registry.kinds import Kind, Metadata, Resource
from penstock_registry.snapshot import Change, Snapshot


def resource(kind: Kind, name: str, spec: Mapping[str, object], **labels: str) -> Resource:
    """A resource as a manifest would give it."""
    metadata = Metadata(name=name, labels=labels)
    return Resource.model_validate({"kind": kind, "metadata": metadata, "spec": spec})


def backend(name: str, platform: str = "fake", endpoints: Iterable[str] = ()) -> Resource:
    return resource("Backend", name, {"platform": platform, "endpoints": [{"url": url} for url in endpoints]})


def model(name: str, *versions: str, aliases: Mapping[str, str] | None = None, **spec: object) -> Resource:
    rows = [{"id": version} for version in versions]
    return resource("Model", name, {"versions": rows, "aliases": dict(aliases or {}), **spec})


def deployment(ref: str, on: str, name: str = "", **spec: object) -> Resource:
    return resource("Deployment", name or f"{ref.replace('@', '-')}-{on}", {"model": ref, "backend": on, **spec})


def route(name: str, targets: Mapping[str, int], **spec: object) -> Resource:
    rows = [{"to": to, "weight": weight} for to, weight in targets.items()]
    return resource("Route", name, {"targets": rows, **spec})


def snapshot(revision: int, *resources: Resource) -> Snapshot:
    return Snapshot(revision, {r.key: r for r in resources})


def changes(old: Snapshot, new: Snapshot) -> list[Change]:
    """What leads from one snapshot to another."""
    keys = sorted(old.resources.keys() | new.resources.keys())
    return [
        Change(key, old.resources.get(key), new.resources.get(key))
        for key in keys
        if old.resources.get(key) != new.resources.get(key)
    ]

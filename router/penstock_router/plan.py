"""Where every model version runs and what every name means, as values: snapshot in, plans out, nothing else touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from penstock_adapters.protocol.errors import InvalidArgument
from penstock_adapters.protocol.message import Signature, TensorMetadata
from penstock_registry.kinds import (
    BackendSpec,
    DeploymentSpec,
    ModelSpec,
    ModelVersion,
    PlacementMatch,
    PlacementSpec,
    Resource,
    RouteSpec,
    SignatureSpec,
)

STABLE = "stable"
"""The alias that decides what a model without a version in the path means."""


class Replica(msgspec.Struct, frozen=True):
    """One model version on one backend, under the name the backend knows."""

    model: str
    version: str
    deployment: str
    backend: str
    platform: str
    remote_name: str
    remote_version: str
    artifact: str = ""
    sha256: str = ""


class VersionPlan(msgspec.Struct, frozen=True):
    """One model version and where it runs; no replica means it is known but nowhere deployed."""

    model: str
    version: str
    framework: str
    replicas: tuple[Replica, ...]
    signature: Signature | None


class ModelPlan(msgspec.Struct, frozen=True):
    """A model: its versions, the highest first, and its aliases."""

    name: str
    versions: Mapping[str, VersionPlan]
    aliases: Mapping[str, str]
    required: bool = False


class TargetPlan(msgspec.Struct, frozen=True):
    """A share of a route. `ref` is a version, an alias, or "" for the model's default."""

    model: str
    ref: str
    weight: int


class RoutePlan(msgspec.Struct, frozen=True):
    """A public name: weighted targets, and what keeps a caller on one of them ("" = nothing)."""

    name: str
    targets: tuple[TargetPlan, ...]
    sticky: str = ""
    timeout_s: float | None = None


def version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts 10 above 9 and v1.10 above v1.9."""
    parts = re.findall(r"\d+|\D+", version)
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)


def split_ref(ref: str) -> tuple[str, str]:
    """`model@version` -> (model, version); no @ gives ""."""
    model, _, version = ref.partition("@")
    return model, version


def to_signature(spec: SignatureSpec) -> Signature:
    """The registry's signature in the protocol's terms."""

    def tensors(rows: Iterable[object]) -> tuple[TensorMetadata, ...]:
        return tuple(TensorMetadata(t.name, t.datatype, tuple(t.shape), t.optional) for t in rows)  # type: ignore[attr-defined]

    return Signature(tensors(spec.inputs), tensors(spec.outputs), spec.max_batch_size)


def placement_matches(match: PlacementMatch, model: Resource, version: ModelVersion) -> bool:
    """Does a placement rule cover this version? Labels of the version win over the model's."""
    spec = model.spec
    assert isinstance(spec, ModelSpec)
    labels = {**model.metadata.labels, **version.labels}
    return (
        match.framework in ("", version.framework)
        and match.algorithm in ("", version.algorithm)
        and match.owner in ("", spec.owner)
        and all(labels.get(key) == value for key, value in match.labels.items())
    )


def _replica(
    name: str, deployment: DeploymentSpec, version: ModelVersion, backends: Mapping[str, BackendSpec]
) -> Replica:
    backend = backends.get(deployment.backend)
    if backend is None:
        raise InvalidArgument(
            "reference_missing",
            kind="Deployment",
            name=name,
            field="spec.backend",
            target=f"Backend '{deployment.backend}'",
        )
    return Replica(
        model=deployment.model_name,
        version=version.id,
        deployment=name,
        backend=deployment.backend,
        platform=backend.platform,
        remote_name=deployment.remote.name or deployment.model_name,
        remote_version=deployment.remote.version or version.id,
        artifact=version.artifact,
        sha256=version.sha256,
    )


def plan_model(
    model: Resource,
    deployments: Sequence[Resource],
    placements: Sequence[Resource],
    backends: Mapping[str, BackendSpec],
) -> ModelPlan:
    """Plan one model. `deployments` are this model's; `placements` all rules, the first to be tried first.

    A version with a Deployment of its own ignores placements, also when that Deployment is UNLOADED: somebody decided.
    Raises InvalidArgument("reference_missing").
    """
    spec = model.spec
    assert isinstance(spec, ModelSpec)
    name = model.metadata.name
    explicit: dict[str, list[tuple[str, DeploymentSpec]]] = {}
    for resource in deployments:
        deployment = resource.spec
        assert isinstance(deployment, DeploymentSpec)
        explicit.setdefault(deployment.model_version, []).append((resource.metadata.name, deployment))
    plans: dict[str, VersionPlan] = {}
    for version in sorted(spec.versions, key=lambda v: version_order(v.id), reverse=True):
        chosen = explicit.pop(version.id, None)
        if chosen is None:
            chosen = _placed(model, version, placements)
        signature = version.signature or spec.signature
        plans[version.id] = VersionPlan(
            model=name,
            version=version.id,
            framework=version.framework,
            replicas=tuple(_replica(n, d, version, backends) for n, d in chosen if d.state == "READY"),
            signature=to_signature(signature) if signature else None,
        )
    for missing, rows in explicit.items():
        target = f"version '{missing}' of Model '{name}'"
        raise InvalidArgument(
            "reference_missing", kind="Deployment", name=rows[0][0], field="spec.model", target=target
        )
    return ModelPlan(name, MappingProxyType(plans), MappingProxyType(dict(spec.aliases)), spec.required)


def _placed(model: Resource, version: ModelVersion, placements: Sequence[Resource]) -> list[tuple[str, DeploymentSpec]]:
    for rule in placements:
        assert isinstance(rule.spec, PlacementSpec)
        if placement_matches(rule.spec.match, model, version):
            ref = f"{model.metadata.name}@{version.id}"
            return [(f"{ref}.{rule.spec.backend}", DeploymentSpec(model=ref, backend=rule.spec.backend))]
    return []


def is_placed(replica: Replica) -> bool:
    """Did a placement rule put it there? No Deployment's name can hold an @."""
    return "@" in replica.deployment


def placement_order(placement: Resource) -> tuple[int, str]:
    """Highest priority first, then by name."""
    assert isinstance(placement.spec, PlacementSpec)
    return -placement.spec.priority, placement.metadata.name


def plan_route(route: Resource, models: Mapping[str, ModelPlan]) -> RoutePlan:
    """Plan one route. Raises InvalidArgument("reference_missing") if a target does not exist."""
    spec = route.spec
    assert isinstance(spec, RouteSpec)
    targets: list[TargetPlan] = []
    for row in spec.targets:
        name, ref = split_ref(row.to)
        model = models.get(name)
        if model is None or (ref and ref not in model.versions and ref not in model.aliases):
            field = f"spec.targets[{len(targets)}].to"
            raise InvalidArgument(
                "reference_missing", kind="Route", name=route.metadata.name, field=field, target=f"'{row.to}'"
            )
        targets.append(TargetPlan(name, ref, row.weight))
    return RoutePlan(
        name=route.metadata.name,
        targets=tuple(targets),
        sticky=spec.sticky.by if spec.sticky else "",
        timeout_s=spec.timeout_ms / 1000 if spec.timeout_ms else None,
    )

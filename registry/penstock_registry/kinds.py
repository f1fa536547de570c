"""The manifest kinds (`apiVersion: penstock/v1`), as the one definition: validation, JSON Schema and records come from here."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from penstock_adapters.protocol.message import Json

API_VERSION: Final = "penstock/v1"

Kind = Literal["Backend", "Model", "Deployment", "Placement", "Route"]
KINDS: Final[tuple[Kind, ...]] = ("Backend", "Model", "Deployment", "Placement", "Route")
"""In the order in which they may refer to one another: each only to those before it."""

# pydantic-core's regex engine has no lookahead, so ".." is refused by a validator of its own below.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
VersionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ModelRef = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}(@[A-Za-z0-9][A-Za-z0-9._-]{0,63})?$")
]
"""model, model@version or model@alias."""
Datatype = Literal[
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "BF16",
    "FP32",
    "FP64",
    "BYTES",
]
Platform = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
OptionValue = str | bool | int | float


class Frozen(BaseModel):
    """Unknown fields are errors, values are values, and field names are camelCase in manifests."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Metadata(Frozen):
    """Who it is: name, labels for selection, annotations for people."""

    name: Name
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}

    @field_validator("name")
    @classmethod
    def _no_double_dot(cls, name: str) -> str:
        if ".." in name:
            raise ValueError("must not contain '..'")
        return name


class Endpoint(Frozen):
    """One server of a backend: REST address, gRPC address, or both; its share of the traffic."""

    url: str = Field("", description="REST address, http://host:port")
    grpc: str = Field("", description="gRPC address, host:port")
    weight: Annotated[int, Field(ge=0, le=1000)] = 1

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        if url and not re.fullmatch(r"http://[^\s/@?#]+(:\d{1,5})?/?", url):
            raise ValueError("must be http://host:port without path, user or query")
        return url.rstrip("/")


class BackendLimits(Frozen):
    """Bounds per endpoint."""

    max_in_flight: Annotated[
        int, Field(alias="maxInFlight", ge=1, le=100_000, description="requests at once; more is 503")
    ] = 1024
    connections: Annotated[int, Field(ge=1, le=10_000, description="pooled connections")] = 64


class Health(Frozen):
    """How readiness is probed."""

    interval_s: Annotated[float, Field(alias="intervalSeconds", gt=0, le=3600)] = 2.0
    unhealthy_after: Annotated[int, Field(alias="unhealthyAfter", ge=1, le=100)] = 3


class BackendSpec(Frozen):
    """A pool of like inference servers."""

    platform: Platform = Field(description="triton, onnxruntime or fake")
    endpoints: tuple[Endpoint, ...] = ()
    limits: BackendLimits = BackendLimits()
    health: Health = Health()
    options: dict[str, OptionValue] = Field({}, description="platform settings, checked by the adapter")


class TensorSpec(Frozen):
    """One input or output: -1 in the shape means any size; the batch dimension is included."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    datatype: Datatype
    shape: tuple[Annotated[int, Field(ge=-1)], ...]
    optional: bool = False


class SignatureSpec(Frozen):
    """What the model takes and gives."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: Annotated[int, Field(alias="maxBatchSize", ge=0)] = 0


class ModelVersion(Frozen):
    """One immutable version of a model."""

    id: VersionId
    framework: str = ""
    algorithm: str = ""
    artifact: str = Field("", description="file: URI of the model file")
    sha256: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""
    signature: SignatureSpec | None = Field(None, description="overrides the model's")
    labels: dict[str, str] = {}
    lineage: dict[str, OptionValue] = {}


class ModelSpec(Frozen):
    """A logical model with its versions and aliases."""

    owner: str = ""
    description: str = ""
    required: bool = Field(False, description="the server is ready only when this model is")
    signature: SignatureSpec | None = None
    versions: tuple[ModelVersion, ...] = ()
    aliases: dict[VersionId, VersionId] = {}

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        ids = [version.id for version in self.versions]
        doubled = sorted({i for i in ids if ids.count(i) > 1}) if len(ids) != len(set(ids)) else []
        if doubled:
            raise ValueError(f"version {doubled[0]!r} is listed twice")
        for alias, target in self.aliases.items():
            if target not in ids:
                raise ValueError(f"alias {alias!r} points to version {target!r}, which is not listed")
            if alias in ids:
                raise ValueError(f"{alias!r} is both an alias and a version")
        return self


class Remote(Frozen):
    """What the backend calls the model."""

    name: str = ""
    version: str = ""


class DeploymentSpec(Frozen):
    """One model version on one backend."""

    model: ModelRef = Field(description="model@version")
    backend: Name
    remote: Remote = Remote()
    state: Literal["READY", "UNLOADED"] = "READY"

    @field_validator("model")
    @classmethod
    def _has_version(cls, model: str) -> str:
        if "@" not in model:
            raise ValueError("must name a version: model@version")
        return model

    @property
    def model_name(self) -> str:
        return self.model.partition("@")[0]

    @property
    def model_version(self) -> str:
        return self.model.partition("@")[2]


class PlacementMatch(Frozen):
    """All given fields must match a version's metadata."""

    framework: str = ""
    algorithm: str = ""
    owner: str = ""
    labels: dict[str, str] = {}


class PlacementSpec(Frozen):
    """Where versions without a Deployment of their own go: the first matching rule, highest priority first."""

    match: PlacementMatch = PlacementMatch()
    backend: Name
    priority: int = 0


class Target(Frozen):
    """Where a share of a route's traffic goes."""

    to: ModelRef
    weight: Annotated[int, Field(ge=0, le=1_000_000)] = 1


class Sticky(Frozen):
    """What keeps a caller on one target: `header/NAME` or `parameter/NAME`."""

    by: Annotated[str, StringConstraints(pattern=r"^(header/[a-z0-9-]{1,64}|parameter/[A-Za-z0-9_.-]{1,128})$")]


class RouteSpec(Frozen):
    """The public name clients call. Its own name is what they call."""

    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=64)]
    sticky: Sticky | None = None
    timeout_ms: int | None = Field(None, alias="timeoutMs", ge=1, le=86_400_000)

    @model_validator(mode="after")
    def _some_weight(self) -> RouteSpec:
        if not any(target.weight for target in self.targets):
            raise ValueError("at least one target needs a weight above 0")
        return self


SPECS: Final[dict[Kind, type[Frozen]]] = {
    "Backend": BackendSpec,
    "Model": ModelSpec,
    "Deployment": DeploymentSpec,
    "Placement": PlacementSpec,
    "Route": RouteSpec,
}


class Resource(Frozen):
    """One resource as the registry knows it. `revision` is the snapshot that last changed it (0 = not stored yet)."""

    kind: Kind
    metadata: Metadata
    spec: BackendSpec | ModelSpec | DeploymentSpec | PlacementSpec | RouteSpec
    revision: int = 0

    @property
    def key(self) -> tuple[Kind, str]:
        return self.kind, self.metadata.name

    def manifest(self) -> dict[str, Json]:
        """The resource as a manifest: what `export` writes and `apply` reads. Defaults are left out."""
        metadata = self.metadata.model_dump(by_alias=True, exclude_defaults=True, mode="json")
        spec = self.spec.model_dump(by_alias=True, exclude_defaults=True, mode="json")
        return {"apiVersion": API_VERSION, "kind": self.kind, "metadata": metadata, "spec": spec}

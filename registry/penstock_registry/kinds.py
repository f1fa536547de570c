"""The manifest kinds (`apiVersion: penstock/v1`), as the one definition: validation, JSON Schema and records come from here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from penstock_adapters.protocol.message import Json

API_VERSION: Final = "penstock/v1"

Kind = Literal["Backend", "Model", "Deployment", "Placement", "Route"]
KINDS: Final[tuple[Kind, ...]] = ("Backend", "Model", "Deployment", "Placement", "Route")
"""In the order in which they may refer to one another: each only to those before it."""

_T = TypeVar("_T")

RESERVED: Final = frozenset({"stats"})
"""Names no model or route may have: `/v2/models/stats` is the statistics of all models (protocol policy 6.3)."""
_FORBIDDEN_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_ARTIFACT = re.compile(r"file:(//(localhost)?/)?[^\x00-\x20\x7f\\?#%]+")
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
_URL = re.compile(rf"http://{_HOST}(?::(\d{{1,5}}))?/?")
_GRPC = re.compile(rf"{_HOST}:(\d{{1,5}})")
_REMOTE = re.compile(r"[^\x00-\x20\x7f/\\?#%@\ud800-\udfff]{0,256}")


def _no_double_dot(name: str) -> str:
    if ".." in name:
        raise ValueError("must not contain '..'")
    return name


def _clean(text: str) -> str:
    """Text every store and every wire can carry: no control characters besides tab and newline, no lone surrogates."""
    if not text.isprintable() and _FORBIDDEN_TEXT.search(text):
        raise ValueError("must not contain control characters")
    return text


# pydantic-core's regex engine has no lookahead, so ".." is refused by a validator of its own.
_NoDoubleDot = AfterValidator(_no_double_dot)
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"), _NoDoubleDot]
VersionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"), _NoDoubleDot]
ModelRef = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}(@[A-Za-z0-9][A-Za-z0-9._-]{0,63})?$"),
    _NoDoubleDot,
]
"""model, model@version or model@alias."""
Word = Annotated[str, StringConstraints(max_length=256), AfterValidator(_clean)]
"""One line: a label, an owner, a framework."""
Text = Annotated[str, StringConstraints(max_length=16_384), AfterValidator(_clean)]
"""Words for people."""
Labels = Annotated[dict[Word, Word], Field(max_length=64)]
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
OptionValue = Text | bool | Annotated[int, Field(ge=-(2**63), lt=2**63)] | Annotated[float, Field(allow_inf_nan=False)]
"""What JSON carries unchanged: no NaN, no infinity, whole numbers of 64 bits."""
Options = Annotated[dict[Word, OptionValue], Field(max_length=256)]


class Frozen(BaseModel):
    """Unknown fields are errors, values are values, and field names are camelCase in manifests."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Metadata(Frozen):
    """Who it is: name, labels for selection, annotations for people."""

    name: Name = Field(description="unique within its kind")
    labels: Labels = Field(default={}, description="words to select by")
    annotations: dict[Word, Text] = Field(default={}, max_length=64, description="notes for people and tools")


def _is_address(form: re.Pattern[str], address: str) -> bool:
    match = form.fullmatch(address)
    return match is not None and (match[1] is None or 0 < int(match[1]) < 2**16)


def _doubled(values: Iterable[_T]) -> _T | None:
    """The first value that stands there more than once."""
    listed = list(values)
    if len(set(listed)) == len(listed):
        return None
    return next(value for value, count in Counter(listed).items() if count > 1)


class Endpoint(Frozen):
    """One server of a backend: REST address, gRPC address, or both; its share of the traffic."""

    url: str = Field(default="", description="REST address, http://host:port")
    grpc: str = Field(default="", description="gRPC address, host:port")
    weight: int = Field(default=1, ge=0, le=1000, description="its share of the traffic")

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        if url and not _is_address(_URL, url):
            raise ValueError("must be http://host:port without path, user or query")
        return url.rstrip("/")

    @field_validator("grpc")
    @classmethod
    def _host_port(cls, grpc: str) -> str:
        if grpc and not _is_address(_GRPC, grpc):
            raise ValueError("must be host:port without scheme or path")
        return grpc

    @model_validator(mode="after")
    def _somewhere(self) -> Endpoint:
        if not self.url and not self.grpc:
            raise ValueError("needs a url, a grpc address, or both")
        return self


class BackendLimits(Frozen):
    """Bounds per endpoint."""

    max_in_flight: Annotated[
        int, Field(alias="maxInFlight", ge=1, le=100_000, description="requests at once; more is 503")
    ] = 1024
    connections: Annotated[int, Field(ge=1, le=10_000, description="pooled connections")] = 64


class Health(Frozen):
    """How readiness is probed."""

    interval_s: float = Field(default=2.0, alias="intervalSeconds", gt=0, le=3600, description="seconds between probes")
    unhealthy_after: int = Field(default=3, alias="unhealthyAfter", ge=1, le=100, description="failed probes in a row")


class BackendSpec(Frozen):
    """A pool of like inference servers."""

    platform: Platform = Field(description="triton, onnxruntime or fake")
    endpoints: tuple[Endpoint, ...] = Field(
        default=(), max_length=1000, description="its servers; none for onnxruntime"
    )
    limits: BackendLimits = Field(default=BackendLimits(), description="bounds per endpoint")
    health: Health = Field(default=Health(), description="how readiness is probed")
    options: Options = Field(default={}, description="platform settings, checked by the adapter")

    @model_validator(mode="after")
    def _each_endpoint_once(self) -> BackendSpec:
        if doubled := _doubled((endpoint.url, endpoint.grpc) for endpoint in self.endpoints):
            raise ValueError(f"endpoint {doubled[0] or doubled[1]!r} is listed twice")
        return self


class TensorSpec(Frozen):
    """One input or output: -1 in the shape means any size; the batch dimension is included."""

    name: Annotated[str, AfterValidator(_clean)] = Field(min_length=1, max_length=1024, description="its name")
    datatype: Datatype = Field(description="a v2 datatype")
    shape: tuple[Annotated[int, Field(ge=-1, lt=2**63)], ...] = Field(max_length=32, description="-1 = any size")
    optional: bool = Field(default=False, description="the input may be left out")

    @field_validator("name")
    @classmethod
    def _fits(cls, name: str) -> str:
        if len(name.encode()) > 1024:
            raise ValueError("must have at most 1024 bytes of UTF-8")
        return name


class SignatureSpec(Frozen):
    """What the model takes and gives."""

    inputs: tuple[TensorSpec, ...] = Field(max_length=1024, description="what the model takes")
    outputs: tuple[TensorSpec, ...] = Field(max_length=1024, description="what the model gives")
    max_batch_size: int = Field(
        default=0, alias="maxBatchSize", ge=0, lt=2**31, description="0 = the first dimension is no batch"
    )

    @model_validator(mode="after")
    def _each_tensor_once(self) -> SignatureSpec:
        for what, tensors in (("input", self.inputs), ("output", self.outputs)):
            if doubled := _doubled(tensor.name for tensor in tensors):
                raise ValueError(f"{what} {doubled!r} is listed twice")
        return self


class ModelVersion(Frozen):
    """One immutable version of a model."""

    id: VersionId = Field(description="what callers name it by; text, so in quotes")
    framework: Word = Field(default="", description="such as onnx; placements match it")
    algorithm: Word = Field(default="", description="such as gradient-boosting; placements match it")
    artifact: Annotated[str, StringConstraints(max_length=4096)] = Field(
        default="", description="file: URI of the model file"
    )
    sha256: str = Field(
        default="", pattern=r"^([0-9a-f]{64})?$", description="digest of the artifact; another is not loaded"
    )
    signature: SignatureSpec | None = Field(default=None, description="overrides the model's")
    labels: Labels = Field(default={}, description="words that placements match")
    lineage: Options = Field(default={}, description="where it comes from: data, code, scores")

    @field_validator("artifact")
    @classmethod
    def _plain_file(cls, artifact: str) -> str:
        """What is encoded is refused, not decoded: two readers would not agree on what it means."""
        if artifact and (not _ARTIFACT.fullmatch(artifact) or _FORBIDDEN_TEXT.search(artifact)):
            raise ValueError("must be a file: URI of plain characters, without '%', '?', '#', '\\' or spaces")
        if ".." in artifact.removeprefix("file:").split("/"):
            raise ValueError("must not contain '..'")
        return artifact

    @model_validator(mode="after")
    def _digest_of_something(self) -> ModelVersion:
        if self.sha256 and not self.artifact:
            raise ValueError("sha256 is given without the artifact it is the digest of")
        return self


class ModelSpec(Frozen):
    """A logical model with its versions and aliases."""

    owner: Word = Field(default="", description="who answers for it; placements match it")
    description: Text = Field(default="", description="what it does")
    required: bool = Field(default=False, description="the server is ready only when this model is")
    signature: SignatureSpec | None = Field(default=None, description="the tensors of all versions; else the file's")
    versions: tuple[ModelVersion, ...] = Field(default=(), max_length=10_000, description="its versions")
    aliases: dict[VersionId, VersionId] = Field(default={}, max_length=1000, description="alias -> version")

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        if doubled := _doubled(version.id for version in self.versions):
            raise ValueError(f"version {doubled!r} is listed twice")
        ids = {version.id for version in self.versions}
        for alias, target in self.aliases.items():
            if target not in ids:
                raise ValueError(f"alias {alias!r} points to version {target!r}, which is not listed")
            if alias in ids:
                raise ValueError(f"{alias!r} is both an alias and a version")
        return self


class Remote(Frozen):
    """What the backend calls the model."""

    name: str = Field(default="", description="the backend's name of the model; empty = ours")
    version: str = Field(default="", description="the backend's version; empty = ours")

    @field_validator("name", "version")
    @classmethod
    def _path_segment(cls, word: str) -> str:
        """It becomes a segment of the backend's paths."""
        if not _REMOTE.fullmatch(word) or word.startswith("."):
            raise ValueError(
                "must be at most 256 characters without spaces, '/', '\\', '?', '#', '%', '@' or leading '.'"
            )
        return _no_double_dot(word)


class DeploymentSpec(Frozen):
    """One model version on one backend."""

    model: ModelRef = Field(description="model@version")
    backend: Name = Field(description="where it runs")
    remote: Remote = Field(default=Remote(), description="what the backend calls it")
    state: Literal["READY", "UNLOADED"] = Field(default="READY", description="what it shall be")

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

    framework: Word = Field(default="", description="the version's framework")
    algorithm: Word = Field(default="", description="the version's algorithm")
    owner: Word = Field(default="", description="the model's owner")
    labels: Labels = Field(default={}, description="labels of the model or the version")


class PlacementSpec(Frozen):
    """Where versions without a Deployment of their own go: the first matching rule, highest priority first."""

    match: PlacementMatch = Field(default=PlacementMatch(), description="which versions; without it all")
    backend: Name = Field(description="where they run")
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000, description="the highest that matches decides")


class Target(Frozen):
    """Where a share of a route's traffic goes."""

    to: ModelRef = Field(description="model, model@version or model@alias")
    weight: int = Field(default=1, ge=0, le=1_000_000, description="its share; 0 = none")


class Sticky(Frozen):
    """What keeps a caller on one target: `header/NAME` or `parameter/NAME`."""

    by: str = Field(
        pattern=r"^(header/[a-z0-9-]{1,64}|parameter/[A-Za-z0-9_.-]{1,128})$",
        description="header/NAME or parameter/NAME",
    )


class RouteSpec(Frozen):
    """The public name clients call. Its own name is what they call."""

    targets: tuple[Target, ...] = Field(min_length=1, max_length=64, description="who gets which share")
    sticky: Sticky | None = Field(default=None, description="keeps a caller on one target")
    timeout_ms: int | None = Field(
        default=None, alias="timeoutMs", ge=1, le=86_400_000, description="bound of one call"
    )

    @model_validator(mode="after")
    def _some_weight(self) -> RouteSpec:
        if not any(target.weight for target in self.targets):
            raise ValueError("at least one target needs a weight above 0")
        if doubled := _doubled(target.to for target in self.targets):
            raise ValueError(f"target {doubled!r} is listed twice; add up its weights")
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

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Resource:
        if not isinstance(self.spec, SPECS[self.kind]):
            # ValueError, not TypeError: pydantic turns only the former into a validation error.
            raise ValueError(f"a {self.kind} cannot have a {type(self.spec).__name__}")  # noqa: TRY004
        if self.kind in {"Model", "Route"} and self.metadata.name in RESERVED:
            raise ValueError(f"the name {self.metadata.name!r} is reserved")
        return self

    @property
    def key(self) -> tuple[Kind, str]:
        return self.kind, self.metadata.name

    def manifest(self) -> dict[str, Json]:
        """The resource as a manifest: what `export` writes and `apply` reads. Defaults are left out."""
        metadata = self.metadata.model_dump(by_alias=True, exclude_defaults=True, mode="json")
        spec = self.spec.model_dump(by_alias=True, exclude_defaults=True, mode="json")
        return {"apiVersion": API_VERSION, "kind": self.kind, "metadata": metadata, "spec": spec}

"""Paths of the REST surface, parsed by hand: bytes in, operation out. No redirects, no second spelling of a resource.

One trailing slash names the same resource, a double slash names nothing, each segment is percent-decoded once and
after splitting, so an encoded slash never makes a new segment (protocol policy 6.3).
"""

from __future__ import annotations

from enum import Enum
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from penstock_adapters.protocol.errors import NotFound

GET: Final = ("GET", "HEAD")
POST: Final = ("POST",)
GET_POST: Final = ("GET", "HEAD", "POST")

_MODELS: Final = b"/v2/models/"
_VERSIONS: Final = b"/versions/"


class Operation(Enum):
    """What a path asks for."""

    SERVER_METADATA = "server metadata"
    LIVE = "live"
    READY = "ready"
    LIST = "list models"
    STATISTICS = "statistics"
    MODEL_METADATA = "model metadata"
    MODEL_READY = "model ready"
    MODEL_CONFIG = "model config"
    INFER = "infer"
    INDEX = "repository index"
    METRICS = "metrics"
    EXTENSION = "extension"
    """A published extension that is not offered here: 501, because the path is a known one."""


class Target(msgspec.Struct, frozen=True, gc=False):
    """One resource. `version` "" = none in the path. `extension` names the feature of an EXTENSION path."""

    operation: Operation
    methods: tuple[str, ...]
    model: str = ""
    version: str = ""
    extension: str = ""


_FIXED: Final[dict[tuple[bytes, ...], Target]] = {
    (b"v2",): Target(Operation.SERVER_METADATA, GET),
    (b"v2", b"health", b"live"): Target(Operation.LIVE, GET),
    (b"v2", b"health", b"ready"): Target(Operation.READY, GET),
    (b"v2", b"models"): Target(Operation.LIST, GET),
    (b"v2", b"models", b"stats"): Target(Operation.STATISTICS, GET),
    (b"v2", b"repository", b"index"): Target(Operation.INDEX, POST),
    (b"metrics",): Target(Operation.METRICS, GET),
    (b"v2", b"trace", b"setting"): Target(Operation.EXTENSION, GET_POST, extension="trace"),
    (b"v2", b"logging"): Target(Operation.EXTENSION, GET_POST, extension="logging"),
}
_OF_A_MODEL: Final[dict[tuple[bytes, ...], Target]] = {
    (): Target(Operation.MODEL_METADATA, GET),
    (b"ready",): Target(Operation.MODEL_READY, GET),
    (b"config",): Target(Operation.MODEL_CONFIG, GET),
    (b"stats",): Target(Operation.STATISTICS, GET),
    (b"infer",): Target(Operation.INFER, POST),
    (b"generate",): Target(Operation.EXTENSION, POST, extension="generate"),
    (b"generate_stream",): Target(Operation.EXTENSION, POST, extension="generate"),
    (b"trace", b"setting"): Target(Operation.EXTENSION, GET_POST, extension="trace"),
}
_OF_SHARED_MEMORY: Final[dict[bytes, tuple[str, ...]]] = {b"status": GET, b"register": POST, b"unregister": POST}


def infer_target(path: bytes) -> tuple[str, str] | None:
    """(model, version) if `path` is an infer path, else None. The hot path: no regular expression, no list of segments."""
    if not path.startswith(_MODELS):
        return None
    if path.endswith(b"/infer"):
        middle = path[11:-6]
    elif path.endswith(b"/infer/"):
        middle = path[11:-7]
    else:
        return None
    model, versions, version = middle.partition(_VERSIONS)
    if not model or b"/" in model or b"/" in version or (versions and not version):
        return None
    return _decoded(model), _decoded(version)


def parse(path: bytes) -> Target:
    """The resource a raw path (without query) names. Raises NotFound."""
    segments = tuple(path.split(b"/"))[1:]
    if segments and not segments[-1]:
        segments = segments[:-1]
    target = _FIXED.get(segments)
    if target is None and segments[:1] == (b"v2",):
        target = _below_v2(segments[1:])
    if target is None:
        raise NotFound("path_not_found", path=path.decode("utf-8", "replace"))
    return target


def _below_v2(segments: tuple[bytes, ...]) -> Target | None:
    if b"" in segments or not segments:
        return None
    if segments[0] == b"models" and len(segments) > 1:
        return _below_model(segments[1], segments[2:])
    if segments[0] == b"repository":
        return _below_repository(segments[1:])
    if segments[0] in {b"systemsharedmemory", b"cudasharedmemory"}:
        tail = segments[3:] if segments[1:2] == (b"region",) and len(segments) == 4 else segments[1:]
        if len(tail) == 1 and (methods := _OF_SHARED_MEMORY.get(tail[0])) is not None:
            return Target(Operation.EXTENSION, methods, extension="shared memory")
    return None


def _below_model(model: bytes, tail: tuple[bytes, ...]) -> Target | None:
    version = b""
    if tail[:1] == (b"versions",) and len(tail) > 1:
        version, tail = tail[1], tail[2:]
    found = _OF_A_MODEL.get(tail)
    if found is None:
        return None
    return msgspec.structs.replace(found, model=_decoded(model), version=_decoded(version))


def _below_repository(segments: tuple[bytes, ...]) -> Target | None:
    """`[{repository}/]index` and `[{repository}/]models/{m}/load|unload`; a named repository is never offered."""
    if segments[-1:] == (b"index",) and len(segments) == 2:
        return Target(Operation.EXTENSION, POST, extension="naming a repository")
    tail = segments[1:] if len(segments) == 4 else segments
    if len(tail) == 3 and tail[0] == b"models" and tail[2] in {b"load", b"unload"}:
        what = "naming a repository" if len(segments) == 4 else "loading and unloading over the predict listener"
        return Target(Operation.EXTENSION, POST, extension=what)
    return None


def _decoded(segment: bytes) -> str:
    if b"%" in segment:
        segment = unquote_to_bytes(segment)
    return segment.decode("utf-8", "replace")

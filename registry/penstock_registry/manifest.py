"""A resource as the text that is stored, hashed and compared: its manifest as JSON with sorted keys, and back."""

from __future__ import annotations

from typing import Final

import msgspec
import orjson
from pydantic import ValidationError

from penstock_adapters.protocol.errors import Internal, InvalidArgument
from penstock_registry.kinds import KINDS, SPECS, Kind, Metadata, Resource
from penstock_registry.snapshot import Key

BODY_MAX: Final = 1 << 20
"""Bytes of one stored resource."""


class _Stored(msgspec.Struct):
    """The two parts of a stored manifest, still unparsed."""

    metadata: msgspec.Raw
    spec: msgspec.Raw


_PARTS: Final = msgspec.json.Decoder(_Stored)


def encode(resource: Resource) -> str:
    """The canonical text: equal resources give equal text. Raises InvalidArgument over BODY_MAX bytes."""
    body = orjson.dumps(resource.manifest(), option=orjson.OPT_SORT_KEYS)
    if len(body) > BODY_MAX:
        raise InvalidArgument("too_long", what=name_of(resource.key), size=len(body), limit=BODY_MAX)
    return body.decode()


def decode(kind: str, body: str, revision: int) -> Resource:
    """The resource a stored text describes. Raises Internal if it is none: a newer Penstock or somebody else wrote it."""
    known = kind_of(kind)
    try:
        parts = _PARTS.decode(body)
        metadata = Metadata.model_validate_json(bytes(parts.metadata))
        spec = SPECS[known].model_validate_json(bytes(parts.spec))
    except (msgspec.MsgspecError, ValidationError, UnicodeError) as error:
        raise Internal("registry_unreadable", kind=kind, revision=revision) from error
    # Both parts are validated values already; validating the whole again would only cost time.
    return Resource.model_construct(kind=known, metadata=metadata, spec=spec, revision=revision)


def kind_of(word: str) -> Kind:
    """The kind a stored word stands for. Raises Internal."""
    for kind in KINDS:
        if word == kind:
            return kind
    raise Internal("registry_unreadable", kind=word, revision="?")


def name_of(key: Key) -> str:
    """How a resource is named in texts: Kind/name."""
    return f"{key[0]}/{key[1]}"

"""What an admin request carries: JSON bodies, preconditions, author and reason. Everything bounded, nothing trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from penstock_adapters.protocol.errors import InvalidArgument, TooLarge, UnsupportedEncoding
from penstock_gateway.admin_problems import InvalidRequest
from penstock_gateway.explanations import FieldProblem, explain
from penstock_gateway.manifest_resources import resource_from
from penstock_gateway.manifest_text import TextError, read_json
from penstock_registry.kinds import Resource

AUTHOR_HEADER: Final = "x-penstock-author"
REASON_HEADER: Final = "x-penstock-reason"
AUTHOR_MAX: Final = 128
REASON_MAX: Final = 1024
SMALL: Final = 64 * 1024
"""Bodies up to here are parsed on the event loop; longer ones would hold up the predictions beside them."""

Model = TypeVar("Model", bound=BaseModel)


class Body(BaseModel):
    """A request body: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


SCOPE: Final = (
    "what may be deleted: `kinds` (empty = the kinds in `resources`) and a label `selector` (empty = all of them)"
)


class PruneScope(Body):
    """What `prune` may delete: resources of these kinds that the selector matches."""

    kinds: tuple[str, ...] = Field(default=(), description="kinds that may be pruned; empty = the kinds in `resources`")
    selector: str = Field(default="", max_length=1024, description="label selector; empty = all")


class ApplyBody(Body):
    """A set of manifests to bring about, all of them or none."""

    resources: list[object] = Field(max_length=200_000, description="manifests")
    prune: bool = Field(default=False, description="delete what `prune_scope` covers and `resources` does not name")
    prune_scope: PruneScope = Field(default=PruneScope(), description=SCOPE)
    dry_run: bool = Field(default=False, description="check everything and say what would happen; change nothing")
    reason: str = Field(default="", max_length=REASON_MAX, description="why; kept with the snapshot")


class DiffBody(Body):
    """A set of manifests to compare with what is stored."""

    resources: list[object] = Field(max_length=200_000, description="manifests")
    prune: bool = Field(default=False, description="list what an apply with prune would delete, too")
    prune_scope: PruneScope = Field(default=PruneScope(), description=SCOPE)


class RollbackBody(Body):
    """Make everything as it was at a snapshot; that is a new snapshot."""

    to: int = Field(ge=0, le=2**53, description="revision of the snapshot")
    reason: str = Field(default="", max_length=REASON_MAX, description="why; kept with the snapshot")


class PromoteBody(Body):
    """Let an alias of a model point to another version."""

    version: str = Field(max_length=64, description="id of the version")
    alias: str = Field(default="stable", max_length=64, description="alias to move")
    reason: str = Field(default="", max_length=REASON_MAX, description="why; kept with the snapshot")


async def json_body(request: Request, limit: int) -> object:
    """The JSON value of the body. Raises UnsupportedEncoding, TooLarge, InvalidArgument.

    Only application/json is read. A page of another site can send text/plain without asking the browser first; it
    cannot send this.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedEncoding("content_type_unsupported", found=media_type or "none")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge("body_too_large", limit=limit)
        chunks.append(chunk)
    body = b"".join(chunks)
    return _parsed(body) if size <= SMALL else await asyncio.to_thread(_parsed, body)


def _parsed(body: bytes) -> object:
    try:
        return read_json(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidArgument("json_invalid", problem="it is not UTF-8") from None
    except TextError as error:
        raise InvalidArgument("json_invalid", problem=f"line {error.line}: {error.text}") from None


def body_as(model: type[Model], value: object) -> Model:
    """`value` as a request body. Raises InvalidRequest with every problem."""
    if not isinstance(value, Mapping):
        raise InvalidRequest([FieldProblem((), "the body must be a JSON object")])
    try:
        made = model.model_validate(value)
    except ValidationError as error:
        raise InvalidRequest(explain(error, model)) from None
    reason = getattr(made, "reason", "")
    if not _printable(reason):
        raise InvalidRequest([FieldProblem(("reason",), "must be printable text")])
    return made


async def resources_of(values: list[object]) -> list[Resource]:
    """The resources of a request body. Raises InvalidRequest with every problem of every resource."""
    return _resources(values) if len(values) <= 50 else await asyncio.to_thread(_resources, values)


def _resources(values: list[object]) -> list[Resource]:
    resources: list[Resource] = []
    problems: list[FieldProblem] = []
    seen: dict[tuple[str, str], int] = {}
    for index, value in enumerate(values):
        made = resource_from(value)
        if isinstance(made, list):
            problems += [FieldProblem(("resources", index, *item.loc), item.text) for item in made]
            continue
        first = seen.setdefault(made.key, index)
        if first != index:
            text = f"{made.kind} '{made.metadata.name}' is already given as resources[{first}]"
            problems.append(FieldProblem(("resources", index), text))
        resources.append(made)
    if problems:
        raise InvalidRequest(problems)
    return resources


def author_of(request: Request) -> str:
    """Who says they make this change; "anonymous" without the header."""
    return _said(request, AUTHOR_HEADER, AUTHOR_MAX) or "anonymous"


def reason_of(request: Request) -> str:
    """Why the change is made, "" without the header."""
    return _said(request, REASON_HEADER, REASON_MAX)


def _said(request: Request, header: str, limit: int) -> str:
    try:
        # Starlette reads headers as Latin-1; the names of people are written in UTF-8.
        value = request.headers.get(header, "").encode("latin-1").decode().strip()
    except UnicodeDecodeError:
        value = "\0"
    if len(value) > limit or not _printable(value):
        raise InvalidArgument("header_invalid", name=header, expected=f"printable text of at most {limit} characters")
    return value


def _printable(text: str) -> bool:
    # NUL and lone surrogates cannot be stored; other control characters would only deceive whoever reads the log.
    return text.replace("\n", "").isprintable()


def expected_revision(request: Request) -> int | None:
    """What If-Match and If-None-Match demand: the revision it must have, 0 = it must not exist, None = anything."""
    if_match = request.headers.get("if-match")
    if_none_match = request.headers.get("if-none-match")
    if if_none_match is not None:
        if if_none_match.strip() != "*" or if_match is not None:
            raise InvalidArgument("header_invalid", name="if-none-match", expected="'*', without If-Match")
        return 0
    if if_match is None or if_match.strip() == "*":
        return None
    digits = if_match.strip().strip('"')
    if not (digits.isascii() and digits.isdigit() and 0 < len(digits) <= 16):
        raise InvalidArgument("header_invalid", name="if-match", expected='an ETag such as "12"')
    return int(digits)


def etag(revision: int) -> str:
    """The ETag of a resource at `revision`."""
    return f'"{revision}"'

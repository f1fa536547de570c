"""Every error of the admin API as a problem document (RFC 9457), with the `error` text of the table and a hint.

The statuses come from the one table, `protocol.errors.Code`; nothing here chooses a number.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import ClassVar, Final

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from penstock_adapters.protocol.errors import (
    Code,
    Internal,
    InvalidArgument,
    MethodNotAllowed,
    NotFound,
    PenstockError,
    quote,
)
from penstock_gateway.explanations import FieldProblem, path_text

MEDIA_TYPE: Final = "application/problem+json"
PROBLEMS_MAX: Final = 100
"""Problems listed in one answer; the count in its text is the full one."""

HINTS: Final[Mapping[str, str]] = {
    "resource_not_found": "GET the collection (for example /v1/models) to see what there is; names are case-sensitive",
    "snapshot_not_found": "GET /v1/snapshots lists the snapshots there are",
    "path_not_found": "GET /openapi.json, or open /docs, for every path there is",
    "method_not_allowed": "GET /openapi.json, or open /docs, for what each path offers",
    "revision_conflict": "GET the resource again, repeat your change on what you read, and send its ETag in If-Match",
    "reference_missing": "create what is referred to first, or send both in one POST /v1/apply",
    "reference_in_use": "delete or change the users first, or do both in one POST /v1/apply",
    "request_invalid": "mend each field listed in 'problems'; GET /v1/schemas/{kind} has the schema",
    "parameter_invalid": "see /docs for what each parameter takes",
    "header_invalid": "send the ETag of a GET, quotes included",
    "json_invalid": "send one JSON document in UTF-8",
    "name_invalid": "choose another metadata.name",
    "content_type_unsupported": "send the header Content-Type: application/json",
    "body_too_large": "send fewer resources at once, or raise admin_body_max_bytes",
    "host_not_allowed": "use the address itself, or add the name to the setting allowed_hosts",
    "origin_not_allowed": "call the admin API from its own pages or from a program, not from another site's page",
    "store_unavailable": "predictions go on from the last good snapshot; check the database (`penstock doctor`), then retry",
    "internal": "look for the incident in the server's log",
}
HINTS_BY_CODE: Final[Mapping[Code, str]] = {
    Code.INVALID_ARGUMENT: "mend the request; sending it again unchanged will not help",
    Code.NOT_FOUND: "check the spelling",
    Code.CONFLICT: "read the newest state and try again",
    Code.UNAVAILABLE: "try again in a moment",
    Code.INTERNAL: "look for the incident in the server's log",
}


class InvalidRequest(InvalidArgument):
    """A request with one or more wrong fields; all of them travel in `problems`."""

    code: ClassVar[Code] = Code.INVALID_ARGUMENT

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        self.problems = problems
        super().__init__("request_invalid", count=len(problems))


def problem_response(error: PenstockError) -> Response:
    """The answer for `error`: status of its code, the problem document, and Retry-After where trying again helps."""
    code = error.code
    document: dict[str, object] = {
        "type": f"urn:penstock:reason:{error.reason}",
        "title": code.name.replace("_", " ").capitalize(),
        "status": code.http,
        "detail": error.text,
        "error": error.text,
        "reason": error.reason,
        "hint": HINTS.get(error.reason) or HINTS_BY_CODE.get(code, "see the text"),
    }
    if isinstance(error, InvalidRequest):
        document["problems"] = [{"path": item.path, "text": item.text} for item in error.problems[:PROBLEMS_MAX]]
    headers = {"retry-after": "1"} if code is Code.UNAVAILABLE else {}
    return Response(orjson.dumps(document), status_code=code.http, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""

    async def known(_request: Request, error: Exception) -> Response:
        assert isinstance(error, PenstockError)
        return problem_response(error)

    async def framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem_response(_translated(request, error))

    async def parameters(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(InvalidRequest([_parameter_problem(item) for item in error.errors()]))

    async def unknown(_request: Request, error: Exception) -> Response:
        incident = secrets.token_hex(8)
        structlog.get_logger().error("admin_failed", incident=incident, exc_info=error)
        return problem_response(Internal("internal", incident=incident))

    app.add_exception_handler(PenstockError, known)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(RequestValidationError, parameters)
    app.add_exception_handler(Exception, unknown)


def _translated(request: Request, error: HTTPException) -> PenstockError:
    path = request.scope["path"]
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return MethodNotAllowed("method_not_allowed", method=request.method, allowed=allowed)
    if error.status_code == 404:
        return NotFound("path_not_found", path=path)
    return InvalidArgument("framing_invalid", problem=quote(HTTPStatus(error.status_code).phrase))


def _parameter_problem(item: Mapping[str, object]) -> FieldProblem:
    loc = item.get("loc")
    names = tuple(loc) if isinstance(loc, tuple | list) else ()
    return FieldProblem((path_text(names[1:]) or "body",), str(item.get("msg", "is not valid")))

"""The deployment and metadata API: /v1/..., on a listener of its own, documented at /docs and /openapi.json.

Reads come from the newest snapshot, writes go through the registry, and this file only puts the parts together.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from penstock_adapters.protocol.errors import PenstockError, PermissionDenied
from penstock_gateway import admin_openapi as openapi
from penstock_gateway.admin_changes import add_changes
from penstock_gateway.admin_docs import page
from penstock_gateway.admin_problems import install, problem_response
from penstock_gateway.admin_resources import add_resources, json_response
from penstock_gateway.admin_state import AdminState, Observed, RegistryProvider, Serving
from penstock_registry.kinds import KINDS

DESCRIPTION: Final = (
    "What is deployed and how it is routed. Every change is one snapshot: numbered, with author, reason and a hash that "
    "covers the one before. Errors are problem documents (RFC 9457) with `error`, `reason` and `hint`."
)
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def create_admin(
    registry: RegistryProvider,
    observed: Observed,
    serving: Serving,
    *,
    version: str,
    allowed_hosts: Sequence[str] = (),
    body_max_bytes: int = 64 << 20,
) -> FastAPI:
    """The admin application.

    registry: gives the open registry, or raises Unavailable while there is none. observed: deployment -> (state, reason).
    serving: generation and readiness of the data plane. allowed_hosts: names it answers to besides localhost and IPs.
    """
    app = FastAPI(
        title="Penstock admin API",
        summary="The deployment and metadata API",
        description=DESCRIPTION,
        version=version,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    state = AdminState(registry, observed, serving, body_max_bytes=body_max_bytes)
    router = APIRouter()
    add_resources(router, state)
    add_changes(router, state)
    _add_status(router, state, version)
    app.include_router(router)
    install(app)
    openapi.install(app)

    async def docs() -> HTMLResponse:
        return HTMLResponse(
            page(app.openapi()), headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
        )

    app.add_api_route("/docs", docs, methods=["GET"], include_in_schema=False)
    app.add_middleware(SameSite, allowed_hosts=frozenset(name.lower() for name in allowed_hosts))
    return app


def _add_status(router: APIRouter, state: AdminState, version: str) -> None:
    async def status() -> Response:
        snapshot = await state.snapshot()
        reason = state.serving.not_ready_reason
        observed = Counter(state.observed(resource.metadata.name)[0] for resource in snapshot.of("Deployment"))
        kinds = Counter(kind for kind, _ in snapshot.resources)
        return json_response(
            {
                "version": version,
                "revision": snapshot.revision,
                "generation": state.serving.generation,
                "ready": not reason,
                "reason": reason,
                "resources": {kind: kinds[kind] for kind in KINDS},
                "deployments": dict(observed),
            }
        )

    async def healthz() -> Response:
        return json_response({"status": "ok"})

    router.add_api_route(
        "/v1/status",
        status,
        methods=["GET"],
        summary="What this server serves, and whether it is ready",
        operation_id="get_status",
        tags=["server"],
        responses=openapi.answers({200: openapi.STATUS}, 503),
    )
    router.add_api_route(
        "/healthz",
        healthz,
        methods=["GET"],
        summary="The process answers; asks nothing of the database",
        operation_id="healthz",
        tags=["server"],
        responses=openapi.answers({200: openapi.HEALTH}),
    )


class SameSite:
    """Keeps pages of other sites out: a Host we are not (DNS rebinding), or an Origin that is not ours (CSRF)."""

    def __init__(self, app: ASGIApp, allowed_hosts: frozenset[str]) -> None:
        self._app = app
        self._allowed = allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refused = self._refused(scope["method"], Headers(scope=scope))
            if refused is not None:
                await problem_response(refused)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refused(self, method: str, headers: Headers) -> PenstockError | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return PermissionDenied("host_not_allowed", host=host)
        origin = headers.get("origin")
        if origin is not None and method not in SAFE_METHODS and _authority(origin) != host.lower():
            return PermissionDenied("origin_not_allowed", origin=origin)
        return None

    def _is_ours(self, host: str) -> bool:
        # A rebinding attack needs a name; an address in the Host header is always what was really called.
        name = host_name(host)
        if name == "localhost" or name in self._allowed:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _authority(origin: str) -> str:
    """Host and port of an Origin header, in lower case. "" if it is malformed."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def host_name(host: str) -> str:
    """The name or address of a Host header, without port and brackets, in lower case. "" if it is malformed."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if colon and not (port.isascii() and port.isdigit()):
        name, colon = host, ""
    name = (name if colon else host).lower()
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name

"""Write the reference pages that have one source: the tables in the code. `make test` fails while a page is out of date.

    python -m docs.generate            write the pages
    python -m docs.generate --check    say which are out of date, and end with status 1 if one is

A page is one function below and one line of PAGES.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import grpc
from docs import surface
from docs.tables import table
from tests.support.raised import raised

from penstock_adapters.protocol.errors import Code, PenstockError
from penstock_adapters.protocol.reasons import REASONS
from penstock_router.metrics import LABELSETS_MAX, Metrics

ROOT = Path(__file__).resolve().parents[1]
NOTE = "<!-- Written by docs/generate.py; change the table in the code, then run it. -->"
SITUATIONS: Final[Mapping[Code, str]] = {
    Code.INVALID_ARGUMENT: "The request is wrong. Sending it again will not help.",
    Code.UNAUTHENTICATED: "Credentials are missing or wrong.",
    Code.PERMISSION_DENIED: "These credentials may not do that.",
    Code.NOT_FOUND: "There is no such model, version, resource or path.",
    Code.METHOD_NOT_ALLOWED: "The path is right, the HTTP method is not; `Allow` lists those that are.",
    Code.REQUEST_TIMEOUT: "Headers or body arrived too slowly.",
    Code.CONFLICT: "Somebody else changed it first. Read it again, then repeat the change.",
    Code.TOO_LARGE: "A byte cap: body, JSON text, chunks.",
    Code.URI_TOO_LONG: "The request line is too long.",
    Code.UNSUPPORTED_ENCODING: "A `Content-Encoding` that is not decoded here; `Accept-Encoding` lists those that are.",
    Code.RATE_LIMITED: "Too many requests; `Retry-After` says when to come back.",
    Code.HEADERS_TOO_LARGE: "The headers are too large or too many.",
    Code.CANCELLED: "The client went away. Seen in logs and metrics only.",
    Code.INTERNAL: "The model failed, or we did. The log has the details under the incident number.",
    Code.UNIMPLEMENTED: "An extension or rpc that is not offered, here or by that backend.",
    Code.BAD_BACKEND_ANSWER: "The backend answered, but not with a usable answer.",
    Code.UNAVAILABLE: "Not now: not ready, draining, overloaded or unreachable. `Retry-After` says when to come back.",
    Code.DEADLINE_EXCEEDED: "The deadline passed, at whichever layer.",
}


def errors() -> str:
    """The statuses at both edges, and every text with its reason word."""
    statuses = {status.value[0]: status.name for status in grpc.StatusCode}
    kinds = {kind.__name__: kind.code for kind in PenstockError.__subclasses__()}
    codes = table(
        ("HTTP", "gRPC", "retryable", "when"),
        (
            (str(code.http), statuses[code.grpc], "yes" if code.retryable else "no", SITUATIONS[code])
            for code in sorted(Code, key=lambda code: code.http)
        ),
    )
    seen: dict[str, set[int]] = defaultdict(set)
    for use in raised():
        seen[use.reason].add(kinds[use.kind].http)
    reasons = table(
        ("reason", "HTTP", "text"),
        (
            (f"`{word}`", ", ".join(str(http) for http in sorted(seen[word])), text.replace("{", "‹").replace("}", "›"))
            for word, text in sorted(REASONS.items())
        ),
    )
    return f"""# Errors

Every answer that is not a success has the body `{{"error": "<text>"}}` over REST, and the same text as the status message
over gRPC. The header (over gRPC the trailing metadata) `penstock-reason` carries a word that does not change when a text
improves: test the word, show the text. Texts come from this page alone; a backend's own words never reach a caller.

## Statuses

One table decides both protocols. *Retryable* means that the same call may succeed elsewhere or later.

{codes}

## Reasons

Words in ‹ › are filled in; what a caller sent is cut to 64 characters, and control characters are shown escaped.

{reasons}
"""


def metrics() -> str:
    """Every metric with its labels."""
    families = sorted(Metrics().families(), key=lambda family: family.name)
    rows = table(
        ("metric", "type", "labels", "what it tells"),
        (
            (f"`penstock_{family.name}`", family.kind, ", ".join(f"`{label}`" for label in family.labels), family.help)
            for family in families
        ),
    )
    buckets = table(
        ("histogram", "bucket bounds, in seconds"),
        (
            (f"`penstock_{family.name}`", ", ".join(f"{bound:g}" for bound in family.bounds))
            for family in families
            if family.kind == "histogram"
        ),
    )
    return f"""# Metrics

`GET /metrics` on the REST listener, in the Prometheus text format. With `--workers N` any worker answers for all of them.
A metric has at most {LABELSETS_MAX:,} label sets; what comes after that is counted under `other`, so a flood of names costs no memory.

{rows}

## Buckets

Bounds are fixed, so that histograms of several gateways can be added up.

{buckets}
"""


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "reference/errors.md": errors,
    "reference/metrics.md": metrics,
    "reference/cli.md": surface.cli,
    "reference/settings.md": surface.settings,
    "reference/manifests.md": surface.manifests,
    "reference/admin-api.md": surface.admin_api,
}


def out_of_date() -> list[str]:
    """The pages whose file does not say what the code says."""
    stale = []
    for name, page in PAGES.items():
        path = ROOT / "docs" / name
        if not path.is_file() or path.read_text(encoding="utf-8") != written(page):
            stale.append(name)
    return stale


def written(page: Callable[[], str]) -> str:
    """The page as it stands in its file."""
    return f"{NOTE}\n{page().rstrip()}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the generated reference pages.")
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if a page is out of date")
    stale = out_of_date()
    if parser.parse_args().check:
        for name in stale:
            print(f"docs/{name} is out of date: run python -m docs.generate")
        return 1 if stale else 0
    for name in stale:
        path = ROOT / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written(PAGES[name]), encoding="utf-8")
        print(f"docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

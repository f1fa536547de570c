"""The page at /docs: every route of the OpenAPI document, as plain HTML. No script, no other server: it works offline."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
code,.m{font-family:ui-monospace,monospace}h2{margin-top:2.5rem;text-transform:capitalize}
details{border:1px solid #ddd;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}summary{cursor:pointer}
.m{display:inline-block;width:4.5rem;font-weight:600}table{border-collapse:collapse;margin:.6rem 0;width:100%}
td,th{text-align:left;border-top:1px solid #eee;padding:.25rem .8rem .25rem 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#16181b}details{border-color:#3a3d42}td,th{border-color:#2a2d31}a{color:#8ab4f8}}
"""


def page(document: Mapping[str, object]) -> str:
    """The documentation page of an OpenAPI document."""
    info = _mapping(document["info"])
    groups: dict[str, list[str]] = {}
    for path, methods in _mapping(document["paths"]).items():
        for method, operation in _mapping(methods).items():
            made = _mapping(operation)
            tags = made.get("tags")
            tag = str(tags[0]) if isinstance(tags, list) and tags else "other"
            groups.setdefault(tag, []).append(_operation(path, method, made))
    body = "".join(f"<h2>{escape(tag)}</h2>{''.join(items)}" for tag, items in groups.items())
    title = escape(str(info["title"]))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><h1>{title}</h1>'
        f"<p>{escape(str(info.get('description', '')))}</p>"
        '<p>For machines: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1), '
        "<code>/v1/schemas/{kind}</code> (JSON Schema of the manifests).</p>"
        f"{body}</body></html>"
    )


def _operation(path: str, method: str, operation: Mapping[str, object]) -> str:
    parameters = operation.get("parameters")
    rows = [_parameter(_mapping(item)) for item in parameters] if isinstance(parameters, list) else []
    content = _mapping(_mapping(operation.get("requestBody", {})).get("content", {}))
    for media_type, part in content.items():
        schema = _mapping(_mapping(part).get("schema", {})).get("$ref", "")
        rows.append(_row("body", f"{media_type}: {str(schema).rpartition('/')[2]}"))
    for status, answer in _mapping(operation["responses"]).items():
        rows.append(_row(status, str(_mapping(answer).get("description", ""))))
    return (
        f'<details><summary><span class="m">{escape(method.upper())}</span><code>{escape(path)}</code> '
        f"{escape(str(operation.get('summary', '')))}</summary><table>{''.join(rows)}</table></details>"
    )


def _parameter(parameter: Mapping[str, object]) -> str:
    return _row(f"{parameter['name']} ({parameter['in']})", str(parameter.get("description", "")))


def _row(name: str, text: str) -> str:
    return f"<tr><td><code>{escape(name)}</code></td><td>{escape(text)}</td></tr>"


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}

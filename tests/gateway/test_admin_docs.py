"""The page at /docs names every route, works without any other server, and runs no script."""

from __future__ import annotations

from penstock_gateway.admin_docs import page
from tests.support.admin import AdminServer


def test_every_route_is_on_the_page(admin: AdminServer) -> None:
    document = admin.call("GET", "/openapi.json").json
    answer = admin.call("GET", "/docs")
    text = answer.body.decode()

    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert all(f"<code>{path}</code>" in text for path in document["paths"])
    assert "<script" not in text
    assert "http://" not in text
    assert "https://" not in text


def test_what_a_document_says_is_text_not_markup() -> None:
    document = {
        "info": {"title": "<b>", "description": "<script>"},
        "paths": {"/<i>": {"get": {"summary": "<u>", "parameters": [{"name": "<p>", "in": "query"}], "responses": {}}}},
    }

    assert not [tag for tag in ("<b>", "<script>", "<i>", "<u>") if tag in page(document)]
    assert "&lt;script&gt;" in page(document)
    assert "&lt;i&gt;" in page(document)

"""What a request carries is bounded and checked before it is used."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from penstock_gateway.admin_requests import etag, expected_revision
from tests.support.admin import AdminServer
from tests.support.resources import backend


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "PUT", "path": "/", "headers": raw})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"if_match": '"12"'}, 12),
        ({"if_match": "12"}, 12),
        ({"if_match": "*"}, None),
        ({"if_none_match": "*"}, 0),
    ],
)
def test_preconditions_are_revisions(headers: dict[str, str], expected: int | None) -> None:
    assert expected_revision(request(**headers)) == expected


def test_an_etag_is_the_revision_in_quotes() -> None:
    assert expected_revision(request(if_match=etag(7))) == 7


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", (400, "json_invalid")),
        (b"{", (400, "json_invalid")),
        (b"\xff{}", (400, "json_invalid")),
        (b'{"resources": [], "resources": []}', (400, "json_invalid")),
        (b'{"resources": [NaN]}', (400, "json_invalid")),
        (b'{"resources": [' + b"9" * 5000 + b"]}", (400, "json_invalid")),
        (b"[" * 100_000, (400, "json_invalid")),
        (b'{"resources": ["\\ud800"]}', (400, "request_invalid")),
    ],
)
def test_a_body_that_is_no_json_is_400(admin: AdminServer, body: bytes, error: tuple[int, str]) -> None:
    assert admin.call("POST", "/v1/apply", body).error == error


def test_a_body_over_the_limit_is_413(small_admin: AdminServer) -> None:
    assert small_admin.call("POST", "/v1/apply", b" " * 4097).error == (413, "body_too_large")
    assert small_admin.call("POST", "/v1/apply", b'{"resources": []}'.ljust(4096)).status == 200


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_only_json_is_read(admin: AdminServer, content_type: str) -> None:
    for method, path in (
        ("PUT", "/v1/backends/b"),
        ("POST", "/v1/apply"),
        ("POST", "/v1/rollback"),
        ("POST", "/v1/diff"),
    ):
        assert admin.call(method, path, b"{}", content_type=content_type).error == (415, "content_type_unsupported")


def test_json_with_a_charset_is_json(admin: AdminServer) -> None:
    manifest = backend("b").manifest()

    assert admin.call("PUT", "/v1/backends/b", manifest, content_type="Application/JSON; charset=utf-8").status == 201


@pytest.mark.parametrize("header", ["x_penstock_author", "x_penstock_reason"])
@pytest.mark.parametrize("text", ["a\tb", "\xff", "a\xc2\x85b", "x" * 2000])
def test_who_and_why_must_be_printable_and_short(admin: AdminServer, header: str, text: str) -> None:
    answer = admin.call("PUT", "/v1/backends/b", backend("b").manifest(), **{header: text})

    assert answer.error == (400, "header_invalid")


def test_who_and_why_are_utf_8(admin: AdminServer) -> None:
    sent = "Jürgen 名".encode().decode("latin-1")

    assert admin.call("PUT", "/v1/backends/b", backend("b").manifest(), x_penstock_author=sent).status == 201
    assert admin.call("GET", "/v1/snapshots/1").json["author"] == "Jürgen 名"

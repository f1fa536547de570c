"""One tree, one table: every class a caller can meet, its statuses at both edges, and the text it shows."""

from __future__ import annotations

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_adapters.protocol import errors
from penstock_adapters.protocol.errors import QUOTE_MAX, Code, InvalidArgument, NotFound, PenstockError, quote

CLASSES = PenstockError.__subclasses__()

# Said a second time on purpose, from the specification's side: class, HTTP status, gRPC status, may another try succeed.
TABLE = [
    (errors.InvalidArgument, 400, "INVALID_ARGUMENT", False),
    (errors.Unauthenticated, 401, "UNAUTHENTICATED", False),
    (errors.PermissionDenied, 403, "PERMISSION_DENIED", False),
    (errors.NotFound, 404, "NOT_FOUND", False),
    (errors.MethodNotAllowed, 405, "UNIMPLEMENTED", False),
    (errors.RequestTimeout, 408, "DEADLINE_EXCEEDED", False),
    (errors.Conflict, 409, "ABORTED", False),
    (errors.TooLarge, 413, "RESOURCE_EXHAUSTED", False),
    (errors.UriTooLong, 414, "INVALID_ARGUMENT", False),
    (errors.UnsupportedEncoding, 415, "UNIMPLEMENTED", False),
    (errors.RateLimited, 429, "RESOURCE_EXHAUSTED", False),
    (errors.HeadersTooLarge, 431, "RESOURCE_EXHAUSTED", False),
    (errors.Cancelled, 499, "CANCELLED", False),
    (errors.Internal, 500, "INTERNAL", False),
    (errors.Unimplemented, 501, "UNIMPLEMENTED", False),
    (errors.BadBackendAnswer, 502, "INTERNAL", True),
    (errors.Unavailable, 503, "UNAVAILABLE", True),
    (errors.DeadlineExceeded, 504, "DEADLINE_EXCEEDED", False),
]


@pytest.mark.parametrize(
    ("kind", "http", "status", "retryable"), TABLE, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_class_means_the_same_at_both_edges(
    kind: type[PenstockError], http: int, status: str, *, retryable: bool
) -> None:
    error = kind("internal", incident="1")

    assert error.code.http == http
    assert error.code.grpc == grpc.StatusCode[status].value[0]
    assert error.retryable is error.code.retryable is retryable


def test_the_table_above_names_every_class_and_every_code() -> None:
    assert [row[0] for row in TABLE if row[0] not in CLASSES] == []
    assert {kind for kind, *_ in TABLE} == set(CLASSES)
    assert {kind.code for kind in CLASSES} == set(Code)
    assert len(CLASSES) == len(Code)


def test_in_the_tree_a_code_is_one_class() -> None:
    # An edge may carry more in a class of its own (the admin API lists every faulty field), under the same code.
    inside = [kind for kind in CLASSES for sub in kind.__subclasses__() if sub.__module__ == kind.__module__]
    assert inside == []


def test_no_code_is_another_ones_alias() -> None:
    assert len(Code.__members__) == len(list(Code))


def test_the_text_comes_from_the_table_and_names_what_was_asked_for() -> None:
    error = NotFound("model_not_found", model="digits")

    assert error.reason == "model_not_found"
    assert error.text == str(error) == "model 'digits' is not known; GET /v2/models lists the models there are"


def test_a_word_that_is_no_row_of_the_table_cannot_be_raised() -> None:
    with pytest.raises(KeyError):
        NotFound("no_such_word")


def test_a_field_that_the_text_needs_cannot_be_forgotten() -> None:
    with pytest.raises(KeyError):
        NotFound("model_not_found")


def test_braces_in_a_callers_words_are_not_read_as_fields() -> None:
    error = NotFound("model_not_found", model="{model.__class__}{0}")

    assert "'{model.__class__}{0}'" in error.text


def test_a_long_word_of_the_caller_is_cut() -> None:
    assert quote("x" * QUOTE_MAX) == "x" * QUOTE_MAX
    assert quote("x" * (QUOTE_MAX + 1)) == "x" * (QUOTE_MAX - 1) + "…"


@pytest.mark.parametrize(
    ("given_", "shown"),
    [("a\nb", "a\\nb"), ("\x1b[31m", "\\x1b[31m"), ("\ud800", "\\ud800"), ("größe 日本", "größe 日本"), (7, "7")],
)
def test_control_characters_are_shown_escaped(given_: object, shown: str) -> None:
    assert quote(given_) == shown


@given(st.text())
def test_whatever_is_quoted_is_short_printable_and_utf8(text: str) -> None:
    shown = quote(text)

    assert shown.isprintable()
    assert len(shown) <= QUOTE_MAX * len("\\U0010ffff")
    assert shown.encode("utf-8").decode() == shown


@given(st.text())
def test_the_text_of_an_error_is_one_line_whatever_the_caller_sent(text: str) -> None:
    error = InvalidArgument("json_invalid", problem=text)

    assert error.text.isprintable()

"""Every word and text of the table, and every place in the sources that uses a word."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from penstock_adapters.protocol.reasons import REASONS
from tests.support.raised import Raised, raised

ROWS = sorted(REASONS.items())
USES = raised()


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize(("word", "text"), ROWS, ids=[word for word, _ in ROWS])
def test_a_row_is_a_word_and_one_line_of_text(word: str, text: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]{2,39}", word)
    assert text.isprintable()
    assert text == text.strip()
    assert not text.endswith(".")
    assert all(name.isidentifier() for name in fields(text))


def test_no_two_rows_say_the_same() -> None:
    assert len(set(REASONS.values())) == len(REASONS)


@pytest.mark.parametrize("use", USES, ids=lambda use: f"{use.path}:{use.line}")
def test_a_raised_word_is_in_the_table_and_gets_the_fields_its_text_needs(use: Raised) -> None:
    assert use.reason in REASONS, f"{use.path}:{use.line}"
    if use.complete:
        assert use.fields >= fields(REASONS[use.reason]), f"{use.path}:{use.line}"


def test_the_sources_do_raise() -> None:
    assert len(USES) > 20

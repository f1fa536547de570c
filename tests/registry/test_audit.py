"""Denials are gathered, counted and bounded."""

from __future__ import annotations

from penstock_registry.audit import FLUSH_S, KEPT_MAX, WORDS_MAX, Denials


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_alike_denials_become_one_row_with_a_count() -> None:
    denials = Denials(Clock())
    for _ in range(1000):
        denials.add("eve", "write", "Model/a")
    denials.add("eve", "write", "Model/b")

    assert [(row.target, row.count, row.result) for row in denials.take()] == [
        ("Model/a", 1000, "denied"),
        ("Model/b", 1, "denied"),
    ]
    assert denials.take() == []


def test_ever_new_names_cannot_fill_memory_and_none_is_lost() -> None:
    denials = Denials(Clock())
    for number in range(3 * KEPT_MAX):
        denials.add(f"eve{number}", "write", "x" * 10_000)

    rows = denials.take()

    assert len(rows) == KEPT_MAX + 1
    assert sum(row.count for row in rows) == 3 * KEPT_MAX
    assert max(len(row.target) for row in rows) == WORDS_MAX
    assert rows[-1].author == "others"


def test_they_are_written_at_once_and_then_not_too_often() -> None:
    clock = Clock()
    denials = Denials(clock)

    assert denials.add("eve", "write", "a")
    denials.take()
    assert not denials.add("eve", "write", "a")
    clock.now += FLUSH_S
    assert denials.add("eve", "write", "a")


def test_what_could_not_be_written_is_counted_again() -> None:
    denials = Denials(Clock())
    denials.add("eve", "write", "a")
    failed = denials.take()
    denials.add("eve", "write", "a")

    denials.put_back(failed)

    assert [row.count for row in denials.take()] == [2]

"""What a bar's run brings home: rows of numbers, verdicts on them, and what a reader must know."""

from __future__ import annotations

from typing import Literal

import msgspec

from tests.bench.machine import Machine
from tests.bench.rounds import Series


class Row(msgspec.Struct, frozen=True):
    """One line of a bar's table. `spread` is (max - min) / median over the rounds; 0 = measured once."""

    what: str
    value: float
    unit: str
    spread: float = 0.0
    note: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """One promise, what was measured, and whether it is kept."""

    promise: str
    measured: float
    limit: float
    kind: Literal["at most", "at least"]
    unit: str = "×"

    @property
    def met(self) -> bool:
        return self.measured <= self.limit if self.kind == "at most" else self.measured >= self.limit


class BarResult(msgspec.Struct, frozen=True):
    """One bar of the design, measured."""

    number: int
    title: str
    method: str
    rows: tuple[Row, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    missing: tuple[str, ...] = ()
    """Contestants that could not take part, with what to do."""
    series: tuple[Series, ...] = ()
    """The raw rounds, for whoever wants to reckon differently."""


class Report(msgspec.Struct, frozen=True):
    """One run."""

    machine: Machine
    rounds: int
    quick: bool
    minutes: float
    bars: tuple[BarResult, ...]


def cpu_row(series: Series) -> Row:
    """CPU per request of a contestant, with its wall-clock rate as a note."""
    note = f"{series.median_rate:,.0f}/s, p50 {series.median_latency_us / 1e3:.2f} ms"
    return Row(series.name, series.median_us, "µs", series.spread, note)

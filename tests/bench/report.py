"""A run as people read it: tables on the terminal while it goes on, docs/performance.md when it is over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.bench.machine import Machine
from tests.bench.results import BarResult, Report, Row, Verdict

COMMAND: Final = "make bench"
INTRODUCTION: Final = f"""\
What Penstock costs, measured beside what it competes with. Written by `{COMMAND}`: do not edit. The causes of
shortfalls live in `tests/bench/shortfalls.md`."""
NO_CAUSE: Final = "The cause has not been found yet."
METHOD: Final = """\
Every number of a bar comes from one run: its contestants take turns, round after round, the first of each round being
another one, and ratios are taken within a round (the two numbers are seconds apart), then the median over the rounds.
CPU time is that of the whole process tree of the server under test (all threads, all workers), from the kernel's
accounting, before and after a fixed number of requests; wall-clock time is used only where a row says so. The load is a
closed loop. **Every answer is checked**: the backend is a fake v2 server whose answer is a function of the request (a
checksum of its tensor bytes), so a lost, swapped or changed byte is seen; one wrong or failed answer makes a run fail.
Loader and backend share one CPU, the server under test has the other to itself, unless a bar says otherwise. `±` is half
the distance between the slowest and the fastest round, as a share of the median."""


def number(value: float, unit: str) -> str:
    """A value with its unit and about three digits."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    gap = "" if unit in {"×", ""} or unit.startswith(" ") else " "
    return f"{value:,.{digits}f}{gap}{unit}"


def row_cells(row: Row) -> tuple[str, str, str, str]:
    spread = f"±{row.spread / 2:.0%}" if row.spread else ""
    return row.what, number(row.value, row.unit), spread, row.note


def verdict_cells(verdict: Verdict) -> tuple[str, str, str, str]:
    sign = "≤" if verdict.kind == "at most" else "≥"
    limit = f"{sign} {number(verdict.limit, verdict.unit)}"
    return verdict.promise, limit, number(verdict.measured, verdict.unit), "met" if verdict.met else "**not met**"


def show(bar: BarResult, console: Console) -> None:
    """One bar on the terminal."""
    table = Table(title=f"{bar.number}. {bar.title}", title_justify="left")
    for column in ("what", "measured", "spread", ""):
        table.add_column(column, justify="right" if column in {"measured", "spread"} else "left")
    for row in bar.rows:
        table.add_row(*row_cells(row))
    console.print(table)
    verdicts = Table()
    for column in ("promise", "bar", "measured", "verdict"):
        verdicts.add_column(column, justify="right" if column in {"bar", "measured"} else "left")
    for verdict in bar.verdicts:
        cells = verdict_cells(verdict)
        verdicts.add_row(*cells[:3], "[green]met" if verdict.met else "[bold red]not met")
    console.print(verdicts)
    for text in bar.missing:
        console.print(f"[yellow]took no part:[/] {text}")


def markdown(report: Report, causes: Mapping[str, str]) -> str:
    """docs/performance.md. `causes` explains promises that were not kept, by promise."""
    verdicts = [verdict for bar in report.bars for verdict in bar.verdicts]
    met = sum(verdict.met for verdict in verdicts)
    parts = [
        "# Performance",
        INTRODUCTION,
        f"**{met} of {len(verdicts)} promises are met.**",
        _table(("promise", "bar", "measured", ""), map(verdict_cells, verdicts)),
        _shortfalls(verdicts, causes),
        "## Where",
        _machine(report),
        "## How",
        METHOD,
    ]
    for bar in report.bars:
        parts += [
            f"## {bar.number}. {bar.title}",
            bar.method,
            _table(("what", "measured", "±", ""), map(row_cells, bar.rows)),
        ]
        parts += [f"Took no part: {' '.join(text.split())}" for text in bar.missing]
    return "\n\n".join(part for part in parts if part) + "\n"


def read_causes(text: str) -> dict[str, str]:
    """Cause by promise, from a file whose second-level headings are promises."""
    causes: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("## "):
            current = causes.setdefault(line[3:].strip(), [])
        else:
            current.append(line)
    return {promise: "\n".join(lines).strip() for promise, lines in causes.items()}


def unexplained(report: Report, causes: Mapping[str, str]) -> list[str]:
    """The promises that are not met and have no cause."""
    verdicts = (verdict for bar in report.bars for verdict in bar.verdicts)
    return [verdict.promise for verdict in verdicts if not verdict.met and not causes.get(verdict.promise)]


def _shortfalls(verdicts: Sequence[Verdict], causes: Mapping[str, str]) -> str:
    missed = [verdict for verdict in verdicts if not verdict.met]
    if not missed:
        return ""
    parts = ["## Shortfalls"]
    for verdict in missed:
        promise, limit, measured, _ = verdict_cells(verdict)
        parts.append(f"**{promise}: {measured}, promised {limit}.** {causes.get(promise, NO_CAUSE)}")
    return "\n\n".join(parts)


def _machine(report: Report) -> str:
    machine = report.machine
    rows = [
        ("date", machine.date),
        ("machine", f"{machine.cpu}, {machine.cores} cores, {machine.memory_gb:g} GB"),
        ("system", f"{machine.system}, Python {machine.python}"),
        ("load average before the run", f"{machine.load:g} ({_quietness(machine)})"),
        ("run", f"{report.rounds} rounds, {report.minutes:.0f} minutes{', quick' if report.quick else ''}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in machine.packages.items())),
    ]
    return _table(("", ""), rows)


def _quietness(machine: Machine) -> str:
    return "quiet" if machine.quiet else "NOT quiet: take absolute numbers with caution, ratios less so"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

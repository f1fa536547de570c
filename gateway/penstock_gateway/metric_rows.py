"""Metric families as plain rows: what is rendered, written to a file and merged over workers. Pure, but for pauses.

Rows are taken, encoded and rendered in a thread. Python lets the event loop's thread wait up to 5 ms for the
interpreter when another thread computes, so whoever works through many rows pauses often and lets it in.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from penstock_router.metrics import Buckets, Family, MetricKind, Value

SUMMED_GAUGES: Final = frozenset({"inflight"})
"""Over workers these gauges add up; every other one shows its largest value."""
PAUSE_EVERY: Final = 100
PAUSE_S: Final = 0.0001

Labels = tuple[str, ...]


class FamilyRows(msgspec.Struct):
    """One family. `values` of a counter or gauge; of a histogram `buckets`: counts per bucket (last = +Inf) and sum."""

    name: str
    kind: MetricKind
    help: str
    labels: Labels
    bounds: tuple[float, ...]
    values: dict[Labels, float]
    buckets: dict[Labels, tuple[list[int], float]]


class WorkerRows(msgspec.Struct):
    """Everything one process counted, or, folded, several that are gone (`folded` names their files)."""

    families: list[FamilyRows]
    folded: list[str] = []


def paused(items: Iterable[tuple[Labels, Value | Buckets]]) -> Iterator[tuple[Labels, Value | Buckets]]:
    """The items, with a pause now and then."""
    for index, item in enumerate(items):
        if index % PAUSE_EVERY == PAUSE_EVERY - 1:
            time.sleep(PAUSE_S)
        yield item


def taken(families: Iterable[Family[Value] | Family[Buckets]]) -> list[FamilyRows]:
    """The families' numbers now. Safe in a thread: the list of children is copied in one step of the interpreter."""
    rows = []
    for family in families:
        row = FamilyRows(family.name, family.kind, family.help, family.labels, family.bounds, {}, {})
        for labels, cell in paused(list(family.cells.items())):
            if isinstance(cell, Value):
                row.values[labels] = cell.value
            else:
                row.buckets[labels] = (list(cell.counts), cell.sum)
        rows.append(row)
    return rows


def merged(workers: Iterable[Iterable[FamilyRows]]) -> list[FamilyRows]:
    """One view over processes: counters and histograms add, gauges add or show their largest value."""
    found: dict[str, FamilyRows] = {}
    for families in workers:
        for family in families:
            sofar = found.get(family.name)
            if sofar is None:
                found[family.name] = msgspec.structs.replace(
                    family, values=dict(family.values), buckets=dict(family.buckets)
                )
            else:
                _add(sofar, family)
    return list(found.values())


def _add(into: FamilyRows, family: FamilyRows) -> None:
    adds = into.kind == "counter" or into.name in SUMMED_GAUGES
    for index, (labels, value) in enumerate(family.values.items()):
        if index % PAUSE_EVERY == PAUSE_EVERY - 1:
            time.sleep(PAUSE_S)
        before = into.values.get(labels)
        if before is None:
            into.values[labels] = value
        else:
            into.values[labels] = before + value if adds else max(before, value)
    for index, (labels, (counts, total)) in enumerate(family.buckets.items()):
        if index % PAUSE_EVERY == PAUSE_EVERY - 1:
            time.sleep(PAUSE_S)
        known = into.buckets.get(labels)
        if known is None or len(known[0]) != len(counts):
            into.buckets[labels] = (counts, total)
        else:
            into.buckets[labels] = ([a + b for a, b in zip(known[0], counts, strict=True)], known[1] + total)


def lasting(families: Iterable[FamilyRows]) -> list[FamilyRows]:
    """What outlives a process: its counters and histograms, not its gauges."""
    return [family for family in families if family.kind != "gauge"]

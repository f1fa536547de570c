from __future__ import annotations

import msgspec
import pytest

from tests.bench import report
from tests.bench.machine import facts
from tests.bench.results import BarResult, Report, Row, Verdict

MET = Verdict("REST json: Penstock / nginx", 4.2, 5.0, "at most")
MISSED = Verdict("gRPC: Penstock / naive grpc.aio proxy", 0.81, 0.65, "at most")
BAR = BarResult(
    1, "REST pass-through", "How.", (Row("nginx", 21.4, "µs", 0.1, "9/s"),), (MET, MISSED), ("haproxy: no",)
)


def made(*bars: BarResult) -> Report:
    return Report(facts(), 7, quick=False, minutes=3.0, bars=bars)


@pytest.mark.parametrize(
    ("measured", "kind", "met"),
    [(5.0, "at most", True), (5.01, "at most", False), (8.0, "at least", True), (7.9, "at least", False)],
)
def test_a_bar_is_met_on_its_own_side(measured: float, kind: str, met: bool) -> None:
    verdict = msgspec.convert(
        {"promise": "x", "measured": measured, "limit": round(measured), "kind": kind}, type=Verdict
    )

    assert verdict.met is met


def test_the_document_counts_lists_and_explains() -> None:
    text = report.markdown(made(BAR), {MISSED.promise: "Because."})

    assert "**1 of 2 promises are met.**" in text
    assert "| REST json: Penstock / nginx | ≤ 5.00× | 4.20× | met |" in text
    assert "**gRPC: Penstock / naive grpc.aio proxy: 0.81×, promised ≤ 0.65×.** Because." in text
    assert "| nginx | 21.4 µs | ±5% | 9/s |" in text
    assert "Took no part: haproxy: no" in text


def test_a_shortfall_without_a_cause_says_so() -> None:
    assert report.NO_CAUSE in report.markdown(made(BAR), {})


def test_without_a_shortfall_there_is_no_such_section() -> None:
    bar = msgspec.structs.replace(BAR, verdicts=(MET,))

    assert "Shortfalls" not in report.markdown(made(bar), {MISSED.promise: "Because."})


def test_only_missed_promises_without_a_cause_are_unexplained() -> None:
    assert report.unexplained(made(BAR), {}) == [MISSED.promise]
    assert report.unexplained(made(BAR), {MISSED.promise: "Because."}) == []


def test_causes_are_read_by_heading() -> None:
    text = "# Causes\n\nIntroduction.\n\n## One / two\n\nFirst.\nSecond.\n\n## Three\nThird.\n"

    assert report.read_causes(text) == {"One / two": "First.\nSecond.", "Three": "Third."}


def test_a_report_survives_its_raw_form() -> None:
    raw = msgspec.json.encode(made(BAR))

    assert msgspec.json.decode(raw, type=Report).bars == (BAR,)

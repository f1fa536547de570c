"""Every malformed request is refused with the status its rule says, and with our own words."""

from __future__ import annotations

from collections.abc import Sequence

from tests.corpora import VALID, Case, load
from tests.corpora.generate import cases
from tests.corpora.verdict import verdict

CASES = load()


def listed(wrong: Sequence[tuple[Case, object]]) -> str:
    return "\n".join(f"{case.name}: {case.http} {case.reason!r} expected, {found}" for case, found in wrong[:20])


def test_there_are_a_thousand_cases_of_both_carriers() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 1_000
    assert sum(case.carrier == "grpc" for case in CASES) >= 300
    assert {case.http for case in CASES} == {400, 413, 415, 501}


def test_every_case_is_refused_as_its_rule_says() -> None:
    wrong = []
    for case in CASES:
        http, reason = verdict(case)
        if http != case.http or (case.reason and reason != case.reason):
            wrong.append((case, (http, reason)))
    assert not wrong, listed(wrong)


def test_good_requests_are_not_refused() -> None:
    assert [verdict(case)[0] for case in VALID] == [200] * len(VALID)


def test_the_committed_file_is_what_the_generator_makes() -> None:
    assert cases() == CASES

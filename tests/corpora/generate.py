"""Writes `malformed.jsonl.gz`: `python -m tests.corpora.generate`. Same code, same seed, same file."""

from __future__ import annotations

from tests.corpora import PATH, Case, dump
from tests.corpora.grpc_cases import grpc_cases
from tests.corpora.rest_cases import rest_cases
from tests.corpora.verdict import verdict


def cases() -> list[Case]:
    """All cases. Mutated bodies that happen to be good are left out; what is wrong by rule states its own status."""
    found: dict[str, Case] = {}
    for case in (*rest_cases(), *grpc_cases()):
        assert case.name not in found, case.name
        http, reason = verdict(case)
        if case.http:
            assert (http, reason) == (case.http, case.reason or reason), (case, http, reason)
        elif http == 200:
            continue
        found[case.name] = case._replace(http=http)
    return list(found.values())


if __name__ == "__main__":
    written = cases()
    PATH.write_bytes(dump(written))
    print(f"{len(written)} cases, {PATH.stat().st_size} bytes")

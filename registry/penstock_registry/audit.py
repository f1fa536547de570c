"""Who tried to change what, and what came of it. Every attempt to write is a row; denials are gathered first.

A denial costs its caller nothing, so a row for each would let anybody fill the database. Alike denials are counted in
memory and written down together, by the next write or when some time has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from penstock_registry.chain import AuditRow
from penstock_registry.entries import now_text

KEPT_MAX: Final = 256
"""Different denials remembered at once; the others are counted under "others"."""
WORDS_MAX: Final = 256
FLUSH_S: Final = 10.0
OTHERS: Final = ("others", "others", "others")


class Denials:
    """Denials not yet written down. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counted: dict[tuple[str, str, str], AuditRow] = {}
        self._flushed = -FLUSH_S

    def add(self, author: str, action: str, target: str) -> bool:
        """Count one. True if it is time to write them down."""
        key = (author[:WORDS_MAX], action[:WORDS_MAX], target[:WORDS_MAX])
        if key not in self._counted and len(self._counted) >= KEPT_MAX:
            key = OTHERS
        self.put_back([AuditRow(0, now_text(), *key, expected="", found="", result="denied", before=0, after=0)])
        return self._clock() - self._flushed >= FLUSH_S

    def take(self) -> list[AuditRow]:
        """What there is to write down, in the order of the first of each; forgotten here."""
        rows, self._counted = list(self._counted.values()), {}
        self._flushed = self._clock()
        return rows

    def put_back(self, rows: list[AuditRow]) -> None:
        """Count rows that could not be written, or are new."""
        for row in rows:
            key = (row.author, row.action, row.target)
            known = self._counted.get(key)
            first, count = (known.at, known.count) if known else (row.at, 0)
            self._counted[key] = AuditRow(
                0, first, *key, expected="", found="", result="denied", before=0, after=0, count=count + row.count
            )

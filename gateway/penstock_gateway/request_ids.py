"""Request ids: the caller's own where it may be repeated in an answer and a log, else a fresh one."""

from __future__ import annotations

import os
import re
from itertools import count
from typing import Final

_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class RequestIds:
    """Unique across processes by a random prefix, within one by a counter: a UUID would cost ten times as much."""

    __slots__ = ("_count", "_prefix")

    def __init__(self) -> None:
        self._prefix = os.urandom(6).hex().encode()
        self._count = count(1)

    def answering(self, given: bytes | None) -> bytes:
        """The id to answer with (protocol policy 6.5)."""
        if given is not None and _WELL_FORMED.fullmatch(given):
            return given
        return b"%s-%x" % (self._prefix, next(self._count))

"""What one HTTP/2 peer may make us do: counts a second, sizes and times."""

from __future__ import annotations

from typing import Final

from penstock_gateway.h2_frames import ENHANCE_YOUR_CALM, ConnectionError2

STREAM_WINDOW: Final = 1 << 20
CONNECTION_WINDOW: Final = 1 << 24
BLOCK_MAX: Final = 64 * 1024
"""Bytes of one header block, over all of its CONTINUATION frames (CVE-2024-24549 and its kin)."""
CONTROL_MAX: Final = 1000
"""Frames a second that do nothing: PING, SETTINGS, PRIORITY, empty DATA, frames on streams that are over, tiny credits."""
RESETS_MAX: Final = 200
"""Streams a second that are opened and reset at once (CVE-2023-44487)."""
YOUNG_S: Final = 0.1
"""A reset within this time of the stream's beginning counts; a caller's deadline comes later."""
CREDIT_MIN: Final = 1024
"""Smaller window updates, while something waits for them, count as frames that do nothing (CVE-2019-9511)."""
PREFACE_S: Final = 10.0
BODY_GRACE_S: Final = 5.0
BODY_RATE_MIN: Final = 1024
"""Bytes a second of a request, over the whole request, once the grace is over."""
QUIET_S: Final = 60.0
"""A peer that says nothing for so long while calls run is asked whether it is there."""
GONE_S: Final = 20.0
IDLE_S: Final = 3600.0


class Bounds:
    """The counts of one connection, by the second. Raises ConnectionError2 beyond them."""

    __slots__ = ("_control", "_resets", "_second")

    def __init__(self) -> None:
        self._second = 0.0
        self._control = 0
        self._resets = 0

    def _turn(self, now: float) -> None:
        if now - self._second >= 1.0:
            self._second = now
            self._control = self._resets = 0

    def control(self, now: float) -> None:
        self._turn(now)
        self._control += 1
        if self._control > CONTROL_MAX:
            raise ConnectionError2(ENHANCE_YOUR_CALM, "frames that do nothing")

    def reset(self, now: float, opened: float) -> None:
        if now - opened >= YOUNG_S:
            return
        self._turn(now)
        self._resets += 1
        if self._resets > RESETS_MAX:
            raise ConnectionError2(ENHANCE_YOUR_CALM, "streams are opened to be reset")

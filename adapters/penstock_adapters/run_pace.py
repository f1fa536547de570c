"""Where a run of a model belongs: in a thread, or, if it is shorter than the way there and back, on the event loop.

Handing a call to a thread and back costs 40-60 µs of CPU (two futexes, two turns of the interpreter lock); a small model
runs in 5-50. So a model version that has shown, for inputs of this size, that it is done in less than SHORT_NS runs where
the request is, and everything else runs in a thread. One long run sends that size back to the threads for a while: the
loop is never held longer than one surprise. See docs/adr/0007.
"""

from __future__ import annotations

from typing import Final

SHORT_NS: Final = 100_000
"""A run this long or shorter may happen on the loop (nanoseconds of the running thread's CPU time)."""
LONG_NS: Final = 1_000_000
"""A run longer than this was a surprise on the loop, not a busy machine."""
PROOF: Final = 8
"""Short runs in a row that prove a size."""
PENALTY: Final = 64
"""Short runs in a row that a size must show again after a surprise."""


class RunPace:
    """What one model version's runs have taken, by size of input. Written by the event loop only."""

    __slots__ = ("_proof",)

    def __init__(self) -> None:
        self._proof: dict[int, int] = {}
        """Power of two of the input's bytes -> short runs in a row. At most 64 of them."""

    def short(self, input_bytes: int) -> bool:
        """Will a run on this many bytes be short?"""
        return self._proof.get(input_bytes.bit_length(), 0) >= PROOF

    def ran(self, input_bytes: int, run_ns: int) -> None:
        """A run on `input_bytes` took `run_ns` of CPU time."""
        size = input_bytes.bit_length()
        if run_ns <= SHORT_NS:
            self._proof[size] = min(self._proof.get(size, 0) + 1, PROOF)
        else:
            self._proof[size] = PROOF - PENALTY if run_ns > LONG_NS else 0

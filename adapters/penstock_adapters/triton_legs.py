"""Which leg a call to Triton takes. HTTP costs about 100 µs of CPU less; only gRPC can be stopped.

Triton goes on computing when a REST client leaves, while a gRPC deadline or cancellation frees the model at once. What
stopping saves is at most the rest of a run, so it is bought where runs are long, and not where they are over anyway.
"""

from __future__ import annotations

from typing import Final

LONG_S: Final = 0.02
"""A model whose calls take this long is called over gRPC: there its price is less than a hundredth."""
CHEAP: Final = 64 * 1024
"""Bytes of tensors up to which the price of gRPC is that; beyond, every tensor is copied, and it grows with them."""
TRANSFER: Final = 200e6
"""Bytes a second that explain a call's time without the model."""
FORGET: Final = 0.05
"""Weight of a shorter call; a longer one counts at once."""
MODELS_MAX: Final = 10_000


class LegChoice:
    """What calls of each model have taken, as one server answered them. Written by the event loop only."""

    __slots__ = ("_seen_s",)

    def __init__(self) -> None:
        self._seen_s: dict[str, float] = {}

    def worth_stopping(self, model: str, size: int, *, caller_deadline: bool) -> bool:
        """`size` is the request's bytes of tensors.

        Of a model nobody has called yet only this is known: did the caller say when it should stop?
        """
        seen_s = self._seen_s.get(model)
        if seen_s is None:
            return caller_deadline and size <= CHEAP
        return seen_s >= LONG_S * max(1.0, size / CHEAP)

    def took(self, model: str, seconds: float, size: int) -> None:
        """A call ended after `seconds`, however it ended; `size` bytes of tensors went there and back."""
        seconds = max(seconds - size / TRANSFER, 0.0)
        seen_s = self._seen_s.get(model, 0.0)
        if model not in self._seen_s and len(self._seen_s) >= MODELS_MAX:
            self._seen_s.clear()
        self._seen_s[model] = seconds if seconds >= seen_s else seen_s + (seconds - seen_s) * FORGET

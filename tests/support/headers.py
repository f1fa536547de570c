"""Request headers for tests."""

from __future__ import annotations


class Given:
    """The headers a test gives: `Given(x_user="ann")` has `x-user: ann`."""

    def __init__(self, **fields: str) -> None:
        self._fields = {name.replace("_", "-"): value for name, value in fields.items()}

    def get(self, name: str, default: str = "", /) -> str:
        return self._fields.get(name, default)

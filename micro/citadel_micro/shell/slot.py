"""Registration points in the shell for what only packages above it know, such as the venues."""

from __future__ import annotations

from typing import Generic, TypeVar

from citadel_proto.errors import InvariantError

_T = TypeVar("_T")


class Slot(Generic[_T]):
    """One registration point. It is filled when ``citadel_micro.adapters`` is imported.

    So the shell names no venue and no adapter, and a program (the daemon, a
    command, a test) selects them by one import.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._filled: _T | None = None

    def fill(self, given: _T) -> None:
        """Register this."""
        self._filled = given

    def get(self) -> _T:
        """What was registered. Raises InvariantError if nothing was."""
        if self._filled is None:
            raise InvariantError(f"nothing gives {self._what}: import citadel_micro.adapters first")
        return self._filled

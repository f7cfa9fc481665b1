"""Places in the shell for what only rooms above it know, such as the venues there are."""

from __future__ import annotations

from typing import Generic, TypeVar

from citadel_proto.errors import InvariantError

_T = TypeVar("_T")


class Slot(Generic[_T]):
    """One such place. It is filled when ``citadel_micro.adapters`` is imported.

    So the shell names no venue and no adapter, and whoever puts a program together (the daemon, a
    command, a test) says which ones there are by one import.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._filled: _T | None = None

    def fill(self, given: _T) -> None:
        """From now on, this."""
        self._filled = given

    def get(self) -> _T:
        """What was given. Raises InvariantError where nothing was."""
        if self._filled is None:
            raise InvariantError(f"nothing gives {self._what}: import citadel_micro.adapters first")
        return self._filled

"""What the page shows, as rows with versions: a viewer is sent only what changed since its last look."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

Row = dict[str, Any]

GONE_KEPT: Final = 4_000
"""Removals remembered. A viewer that missed more is sent everything."""


class Board:
    """Sections of rows by key. Time passes in versions, which only grow."""

    def __init__(self) -> None:
        self.version = 0
        self._sections: dict[str, dict[str, tuple[int, Row]]] = {}
        self._gone: deque[tuple[int, str, str]] = deque(maxlen=GONE_KEPT)
        self._forgotten = 0
        """Removals of up to this version may be forgotten."""

    def put(self, section: str, rows: Mapping[str, Row]) -> None:
        """Make these the rows of a section; those that are equal keep their version."""
        old = self._sections.setdefault(section, {})
        version = self.version + 1
        changed = False
        for key, row in rows.items():
            known = old.get(key)
            if known is None or known[1] != row:
                old[key] = (version, row)
                changed = True
        if len(old) > len(rows):
            for key in [key for key in old if key not in rows]:
                del old[key]
                if len(self._gone) == GONE_KEPT:
                    self._forgotten = self._gone[0][0]
                self._gone.append((version, section, key))
                changed = True
        if changed:
            self.version = version

    def rows(self, section: str) -> dict[str, Row]:
        """The rows of a section as they are now."""
        return {key: row for key, (_, row) in self._sections.get(section, {}).items()}

    def since(self, version: int) -> tuple[dict[str, dict[str, Row]], dict[str, list[str]]] | None:
        """Rows that changed after a version, and keys that are gone; None if that is not known.

        A key that is gone and came back is among the rows only.
        """
        if version < self._forgotten:
            return None
        rows = {
            section: changed
            for section, held in self._sections.items()
            if (changed := {key: row for key, (at, row) in held.items() if at > version})
        }
        gone: dict[str, list[str]] = {}
        for at, section, key in reversed(self._gone):
            if at <= version:
                break
            if key not in self._sections[section] and key not in gone.setdefault(section, []):
                gone[section].append(key)
        return rows, {section: keys for section, keys in gone.items() if keys}

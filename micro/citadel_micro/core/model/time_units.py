"""Times in nanoseconds that several modules share."""

from __future__ import annotations

from typing import Final

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
FAR: Final = 1 << 62
"""A time that never comes."""

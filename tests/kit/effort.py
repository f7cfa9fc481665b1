"""How much random tests try: enough to notice in the suite, much more in the campaign ``make long``."""

from __future__ import annotations

import os
from typing import Final

LONG: Final = os.environ.get("CITADEL_LONG") == "1"


def examples(suite: int, campaign: int) -> int:
    """For ``settings(max_examples=...)`` of a test whose examples cost more than most, or less."""
    return campaign if LONG else suite

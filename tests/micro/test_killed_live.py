"""A live micro that is killed at a living exchange: a short leg of ``make campaign-kills``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kill_story import Story

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.campaign  # a kill of the demo's micro, with orders at work, is in the suite
@pytest.mark.timeout(600)  # ten seconds; of the process's own, several times that beside others
def test_what_is_killed_goes_on_with_the_exchanges_book(tmp_path: Path) -> None:
    """Killed with SIGKILL at boundaries between writing and sending, then ended in order."""
    story = Story(tmp_path, seed=1, kills=3).play()
    assert story.counts["kill"] >= 3
    assert story.counts["order"] > 0

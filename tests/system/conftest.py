"""A simulator and a micro for whoever needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from process_kit import Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Bench]:
    """A simulator that runs, and a micro that can be started beside it."""
    made = Bench(tmp_path, (free_port(), free_port()))
    yield made
    made.close()

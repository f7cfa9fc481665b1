"""Fixtures for algorithms with several orders out at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ladder_kit import ladder
from script_kit import Script

from citadel_micro.core.algos import ALGORITHMS
from citadel_micro.core.algos.base import KEEP

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="module")
def _ladder() -> Iterator[None]:
    with ladder():
        yield


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> type[Script]:
    monkeypatch.setitem(ALGORITHMS, "ladder", Script)
    monkeypatch.setattr(Script, "answer", KEEP)
    return Script

"""The suite tries the same examples each time: a green run must be green again."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

CHOSEN: Final = settings()
repeating = pytest.mark.skipif(
    not CHOSEN.derandomize, reason="this campaign tries other examples each time"
)


def tried() -> list[tuple[int, str]]:
    examples: list[tuple[int, str]] = []

    @settings(max_examples=200)
    @given(st.integers(), st.text(max_size=20))
    def look(number: int, text: str) -> None:
        examples.append((number, text))

    look()
    return examples


@repeating
def test_examples_do_not_depend_on_what_was_imported_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which modules are imported by then depends on the tests that this worker was given before."""
    before = tried()
    assert len(set(before)) > 100
    file = tmp_path / "constants.py"
    file.write_text("\n".join(f"N{n} = {n}; T{n} = 'word-{n}'" for n in range(12_345, 12_445)))
    spec = importlib.util.spec_from_file_location("constants", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "constants", module)
    assert tried() == before


def test_no_profile_has_limits_of_time() -> None:
    assert CHOSEN.deadline is None
    if "HYPOTHESIS_PROFILE" not in os.environ:
        assert CHOSEN.derandomize is (
            bool(os.environ.get("CI")) or os.environ.get("CITADEL_LONG") != "1"
        )

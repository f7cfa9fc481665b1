"""The notebook on execution costs runs on an export, cell by cell, and says what the tape holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from citadel_bridge.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.filterwarnings("ignore::Warning:pandas.*")
def test_the_notebook_runs(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = repository / "docs" / "notebooks" / "execution-costs.ipynb"
    cells = json.loads(path.read_text("utf-8"))["cells"]
    monkeypatch.chdir(tmp_path)
    tape = repository / "tests" / "system" / "data" / "demo.tape"
    assert main(["export", str(tape), "--out", "tables"]) == 0
    space: dict[str, Any] = {}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []  # it is kept without what it once printed
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), space)  # noqa: S102 - ours
    orders, fills = space["orders"], space["fills"]
    assert len(orders) == 11
    assert int(space["costs"]["n"].sum()) == int((orders["fills"] > 0).sum())
    assert (space["costs"]["filled_share"] > 0).all()
    assert int(space["refused"].sum()) == int((orders["fills"] == 0).sum())
    assert set(space["markouts"].index) == set(fills["liquidity"])
    # A second after the fills the market was still recorded.
    assert space["markouts"]["after_1s_bps"].notna().all()
    assert (space["market"]["spread_bps"] > 0).all()
    assert (space["market"]["trades_a_minute"] > 0).all()

"""The example of the how-to page, run as a user's own tests are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    plugins = ("citadel_micro.pytest_plugin", "citadel_macro.pytest_plugin")
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(word for name in plugins for word in ("-p", name)),
            *words,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
    )


@pytest.mark.campaign
def test_the_example_of_the_page_passes(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "howto" / "record-and-replay.md").read_text()
    example, strategy = re.findall(
        r"```python\n(# (?:test_mine|Mine)\.py\n.*?)```", page, re.DOTALL
    )
    (tmp_path / "test_mine.py").write_text(example)
    (tmp_path / "Mine.py").write_text(strategy)
    (tmp_path / "monday.tape").symlink_to(repository / "tests" / "system" / "data" / "demo.tape")
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_the_plugins_import_nothing_heavy() -> None:
    """Every pytest run of every project of a user loads them."""
    code = (
        "import sys, citadel_micro.pytest_plugin, citadel_macro.pytest_plugin\n"
        "print(*(m for m in sys.modules))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    ).stdout.split()
    assert not {"zmq", "msgspec", "numpy", "typer", "citadel_proto", "freqtrade"} & set(out)

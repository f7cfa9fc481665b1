"""What Python's kernel makes of recordings, where the other tests have shown the compiled one's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from citadel_micro.core.marketdata import kernel

HERE = Path(__file__).resolve().parent


@pytest.mark.campaign
@pytest.mark.timeout(240)
@pytest.mark.usefixtures("shared_dir")
def test_the_other_twin_rebuilds_the_recordings_too(tmp_path: Path) -> None:
    if not kernel.COMPILED:
        pytest.skip("the compiled kernel is not in use, so the tests beside this one show it")
    tests = [
        HERE.parent / "capture" / "test_golden.py",
        HERE.parents[1] / "core" / "marketdata" / "test_sequencing.py",
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-o",
            f"cache_dir={tmp_path}",
            *map(str, tests),
        ],
        env={**os.environ, "CITADEL_KERNEL": "python"},
        cwd=HERE.parents[3],
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout

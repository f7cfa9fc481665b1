"""Which twin keeps the books."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from citadel_micro.core.marketdata import kernel

SHOW = "from citadel_micro.core.marketdata import kernel; print(kernel.COMPILED)"


def ask(choice: str, script: str = SHOW) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "CITADEL_KERNEL": choice},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_kernel_is_built_where_it_must_be() -> None:
    if os.environ.get("CITADEL_REQUIRE_KERNEL") == "1":
        assert kernel.COMPILED
    elif not kernel.COMPILED:
        pytest.skip("the compiled kernel is not built, or not asked for")


@pytest.mark.parametrize("module", ["_levels", "_book"])
def test_neither_module_counts_where_one_is_of_another_version(module: str) -> None:
    if not kernel.COMPILED:
        pytest.skip("the compiled kernel is not built, or not asked for")
    stale = f"from citadel_micro.core.marketdata import {module}; {module}.VERSION = 0; {SHOW}"
    assert ask("auto", stale).stdout.strip() == "False"
    refused = ask("compiled", stale)
    assert refused.returncode != 0
    assert "another version" in refused.stderr


def test_python_can_be_asked_for() -> None:
    assert ask("python").stdout.strip() == "False"


def test_an_unknown_choice_is_refused_with_what_is_allowed() -> None:
    refused = ask("cython")
    assert refused.returncode != 0
    assert "auto, compiled, python" in refused.stderr

"""Which twin keeps the books."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from citadel_micro.core.marketdata import kernel

SHOW = "from citadel_micro.core.marketdata import kernel; print(kernel.COMPILED)"


def ask(choice: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SHOW],
        env={**os.environ, "CITADEL_KERNEL": choice},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_kernel_is_built_where_it_must_be() -> None:
    if os.environ.get("CITADEL_REQUIRE_KERNEL") == "1":
        assert kernel.COMPILED
    elif not kernel.COMPILED:
        pytest.skip("the compiled kernel is not built, or not asked for")


def test_python_can_be_asked_for() -> None:
    assert ask("python").stdout.strip() == "False"


def test_an_unknown_choice_is_refused_with_what_is_allowed() -> None:
    refused = ask("cython")
    assert refused.returncode != 0
    assert "auto, compiled, python" in refused.stderr

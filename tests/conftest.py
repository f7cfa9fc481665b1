"""Fixtures and profiles that every test folder shares."""

from __future__ import annotations

import os
import socket
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from effort import examples
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).resolve().parents[1]

set_hypothesis_home_dir(ROOT / ".cache" / "hypothesis")
# `dev` looks for new counterexamples on every run; `ci` must give the same verdict twice.
# The suite tries as many as fit into its five minutes, `make long` several times more.
settings.register_profile("dev", deadline=None, max_examples=examples(40, 300))
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=examples(50, 300),
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is not a finding
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the workers the files that take longest first, so that none is left alone with one.

    These are the ones with a time limit of their own, then those that start the project's programs,
    then those of many tests. ``make test`` keeps xdist from another order.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    count: Counter[Path] = Counter(item.path for item in items)
    limit: Counter[Path] = Counter()
    for item in items:
        marker = item.get_closest_marker("timeout")
        if marker is not None and marker.args:
            limit[item.path] = max(limit[item.path], marker.args[0])
    programs = {ROOT / "tests" / name for name in ("macro", "system")}
    items.sort(
        key=lambda item: (
            -limit[item.path],
            item.path.parent not in programs,
            -count[item.path],
            item.path,
        )
    )


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder of recorded exchange traffic, which is not part of the repository.

    ``CITADEL_SHARED`` says where it is; the default is ``../shared`` beside the checkout. Where it
    is absent the test is skipped, or failed when ``CITADEL_REQUIRE_SHARED=1``.
    """
    folder = Path(os.environ.get("CITADEL_SHARED") or ROOT.parent / "shared").resolve()
    if folder.is_dir():
        return folder
    reason = f"no captures at {folder}; set CITADEL_SHARED to the folder that holds them"
    if os.environ.get("CITADEL_REQUIRE_SHARED") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Give loopback TCP ports that nothing listens on, a new one at each call.

    For programs that must be told a port; code under test that can bind port 0 should.
    """

    def pick() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return pick

"""Fixtures and profiles that every test folder shares."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ports
import pytest
import quick_start
import structlog
from effort import LONG, examples, take_no_constants
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir
from leftovers import forget_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

ROOT: Final = Path(__file__).resolve().parents[1]

# A shell lets what it runs in the background ignore these, and so would every program that tests start, and
# then interrupt.
for number, usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

# Kits that are scenes of tests: what they assert is told with its values, as in a test.
pytest.register_assert_rewrite("page_stage", "spot_fault_scenes")

# What we print is as wide as the terminal says, which is not what tests are about.
os.environ["COLUMNS"] = "100"

set_hypothesis_home_dir(ROOT / ".cache" / "hypothesis")
# The suite tries the same examples each time, so that what was green is green again, and so does the
# campaign in CI. `make long` by hand tries others each time, and prints how to repeat what it finds.
# A busy machine is not a finding: no profile has limits of time.
_UNHURRIED: Final = [HealthCheck.too_slow]
settings.register_profile(
    "search",
    deadline=None,
    max_examples=examples(12, 300),
    print_blob=True,
    suppress_health_check=_UNHURRIED,
)
settings.register_profile(
    "repeat",
    deadline=None,
    max_examples=examples(12, 300),
    derandomize=True,
    database=None,
    suppress_health_check=_UNHURRIED,
)
PROFILE: Final = os.environ.get("HYPOTHESIS_PROFILE") or (
    "search" if LONG and not os.environ.get("CI") else "repeat"
)
settings.load_profile(PROFILE)
if PROFILE == "repeat":
    take_no_constants()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Do not look for garbage in what lives until the end: imports, and seven thousand tests.

    It took a third of the collection, in each worker, and a second of each full collection later.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the cache of who runs it."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    quick_start.remember_environment()
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the workers the files that take longest first, so that none is left alone with one.

    These are the ones with a time limit of their own, then those that start the project's programs
    or whole micros, then those of many tests. ``make test`` keeps xdist from another order.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    count: Counter[Path] = Counter(item.path for item in items)
    limit: Counter[Path] = Counter()
    for item in items:
        marker = item.get_closest_marker("timeout")
        if marker is not None and marker.args:
            limit[item.path] = max(limit[item.path], marker.args[0])
    # One after the other: what the tests of a folder share ends with the last of them.
    slow = ("micro/shell/instruments", "micro", "system", "macro")
    programs = {ROOT / "tests" / name: -place for place, name in enumerate(slow, 1)}
    order = sorted(
        count, key=lambda path: (-limit[path], programs.get(path.parent, 0), -count[path], path)
    )
    place = {path: number for number, path in enumerate(order)}
    items.sort(key=lambda item: place[item.path])


@pytest.hookimpl(optionalhook=True)  # some environments have no xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:  # noqa: ANN401 - of xdist
    """Of ``--dist loadgroup`` keep what it is for (see there); else, xdist's own."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from campaign_order import FilesAndRandomTests  # noqa: PLC0415 - where xdist is

    return FilesAndRandomTests(config, log)


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """What a program that ran in a test's process logs is not what the next test expects to be logged."""
    loggers = [logging.getLogger(name) for name in ("", "citadel_bridge", "citadel_micro")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test fails for what it does, and not for what another has left behind when it failed."""
    failed = item.session.testsfailed
    try:
        return (yield)
    finally:
        if item.session.testsfailed > failed:
            forget_failed()


@pytest.fixture(scope="module", autouse=True)
def _nothing_left_open() -> Iterator[None]:
    """A connection, pipe or loop that a test leaves open fails its own file, and each time.

    In a ring of references it is found by the next full collection only, which is in any later test of the
    worker or in none. What lives on is not looked at again: a collection is then of what the file has made.
    """
    yield
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """The process that starts programs ends with the tests."""
    quick_start.end()


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


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Give loopback TCP ports that nothing listens on, a new one at each call.

    For programs that must be told a port; code under test that can bind port 0 should.
    """
    return ports.free_port


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """What a test has configured of the logs, and where they go, ends with it."""
    before = structlog.is_configured()
    yield
    if structlog.is_configured() and not before:
        structlog.reset_defaults()

"""Clients that know docs/reference/wire.md and nothing else trade with a real micro."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from process_kit import SYMBOL, Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIENTS: Final = Path(__file__).parent / "wire_clients"


class Wired:
    """A micro that listens to two macros, and the page that those know."""

    def __init__(self, folder: Path, repository: Path, free_port: Callable[[], int]) -> None:
        self.page = repository / "docs" / "reference" / "wire.md"
        self.modules = repository / ".cache" / "node" / "node_modules"
        self.signals = [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)]
        self.bench = Bench(folder, (free_port(), free_port()))
        self.bench.micro = self.bench.program(
            *("wired", folder / "wired", self.bench.market, "--signals", ",".join(self.signals))
        )
        self.bench.up()

    def run(self, number: int, *words: str, **environment: str) -> dict[str, Any]:
        ended = subprocess.run(
            [*words, str(self.page), self.bench.market, self.signals[number], SYMBOL],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=os.environ | environment,
        )
        assert ended.returncode == 0, ended.stderr
        seen: dict[str, Any] = json.loads(ended.stdout)
        return seen


@pytest.fixture(scope="module")
def wired(
    tmp_path_factory: pytest.TempPathFactory,
    repository: Path,
    free_port: Callable[[], int],
) -> Iterator[Wired]:
    made = Wired(tmp_path_factory.mktemp("wired"), repository, free_port)
    yield made
    made.bench.close()


def is_right(seen: dict[str, Any]) -> None:
    assert seen.pop("instance").startswith("micro-")
    assert seen == {
        "spread_is_positive": True,
        "sizes_are_positive": True,
        "filled": ["filled", "0.05000", True],
        "canceled": ["canceled", "CANCELED_BY_MACRO", "0.00000"],
        "queried": [True, "filled"],
        "holds": True,
    }


def test_a_client_of_pyzmq_and_msgpack_trades(wired: Wired) -> None:
    is_right(wired.run(0, sys.executable, str(CLIENTS / "plain_client.py")))


def test_a_client_in_node_trades(wired: Wired) -> None:
    """`make test` installs what it needs; where node is, CI requires it."""
    node = shutil.which("node")
    if node is None or not (wired.modules / "zeromq").is_dir():
        if os.environ.get("CITADEL_REQUIRE_NODE") == "1":
            pytest.fail(f"no node, or no {wired.modules}: see .ci/node")
        pytest.skip(f"needs node and what .ci/node installs in {wired.modules}")
    is_right(wired.run(1, node, str(CLIENTS / "plain_client.js"), NODE_PATH=str(wired.modules)))

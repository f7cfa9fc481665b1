"""Clients nobody here wrote, in an environment of their own: ``make clients``.

Nothing here is collected in the project's own environment, which does not have them.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from process_kit import Program
from stock_exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

collect_ignore_glob = [] if os.environ.get("CITADEL_CLIENTS") == "1" else ["test_*.py"]
_HERE = {None, "", "localhost", "127.0.0.1", "::1", b"localhost", b"127.0.0.1"}


def _watch(event: str, args: tuple[Any, ...]) -> None:
    """Refuse every connection to another machine, and every look-up of its name."""
    if event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    if host not in _HERE:
        outside.append(str(host))
        raise OSError(f"{host} is another machine")


outside: list[str] = []
if os.environ.get("CITADEL_CLIENTS") == "1":
    sys.addaudithook(_watch)


@pytest.fixture
def left() -> list[str]:
    """Other machines that were asked for during the test."""
    outside.clear()
    return outside


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One running ``citadel sim`` for all of them, with an account for each."""
    accounts = ("sdk", "futures", "python", "depth", "ours", "theirs", "hyper", "nautilus", "node")
    program = Program(
        tmp_path_factory.mktemp("exchange"),
        "sim",
        *("sim", "--port", "0", "--symbols", "BTC/USDT,ETH/USDT", "--history-days", "1"),
        *("--venues", "hyperliquid"),
        *(word for name in accounts for word in ("--account", name)),
    )
    yield Exchange(program.start())
    program.close()

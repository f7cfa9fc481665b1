"""``citadel instruments``."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from markets_kit import Exchange

from citadel_bridge.cli import main
from citadel_micro.shell.instruments.cache import Cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Served:
    """The server of another thread, so that the command can have this one's loop."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        self._thread.start()
        self._call(self.exchange.__aenter__())

    def stop(self) -> None:
        self._call(self.exchange.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)  # type: ignore[arg-type]


@pytest.fixture
def served() -> Iterator[Served]:
    server = Served()
    server.start()
    yield server
    server.stop()


def run(*arguments: str) -> int:
    return main(["instruments", *arguments], only="micro")


def test_it_prints_what_orders_use(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, folder = served.exchange.url, str(tmp_path)
    assert run("okx", "--rest-url", url, "--cache-dir", folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("okx, from ccxt ")
    assert url in lines[0]
    row = next(line for line in lines if line.startswith("BTC/USDT:USDT ")).split()
    assert row == [
        *("BTC/USDT:USDT", "BTC-USDT-SWAP", "linear", "0.1", "0.01", "0.01", "0", "0.01"),
        *("0.0002", "0.0005", "yes"),
    ]
    assert next(line for line in lines if line.startswith("OLD/USDT ")).endswith("no")
    assert lines[-1] == "1 more cannot be traded; --json gives the reasons"


def test_as_json_with_symbols_changes_and_an_old_list(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange = served.exchange
    common = ("--rest-url", exchange.url, "--cache-dir", str(tmp_path), "--json")
    assert run("kraken-spot", "--symbols", "BTC/USD,RARE/USD", *common) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["symbol"] for row in found["instruments"]] == ["BTC/USD", "RARE/USD"]
    assert (found["from"], found["problem"], found["changes"]) == ("venue", None, {})
    assert found["instruments"][0]["tick"] == "0.1"
    assert not found["instruments"][1]["active"]

    pairs = exchange.answers["/0/public/AssetPairs"]["result"]
    pairs["XXBTZUSD"]["tick_size"] = "0.01"
    assert run("kraken-spot", *common) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["changes"] == {"BTC/USD": ["tick 0.1 -> 0.01"]}

    exchange.status = 503
    assert run("kraken-spot", *common) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["from"], len(found["instruments"])) == ("disk", 4)
    assert "503" in found["problem"]
    assert "warning: this list is" in err


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("okex",), 2, "did you mean okx"),
        (("okx", "--rest-url", "127.0.0.1:9"), 2, "--rest-url"),
        (("okx", "--rest-url", "http://127.0.0.1:9"), 4, "instruments file"),
        (("okx", "--fresh-h", "-1"), 2, "fresh-h"),
        (("okx", "more"), 2, "unexpected extra argument"),
    ],
)
def test_bad_input_says_how_to_mend_it(
    arguments: tuple[str, ...],
    code: int,
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(*arguments, "--cache-dir", str(tmp_path)) == code
    assert text in capsys.readouterr().err


def test_unknown_symbols_have_the_nearest_names(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--rest-url", served.exchange.url, "--cache-dir", str(tmp_path))
    assert run("okx", "--symbols", "BTC/USDC", *common) == 2
    assert "did you mean BTC/USDT" in capsys.readouterr().err
    assert run("okx", "--symbols", "NEW/USDT", *common) == 2
    assert "no tick is given" in capsys.readouterr().err


def test_a_stored_list_that_is_fresh_is_printed_without_a_venue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], served: Served
) -> None:
    common = ("--cache-dir", str(tmp_path), "--json")
    assert run("okx", "--rest-url", served.exchange.url, *common) == 0
    capsys.readouterr()
    # The same list as okx's own, as if it had been fetched from there.
    cache = Cache(tmp_path)
    stored, _ = cache.read("okx", served.exchange.url)
    assert stored is not None
    cache.write(replace(stored, source=""))
    asked = len(served.exchange.asked)
    assert run("okx", "--symbols", "BTC/USDT", *common) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["from"], found["source"], len(served.exchange.asked)) == ("disk", None, asked)

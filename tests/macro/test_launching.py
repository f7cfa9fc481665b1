"""What is bridged, what is not, and what refuses to start."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import aiohttp
import freqtrade
import pytest
from effort import campaign
from freqtrade.commands import Arguments
from freqtrade.enums import RunMode
from freqtrade.exceptions import OperationalException
from freqtrade.exchange import Binance
from freqtrade.freqtradebot import FreqtradeBot
from freqtrade.persistence import Trade
from freqtrade.resolvers import ExchangeResolver
from freqtrade.rpc.rpc import RPC
from freqtrade.worker import Worker
from freqtrade_kit import puppet_config
from scripted_micro import ScriptedMicro

from citadel_bridge.connector import HybridConnector
from citadel_bridge.exit_codes import Exit
from citadel_macro import freqtrade_hooks as hooks
from citadel_macro import launcher
from citadel_macro.commands import FREQTRADE_COMMANDS
from citadel_macro.demo import ccxt_config
from citadel_macro.exchange import BridgeMixin
from citadel_macro.launcher import Launch, run
from citadel_macro.strategy import CitadelStrategy
from citadel_proto.errors import BadInput, InvariantError, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from freqtrade_kit import Simulator


def config_for(tmp_path: Path, port: int = 1, **over: object) -> dict[str, Any]:
    """A configuration as it is when Freqtrade builds its exchange; nothing answers its URLs."""
    exchange = {"name": "binance", "pair_whitelist": ["BTC/USDT"], "enable_ws": False}
    return {
        "exchange": exchange,
        "dry_run": False,
        "runmode": RunMode.LIVE,
        "stake_currency": "USDT",
        "strategy": "Puppet",
        "user_data_dir": tmp_path,
        "citadel": {"signals": f"tcp://127.0.0.1:{port}", "market": "tcp://127.0.0.1:1"},
        **over,
    }


def load(config: dict[str, Any], *, bot: bool = True) -> Any:  # noqa: ANN401 - stock or bridged
    return ExchangeResolver.load_exchange(
        config,
        exchange_config=deepcopy(config["exchange"]),
        validate=False,
        load_leverage_tiers=bot,
    )


def config_port(exchange: BridgeMixin) -> int:
    return int(exchange.settings.signals.rpartition(":")[2])


def test_only_trading_for_real_is_bridged(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with Launch().patched() as launch:
        for over in (
            {"dry_run": True, "runmode": RunMode.DRY_RUN},
            {"dry_run": True, "runmode": RunMode.LIVE},
            {"runmode": RunMode.BACKTEST},
            {"runmode": RunMode.HYPEROPT},
            {"runmode": RunMode.UTIL_EXCHANGE},
            {"runmode": RunMode.PLOT},
        ):
            stock = load(config_for(tmp_path, **over))
            assert type(stock) is Binance, over
            assert HybridConnector._instance is None, "no socket of ours"
        bridged = load(config_for(tmp_path, free_port()))
        assert isinstance(bridged, BridgeMixin)
        assert isinstance(bridged, Binance)
        assert type(bridged).__name__ == "BridgedBinance"
        assert HybridConnector._instance is not None
        assert CitadelStrategy().micro is bridged
        other = load(config_for(tmp_path, config_port(bridged)), bot=False)
        assert isinstance(other, BridgeMixin)
        assert CitadelStrategy().micro is bridged, "what Freqtrade's API builds replaces nothing"
        launch.close()
        assert not CitadelStrategy().micro.live
    assert HybridConnector._instance is None


def test_a_dry_run_says_that_nothing_goes_to_micro(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Launch().patched():
        load(config_for(tmp_path, dry_run=True, runmode=RunMode.DRY_RUN))
        assert caplog.text.count("no order goes to micro") == 1
        load(config_for(tmp_path, dry_run=True, runmode=RunMode.DRY_RUN), bot=False)
        load(config_for(tmp_path, runmode=RunMode.BACKTEST))
        assert caplog.text.count("no order goes to micro") == 1


def test_freqtrade_is_as_it_was_when_the_run_is_over() -> None:
    places = (
        (ExchangeResolver, "load_exchange"),
        (FreqtradeBot, "startup"),
        (FreqtradeBot, "process"),
        (FreqtradeBot, "exit_positions"),
        (FreqtradeBot, "_update_trade_after_fill"),
        (FreqtradeBot, "execute_trade_exit"),
        (FreqtradeBot, "handle_cancel_exit"),
        (FreqtradeBot, "create_stoploss_order"),
        (FreqtradeBot, "update_trade_state"),
        (Trade, "delete"),
        (Worker, "_sleep"),
        (RPC, "_rpc_force_entry"),
        (RPC, "_rpc_force_exit"),
    )
    before = [owner.__dict__[name] for owner, name in places]
    with Launch().patched():
        assert all(o.__dict__[n] is not was for (o, n), was in zip(places, before, strict=True))
    assert [owner.__dict__[name] for owner, name in places] == before


def test_keys_are_refused_before_anything_is_opened(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    config["exchange"]["key"] = "k"
    with Launch().patched() as launch:
        with pytest.raises(OperationalException, match="exchange credentials"):
            load(config)
        assert isinstance(launch.failure, BadInput)
        assert HybridConnector._instance is None


def test_an_attribute_error_in_a_constructor_is_not_a_fallback(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Freqtrade's own loader would go on with a class that is not bridged, and with live keys."""

    def broken(*_: object, **__: object) -> None:
        raise AttributeError("broken")

    monkeypatch.setattr(BridgeMixin, "additional_exchange_init", broken)
    with Launch().patched() as launch:
        with pytest.raises(AttributeError, match="broken"):
            load(config_for(tmp_path, free_port()))
        launch.close()


def test_an_exchange_that_cannot_be_built_leaves_no_thread_that_keeps_the_process(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without a network, when it has begun its websockets and cannot load the markets."""
    begun: list[bool] = []

    def nothing_answers(*_: object, **__: object) -> None:
        begun.append("ccxt_ws" in {each.name for each in threading.enumerate()})
        raise OperationalException("nothing answers")

    monkeypatch.setattr(BridgeMixin, "additional_exchange_init", nothing_answers)
    config = config_for(tmp_path, free_port())
    config["exchange"]["enable_ws"] = True
    with Launch().patched() as launch:
        with pytest.raises(OperationalException, match="nothing answers") as kept:
            load(config)
        launch.close()
    assert begun == [True]
    assert "ccxt_ws" not in {each.name for each in threading.enumerate()}, kept


@pytest.mark.parametrize("dry_run", [False, campaign(True)])
def test_an_exchange_that_does_not_answer_is_unavailable_and_no_bad_input(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    """Who supervises the bot may start it again, when the network is back. Nothing stays open."""
    begin, begun = aiohttp.ClientSession.__init__, list[aiohttp.ClientSession]()

    def beginning(session: aiohttp.ClientSession, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        begin(session, *args, **kwargs)
        begun.append(session)

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", beginning)
    nobody = f"127.0.0.1:{free_port()}"
    config = config_for(tmp_path, free_port(), dry_run=dry_run)
    config["exchange"]["ccxt_config"] = ccxt_config(f"http://{nobody}", f"ws://{nobody}")
    with Launch().patched() as launch:
        for bot in (False, True):
            assert launch.failure is None, "of one that FreqUI asks for, the bot does not end"
            with pytest.raises(OperationalException, match=launcher.NO_MARKETS):
                ExchangeResolver.load_exchange(
                    config,
                    exchange_config=deepcopy(config["exchange"]),
                    load_leverage_tiers=bot,
                )
            assert begun
            assert all(session.closed for session in begun)
        launch.close()
    assert isinstance(launch.failure, PeerUnavailable)
    assert "Binance does not say its markets" in str(launch.failure)


def test_an_exchange_that_is_not_bridged_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    monkeypatch.setattr(launcher, "bridged", lambda real, *_: real)
    with Launch().patched() as launch:
        with pytest.raises(OperationalException, match="not bridged"):
            load(config_for(tmp_path, free_port()))
        assert isinstance(launch.failure, InvariantError)
        launch.close()


def test_a_port_in_use_says_which(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Launch().patched() as launch:
            with pytest.raises(OperationalException, match=str(port)):
                load(config_for(tmp_path, port))
            assert isinstance(launch.failure, PeerUnavailable)
            launch.close()


def test_another_freqtrade_is_said_and_one_with_other_insides_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert hooks.check_version() == ""
    monkeypatch.setattr(freqtrade, "__version__", "2027.1")
    assert hooks.check_version().startswith("Freqtrade 2027.1 is not the version")
    monkeypatch.delattr(FreqtradeBot, "handle_cancel_exit")
    with pytest.raises(
        BadInput, match=r"2027\.1 has no FreqtradeBot\.handle_cancel_exit"
    ) as refused:
        run(["trade", "--help"])
    assert 'pip install "freqtrade==2026.9"' in str(refused.value)


def test_every_command_that_is_passed_on_is_one_of_freqtrades() -> None:
    parser = Arguments(["--help"])
    parser._build_subcommands()
    (actions,) = parser.parser._subparsers._group_actions  # type: ignore[union-attr]
    theirs = set(actions.choices or ())
    assert {name for name, _ in FREQTRADE_COMMANDS} == theirs


def macro(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "citadel_macro", *words],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


def test_a_wrong_section_ends_with_the_exit_code_of_bad_input(tmp_path: Path) -> None:
    config = {
        "exchange": {"name": "binance", "pair_whitelist": ["BTC/USDT"], "secret": "hunter2"},
        "dry_run": False,
        "stake_currency": "USDT",
        "stake_amount": 10,
        "max_open_trades": 1,
        "timeframe": "1m",
        "strategy": "CitadelSample",
        "pairlists": [{"method": "StaticPairList"}],
        "entry_pricing": {"price_side": "same", "use_order_book": True, "order_book_top": 1},
        "exit_pricing": {"price_side": "same", "use_order_book": True, "order_book_top": 1},
        "user_data_dir": str(tmp_path),
        "db_url": f"sqlite:///{tmp_path}/t.sqlite",
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    done = macro("trade", "-c", str(path))
    assert done.returncode == Exit.BAD_INPUT
    assert "macro's configuration holds exchange credentials: exchange.secret" in done.stderr
    assert "fix: remove them here" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.campaign
def test_a_configuration_error_of_freqtrades_is_no_success(tmp_path: Path) -> None:
    done = macro("trade", "-c", str(tmp_path / "absent.json"))
    assert done.returncode == Exit.BAD_INPUT
    assert launcher.run(["trade", "--no-such-option"]) == Exit.BAD_INPUT
    assert launcher.run(["trade", "--help"]) == Exit.OK


@pytest.mark.campaign
def test_freqtrade_waits_for_a_micro_that_is_absent(
    simulator: Simulator, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    signals, market = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    path, log = tmp_path / "config.json", tmp_path / "log"
    path.write_text(json.dumps(puppet_config(simulator, tmp_path, signals, market)))

    def said(text: str) -> bool:
        return text in " ".join(log.read_text().split())

    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "citadel_macro", "trade", "-c", str(path)],
            stdout=out,
            stderr=out,
        )
    try:
        until(lambda: said(f"Waiting for micro at {market}"), process)
        quotes = simulator.quotes()
        with ScriptedMicro(signals=signals, market=market, quotes=lambda: quotes):
            until(lambda: said("micro answered after"), process)
            until(lambda: said("Changing state to: RUNNING"), process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == Exit.INTERRUPTED
    finally:
        process.kill()
        process.wait()


@pytest.mark.campaign
def test_a_venue_that_micro_does_not_have_is_said(
    simulator: Simulator, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    signals, market = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    path, log = tmp_path / "config.json", tmp_path / "log"
    config = puppet_config(simulator, tmp_path, signals, market)
    config["citadel"]["venue"] = "binance-futures"
    path.write_text(json.dumps(config))
    quotes = simulator.quotes()
    with (
        log.open("w") as out,
        ScriptedMicro(signals=signals, market=market, quotes=lambda: quotes) as micro,
    ):
        micro.totals.clear()
        process = subprocess.Popen(
            [sys.executable, "-m", "citadel_macro", "trade", "-c", str(path)],
            stdout=out,
            stderr=out,
        )
        try:

            def said() -> str:
                return " ".join(log.read_text().split())

            until(lambda: "no venue 'binance-futures', only binance-spot" in said(), process)
            assert "set citadel.venue = 'binance-spot'" in said()
            assert "Start it with" not in said()
        finally:
            process.kill()
            process.wait()


def until(what: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert process.poll() is None, "Freqtrade has ended"
        assert time.monotonic() < deadline
        time.sleep(0.1)

"""What a person asks by hand and micro refuses is answered with micro's reason."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
import urllib.error
import urllib.request
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from freqtrade.enums import SignalDirection, State
from freqtrade.persistence import Trade
from freqtrade.rpc.api_server import ApiServer
from freqtrade.rpc.rpc import RPC, RPCException
from freqtrade.rpc.telegram import Telegram
from freqtrade_kit import running, unlock
from scripted_orders import Script

from citadel_macro import ui_access

if TYPE_CHECKING:
    from collections.abc import Iterator

    from freqtrade_kit import Rig, Simulator


@pytest.fixture(scope="module")
def rig(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory, signals_port: int
) -> Iterator[Rig]:
    api = {
        "enabled": True,
        "listen_ip_address": "127.0.0.1",
        "listen_port": signals_port + 1,
        "verbosity": "error",
        "CORS_origins": [],
    }
    folder = tmp_path_factory.mktemp("hand")
    over: dict[str, Any] = {"api_server": api, "force_entry_enable": True}
    loops: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop

    def remembered() -> asyncio.AbstractEventLoop:
        loops.append(make())
        return loops[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", remembered)
        with running(simulator, folder, signals_port, **over) as rig:
            rig.until(lambda: rig.bot.state == State.RUNNING)
            yield rig
        ApiServer.shutdown()  # type: ignore[no-untyped-call]
    for loop in loops:
        loop.close()  # Freqtrade leaves its server's to the collector


@pytest.fixture(autouse=True)
def _fresh(rig: Rig) -> Iterator[None]:
    yield
    rig.micro.scripts.clear()
    rig.strategy.enter, rig.strategy.leave = set(), set()
    unlock(*rig.quotes)


def post(rig: Rig, path: str, **body: object) -> tuple[int, str]:
    """Status and text of a call of the real REST server."""
    port = rig.config["api_server"]["listen_port"]
    made = json.loads((rig.folder / ui_access.FILE).read_text())["api_server"]
    word = f"{made['username']}:{made['password']}"
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/{path}",
        json.dumps(body).encode(),
        {
            "Content-Type": "application/json",
            "Authorization": "Basic " + base64.b64encode(word.encode()).decode(),
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def entered(rig: Rig, pair: str) -> Any:  # noqa: ANN401 - a Trade
    rig.strategy.enter = {pair}
    rig.until(lambda: rig.trade(pair) and rig.trade(pair).has_open_position)
    rig.strategy.enter = set()
    return rig.trade(pair)


def test_a_refused_entry_answers_with_the_gates_reason(rig: Rig) -> None:
    rig.micro.scripts["ETH/USDT", "buy"] = Script(reject="MAX_POSITION")
    status, text = post(rig, "forceenter", pair="ETH/USDT", side="long")
    assert status == 502, text
    assert "MAX_POSITION (scripted)" in text
    rig.micro.scripts.clear()
    unlock("ETH/USDT")
    status, text = post(rig, "forceenter", pair="ETH/USDT", side="long")
    assert status == 200, text


@pytest.mark.parametrize("code", ["MIN_NOTIONAL", "INSUFFICIENT_FUNDS"])
def test_a_refused_exit_answers_with_the_gates_reason(rig: Rig, code: str) -> None:
    trade = rig.trade("BTC/USDT") or entered(rig, "BTC/USDT")
    rig.micro.scripts["BTC/USDT", "sell"] = Script(reject=code)
    status, text = post(rig, "forceexit", tradeid=str(trade.id))
    assert status == 502, text
    assert f"{code} (scripted)" in text, "Freqtrade says nothing of missing funds by itself"
    assert rig.trade("BTC/USDT").is_open


def test_one_refusal_does_not_keep_the_other_trades_from_leaving(rig: Rig) -> None:
    first = rig.trade("BTC/USDT") or entered(rig, "BTC/USDT")
    entered(rig, "SOL/USDT")
    rig.micro.scripts["BTC/USDT", "sell"] = Script(reject="MIN_NOTIONAL")
    status, text = post(rig, "forceexit", tradeid="all")
    assert status == 502, text
    assert f"trade {first.id} (BTC/USDT): micro rejected sell" in text
    rig.until(lambda: rig.trade("SOL/USDT") is None)
    assert rig.trade("BTC/USDT") is not None
    rig.micro.scripts.clear()
    status, text = post(rig, "forceexit", tradeid="all")
    assert status == 200, text
    rig.until(lambda: rig.trade("BTC/USDT") is None)


def test_the_loop_sees_what_a_person_did_while_it_held_the_trade(rig: Rig) -> None:
    """Else it takes the fill of her exit for a sale by others."""
    trade = rig.trade("BTC/USDT") or entered(rig, "BTC/USDT")
    assert not any(order.ft_order_side == "sell" for order in trade.orders)
    rig.micro.scripts["BTC/USDT", "sell"] = Script(fraction="0")
    status, text = post(rig, "forceexit", tradeid=str(trade.id))
    assert status == 200, text
    with rig.bot._exit_lock:
        (open_trade,) = [each for each in Trade.get_open_trades() if each.pair == "BTC/USDT"]
        assert [order.ft_order_side for order in open_trade.open_orders] == ["sell"]
    rig.micro.scripts.clear()


def test_telegram_can_show_the_reason(rig: Rig) -> None:
    """Its parsers reject a lone underscore in Markdown and a loose bracket in HTML."""
    rpc = RPC(rig.bot)
    said: list[str] = []

    async def send(text: str, *_: object, **__: object) -> None:
        said.append(text)

    telegram: Any = SimpleNamespace(_rpc=rpc, _send_msg=send)
    rig.micro.scripts["DOGE/USDT", "buy"] = Script(reject="A<B_C")
    asyncio.run(Telegram._force_enter_action(telegram, "DOGE/USDT", None, SignalDirection.LONG))
    assert "A&lt;B_C (scripted)" in said.pop()

    unlock("XRP/USDT")
    trade = entered(rig, "XRP/USDT")
    rig.micro.scripts["XRP/USDT", "sell"] = Script(reject="MIN_NOTIONAL")
    asyncio.run(Telegram._force_exit_action(telegram, str(trade.id)))
    assert r"MIN\_NOTIONAL (scripted)" in said.pop()


def test_an_entry_by_hand_during_a_reconciliation_is_no_orphan(rig: Rig) -> None:
    """It is sent before it is in the database: in between nobody may look for orphans."""
    pair = "DOGE/USDT"
    rig.micro.scripts[pair, "buy"] = Script(fraction="0")
    sent, answers = threading.Event(), []
    original = rig.exchange.create_order

    def slow(**kwargs: Any) -> Any:  # noqa: ANN401 - Freqtrade's
        order = original(**kwargs)
        sent.set()
        time.sleep(0.5)
        return order

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rig.exchange, "create_order", slow)
        person = threading.Thread(
            target=lambda: answers.append(post(rig, "forceenter", pair=pair, side="long"))
        )
        person.start()
        assert sent.wait(60)
        rig.exchange.reconcile_due = True
        rig.step()
        person.join()
    assert answers[0][0] == 200, answers
    signal = rig.micro.signals_of(pair, "buy")[-1]
    assert rig.micro.parents[signal.signal_id].status == "working"
    assert rig.trade(pair).orders[0].order_id == signal.signal_id


def test_a_reload_serves_again_at_the_same_port_with_the_same_password(rig: Rig) -> None:
    status, text = post(rig, "reload_config")
    assert status == 200, text
    rig.until(lambda: rig.state == State.RUNNING and rig.bot.state == State.RUNNING)
    rig.worker._throttle_secs = 0.1
    status, text = post(rig, "reload_config")
    assert status == 200, text
    rig.until(lambda: rig.state == State.RUNNING and rig.bot.state == State.RUNNING)
    rig.worker._throttle_secs = 0.1


def test_micro_gone_is_an_answer_too(rig: Rig) -> None:
    rig.micro.stop()
    deadline = time.monotonic() + 60
    while rig.exchange.link.alive():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    status, text = post(rig, "forceenter", pair="ADA/USDT", side="long")
    assert status == 502, text
    assert "was not sent: no heartbeat of micro" in text
    with pytest.raises(RPCException, match="was not sent"):
        RPC(rig.bot)._rpc_force_entry("ADA/USDT", None)
    rig.restart_micro()


def test_a_bot_that_was_stopped_trades_again_after_a_start(rig: Rig) -> None:
    """Whichever thread asks, and however long the pauses of its loop are."""
    throttle = rig.worker._throttle_secs
    rig.worker._throttle_secs = 100
    began = time.monotonic()
    try:
        for path, state in (
            ("stop", State.STOPPED),
            ("start", State.RUNNING),
            ("pause", State.PAUSED),
            ("start", State.RUNNING),
        ):
            status, text = post(rig, path)
            assert status == 200, text
            rig.step()
            assert rig.state == state
    finally:
        rig.worker._throttle_secs = throttle
    assert time.monotonic() - began < 90, "not one of the pauses was ended"
    entered(rig, "ETH/USDT")
    before = rig.bot
    status, text = post(rig, "reload_config")
    assert status == 200, text
    rig.step()
    assert rig.bot is not before
    assert rig.bot._exit_lock is before._exit_lock
    rig.until(lambda: rig.state == State.RUNNING)
    status, text = post(rig, "forceexit", tradeid=str(rig.trade("ETH/USDT").id))
    assert status == 200, text
    rig.until(lambda: rig.trade("ETH/USDT") is None)


def test_what_others_trade_while_the_loop_turns_is_in_the_wallet_when_it_pauses(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their report has been looked at by then, and ends no pause any more."""
    link, wallets, analyze = rig.exchange.link, rig.bot.wallets, rig.strategy.analyze
    rig.step()
    before = link.balances()
    assert before is not None
    after = tuple(
        msgspec.structs.replace(row, total="4321", free="4321") if row.currency == "USDT" else row
        for row in before
    )
    rows = [before]
    monkeypatch.setattr(link, "balances", lambda: rows[-1])

    def meanwhile(pairs: list[str]) -> None:
        analyze(pairs)
        rows.append(after)

    monkeypatch.setattr(rig.strategy, "analyze", meanwhile)
    rig.step()
    assert wallets.get_total("USDT") == 4321

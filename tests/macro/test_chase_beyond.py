"""How far an order may go beyond Freqtrade's rate: its own prices, and those of others."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from freqtrade.enums import State
from freqtrade.rpc.rpc import RPC
from freqtrade_kit import running
from scripted_orders import Script

from citadel_macro.config import settings_of
from citadel_macro.pricing import PARAM, in_words, payable_bps
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from freqtrade_kit import Rig, Simulator

SAME = {"price_side": "same", "use_order_book": True, "order_book_top": 1}


@pytest.fixture(scope="module")
def rig(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory, signals_port: int
) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("beyond")
    over: dict[str, Any] = {
        "entry_pricing": SAME,
        "exit_pricing": SAME,
        "force_entry_enable": True,
    }
    with running(simulator, folder, signals_port, **over) as rig:
        rig.until(lambda: rig.bot.state == State.RUNNING)
        yield rig


@pytest.fixture(autouse=True)
def _loose_strings(rig: Rig) -> Iterator[None]:
    yield
    rig.strategy.enter, rig.strategy.leave = set(), set()


def test_entries_and_exits_at_freqtrades_rate_may_follow_the_market(rig: Rig) -> None:
    pair = "BTC/USDT"
    rig.strategy.enter = {pair}
    rig.until(lambda: rig.trade(pair))
    rig.strategy.enter, rig.strategy.leave = set(), {pair}
    rig.until(lambda: rig.trade(pair, is_open=False))
    for side in ("buy", "sell"):
        (signal,) = rig.micro.signals_of(pair, side)
        assert signal.algo == "auto"
        assert signal.params[PARAM] == 10.0
        assert signal.limit_price is not None, "where it starts"


def test_a_price_of_the_strategy_is_a_hard_limit(rig: Rig) -> None:
    pair = "ETH/USDT"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            rig.strategy,
            "custom_entry_price",
            lambda proposed_rate, **_: proposed_rate * 0.999,
            raising=False,
        )
        rig.strategy.enter = {pair}
        rig.until(lambda: rig.trade(pair))
    (signal,) = rig.micro.signals_of(pair, "buy")
    assert PARAM not in signal.params


def test_the_strategy_may_say_how_far(rig: Rig) -> None:
    pair = "SOL/USDT"
    rig.exchange.execution(pair, chase_beyond_bps=2.5)
    rig.strategy.enter = {pair}
    rig.until(lambda: rig.trade(pair))
    (signal,) = rig.micro.signals_of(pair, "buy")
    assert signal.params[PARAM] == 2.5


def test_a_price_by_hand_is_a_hard_limit_and_none_is_not(rig: Rig) -> None:
    rpc = RPC(rig.bot)
    rig.micro.scripts["XRP/USDT", "buy"] = Script(fraction="0")
    bid, _ = rig.quotes["XRP/USDT"]
    rpc._rpc_force_entry("XRP/USDT", round(bid * 0.99, 4))
    (signal,) = rig.micro.signals_of("XRP/USDT", "buy")
    assert PARAM not in signal.params
    rpc._rpc_force_entry("DOGE/USDT", None)
    (signal,) = rig.micro.signals_of("DOGE/USDT", "buy")
    assert signal.params[PARAM] == 10.0


def test_it_goes_no_further_than_the_wallet_can_pay() -> None:
    assert payable_bps(Decimal(1_001), Decimal(1_000)) == 10
    assert payable_bps(Decimal("1000.0049"), Decimal(1_000)) == Decimal("0.04")
    assert payable_bps(Decimal(999), Decimal(1_000)) == 0
    assert payable_bps(Decimal(1_000), Decimal(0)) == 0


def test_the_log_says_what_the_pricing_comes_to(caplog: pytest.LogCaptureFixture) -> None:
    base: dict[str, Any] = {
        "exchange": {"name": "binance"},
        "entry_pricing": {"price_side": "same"},
        "exit_pricing": {"price_side": "other"},
    }
    caplog.set_level(logging.INFO)
    text = in_words(base, settings_of(base))
    assert "entries start at the near touch (a buy at the bid)" in text
    assert "exits start at the far touch (a sell at the bid)" in text
    assert "up to 10 bps beyond" in text
    still = base | {"citadel": {"chase_beyond_bps": 0}}
    assert "they stay behind" in in_words(still, settings_of(still))
    other = base | {"citadel": {"algo": "limit"}}
    assert "limit works them" in in_words(other, settings_of(other))


@pytest.mark.parametrize("value", [-1, 1_001, "far"])
def test_an_impossible_reach_is_refused(value: object) -> None:
    with pytest.raises(BadInput, match="chase_beyond_bps"):
        settings_of({"exchange": {"name": "binance"}, "citadel": {"chase_beyond_bps": value}})

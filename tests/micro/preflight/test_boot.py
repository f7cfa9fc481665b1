"""A live run is stopped before its first order: by its key file, or by what its venue says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from key_kit import KEY_SECRET, hmac_text, write_key
from live_kit import live_file
from preflight_kit import FACTS, RIGHTS, RULES, SYMBOL, ToldInspector

from citadel_bridge.exit_codes import Exit, exit_of
from citadel_micro.preflight.boot import ask_watchdog, clear_to_trade, read_keys
from citadel_micro.shell.config.config import load
from citadel_proto.errors import BadInput, CitadelError, PeerUnavailable, Refused

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from citadel_micro.preflight.checks import Check
    from citadel_micro.shell.account_facts import AccountFacts
    from citadel_micro.shell.config.config import MicroConfig


class Orders:
    """As ``shell.order_adapter.OrderAdapters``, with this inspector; makes nothing."""

    account = ""

    def __init__(self, told: AccountFacts | Exception) -> None:
        self.told = ToldInspector(told)

    def inspector(self, venue: str) -> ToldInspector:
        assert venue == "binance-spot"
        return self.told


def clear(
    config: MicroConfig,
    told: AccountFacts | Exception,
    old: Collection[tuple[str, str]] = (),
) -> Orders:
    orders = Orders(told)
    instruments = {("binance-spot", "BTC/USDT"): RULES}
    asyncio.run(
        clear_to_trade(
            orders,  # type: ignore[arg-type]  # makes nothing
            config,
            read_keys(config),
            instruments,
            lambda: 5,
            old=old,
        )
    )
    return orders


def test_a_run_that_resumes_another_starts_though_a_symbol_is_closed(config: MicroConfig) -> None:
    closed = replace(FACTS, symbols={"BTC/USDT": replace(SYMBOL, tradable=False)})
    with pytest.raises(Refused, match="cannot be traded"):
        clear(config, closed)
    clear(config, closed, old=[("binance-spot", "BTC/USDT")])
    with pytest.raises(Refused, match="cannot be traded"):
        clear(config, closed, old=[("okx", "BTC/USDT"), ("binance-spot", "ETH/USDT")])


@pytest.fixture
def config(tmp_path: Path) -> MicroConfig:
    return load(live_file(tmp_path, venue="symbols = ['BTC/USDT']"))


def test_a_good_account_may_trade(config: MicroConfig) -> None:
    orders = clear(config, FACTS)
    (query,) = orders.told.asked
    assert query.instruments == {"BTC/USDT": RULES}
    assert query.key.secret.reveal() == KEY_SECRET


def test_on_paper_nobody_is_asked(tmp_path: Path) -> None:
    config = load(live_file(tmp_path), overrides={"mode": "paper"})
    assert read_keys(config) == {}
    assert clear(config, FACTS).told.asked == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"account": "1"}, "the key is of account 1"),
        ({"clock_offset_ns": 10**10}, "10000.0 ms"),
        ({"may_trade": False}, "may not trade now"),
        ({"rights": replace(RIGHTS, trade=False)}, "the key may not trade"),
        ({"rights": replace(RIGHTS, withdraw=True)}, "withdrawals"),
        ({"rights": replace(RIGHTS, transfer=True)}, "transfers"),
        ({"rights": replace(RIGHTS, failed="no answer")}, "could not be read"),
        ({"symbols": {}}, "no such symbol"),
        ({"hedge_mode": True}, "hedge mode"),
        ({"multi_asset_mode": True}, "multi-asset mode"),
    ],
)
def test_what_refuses_a_start(config: MicroConfig, changes: dict[str, object], says: str) -> None:
    with pytest.raises(Refused, match="no order was sent") as caught:
        clear(config, replace(FACTS, **changes))  # type: ignore[arg-type]  # of any field
    assert says in str(caught.value)
    assert "fix:" in str(caught.value)
    assert exit_of(caught.value) is Exit.REFUSED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("the venue does not take the key"), Exit.BAD_INPUT),
        (PeerUnavailable("no answer"), Exit.UNAVAILABLE),
    ],
)
def test_a_venue_that_does_not_answer_or_take_the_key(
    config: MicroConfig, error: CitadelError, code: Exit
) -> None:
    with pytest.raises(type(error)) as caught:
        clear(config, error)
    assert exit_of(caught.value) is code


@pytest.mark.parametrize(
    ("of_key", "says"),
    [
        ({"venue": "okx"}, "of venue okx"),
        ({"network": "mainnet"}, "of network mainnet"),
        ({"account": "1"}, "of account 1"),
    ],
)
def test_a_key_of_something_else(tmp_path: Path, of_key: dict[str, str], says: str) -> None:
    config = load(live_file(tmp_path))
    write_key(tmp_path / "keys", hmac_text(**of_key))
    with pytest.raises(BadInput, match=says):
        read_keys(config)


@pytest.mark.parametrize(
    ("of_key", "says"),
    [
        ({"account": "1", "id": "b" * 64}, "the watchdog's key is of account 1"),
        ({"network": "demo", "id": "b" * 64}, "(demo)"),
        ({}, "the one that micro trades with"),
    ],
)
def test_a_watchdog_key_that_does_not_do(tmp_path: Path, of_key: dict[str, str], says: str) -> None:
    second = write_key(tmp_path / "keys", hmac_text(**of_key), name="watchdog.toml")
    config = load(live_file(tmp_path, venue=f"watchdog_key_file = '{second}'"))
    with pytest.raises(BadInput) as caught:
        watchdog(config, FACTS)
    assert says in str(caught.value)


def test_what_the_watchdogs_key_may_do_is_shown_apart(tmp_path: Path) -> None:
    second = write_key(tmp_path / "keys", hmac_text(id="b" * 64), name="watchdog.toml")
    config = load(live_file(tmp_path, venue=f"watchdog_key_file = '{second}'"))
    found = {each.name: each.verdict for each in watchdog(config, FACTS)}
    assert found == {
        "watchdog: account": "ok",
        "watchdog: permission to trade": "ok",
        "watchdog: withdrawals": "ok",
        "watchdog: transfers": "ok",
        "watchdog: IP addresses": "ok",
    }
    rich = replace(FACTS, rights=replace(RIGHTS, withdraw=True))
    assert {each.name: each.verdict for each in watchdog(config, rich)}[
        "watchdog: withdrawals"
    ] == "refused"
    assert watchdog(load(live_file(tmp_path)), FACTS) == []


def watchdog(config: MicroConfig, told: AccountFacts) -> list[Check]:
    key = read_keys(config)["binance-spot"]
    return asyncio.run(ask_watchdog(ToldInspector(told), config, key, {}, lambda: 5))


def test_a_key_that_others_can_read(tmp_path: Path) -> None:
    config = load(live_file(tmp_path))
    (tmp_path / "keys" / "binance.toml").chmod(0o644)
    with pytest.raises(BadInput, match="chmod 600"):
        read_keys(config)

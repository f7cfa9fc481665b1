"""Binance spot is asked about an account by real requests, and its answers are believed or refused."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from binance_account import BinanceAccount, error
from key_kit import KEY_ID, KEY_SECRET, hmac_text, write_key
from preflight_kit import RULES, expected

from citadel_bridge.exit_codes import Exit, exit_of
from citadel_micro.adapters.binance.account_facts import SpotInspector
from citadel_micro.preflight.checks import judge
from citadel_micro.shell.account_facts import AccountQuery, RateLimit
from citadel_micro.shell.config.config import VenueSection
from citadel_micro.shell.keys.key_file import read_key_file
from citadel_proto.errors import BadInput, CitadelError, PeerUnavailable, Refused, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from citadel_micro.shell.account_facts import AccountFacts
    from citadel_micro.shell.keys.api_key import Network


def ask(
    folder: Path,
    change: Callable[[BinanceAccount], object] = lambda _: None,
    *,
    network: Network = "mainnet",
    key: str | None = None,
) -> tuple[AccountFacts, BinanceAccount]:
    async def run() -> tuple[AccountFacts, BinanceAccount]:
        async with BinanceAccount() as venue:
            change(venue)
            section = VenueSection(
                symbols=["BTC/USDT"], network=network, private_rest_url=venue.url
            )
            query = AccountQuery(
                venue="binance-spot",
                key=read_key_file(write_key(folder / "keys", key)),
                section=section,
                instruments={"BTC/USDT": RULES},
                now=time.time_ns,
            )
            return await SpotInspector().facts(query), venue

    return asyncio.run(run())


def answering(path: str, body: object) -> Callable[[BinanceAccount], object]:
    return lambda venue: venue.answers.__setitem__(path, lambda _: body)


def test_everything_is_read(tmp_path: Path) -> None:
    facts, venue = ask(tmp_path)
    assert facts.account == "354937868"
    assert abs(facts.clock_offset_ns) <= facts.clock_error_ns + 2_000_000
    assert facts.may_trade
    rights = facts.rights
    assert (rights.trade, rights.withdraw, rights.transfer) == (True, False, False)
    assert rights.bound_to_addresses
    assert facts.balances == {
        "BTC": (Decimal("0.5"), Decimal(0)),
        "USDT": (Decimal(900), Decimal(100)),
    }
    symbol = facts.symbols["BTC/USDT"]
    assert (symbol.tick, symbol.lot) == (Decimal("0.01"), Decimal("0.00001"))
    assert (symbol.maker_fee, symbol.taker_fee) == (Decimal("0.0009"), Decimal("0.001"))
    assert facts.rate_limits == (
        RateLimit(name="request weight per 1 min", limit=6000, used=124),
        RateLimit(name="orders per 10 s", limit=100, used=3),
    )
    assert not [each for each in judge(facts, expected()) if each.verdict == "refused"]
    # Nothing but questions.
    assert {each.partition(" ")[0] for each in venue.requests} == {"GET"}


@pytest.mark.parametrize("skew_ms", [-3_600_000, -2_000, 2_000, 3_600_000])
def test_a_wrong_clock_is_measured_and_asked_through(tmp_path: Path, skew_ms: int) -> None:
    facts, _ = ask(tmp_path, lambda venue: setattr(venue, "skew_ms", skew_ms))
    assert facts.clock_offset_ns == pytest.approx(skew_ms * 1e6, abs=200e6)
    (clock,) = (each for each in judge(facts, expected()) if each.name == "clock")
    assert clock.verdict == "refused"


@pytest.mark.parametrize(
    ("right", "facts_name"),
    [
        ("enableWithdrawals", "withdrawals"),
        ("enableInternalTransfer", "transfers"),
        ("permitsUniversalTransfer", "transfers"),
    ],
)
def test_a_key_that_may_move_money(tmp_path: Path, right: str, facts_name: str) -> None:
    def change(venue: BinanceAccount) -> None:
        path = "/sapi/v1/account/apiRestrictions"
        told = venue.answers[path]({}) | {right: True}
        venue.answers[path] = lambda _: told

    facts, _ = ask(tmp_path, change)
    (found,) = (each for each in judge(facts, expected()) if each.name == facts_name)
    assert found.verdict == "refused"


def test_rights_that_cannot_be_read_refuse_a_mainnet_and_are_not_reported_by_a_testnet(
    tmp_path: Path,
) -> None:
    def change(venue: BinanceAccount) -> None:
        del venue.answers["/sapi/v1/account/apiRestrictions"]

    facts, _ = ask(tmp_path, change)
    assert facts.rights.failed
    facts, _ = ask(tmp_path, change, network="testnet")
    assert not facts.rights.failed
    assert facts.rights.not_told == "the testnet does not say what a key may do"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": "BREAK"}, "its status is BREAK"),
        ({"isSpotTradingAllowed": False}, "not allowed"),
        ({"orderTypes": ["LIMIT", "MARKET"]}, "LIMIT_MAKER"),
        ({"permissionSets": [["TRD_GRP_999"]]}, "permissions"),
    ],
)
def test_a_symbol_that_is_not_tradable(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    facts, _ = ask(tmp_path, lambda venue: venue.symbols["BTCUSDT"].update(change))
    symbol = facts.symbols["BTC/USDT"]
    assert not symbol.tradable
    assert why in symbol.why_not


def test_a_symbol_that_is_not_there(tmp_path: Path) -> None:
    facts, _ = ask(tmp_path, lambda venue: venue.symbols.clear())
    assert facts.symbols == {}


def test_fees_of_the_account_where_the_symbol_has_none(tmp_path: Path) -> None:
    none = error(400, -1100, "Illegal characters found in parameter.")
    facts, _ = ask(tmp_path, answering("/api/v3/account/commission", none))
    assert facts.symbols["BTC/USDT"].taker_fee == Decimal("0.0015")


def refusal(
    folder: Path, change: Callable[[BinanceAccount], object], *, key: str | None = None
) -> CitadelError:
    with pytest.raises(CitadelError) as caught:
        ask(folder, change, key=key)
    text = repr(caught.value) + str(caught.value)
    for hidden in (KEY_ID, KEY_SECRET, "signature="):
        assert hidden not in text
    return caught.value


@pytest.mark.parametrize(
    "key",
    [
        hmac_text(id="another-id-of-64-letters", network="mainnet"),
        hmac_text(secret="another-secret-of-64-letters", network="mainnet"),
    ],
)
def test_a_wrong_key(tmp_path: Path, key: str) -> None:
    found = refusal(tmp_path, lambda _: None, key=key)
    assert isinstance(found, BadInput)
    assert "does not take the key" in found.what
    assert exit_of(found) is Exit.BAD_INPUT


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(401, -2015, "Invalid API-key, IP, or permissions for action."), BadInput),
        (error(429, -1003, "Too much request weight used."), PeerUnavailable),
        (error(418, -1003, "Way too much request weight used; IP banned."), PeerUnavailable),
        (error(503, -1001, "Internal error."), PeerUnavailable),
        (error(400, -1021, "Timestamp for this request is outside of the recvWindow."), Refused),
        (web.Response(status=302, headers={"Location": "https://127.0.0.1:9/"}), Refused),
        (web.Response(text="<html>maintenance</html>"), VenueViolation),
        ({"balances": "none"}, VenueViolation),
    ],
    ids=lambda value: str(getattr(value, "status", value))[:20],
)
def test_other_answers(tmp_path: Path, answer: object, kind: type[CitadelError]) -> None:
    found = refusal(tmp_path, answering("/api/v3/account", answer))
    assert type(found) is kind


def test_nobody_there(tmp_path: Path) -> None:
    section = VenueSection(symbols=["BTC/USDT"], private_rest_url="http://127.0.0.1:9")
    query = AccountQuery(
        venue="binance-spot",
        key=read_key_file(write_key(tmp_path / "keys")),
        section=section,
        instruments={"BTC/USDT": RULES},
        now=time.time_ns,
    )
    with pytest.raises(PeerUnavailable, match=r"127\.0\.0\.1:9/api/v3/time"):
        asyncio.run(SpotInspector().facts(query))


def test_many_symbols_stay_within_the_weight_of_a_minute(tmp_path: Path) -> None:
    names = [f"C{number}USDT" for number in range(250)]

    async def run() -> tuple[AccountFacts, BinanceAccount]:
        async with BinanceAccount() as venue:
            row = venue.symbols["BTCUSDT"]
            venue.symbols = {name: {**row, "symbol": name} for name in names[:-1]}
            query = AccountQuery(
                venue="binance-spot",
                key=read_key_file(write_key(tmp_path / "keys")),
                section=VenueSection(symbols=names, private_rest_url=venue.url),
                instruments={name: replace(RULES, venue_symbol=name) for name in names},
                now=time.time_ns,
            )
            return await SpotInspector().facts(query), venue

    facts, venue = asyncio.run(run())
    # The last one is not there: those that were asked about beside it are asked about alone.
    assert set(facts.symbols) == set(names[:-1])
    assert venue.requests.count("GET /api/v3/account/commission") == 50
    assert venue.requests.count("GET /api/v3/exchangeInfo") == 3 + 50

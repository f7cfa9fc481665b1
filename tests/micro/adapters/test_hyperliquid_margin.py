"""What Hyperliquid is asked before the first order: each thing once, and no more than its limits allow."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hyper_kit import RULES, hyper_key

from citadel_micro.adapters.hyperliquid.margin import GOOD_NS, HyperMargin
from citadel_micro.adapters.hyperliquid.requests import LIMITS, HyperRequests
from citadel_micro.adapters.hyperliquid.session import HyperSession, KeyCheck
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_proto.errors import PeerUnavailable, Refused

if TYPE_CHECKING:
    from citadel_micro.adapters.hyperliquid.signing import ActionSigner
    from citadel_micro.shell.venue.dialect import Request

MINUTE_NS = 60_000_000_000
KEY = hyper_key()
COINS = [f"C{number}" for number in range(100)]


class Wire:
    """The venue at the other end of a connection, which answers each question in a later turn."""

    def __init__(self) -> None:
        self.now_ns = 1_800_000_000_000_000_000
        self.budget = RequestBudget(LIMITS)
        self.asked: list[str] = []
        self.leverage = dict.fromkeys(COINS, 20)
        self.sets = True
        self.limited = False

    def now(self) -> int:
        return self.now_ns

    def afford(self, weight: int) -> None:
        self.budget.check_connecting({"weight": weight}, self.now_ns)

    async def must(self, request: Request) -> bytes:
        self.budget.spend(request.costs, self.now_ns)
        used, limit = self.budget.used()["weight/60s"]
        assert used <= limit, "it would answer 429"
        coin = str(request.params.get("coin") or COINS[int(request.params.get("asset") or 0)])
        self.asked.append(
            f"{request.method} {coin}" if coin in str(request.params) else request.method
        )
        await asyncio.sleep(0)
        return json.dumps(self._answer(request, coin)).encode()

    def _answer(self, request: Request, coin: str) -> Any:  # noqa: ANN401 - any JSON value
        match request.method:
            case "userRole":
                return {"role": "agent", "data": {"user": KEY.account}}
            case "userAbstraction":
                return "disabled"
            case "meta":
                listed = {"szDecimals": 5, "maxLeverage": 40, "marginTableId": 40}
                return {"universe": [{"name": coin} | listed for coin in COINS]}
            case "activeAssetData":
                return {"leverage": {"type": "isolated", "value": self.leverage[coin]}}
            case "updateLeverage":
                if self.limited:
                    raise PeerUnavailable("updateLeverage: 429 Too Many Requests")
                self.leverage[COINS[int(request.params["asset"])]] = 5
                return {"status": "ok"}
        raise AssertionError(request.method)

    @property
    def session(self) -> HyperSession:
        return cast("HyperSession", self)


def margin_of(wire: Wire, coins: list[str]) -> HyperMargin:
    rules = {f"{coin}/USDC:USDC": replace(RULES, venue_symbol=coin) for coin in coins}
    requests = HyperRequests(rules, KEY.account)
    return HyperMargin("hyperliquid", requests, rules, 5, "isolated", now=wire.now)


def test_more_perpetuals_than_a_minutes_weight_are_verified_over_several_connections() -> None:
    """It asked for all of them at each connection: with sixty none ever came to an end."""
    wire = Wire()
    margin = margin_of(wire, COINS)

    async def connect() -> int:
        """Minutes until a connection is complete."""
        for minute in range(10):
            try:
                await margin.verified(wire.session)
            except PeerUnavailable:
                wire.now_ns += MINUTE_NS
            else:
                return minute
        raise AssertionError("never")

    assert asyncio.run(connect()) > 1
    assert set(wire.leverage.values()) == {5}
    set_ = [each for each in wire.asked if each.startswith("updateLeverage")]
    read = [each for each in wire.asked if each.startswith("activeAssetData")]
    assert len(set_) == len(COINS)
    assert len(read) == 2 * len(COINS)

    # What was confirmed lately is not asked again; later it is.
    wire.asked.clear()
    assert asyncio.run(connect()) == 0
    assert wire.asked == ["userAbstraction"]
    wire.now_ns += GOOD_NS
    assert asyncio.run(connect()) > 0
    assert sum(each.startswith("activeAssetData") for each in wire.asked) == len(COINS)


def test_limits_that_are_reached_are_no_refusal_of_the_settings() -> None:
    """It was taken for one: an account with a position would have been left as others had set it."""
    wire = Wire()
    wire.limited = True
    margin = margin_of(wire, COINS[:1])
    with pytest.raises(PeerUnavailable, match="429") as told:
        asyncio.run(margin.verified(wire.session))
    assert not isinstance(told.value, Refused)
    wire.limited = False
    (terms,) = asyncio.run(margin.verified(wire.session))
    assert (terms.leverage, terms.text) == (5, "")


def test_what_both_connections_need_is_asked_once() -> None:
    """They open at the same time: the key's role, the dearest question of all, was asked by each."""
    wire = Wire()
    margin = margin_of(wire, COINS[:1])

    class Signer:
        address = "0xagent"

    async def both() -> list[str]:
        key = KeyCheck(cast("ActionSigner", Signer()), KEY.account, wire.now)
        told = await asyncio.gather(*(key.why_not(wire.session) for _ in range(2)))
        await asyncio.gather(*(margin.listed(wire.session) for _ in range(2)))
        return told

    assert asyncio.run(both()) == ["", ""]
    assert wire.asked == ["userRole", "meta"]

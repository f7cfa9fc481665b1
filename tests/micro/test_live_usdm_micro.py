"""A whole micro in live mode on simulated USD-M futures: long, short, funding, restart, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest
from fault_chances import SOFT
from perpetual_stories import (
    a_position_that_the_venue_closes_halts_the_symbol,
    a_restart_with_a_short_and_an_order_in_the_book,
    all_ended,
    chases_both_ways,
    ended_well,
    long_short_funding_and_flat_again,
)
from usdm_client import UsdmClient
from usdm_desk import UsdmDesk, on_futures
from usdm_kit import SPOT

from citadel_proto.errors import CitadelError

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.shell.keys.api_key import KeyKind


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_long_short_funding_and_flat_again(tmp_path: Path, kind: KeyKind) -> None:
    on_futures(tmp_path, lambda desk: long_short_funding_and_flat_again(desk, SPOT), kind=kind)


def test_a_restart_with_a_short_and_an_order_in_the_book(tmp_path: Path) -> None:
    on_futures(tmp_path, lambda desk: a_restart_with_a_short_and_an_order_in_the_book(desk, SPOT))


def test_more_leverage_than_the_account_has_is_rejected(tmp_path: Path) -> None:
    async def body(desk: UsdmDesk) -> None:
        desk.settings = "leverage = 10\n"
        await desk.start()
        parent = await desk.ended(desk.signal("buy", "0.02", algo="marketable_limit"))
        assert parent.reason_code == "LIQUIDATION_DISTANCE"
        assert parent.filled == 0
        assert not desk.exchange.my_trades("demo", SPOT)

    on_futures(tmp_path, body)


@pytest.mark.parametrize("lag_s", [0, 2])
def test_a_liquidation_halts_the_symbol_and_is_booked(tmp_path: Path, lag_s: int) -> None:
    """Also by a matching engine whose trades have earlier times than the answers to queries."""

    async def body(desk: UsdmDesk) -> None:
        exchange = desk.exchange
        advance = exchange.advance
        exchange.advance = lambda ns: advance(max(exchange.now_ns, ns - lag_s * 10**9))
        await a_position_that_the_venue_closes_halts_the_symbol(desk, SPOT)

    on_futures(tmp_path, body)


def test_books_agree_after_orders_among_faults(tmp_path: Path) -> None:
    async def body(desk: UsdmDesk) -> None:
        await desk.start()
        faults = desk.server.usdm.venue.faults
        faults.extend(SOFT)
        names = await chases_both_ways(desk, rounds=4, time_limit_ms=2_000)
        faults.clear()
        await all_ended(desk, names)
        await ended_well(desk)

    on_futures(tmp_path, body)


def test_hedge_mode_is_refused_before_the_first_order(tmp_path: Path) -> None:
    async def body(desk: UsdmDesk) -> None:
        async with aiohttp.ClientSession() as http:
            client = UsdmClient(desk.server, http)
            path = "/fapi/v1/positionSide/dual"
            answer = await client.send("POST", path, {"dualSidePosition": "true"})
            assert answer.status == 200
        with pytest.raises(CitadelError, match="hedge mode"):
            await desk.start()

    on_futures(tmp_path, body)

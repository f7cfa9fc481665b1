"""The adapters of the native venues without a venue: whatever they ask is answered by a test."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, cast

from hyper_kit import hyper_key
from kraken_bench import kraken_key
from okx_kit import our_key
from spot_kit import Rows, demo_key

from citadel_micro.adapters.live import LiveOrders, cancel_desk
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
from citadel_micro.shell.clock import Clock
from citadel_micro.shell.config.config import VenueSection
from citadel_micro.shell.instruments.rules import make_instrument
from citadel_micro.shell.order_adapter import AdapterSetup
from citadel_micro.shell.venue.cancel_desk import CancelAccount

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.venue.adapter import LiveAdapter
    from citadel_micro.shell.venue.rest_cancel_desk import RestCancelDesk

NAMES: Final = {
    "binance-spot": ("BTC/USDT", "BTCUSDT"),
    "binance-usdm": ("BTC/USDT:USDT", "BTCUSDT"),
    "bybit-spot": ("BTC/USDT", "BTCUSDT"),
    "bybit-linear": ("BTC/USDT:USDT", "BTCUSDT"),
    "hyperliquid": ("BTC/USDC:USDC", "BTC"),
    "kraken-spot": ("BTC/USDT", "BTC/USDT"),
    "okx": ("BTC/USDT", "BTC-USDT"),
}
"""Venue -> its symbol, unified and as the venue has it."""
MARK: Final = "abc123"
NOBODY: Final = "127.0.0.1:1"


def rules_of(venue: str) -> Instrument:
    """Some trading rules of the venue's symbol."""
    symbol, native = NAMES[venue]
    return make_instrument(
        venue=venue,
        symbol=symbol,
        native=native,
        kind="linear" if ":" in symbol else "spot",
        tick=Decimal("0.1"),
        lot=Decimal("0.00001"),
        min_quantity=Decimal("0.00001"),
        min_notional=Decimal(5),
    )


def key_of(venue: str) -> ApiKey:
    """A key of its form."""
    if venue == "hyperliquid":
        return hyper_key()
    if venue == "kraken-spot":
        return kraken_key()
    return our_key() if venue == "okx" else replace(demo_key(), venue=venue)


def section_of(venue: str) -> VenueSection:
    """Addresses at which nobody listens."""
    return VenueSection(
        symbols=[NAMES[venue][0]],
        network=key_of(venue).network,
        private_rest_url=f"http://{NOBODY}",
        ws_api_url=f"ws://{NOBODY}",
        private_ws_url=f"ws://{NOBODY}",
    )


def unheard_adapter(venue: str) -> LiveAdapter:
    """Its adapter, which is not started: inside a loop. Its clock is ours."""
    rules = rules_of(venue)
    setup = AdapterSetup(
        venue=venue,
        instruments={rules.symbol: rules},
        config=cast(
            "MicroConfig",
            SimpleNamespace(
                venues={venue: section_of(venue)}, testnet=key_of(venue).network != "mainnet"
            ),
        ),
        loop=asyncio.get_running_loop(),
        clock=Clock(),
        account=Rows(venue),
        key=key_of(venue),
        mark=MARK,
    )
    made = cast("LiveAdapter", LiveOrders().make(setup))
    now_ns = setup.clock.now()
    made.clock.measured(now_ns, now_ns)
    return made


def unheard_desk(venue: str) -> RestCancelDesk:
    """What the watchdog cancels there with; its clock is measured."""
    account = CancelAccount(key=key_of(venue), section=section_of(venue), now=time.time_ns)
    desk = cast("RestCancelDesk", cancel_desk(account))
    desk._measured_ns = time.time_ns()
    return desk


def placing(adapter: LiveAdapter, *, ioc: bool = False) -> PlaceOrder:
    """An order that is about to be sent there."""
    now_ns = time.time_ns()
    symbol = NAMES[adapter.venue][0]
    order = PlaceOrder(
        venue=adapter.venue,
        symbol=symbol,
        client_id=f"sc{MARK}run-1-1",
        parent_id="p-1",
        side="buy",
        price_ticks=900_000,
        quantity_lots=1_000,
        post_only=not ioc,
        time_in_force="IOC" if ioc else "GTC",
        reduce_only=False,
        expires_ns=now_ns + 30 * 10**9,
    )
    adapter.ids.placed(order, now_ns, now_ns + adapter.clock.offset_ns)
    return order


def amending(order: PlaceOrder) -> AmendOrder:
    """A change of it."""
    return AmendOrder(
        venue=order.venue,
        symbol=order.symbol,
        client_id=order.client_id,
        parent_id=order.parent_id,
        side=order.side,
        price_ticks=order.price_ticks - 10,
        quantity_lots=order.quantity_lots - 1,
        post_only=order.post_only,
        reduce_only=False,
        expires_ns=order.expires_ns,
    )


def canceling(order: PlaceOrder) -> CancelOrder:
    """A cancel of it."""
    return CancelOrder(venue=order.venue, symbol=order.symbol, client_id=order.client_id)

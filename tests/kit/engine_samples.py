"""The instrument, the configuration and the signal from which tests of the engine start."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from citadel_micro.core.model.config import EngineConfig, VenueConfig
from citadel_micro.core.model.events import (
    SignalReceived,
)
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.core.model.risk_limits import paper_defaults

VENUE = "fake"
SYMBOL = "BTC/USDT"
KEY = (VENUE, SYMBOL)
MS = 1_000_000
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def rules(**changes: object) -> Instrument:
    """Tick 0.1, lot 0.001, at least 5 USDT an order."""
    values: dict[str, Any] = {
        "venue": VENUE,
        "symbol": SYMBOL,
        "venue_symbol": "BTCUSDT",
        "base": "BTC",
        "quote": "USDT",
        "settle": "USDT",
        "kind": "spot",
        "tick": Decimal("0.1"),
        "lot": Decimal("0.001"),
        "min_lots": 1,
        "min_notional": Decimal(5),
        "contract_size": Decimal(1),
        "maker_fee": Decimal("0.001"),
        "taker_fee": Decimal("0.001"),
        "fee_side": "quote",
    }
    return Instrument(**{**values, **changes})


def config(venue: VenueConfig | None = None, /, **changes: object) -> EngineConfig:
    """Paper limits without a lease; a venue whose books do not show our orders."""
    usual = VenueConfig(shows_own_orders=False, messages_per_second=100, message_burst=500)
    values: dict[str, Any] = {
        "run_id": "test",
        "instance": "test",
        "venues": {VENUE: venue or usual},
        "limits": paper_defaults(
            lease_required=False, max_open_orders=1_000, depth_participation_bps=10_000.0
        ),
        "book_publish_interval_ns": 0,
    }
    return EngineConfig(**{**values, **changes})


def signal(signal_id: str = "s1", /, **changes: object) -> SignalReceived:
    """Buy 0.5 BTC by chase_limit, unless told otherwise. Times are relative to START."""
    values: dict[str, Any] = {
        "signal_id": signal_id,
        "strategy": "test",
        "venue": VENUE,
        "symbol": SYMBOL,
        "side": "buy",
        "quantity": Decimal("0.5"),
        "kind": "order",
        "order_type": "limit",
        "limit_price": None,
        "stop_price": None,
        "time_in_force": "GTC",
        "reduce_only": False,
        "leverage": Decimal(1),
        "algo": "chase_limit",
        "params": (),
        "confidence": None,
        "model_id": "",
        "tag": "",
        "candle_ns": 0,
        "created_ns": START,
        "expires_ns": START + 10 * SECOND,
        "epoch": 1,
        "seq": 1,
    }
    return SignalReceived(**{**values, **changes})

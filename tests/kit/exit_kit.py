"""A position and its exits."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, signal

from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import OrderFilled
from citadel_micro.core.model.risk_limits import paper_defaults

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument


AMENDS = VenueConfig(
    shows_own_orders=False, messages_per_second=100, message_burst=500, amend_native=True
)


def holding(
    quantity: str = "0.5", venue: VenueConfig | None = None, instrument: Instrument | None = None
) -> Rig:
    """A rig that has bought."""
    rig = Rig(config(venue), instrument=instrument)
    rig.venue.partial_share = 0.0
    rig.send(signal("buy", order_type="market", quantity=Decimal(quantity)))
    rig.run(1 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == Decimal(quantity)
    return rig


def exit_(rig: Rig, name: str, quantity: str = "0.5", **changes: object) -> None:
    """A take-profit that rests far from the market, unless configured otherwise."""
    values = {
        "side": "sell",
        "algo": "limit",
        "limit_price": Decimal(60_500),
        "quantity": Decimal(quantity),
        "created_ns": rig.now,
        "expires_ns": rig.now + SECOND,
        **changes,
    }
    rig.send(signal(name, **values))


def stop(rig: Rig, name: str = "stop", quantity: str = "0.5", **changes: object) -> None:
    values = {
        "side": "sell",
        "kind": "stop",
        "order_type": "market",
        "stop_price": Decimal(59_990),
        "quantity": Decimal(quantity),
        "created_ns": rig.now,
        "expires_ns": rig.now + SECOND,
        **changes,
    }
    rig.send(signal(name, **values))


def fall(rig: Rig, to: float = 59_980.0) -> None:
    """Every stop at 59,990 triggers."""
    rig.book(to, to + 0.1)
    rig.book(to, to + 0.1)


def held(rig: Rig) -> Decimal:
    return rig.engine.portfolio.quantity(*KEY)


def large(**limits: object) -> Rig:
    """It holds 1.5 BTC, worth 90,000 where an order may be worth 50,000."""
    rig = Rig(config(limits=paper_defaults(lease_required=False, depth_participation_bps=10_000.0)))
    rig.venue.partial_share = 0.0
    for name in ("one", "two"):
        rig.send(signal(name, order_type="market", quantity=Decimal("0.75")))
        rig.run(200 * MS)
    assert held(rig) == Decimal("1.5")
    if limits:
        rig.engine.risk.replace_limits(paper_defaults(lease_required=False, **limits))
    return rig


def sold_beside(rig: Rig, lots: int, trade_id: str = "x", base_fee: str = "") -> None:
    """Book a sale that no order of ours has made; with a fee in coin, or none."""
    fill = OrderFilled(
        venue=VENUE,
        symbol=SYMBOL,
        client_id="x",
        trade_id=trade_id,
        price_ticks=600_000,
        quantity_lots=lots,
        cumulative_lots=-1,
        fee=Decimal(base_fee or 0),
        fee_currency="BTC" if base_fee else "USDT",
        liquidity="taker",
        exchange_ns=rig.now,
    )
    rig.engine.portfolio.apply_fill(rig.instrument, "sell", fill, rig.now)

"""Outcome of one parent order, as plain data with a fixed order of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.orders.execution_reports import average, mid, status
from citadel_micro.core.orders.tca import shortfall

if TYPE_CHECKING:
    from decimal import Decimal

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.offline.driver import OfflineDriver


def describe(
    driver: OfflineDriver, parent: Parent, instrument: Instrument, source: str
) -> dict[str, object]:
    """The complete outcome. Prices, quantities and money are decimal text, times ns, costs bps."""
    fills = [fill for child in parent.children for fill in child.fills]
    maker = sum(fill.quantity_lots for fill in fills if fill.liquidity == "maker")
    fees: dict[str, Decimal] = {}
    for fill in fills:
        fees[fill.fee_currency] = fees.get(fill.fee_currency, instrument.lot * 0) + fill.fee
    worked_average = average(parent)
    cost = shortfall(parent)
    return {
        "venue": instrument.venue,
        "symbol": instrument.symbol,
        "side": parent.signal.side,
        "algo": parent.signal.algo,
        "status": status(parent),
        "reason_code": parent.reason_code,
        "reason": parent.reason,
        "target": _plain(instrument.quantity(parent.target)),
        "filled": _plain(instrument.quantity(parent.filled)),
        "average_price": None if worked_average is None else _plain(worked_average),
        "arrival_mid": mid(parent, parent.arrival_mid2_ticks) or None,
        "fees": {currency: _plain(amount) for currency, amount in sorted(fees.items())},
        "maker_share": maker / parent.filled if parent.filled else None,
        "implementation_shortfall_bps": None if cost is None else cost.total_bps,
        "shortfall_parts_bps": None if cost is None else cost.parts_bps(),
        "reprices": parent.reprices,
        "created_ns": parent.created_ns,
        "done_ns": parent.done_ns,
        "requests": driver.requests,
        "children": [_child(child, instrument) for child in parent.children],
        "instrument": {
            "tick": _plain(instrument.tick),
            "lot": _plain(instrument.lot),
            "min_quantity": _plain(instrument.quantity(instrument.min_lots)),
            "min_notional": _plain(instrument.min_notional),
            "maker_fee": _plain(instrument.maker_fee),
            "taker_fee": _plain(instrument.taker_fee),
            "source": source,
        },
    }


def _child(child: Child, instrument: Instrument) -> dict[str, object]:
    return {
        "client_id": child.client_id,
        "status": child.state.value,
        "reason": child.reason,
        "price": _plain(instrument.price(child.price_ticks)),
        "quantity": _plain(instrument.quantity(child.quantity_lots)),
        "post_only": child.post_only,
        "ioc": child.ioc,
        "placed_ns": child.placed_ns,
        "accepted_ns": child.accepted_ns,
        "done_ns": child.done_ns,
        "fills": [
            {
                "price": _plain(instrument.price(fill.price_ticks)),
                "quantity": _plain(instrument.quantity(fill.quantity_lots)),
                "fee": _plain(fill.fee),
                "fee_currency": fill.fee_currency,
                "liquidity": fill.liquidity,
                "exchange_ns": fill.exchange_ns,
                "recv_ns": fill.recv_ns,
            }
            for fill in child.fills
        ],
    }


def _plain(value: Decimal) -> str:
    """Decimal text without an exponent and without trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text

"""Where to stop in a journal, and what the engine knew there: ``citadel replay JOURNAL --until EVENT``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.shell.journal import records
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from decimal import Decimal

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.orders import Parent

_A_TIME: Final = 10**15
"""A larger number is a time in ns; a journal has fewer records."""
ALLOWED: Final = (
    "a record's number (1200), a kind of event and which of them (SignalReceived, OrderFilled:3), a time "
    "(2026-11-28T06:00:00Z, or ns), or text that the event holds (~SIGNAL-ID)"
)


@dataclass(slots=True)
class Until:
    """A place in a journal. The first event that is there, or after it, is the last that is handled."""

    record: int = 0
    at_ns: int = 0
    kind: bytes = b""
    count: int = 1
    text: bytes = b""

    def reached(self, now_ns: int, data: bytes, last: int) -> bool:
        """Whether to stop after this event.

        Args:
            now_ns: its engine time.
            data: its bytes.
            last: number of the last record that belongs to it.
        """
        if self.record:
            return last >= self.record
        if self.at_ns:
            return now_ns >= self.at_ns
        if self.text:
            return self.text in data
        if data.startswith(self.kind):
            self.count -= 1
        return self.count == 0


def read_until(text: str) -> Until:
    """Read the place that a person names. Raises BadInput, with all forms."""
    if text.startswith("~") and len(text) > 1:
        return Until(text=text[1:].encode())
    if text.isdigit() and int(text) > 0:
        number = int(text)
        return Until(at_ns=number) if number >= _A_TIME else Until(record=number)
    name, _, count = text.partition(":")
    if name in records.EVENTS and (not count or (count.isdigit() and int(count) > 0)):
        return Until(kind=records.encode_plain((name, None))[:-1], count=int(count or 1))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadInput(f"cannot read the place {text!r}", where="--until", allowed=ALLOWED)
    return Until(at_ns=round(moment.timestamp() * 1_000_000) * 1_000)


def state_of(engine: Engine) -> dict[str, Any]:
    """What the engine knows, as plain data: orders with their children, account, breakers, books.

    Prices and quantities are decimal text.
    """
    portfolio = engine.portfolio
    return {
        "orders": [_order(parent) for parent in engine.order_store.active.values()],
        "positions": [
            {
                "venue": position.venue,
                "symbol": position.symbol,
                "quantity": _text(position.quantity),
                "entry": _text(position.entry_price),
                "fees": _text(position.fees),
                "funding": _text(position.funding),
            }
            for position in portfolio.positions()
        ],
        "balances": {
            venue: {
                currency: {"free": _text(balance.free), "used": _text(balance.used)}
                for currency, balance in portfolio.balances(venue)
            }
            for venue in engine.config.venues
        },
        "equity": _text(portfolio.equity()),
        "profit": _text(portfolio.profit()),
        "risk": [
            {
                "scope": each.scope,
                "state": each.state,
                "code": each.code,
                "reason": each.reason,
            }
            for each in engine.risk.publish_all()
        ],
        "books": [
            {
                "venue": venue,
                "symbol": symbol,
                "state": market.state,
                "reason": market.reason,
                "best": market.best(),
            }
            for (venue, symbol), market in sorted(engine.markets.items())
        ],
    }


def _order(parent: Parent) -> dict[str, Any]:
    signal, rules = parent.signal, parent.instrument
    return {
        "id": parent.id,
        "venue": signal.venue,
        "symbol": signal.symbol,
        "side": signal.side,
        "algo": signal.algo,
        "phase": parent.phase.value,
        "paused": parent.paused,
        "reason": f"{parent.reason_code} {parent.reason}".strip(),
        "quantity": _text(signal.quantity),
        "target_lots": parent.target,
        "filled_lots": parent.filled,
        "lot": None if rules is None else _text(rules.lot),
        "children": [_child(child, parent) for child in parent.watched],
    }


def _child(child: Child, parent: Parent) -> dict[str, Any]:
    rules = parent.instrument
    return {
        "id": child.client_id,
        "venue_id": child.venue_order_id,
        "state": child.state.value,
        "price": None if rules is None else _text(rules.price(child.price_ticks)),
        "quantity_lots": child.quantity_lots,
        "filled_lots": child.filled,
        "reserved_lots": child.reserved,
        "reason": child.reason,
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")

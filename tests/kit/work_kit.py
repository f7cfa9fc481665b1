"""One order of every algorithm, side and size on a capture, and what its outcome must never show."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from citadel_micro.core.algos import ALGORITHMS
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.offline.work import WorkOrder
from citadel_micro.shell.capture.offline import capture_events
from citadel_micro.shell.instruments.capture import instruments_for_capture
from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from citadel_micro.core.model.events import Side
    from citadel_micro.core.model.instrument import Instrument

SIDES: Final[tuple[Side, ...]] = ("buy", "sell")
SIZES: Final = (Decimal(0), Decimal("0.5"), Decimal(20))
"""Of what the best bid shows; 0 is the least that the venue accepts."""
NEED_A_LIMIT: Final = frozenset({"limit", "scaled", "snipe", "stop_limit"})
CAP_BPS: Final = Decimal(5)
"""How far beyond the mid an order's limit lies, where it has one: it is reached now and then."""
NAMES: Final = tuple(
    name for name, kind in ALGORITHMS.items() if not kind.traits.held and name != "bracket"
)
"""All that ``citadel work`` can be given: stops and brackets need a position and a trigger."""


class Touch(NamedTuple):
    """Where the first trusted book of a capture is."""

    instrument: Instrument
    mid: Decimal
    shown: Decimal
    """At the best bid."""


def first_touch(path: Path, venue: str, symbol: str) -> Touch | None:
    """None where no book is ever LIVE."""
    instrument, _ = instruments_for_capture(path, venue, symbol, None)
    market = MarketBook(venue, symbol, venue_spec(venue).integrity)
    for _, events in capture_events(path, venue, symbol):
        for event in events:
            if isinstance(event, DepthUpdate):
                market.on_depth(event)
            elif isinstance(event, QuoteTick):
                market.on_quote(event)
            elif isinstance(event, TradeTick):
                market.on_trade(event)
        best = market.best()
        if market.state == "LIVE" and best is not None and best[0] < best[2]:
            bid, ask = Decimal(repr(best[0])), Decimal(repr(best[2]))
            return Touch(instrument, (bid + ask) / 2, Decimal(repr(best[1])))
    return None


def orders(
    path: Path, venue: str, symbol: str, touch: Touch, cache: Path | None = None
) -> Iterator[WorkOrder]:
    """Every algorithm, side and size; with a limit and without where it may be either."""
    rules = touch.instrument
    least = rules.min_lots_at(int(touch.mid * 2 / rules.tick) // 2)
    for name, side, share, capped in product(NAMES, SIDES, SIZES, (False, True)):
        if not capped and name in NEED_A_LIMIT:
            continue
        sign = 1 if side == "buy" else -1
        limit = touch.mid * (1 + sign * CAP_BPS / 10_000)
        yield WorkOrder(
            capture=path,
            venue=venue,
            symbol=symbol,
            side=side,
            quantity=rules.quantity(max(least, rules.lots(touch.shown * share))),
            algo=name,
            params=_params(name, capped=capped),
            limit_price=limit // rules.tick * rules.tick if capped else None,
            cache=cache,
        )


def _params(name: str, *, capped: bool) -> tuple[tuple[str, Any], ...]:
    """What it must be told; with a limit, post-only where it may be."""
    if name == "vwap":
        return (("profile", "3, 1, 2"),)
    if name == "iceberg" and not capped:
        return (("price", "primary"),)
    return (("post_only", True),) if capped and name in {"chase_limit", "limit"} else ()


def violations(order: WorkOrder, outcome: dict[str, Any]) -> list[str]:
    """What must never be: more than was asked, beyond the limit, a post-only order that took."""
    found: list[str] = []
    fills = [(child, fill) for child in outcome["children"] for fill in child["fills"]]
    filled = sum((Decimal(fill["quantity"]) for _, fill in fills), Decimal(0))
    if filled > order.quantity or Decimal(outcome["filled"]) > order.quantity:
        found.append(f"overfill: {filled} of {order.quantity}")
    if filled != Decimal(outcome["filled"]):
        found.append(f"fills of {filled}, reported {outcome['filled']}")
    sign = 1 if order.side == "buy" else -1
    for child, fill in fills:
        price = Decimal(fill["price"])
        if order.limit_price is not None and sign * (price - order.limit_price) > 0:
            found.append(f"cap: filled at {price}, the limit is {order.limit_price}")
        if child["post_only"] and fill["liquidity"] == "taker":
            found.append(f"post-only took: {child['client_id']}")
    for child in outcome["children"]:
        price = Decimal(child["price"])
        if order.limit_price is not None and sign * (price - order.limit_price) > 0:
            found.append(f"cap: an order at {price}, the limit is {order.limit_price}")
        if child["done_ns"] in {0, None}:
            found.append(f"{child['client_id']} never ended: {child['status']}")
    return found

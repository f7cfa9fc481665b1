"""One ccxt market as an ``Instrument``, to the last digit.

The meaning of ccxt's fields: its manual, sections "Market Structure" and "Precision And Limits". A size
is in the units of the venue's books (coins, or contracts), and ``contract_size`` is the value of one
unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.shell.instruments.markets import Market
from citadel_micro.shell.instruments.rules import FEES, FeeSide, Kind, make_instrument
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument

# Values of ccxt's ``precisionMode``.
DECIMAL_PLACES: Final = 2
SIGNIFICANT_DIGITS: Final = 3
TICK_SIZE: Final = 4

FLOAT_DIGITS: Final = 15
"""A decimal of so many significant digits survives text -> binary float -> shortest text (IEEE 754,
``DBL_DIG``), so the shortest text of a float is what the venue wrote."""
_MOST_PLACES: Final = 30
_WIDE: Final = Context(prec=60)


class Unusable(ValueError):  # noqa: N818 - a reason, kept beside the symbol
    """A market that cannot be traded here, and why."""


@dataclass(slots=True, kw_only=True)
class Terms:
    """Numbers of a market before they are an instrument, for a venue's corrections."""

    tick: Decimal | None
    lot: Decimal | None
    min_quantity: Decimal
    min_notional: Decimal
    contract_size: Decimal
    active: bool


Raw = Mapping[str, Any]
Fix = Callable[[Raw, Terms], None]
"""Corrects terms by the venue's own data, ``market["info"]``."""


def no_fix(_info: Raw, _terms: Terms) -> None:
    """Ccxt's data are complete."""


def exact(value: object, what: str) -> Decimal | None:
    """The number that a venue gave; None where it gave none.

    Raises Unusable for what is no number, and for a binary float with more digits than it can
    carry: those are of arithmetic, not of any text.
    """
    number = near(value, what)
    long = number is not None and len(number.normalize(_WIDE).as_tuple().digits) > FLOAT_DIGITS
    if long and isinstance(value, float):
        raise Unusable(f"{what} is {value!r}, which is noise of binary arithmetic")
    return number


def near(value: object, what: str) -> Decimal | None:
    """The same for a bound or a fee, where the seventeenth digit does not matter."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise Unusable(f"{what} is {value!r}, which is no number")
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except ArithmeticError:
        raise Unusable(f"{what} is {value!r}, which is no number") from None
    if not number.is_finite():
        raise Unusable(f"{what} is {value}, which is no number")
    return number


def price_step(value: object, mode: int, price: Decimal | None) -> Decimal | None:
    """Smallest difference of two prices, from ``precision.price``; None where it is not given.

    Significant digits are a step only at a price: that of the decade of ``price``. A price that
    grows into the next decade has a step ten times as large.
    """
    if mode != SIGNIFICANT_DIGITS:
        return _step(value, mode, "precision.price")
    digits = exact(value, "precision.price")
    if digits is None:
        return None
    if price is None or price <= 0:
        raise Unusable("its tick follows its price, and it has none now")
    places = price.adjusted() - _whole(digits, "precision.price") + 1
    return Decimal(1).scaleb(max(places, -8))  # Bitfinex: "up to 8 decimals"


def size_step(value: object, mode: int) -> Decimal | None:
    """Smallest difference of two sizes, from ``precision.amount``; None where it is not given.

    Where prices have significant digits, sizes have decimal places: both such venues override
    ccxt's ``amount_to_precision`` so.
    """
    return _step(value, DECIMAL_PLACES if mode == SIGNIFICANT_DIGITS else mode, "precision.amount")


def _step(value: object, mode: int, what: str) -> Decimal | None:
    number = exact(value, what)
    if number is None or mode == TICK_SIZE:
        return number
    if mode != DECIMAL_PLACES:
        raise Unusable(f"ccxt counts its precision in an unknown way ({mode})")
    return Decimal(1).scaleb(-_whole(number, what))


def _whole(number: Decimal, what: str) -> int:
    if number != number.to_integral_value() or abs(number) > _MOST_PLACES:
        raise Unusable(f"{what} is {number}, which is no number of digits")
    return int(number)


def kind_of_market(market: Raw) -> Kind:
    """Spot, linear or inverse. Raises Unusable for anything else."""
    if market.get("option"):
        raise Unusable("options are not supported")
    if market.get("spot"):
        return "spot"
    if not market.get("swap") and not market.get("future"):
        raise Unusable(f"{market.get('type') or 'its kind'} is not supported")
    if market.get("linear"):
        return "linear"
    if market.get("inverse"):
        return "inverse"
    raise Unusable(f"it settles in {market.get('settle')}, neither its base nor its quote")


def market_of(
    venue: str,
    market: Raw,
    *,
    mode: int,
    name: str,
    fix: Fix = no_fix,
    fee_side: FeeSide | None = None,
    price: Decimal | None = None,
) -> Market:
    """One ccxt market as ours.

    Args:
        venue: venue id.
        market: ccxt's market structure.
        mode: ccxt's ``precisionMode`` of that exchange.
        name: the symbol in the venue's streams.
        fix: corrections by the venue's own data.
        fee_side: on spot, where the fee is not in the received currency.
        price: current price, needed where precision is in significant digits.

    Raises Unusable with the reason.
    """
    kind = kind_of_market(market)
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    terms = Terms(
        tick=price_step(precision.get("price"), mode, price),
        lot=size_step(precision.get("amount"), mode),
        min_quantity=_least(limits, "amount"),
        min_notional=_least(limits, "cost"),
        contract_size=exact(market.get("contractSize"), "contractSize") or Decimal(1),
        active=market.get("active") is not False,
    )
    if kind == "spot":
        terms.contract_size = Decimal(1)
    fix(market.get("info") or {}, terms)
    if not terms.tick or not terms.lot:
        raise Unusable(f"no {'lot' if terms.tick else 'tick'} is given")
    return Market(
        rules=_instrument(venue, market, kind, terms, name, fee_side), active=terms.active
    )


def _instrument(  # noqa: PLR0917 - all of what has been worked out
    venue: str, market: Raw, kind: Kind, terms: Terms, name: str, fee_side: FeeSide | None
) -> Instrument:
    if terms.tick is None or terms.lot is None:
        raise Unusable("no tick or lot is given")
    maker, taker = (near(market.get(side), f"{side} fee") for side in ("maker", "taker"))
    try:
        return make_instrument(
            venue=venue,
            symbol=str(market["symbol"]),
            native=name,
            kind=kind,
            tick=terms.tick,
            lot=terms.lot,
            min_quantity=max(terms.min_quantity, terms.lot),
            min_notional=terms.min_notional,
            contract_size=terms.contract_size,
            fees=(
                FEES[kind][0] if maker is None else maker,
                FEES[kind][1] if taker is None else taker,
            ),
            fee_side=fee_side if kind == "spot" else None,
        )
    except BadInput as error:
        raise Unusable(str(error)) from None


def _least(limits: Raw, what: str) -> Decimal:
    least = near((limits.get(what) or {}).get("min"), f"limits.{what}.min")
    return max(least or Decimal(0), Decimal(0))

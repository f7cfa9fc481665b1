"""Binance spot's answers about an account, its key and its symbols, as they are on the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.shell.account_facts import KeyRights, RateLimit, SymbolFacts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ZERO: Final = Decimal(0)
NEEDED_TYPES: Final = ("LIMIT", "LIMIT_MAKER")
_UNITS: Final = {"SECOND": "s", "MINUTE": "min", "HOUR": "h", "DAY": "d"}


class Time(msgspec.Struct, rename="camel"):
    """``/api/v3/time``."""

    server_time: int


class Limit(msgspec.Struct, rename="camel"):
    """One of ``rateLimits``, with the used count where an account is queried."""

    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int
    count: int | None = None


class Filter(msgspec.Struct, rename="camel"):
    """One of a symbol's filters; each kind has some of these."""

    filter_type: str
    tick_size: Decimal | None = None
    step_size: Decimal | None = None
    min_qty: Decimal | None = None
    max_qty: Decimal | None = None
    min_notional: Decimal | None = None
    notional: Decimal | None = None
    max_num_orders: int | None = None
    bid_multiplier_up: Decimal | None = None
    bid_multiplier_down: Decimal | None = None
    ask_multiplier_up: Decimal | None = None
    ask_multiplier_down: Decimal | None = None


class Symbol(msgspec.Struct, rename="camel"):
    """One of ``exchangeInfo``."""

    symbol: str
    status: str
    filters: list[Filter]
    order_types: list[str] = []
    is_spot_trading_allowed: bool = True
    permission_sets: list[list[str]] = []


class Info(msgspec.Struct, rename="camel"):
    """``/api/v3/exchangeInfo``."""

    symbols: list[Symbol]
    rate_limits: list[Limit] = []


class Balance(msgspec.Struct):
    """One currency."""

    asset: str
    free: Decimal
    locked: Decimal


class Rates(msgspec.Struct, frozen=True):
    """Fees as fractions of notional."""

    maker: Decimal = ZERO
    taker: Decimal = ZERO


class Account(msgspec.Struct, rename="camel"):
    """``/api/v3/account``."""

    balances: list[Balance]
    can_trade: bool
    uid: int | None = None
    permissions: list[str] = []
    commission_rates: Rates | None = None


class Commission(msgspec.Struct, rename="camel"):
    """``/api/v3/account/commission`` of one symbol: the fee is the sum."""

    standard_commission: Rates
    special_commission: Rates = Rates()
    tax_commission: Rates = Rates()

    def sums(self) -> Rates:
        """The fee, before any discount for paying in BNB."""
        parts = (self.standard_commission, self.special_commission, self.tax_commission)
        return Rates(
            maker=sum((each.maker for each in parts), ZERO),
            taker=sum((each.taker for each in parts), ZERO),
        )


class Restrictions(msgspec.Struct, rename="camel"):
    """``/sapi/v1/account/apiRestrictions``: of the key, unlike the account's ``canWithdraw``."""

    ip_restrict: bool
    enable_withdrawals: bool
    enable_reading: bool = True
    enable_internal_transfer: bool = False
    permits_universal_transfer: bool = False
    enable_spot_and_margin_trading: bool = False
    enable_futures: bool = False

    def rights(self, *, futures: bool = False) -> KeyRights:
        """In the form common to all venues."""
        return KeyRights(
            trade=self.enable_futures if futures else self.enable_spot_and_margin_trading,
            withdraw=self.enable_withdrawals,
            transfer=self.enable_internal_transfer or self.permits_universal_transfer,
            bound_to_addresses=self.ip_restrict,
        )


def symbol_facts(symbol: Symbol, permissions: Sequence[str], fees: Rates | None) -> SymbolFacts:
    """One symbol as this account may trade it."""
    why_not = _why_not(symbol, permissions)
    by_type = {each.filter_type: each for each in symbol.filters}
    price, lots = by_type.get("PRICE_FILTER"), by_type.get("LOT_SIZE")
    least = by_type.get("NOTIONAL", by_type.get("MIN_NOTIONAL"))
    return SymbolFacts(
        status=symbol.status,
        tradable=not why_not,
        why_not=why_not,
        tick=None if price is None else price.tick_size,
        lot=None if lots is None else lots.step_size,
        min_notional=None if least is None else least.min_notional or least.notional,
        maker_fee=None if fees is None else fees.maker,
        taker_fee=None if fees is None else fees.taker,
        filters=dict(_shown(symbol.filters)),
    )


def _why_not(symbol: Symbol, permissions: Sequence[str]) -> str:
    if symbol.status != "TRADING":
        return f"its status is {symbol.status}"
    if not symbol.is_spot_trading_allowed:
        return "spot trading of it is not allowed"
    absent = [each for each in NEEDED_TYPES if each not in symbol.order_types]
    if symbol.order_types and absent:
        return f"it takes no orders of type {', '.join(absent)}"
    for each in symbol.permission_sets:
        # One permission of every set is needed.
        if permissions and not set(each) & set(permissions):
            return "the account has none of the permissions that it asks for"
    return ""


def _shown(filters: Sequence[Filter]) -> Iterator[tuple[str, str]]:
    for each in filters:
        if each.filter_type == "PRICE_FILTER" and each.tick_size is not None:
            yield "tick", plain(each.tick_size)
        elif each.filter_type == "LOT_SIZE" and each.step_size is not None:
            yield "lot", plain(each.step_size)
            if each.min_qty is not None and each.max_qty is not None:
                yield "quantity", f"{plain(each.min_qty)} to {plain(each.max_qty)}"
        elif each.filter_type in {"NOTIONAL", "MIN_NOTIONAL"}:
            least = each.min_notional or each.notional
            if least is not None:
                yield "least notional", plain(least)
        elif each.filter_type == "MAX_NUM_ORDERS" and each.max_num_orders is not None:
            yield "most orders", str(each.max_num_orders)
        elif each.filter_type == "PERCENT_PRICE_BY_SIDE" and each.bid_multiplier_down is not None:
            down, up = each.bid_multiplier_down, each.ask_multiplier_up
            yield "prices", f"x {plain(down)} to x {plain(up or ZERO)}"


def limit_of(each: Limit, used: int | None) -> RateLimit:
    """One rate limit, with its window in its name."""
    window = f"{each.interval_num} {_UNITS.get(each.interval, each.interval)}"
    kind = each.rate_limit_type.lower().replace("_", " ")
    return RateLimit(name=f"{kind} per {window}", limit=each.limit, used=used)


def plain(number: Decimal) -> str:
    """Without trailing zeros, and without an exponent."""
    return f"{number.normalize():f}"

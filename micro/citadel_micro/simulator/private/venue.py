"""What every method of the private protocol works with: the exchange, its keys, limits and faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from citadel_micro.sim.exchange.exchange import Exchange
from citadel_micro.sim.exchange.model import AccountEvent, Order
from citadel_micro.sim.rng import key_of
from citadel_micro.simulator.fault_rules import FaultRule, FaultRules
from citadel_micro.simulator.keys import ApiKey, KeyRing
from citadel_micro.simulator.knobs import KNOBS, SKEW, Counts
from citadel_micro.simulator.private.signed import Times
from citadel_micro.simulator.query import ApiError, Query
from citadel_micro.simulator.weights import RequestWeights

if TYPE_CHECKING:
    from citadel_micro.sim.flow_symbols import SymbolSpec

MS_NS: Final = 1_000_000
_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NAME_LENGTH: Final = 22
_INTERVALS_MS: Final = {"SECOND": 1000, "MINUTE": 60_000, "DAY": 86_400_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that has been let in: who asks for what, from where.

    ``strict``: parameters that the method does not know are refused, as REST does; the websocket
    API lets them pass (ccxt.pro sends some). ``hits`` are the faults that this request meets,
    ``placed`` the orders that it has placed.
    """

    method: str
    key: ApiKey
    query: Query
    address: str
    times: Times
    strict: bool = True
    hits: dict[str, FaultRule] = field(default_factory=dict)
    placed: list[Order] = field(default_factory=list)

    @property
    def who(self) -> tuple[str, str]:
        """Return what fault rules may name: the key and its account."""
        return (self.key.key_id, self.key.account)

    @property
    def account(self) -> str:
        """Return the account."""
        return self.key.account

    def only(self, *names: str) -> None:
        """Refuse unknown parameters where that is done.

        Raises:
            ApiError: -1104.
        """
        if self.strict:
            self.query.only(*names)


@dataclass(frozen=True, slots=True)
class OrderLimit:
    """How many orders an account may place in an interval; ``letter`` is for the header."""

    interval: str
    number: int
    limit: int
    letter: str

    @property
    def length_ms(self) -> int:
        """Return the interval's length."""
        return self.number * _INTERVALS_MS[self.interval]


@dataclass(slots=True, kw_only=True)
class Venue:
    """The exchange and what stands between it and its clients.

    ``hidden`` orders are not known to queries before a time (ns); ``confirmed`` are orders whose
    cancel was confirmed though they live. ``later`` calls a function after some seconds;
    ``inject`` puts an event before the user streams that the exchange knows nothing of.
    """

    exchange: Exchange
    ring: KeyRing
    faults: FaultRules
    weights: RequestWeights
    limits: tuple[OrderLimit, ...]
    later: Callable[[float, Callable[[], None]], None]
    inject: Callable[[AccountEvent], None]
    hidden: dict[int, int] = field(default_factory=dict)
    confirmed: dict[int, Order] = field(default_factory=dict)
    last_sequence: dict[str, int] = field(default_factory=dict)
    _names: int = 0

    @property
    def now_ns(self) -> int:
        """Return the exchange's time."""
        return self.exchange.now_ns

    @property
    def now_ms(self) -> int:
        """Return the exchange's time in milliseconds."""
        return self.exchange.now_ns // MS_NS

    def spec(self, symbol: str) -> SymbolSpec:
        """Return a symbol's ticks and lots."""
        return self.exchange.rules[symbol].spec

    def draw(self, call: Call) -> None:
        """Count a request for every fault, whichever of them comes first, and keep those it meets."""
        for name in self.faults.names():
            if KNOBS[name].counts is Counts.REQUEST and name != SKEW:
                rule = self.faults.hit(name, call.who, call.method, self.now_ms)
                if rule is not None:
                    call.hits[name] = rule

    def new_name(self) -> str:
        """Return an id of the kind that Binance gives to a cancel, different each time."""
        self._names += 1
        state = key_of(self.faults.seed, "id", self._names) | key_of("id", self._names) << 64
        letters = []
        for _ in range(_NAME_LENGTH):
            state, index = divmod(state, len(_LETTERS))
            letters.append(_LETTERS[index])
        return "".join(letters)

    def check_order_count(self, account: str) -> None:
        """Refuse one more order where an account has too many.

        Raises:
            ApiError: -1015 with the end of the interval.
        """
        counts = self.exchange.order_counts(account)
        for limit, count in zip(self.limits, counts, strict=True):
            if count >= limit.limit:
                raise too_many_orders(self.now_ms, limit)

    def order_counts(self, account: str) -> list[dict[str, object]]:
        """Return the counts of orders as Binance lists them."""
        counts = self.exchange.order_counts(account)
        return [
            {
                "rateLimitType": "ORDERS",
                "interval": limit.interval,
                "intervalNum": limit.number,
                "limit": limit.limit,
                "count": count,
            }
            for limit, count in zip(self.limits, counts, strict=True)
        ]


def too_many_orders(now_ms: int, limit: OrderLimit) -> ApiError:
    """Return the answer to one order too many in an interval."""
    text = (
        f"Too many new orders; current limit is {limit.limit} orders per {limit.number} "
        f"{limit.interval}."
    )
    length = limit.length_ms
    return ApiError(-1015, text, status=429, retry_at_ms=(now_ms // length + 1) * length)

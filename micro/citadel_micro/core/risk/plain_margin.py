"""Margined orders that row 14 of the risk table passes beyond doubt: ``checks_margin`` in floats.

Linear contracts alone. Every sum is drawn away from its limit by ``DOUBT`` of all that is added in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.core.portfolio.margin import tier_of
from citadel_micro.core.risk.plain_bounds import DOUBT, SURE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.model.account_events import MarginTerms, MarkPrice
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.portfolio.portfolio import Portfolio
    from citadel_micro.core.risk.plain_bounds import Bounds
    from citadel_micro.core.risk.types import RiskRequest, Standing

Key = tuple[str, str]
_INF: Final = float("inf")


class _Tier(NamedTuple):
    """A ``MarginTier`` in floats."""

    most: float
    max_leverage: int
    rate: float
    amount: float


class _Held(NamedTuple):
    """A position of another instrument, as long as its inputs are the same objects."""

    changes: int
    terms: MarginTerms
    mark: MarkPrice
    price: float
    """Its mark."""
    quantity: float
    kept: float
    """Maintenance margin."""
    unrealised: float


class PlainMargin:
    """What one gate has computed of margin terms and positions."""

    def __init__(self) -> None:
        self._tiers: dict[Key, tuple[MarginTerms, tuple[_Tier, ...]]] = {}
        self._held: dict[Key, _Held] = {}

    def carries(
        self,
        request: RiskRequest,
        portfolio: Portfolio,
        bounds: Bounds,
        standing: Standing,
        *,
        price: int,
        others: Iterable[Key],
        now_ns: int,
    ) -> bool:
        """Whether the account carries the worst case of the side of an order that adds to its position.

        Args:
            request: of the order.
            portfolio: what is held.
            bounds: of its instrument, which is linear.
            standing: of the order.
            price: of the order, or what it would take, in ticks.
            others: every position that is not flat.
            now_ns: the engine's time.
        """
        rules, margin = bounds.instrument, portfolio.margin
        key = (rules.venue, rules.symbol)
        terms, known = margin.terms.get(key), margin.marks.get(key)
        balance = portfolio.balance(rules.venue, rules.settle)
        if (
            terms is None
            or known is None
            or balance is None
            or now_ns - known.recv_ns > bounds.limits.mark_stale_ns
            or request.leverage > terms.leverage
        ):
            return False
        used = self._elsewhere(portfolio, rules, standing, others)
        if used is None:
            return False
        initial, kept, unrealised, moved = used
        buy, mark, leverage = request.side == "buy", known.mark, terms.leverage
        own = price * bounds.tick
        entered = (max if buy else min)(own, mark)
        size = float(rules.contract_size)
        held, entry, stated = 0.0, entered, 0.0
        position = portfolio.position(*key)
        if position is not None and position.quantity:
            held = abs(float(position.quantity))
            entry = float(position.entry_price)
            if terms.mode == "isolated":
                stated = float(margin.isolated(position, leverage))
        added = bounds.lot * (standing[0] + request.exposure_lots)
        dearest = size * max(entered, mark)
        worth = (held + added) * dearest
        fee = bounds.maker_fee if request.post_only else bounds.taker_fee
        needed = worth / leverage + bounds.lot * request.exposure_lots * dearest * fee
        total = float(balance.free) + float(balance.used)
        doubt = DOUBT * (needed + initial + abs(total) + moved)
        if not needed + initial + doubt <= total + min(0.0, unrealised):
            return False
        tier = self._tier(key, terms, worth)
        if tier is None or leverage > tier.max_leverage:
            return False
        if terms.mode == "isolated":
            funds = stated + added * size * entered / leverage
        else:
            funds = total + unrealised - kept
        # What it is entered at, and what it is worth at the buffer's end less what has to be kept of it:
        # the margin must cover what lies between.
        cost, buffer = size * (held * entry + added * entered), bounds.liquidation_buffer
        end = (held + added) * size * mark
        doubt = DOUBT * (cost + abs(funds) + tier.amount + 4.0 * end + moved + abs(total))
        if buy:
            end *= (1.0 - buffer) * (1.0 - tier.rate)
            return cost - funds - tier.amount + doubt <= end
        end *= (1.0 + buffer) * (1.0 + tier.rate)
        return cost + funds + tier.amount - doubt >= end

    def _tier(self, key: Key, terms: MarginTerms, notional: float) -> _Tier | None:
        """Its bracket; None above the last one, or so near the end of one that it may be the next."""
        found = self._tiers.get(key)
        if found is None or found[0] is not terms:
            tiers = tuple(
                _Tier(
                    float(tier.max_notional),
                    tier.max_leverage,
                    float(tier.maintenance_rate),
                    float(tier.maintenance_amount),
                )
                for tier in terms.tiers
            )
            found = self._tiers[key] = terms, tiers
        for tier in found[1]:
            if notional <= tier.most:
                return tier if notional <= tier.most * SURE else None
        return None

    def _elsewhere(
        self, portfolio: Portfolio, rules: Instrument, standing: Standing, others: Iterable[Key]
    ) -> tuple[float, float, float, float] | None:
        """Of the other positions of this currency and the orders pending there, None where it is not known.

        Initial margin, maintenance margin, unrealized profit, and the sum of what was added in these.
        """
        margin = portfolio.margin
        pending = {
            (each.venue, each.symbol): (each, buys, sells) for each, buys, sells in standing[4]
        }
        initial = kept = unrealised = moved = 0.0
        for key in others:
            if key[0] != rules.venue or key[1] == rules.symbol:
                continue
            position = portfolio.position(*key)
            if position is None or position.kind == "spot" or position.settle != rules.settle:
                continue
            held = self._position(portfolio, key)
            if held is None:
                return None
            up, down = held.quantity, -held.quantity
            if key in pending:
                its, buys, sells = pending.pop(key)
                up += its.lot_float * buys
                down += its.lot_float * sells
            size = float(position.contract_size)
            initial += max(up, down) * held.price * size / held.terms.leverage
            kept += held.kept
            unrealised += held.unrealised
            moved += abs(held.kept) + abs(held.unrealised)
        for key, (its, buys, sells) in pending.items():
            if its.kind == "spot" or its.venue != rules.venue or its.settle != rules.settle:
                continue
            terms, known = margin.terms.get(key), margin.marks.get(key)
            if terms is None or known is None:
                return None
            most = its.lot_float * max(buys, sells)
            initial += most * known.mark * float(its.contract_size) / terms.leverage
        return initial, kept, unrealised, moved + initial

    def _position(self, portfolio: Portfolio, key: Key) -> _Held | None:
        """One of them."""
        margin, changes = portfolio.margin, portfolio.valued_at[0]
        terms, known = margin.terms.get(key), margin.marks.get(key)
        if terms is None or known is None:
            return None
        held = self._held.get(key)
        if held is not None and (
            held.changes == changes and held.terms is terms and held.mark is known
        ):
            return held
        position, mark = portfolio.position(*key), margin.mark(key)
        if position is None or mark is None:
            return None
        kept = unrealised = 0.0
        if terms.mode != "isolated":
            notional = abs(position.quantity) * position.value(mark)
            tier = tier_of(terms, notional)
            if tier is None:
                return None
            kept = float(notional * tier.maintenance_rate - tier.maintenance_amount)
            unrealised = float(position.unrealised(mark))
        quantity = float(position.quantity)
        held = _Held(changes, terms, known, known.mark, quantity, kept, unrealised)
        self._held[key] = held
        return held

"""Row 14 of the risk table for derivatives: leverage, margin, and the distance to liquidation.

The worst case of the order's side is judged, as everywhere: every pending order of it filled.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from citadel_micro.core.portfolio.margin import liquidation_price, tier_of
from citadel_micro.core.risk.rows import DERIVATIVE, NOT_MARGINED, SKIPPED
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.core.model.account_events import MarginTerms, MarginTier
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.risk.check_context import Case

_ZERO = Decimal(0)
_ONE = Decimal(1)
FREE_BALANCE: Final = RiskCode.FREE_BALANCE
LEVERAGE: Final = RiskCode.LEVERAGE
LIQUIDATION_DISTANCE: Final = RiskCode.LIQUIDATION_DISTANCE


def check_margin(case: Case) -> None:
    """14, derivatives (not for reductions): the account can carry the worst case of the order's side."""
    instrument = case.instrument
    spot = instrument is None or instrument.kind == "spot"
    if instrument is None or spot or instrument.venue not in case.portfolio.margin.venues:
        if not spot:
            case.rows.append(DERIVATIVE)
        case.rows += NOT_MARGINED
        return
    if case.reducing:
        case.rows += (SKIPPED[FREE_BALANCE], SKIPPED[LEVERAGE], SKIPPED[LIQUIDATION_DISTANCE])
        return
    inputs = _inputs(case, instrument)
    if isinstance(inputs, str):
        for code in (FREE_BALANCE, LEVERAGE, LIQUIDATION_DISTANCE):
            case.failed_entry(14, code, inputs)
        return
    _check_funds(case, inputs)
    _check_leverage(case, inputs)
    _check_distance(case, inputs)


class _Inputs(NamedTuple):
    """What the three checks share; money in the settle currency."""

    terms: MarginTerms
    mark: Decimal
    price: Decimal
    """What new quantity is entered at, at worst."""
    held: Decimal
    """Quantity, on the order's side positive."""
    before: Decimal
    """The same, with what is pending on that side."""
    lot: Decimal
    contract_size: Decimal
    entry: Decimal
    """Average entry of the position."""
    wallet: Decimal
    free: Decimal
    """Of the wallet, without this symbol."""
    others: Decimal
    """Unrealized profit of other positions, less their maintenance margin."""
    own_margin: Decimal
    """Isolated margin of the position; 0 where it is on the other side."""

    def after(self, lots: int) -> Decimal:
        """Quantity when this many lots of the order are filled, and all that is pending."""
        return self.before + self.lot * lots

    def notional(self, quantity: Decimal) -> Decimal:
        """At the mark or at the price of entry, whichever is higher."""
        return quantity * self.contract_size * max(self.mark, self.price)


def _inputs(case: Case, instrument: Instrument) -> _Inputs | str:
    """The inputs, or which of them is missing."""
    portfolio, margin = case.portfolio, case.portfolio.margin
    key = (instrument.venue, instrument.symbol)
    terms, known = margin.terms.get(key), margin.marks.get(key)
    if instrument.kind != "linear":
        return "only linear contracts can be margined"
    if terms is None:
        return f"the venue has not confirmed leverage and margin mode of {instrument.symbol} yet"
    if known is None or case.now_ns - known.recv_ns > case.limits.mark_stale_ns:
        return f"the mark price of {instrument.symbol} is not known"
    balance = portfolio.balance(instrument.venue, instrument.settle)
    half_ticks = case.price_half_ticks()
    if balance is None or half_ticks <= 0:
        return f"how much {instrument.settle} is free is not known"
    used = _elsewhere(case, instrument)
    if used is None:
        return "the margin of another position cannot be calculated"
    mark = Decimal(repr(known.mark))
    price = instrument.tick * half_ticks / 2
    # The worse entry: dear for a long, cheap for a short.
    price = max(price, mark) if case.buy else min(price, mark)
    position = portfolio.position(*key)
    held, entry, own = _ZERO, price, _ZERO
    if position is not None and position.quantity:
        held = position.quantity if case.buy else -position.quantity
        if held > 0:
            entry = position.entry_price
            own = margin.isolated(position, terms.leverage)
    return _Inputs(
        terms=terms,
        mark=mark,
        price=price,
        held=held,
        before=held + instrument.lot * case.pending,
        lot=instrument.lot,
        contract_size=instrument.contract_size,
        entry=entry,
        wallet=balance.total,
        free=balance.total - used.initial + min(_ZERO, used.unrealised),
        others=used.unrealised - used.maintenance,
        own_margin=own,
    )


class _Elsewhere(NamedTuple):
    """Other positions of the same settle currency, and the orders pending there."""

    initial: Decimal
    maintenance: Decimal
    unrealised: Decimal


def _elsewhere(case: Case, instrument: Instrument) -> _Elsewhere | None:
    """What they use; None where it is not known."""
    portfolio, margin = case.portfolio, case.portfolio.margin
    pending = {(venue, symbol): lots for venue, symbol, lots in case.active_symbols()}
    keys = dict.fromkeys(pending)
    keys.update({(each.venue, each.symbol): None for each in portfolio.positions()})
    initial = maintenance = unrealised = _ZERO
    for key in keys:
        rules = case.view.instrument(*key)
        if key == (instrument.venue, instrument.symbol) or key[0] != instrument.venue:
            continue
        if rules is None or rules.kind == "spot" or rules.settle != instrument.settle:
            continue
        held, lots = portfolio.quantity(*key), pending.get(key, {})
        up = held + rules.lot * lots.get("buy", 0)
        down = rules.lot * lots.get("sell", 0) - held
        most = max(up, down)
        if not most:
            continue
        terms, mark = margin.terms.get(key), margin.mark(key)
        if terms is None or mark is None:
            return None
        initial += most * mark * rules.contract_size / terms.leverage
        position = portfolio.position(*key)
        if position is None or not position.quantity or terms.mode == "isolated":
            continue
        notional = abs(position.quantity) * position.value(mark)
        tier = tier_of(terms, notional)
        if tier is None:
            return None
        maintenance += notional * tier.maintenance_rate - tier.maintenance_amount
        unrealised += position.unrealised(mark)
    return _Elsewhere(initial, maintenance, unrealised)


def _check_funds(case: Case, inputs: _Inputs) -> None:
    """The free margin covers the initial margin of this symbol's worst case, and the order's fee."""
    instrument = case.instrument
    fee = _ZERO
    if instrument is not None:
        fee = instrument.maker_fee if case.request.post_only else instrument.taker_fee

    def needed(lots: int) -> Decimal:
        initial = inputs.notional(max(_ZERO, inputs.after(lots))) / inputs.terms.leverage
        return initial + inputs.notional(inputs.lot * lots) * fee

    wanted = needed(case.exposure)
    if wanted <= inputs.free:
        case.rows.append((14, FREE_BALANCE, True, wanted, inputs.free, ""))
        return
    text = f"{wanted:f} {inputs_currency(case)} of margin is needed, {inputs.free:f} is free"
    lots = _most(case, lambda count: needed(count) <= inputs.free)
    case.failed_entry(14, FREE_BALANCE, text, value=wanted, limit=inputs.free, lots=lots)


def inputs_currency(case: Case) -> str:
    """What the margin is in."""
    return "" if case.instrument is None else case.instrument.settle


def _check_leverage(case: Case, inputs: _Inputs) -> None:
    """The venue's leverage is what the strategy reckons with or more, and allowed for the notional."""
    asked, terms = case.request.leverage, inputs.terms
    if asked > terms.leverage:
        text = f"leverage {asked} is asked for, the account's is {terms.leverage}"
        case.failed_entry(14, LEVERAGE, text, value=asked, limit=terms.leverage)
        return

    def allowed(lots: int) -> MarginTier | None:
        tier = tier_of(terms, inputs.notional(max(_ZERO, inputs.after(lots))))
        return tier if tier is not None and terms.leverage <= tier.max_leverage else None

    if allowed(case.exposure) is not None:
        case.rows.append((14, LEVERAGE, True, asked, terms.leverage, ""))
        return
    notional = inputs.notional(inputs.after(case.exposure))
    text = f"a position worth {notional:f} is too large for leverage {terms.leverage}"
    lots = _most(case, lambda count: allowed(count) is not None)
    case.failed_entry(14, LEVERAGE, text, value=notional, limit=terms.leverage, lots=lots)


def _check_distance(case: Case, inputs: _Inputs) -> None:
    """The mark price is far enough from where the position would be liquidated."""
    buffer = case.limits.liquidation_buffer
    distance = _distance(case, inputs, case.exposure)
    if distance is not None and distance >= buffer:
        case.rows.append((14, LIQUIDATION_DISTANCE, True, distance, buffer, ""))
        return

    def passes(lots: int) -> bool:
        found = _distance(case, inputs, lots)
        return found is not None and found >= buffer

    text = "no margin bracket is as large as the position would be"
    if distance is not None:
        text = (
            f"it would be liquidated {distance * 100:.2f} % from the mark price, at least "
            f"{buffer * 100:.2f} % are wanted: lower the leverage or the quantity"
        )
    case.failed_entry(
        14,
        LIQUIDATION_DISTANCE,
        text,
        value=_ZERO if distance is None else distance,
        limit=buffer,
        lots=_most(case, passes),
    )


def _distance(case: Case, inputs: _Inputs, lots: int) -> Decimal | None:
    """From the mark to the liquidation price, as a fraction; 1 where nothing liquidates."""
    after, size = inputs.after(lots), inputs.contract_size
    if after <= 0:
        return _ONE
    tier = tier_of(inputs.terms, inputs.notional(after))
    if tier is None:
        return None
    kept = max(_ZERO, inputs.held)
    entry = (kept * inputs.entry + (after - kept) * inputs.price) / after
    if inputs.terms.mode == "isolated":
        added = (after - kept) * size * inputs.price / inputs.terms.leverage
        margin = inputs.own_margin + added
    else:
        margin = inputs.wallet + inputs.others
    signed = after * size if case.buy else -after * size
    price = liquidation_price(signed, entry, margin, tier)
    if price is None:
        return _ONE
    gap = inputs.mark - price if case.buy else price - inputs.mark
    return min(_ONE, gap / inputs.mark)


def _most(case: Case, passes: Callable[[int], bool]) -> int:
    """The most lots that pass, where fewer pass whenever more do; 0 where none does."""
    low, high = 0, case.live
    while low < high:
        middle = (low + high + 1) // 2
        if passes(middle):
            low = middle
        else:
            high = middle - 1
    return low

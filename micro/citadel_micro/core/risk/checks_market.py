"""The checks of the gate, in the order of the risk table; each records its results in the case.

Every check runs whatever the others found. An input that is missing or not a number fails the
checks that need it. Verified reductions skip the checks marked with ``reducing`` below and no
others, so that no limit blocks an exit.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from citadel_micro.core.model.risk_limits import listed
from citadel_micro.core.risk.exact import exact, near, part_of
from citadel_micro.core.risk.rows import CLEAR, CLEAR_STATE, NO_PRICE, NOT_CONFIGURED, SKIPPED
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Side
    from citadel_micro.core.risk.check_context import Case
    from citadel_micro.core.risk.types import JudgedMarket

BPS = 10_000.0

# Looked up once: CPython 3.11 takes 0.2 µs to find a member of an enumeration.
KILLED = RiskCode.KILLED
HALTED = RiskCode.HALTED
REDUCE_ONLY = RiskCode.REDUCE_ONLY
MACRO_LEASE_LOST = RiskCode.MACRO_LEASE_LOST
VENUE_DMS_NOT_ARMED = RiskCode.VENUE_DMS_NOT_ARMED
RECONCILING = RiskCode.RECONCILING
UNKNOWN_EXPOSURE = RiskCode.UNKNOWN_EXPOSURE
INTENT_EXPIRED = RiskCode.INTENT_EXPIRED
DUPLICATE = RiskCode.DUPLICATE
SEQ_GAP = RiskCode.SEQ_GAP
SYMBOL_DISALLOWED = RiskCode.SYMBOL_DISALLOWED
VENUE_DISALLOWED = RiskCode.VENUE_DISALLOWED
BAD_NUMBER = RiskCode.BAD_NUMBER
BAD_TICK = RiskCode.BAD_TICK
BAD_LOT = RiskCode.BAD_LOT
BELOW_MIN = RiskCode.BELOW_MIN
BOOK_STALE = RiskCode.BOOK_STALE
BOOK_CROSSED = RiskCode.BOOK_CROSSED
BOOK_NOT_LIVE = RiskCode.BOOK_NOT_LIVE
CLOCK_SKEW = RiskCode.CLOCK_SKEW
PRICE_COLLAR = RiskCode.PRICE_COLLAR
REF_DIVERGENCE = RiskCode.REF_DIVERGENCE
SPREAD_WIDE = RiskCode.SPREAD_WIDE
DEPTH_PARTICIPATION = RiskCode.DEPTH_PARTICIPATION
SELF_CROSS = RiskCode.SELF_CROSS


def check_state(case: Case) -> None:
    """1: what the breakers permit, and the flag of a reduce-only order."""
    state = case.state
    if state == "ACTIVE" and not case.request.reduce_only:
        case.rows += CLEAR_STATE
        return
    if state == "KILLED":
        case.failed(1, KILLED, "the kill switch is on", value=state)
    else:
        case.rows.append(CLEAR[KILLED])
    if state == "HALTED" and not (case.request.through_halt and case.reducing):
        case.failed(1, HALTED, "halted: orders may only be cancelled", value=state)
    else:
        case.rows.append(CLEAR[HALTED])
    if case.reducing or (state != "REDUCING" and not case.request.reduce_only):
        case.rows.append(CLEAR[REDUCE_ONLY])
    else:
        case.failed_entry(
            1,
            REDUCE_ONLY,
            "only reductions are accepted, and the position leaves less to reduce",
            value=case.exposure,
            limit=case.reducible,
        )


def check_lease(case: Case) -> None:
    """2 (not for reductions): a macro is watching, and the venue's dead man's switch is armed."""
    if case.reducing:
        case.rows.append(SKIPPED[MACRO_LEASE_LOST])
        case.rows.append(SKIPPED[VENUE_DMS_NOT_ARMED])
        return
    limits = case.limits
    if limits.lease_required:
        age = case.view.owner_age_ns(case.request.owner, case.request.epoch, case.now_ns)
        limit = limits.lease_soft_ns if case.parent else limits.lease_hard_ns
        if age is None or age > limit:
            heard = "never" if age is None else f"{age / 1e9:.1f} s ago"
            case.failed_entry(
                2, MACRO_LEASE_LOST, f"macro was heard {heard}", value=age, limit=limit
            )
        else:
            case.rows.append((2, MACRO_LEASE_LOST, True, age, limit, ""))
    else:
        case.rows.append(CLEAR[MACRO_LEASE_LOST])
    if case.request.venue in limits.dms_venues and not case.dms_armed:
        case.failed_entry(
            2, VENUE_DMS_NOT_ARMED, f"{case.request.venue} would not cancel if we fell silent"
        )
    else:
        case.rows.append(CLEAR[VENUE_DMS_NOT_ARMED])


def check_knowledge(case: Case) -> None:
    """3: our orders and holdings at the venue are known."""
    if case.view.reconciling:
        case.failed(3, RECONCILING, "recovery is not complete")
    else:
        case.rows.append(CLEAR[RECONCILING])
    if case.reducing:
        # An unknown order counts as filled in what others have of the position.
        case.rows.append(SKIPPED[UNKNOWN_EXPOSURE])
        return
    unknown = case.view.unknown_children(case.request.venue, case.request.symbol)
    if unknown:
        text = f"{unknown} orders of this symbol may or may not be at the venue"
        case.failed_entry(3, UNKNOWN_EXPOSURE, text, value=unknown, limit=0)
    else:
        case.rows.append(CLEAR[UNKNOWN_EXPOSURE])


def check_intent(case: Case) -> None:
    """4: the signal is young, new, and nothing before it was lost."""
    request, now_ns = case.request, case.now_ns
    if case.parent:
        age = now_ns - request.signal_created_ns
        ttl = case.limits.signal_ttl_ns
        if now_ns >= request.signal_expires_ns or age > ttl:
            text = f"the signal is {age / 1e9:.1f} s old"
            case.failed(4, INTENT_EXPIRED, text, value=age, limit=ttl)
        else:
            case.rows.append((4, INTENT_EXPIRED, True, age, ttl, ""))
    elif case.order_expires_ns is not None and now_ns >= case.order_expires_ns:
        case.failed(
            4,
            INTENT_EXPIRED,
            "the order expired before it was sent",
            value=now_ns,
            limit=case.order_expires_ns,
        )
    else:
        case.rows.append(CLEAR[INTENT_EXPIRED])
    if request.duplicate:
        case.failed(4, DUPLICATE, f"{request.parent_id} was received before")
    else:
        case.rows.append(CLEAR[DUPLICATE])
    if case.reducing:
        # The lost message may have been an entry or an exit: more risk waits, less of it does not.
        case.rows.append(SKIPPED[SEQ_GAP])
    elif request.missed_signals:
        text = f"{request.missed_signals} earlier signals were lost on the way"
        case.failed_entry(4, SEQ_GAP, text, value=request.missed_signals, limit=0)
    else:
        case.rows.append(CLEAR[SEQ_GAP])


def check_allowed(case: Case) -> None:
    """5: the symbol and the venue are on the lists, and the trading rules are known."""
    request, limits = case.request, case.limits
    if not listed(limits.allowed_symbols, request.venue, request.symbol):
        case.failed(5, SYMBOL_DISALLOWED, f"{request.symbol} is not on the allow-list")
    elif case.instrument is None:
        text = f"no trading rules of {request.symbol} on {request.venue} are known"
        case.failed(5, SYMBOL_DISALLOWED, text)
    else:
        case.rows.append(CLEAR[SYMBOL_DISALLOWED])
    if listed(limits.allowed_venues, "", request.venue):
        case.rows.append(CLEAR[VENUE_DISALLOWED])
    else:
        case.failed(5, VENUE_DISALLOWED, f"{request.venue} is not on the allow-list")


def check_numbers(case: Case) -> None:
    """6: the numbers are valid, on the grid, and not below the venue's minimums."""
    request, instrument = case.request, case.instrument
    if case.numbers_bad:
        case.failed(6, BAD_NUMBER, case.numbers_bad)
    else:
        case.rows.append(CLEAR[BAD_NUMBER])
    if instrument is None:
        for code in (BAD_TICK, BAD_LOT, BELOW_MIN):
            case.failed(6, code, "there are no trading rules to judge by")
        return
    rounded = case.reducing and request.round_exits
    asked = None if rounded else request.asked_price
    if asked is not None and (case.price is None or asked != instrument.price(case.price)):
        text = f"price {asked} is not a multiple of the tick {instrument.tick}"
        case.failed(6, BAD_TICK, text, value=asked, limit=instrument.tick)
    else:
        case.rows.append(CLEAR[BAD_TICK])
    wanted = None if rounded and not case.numbers_bad else request.asked_quantity
    smallest = case.min_lots()
    # Rounding down does not fix a quantity that is too small: that is the reason then.
    if (
        wanted is not None
        and wanted != instrument.quantity(request.asked_lots or case.quantity)
        and (case.quantity >= smallest or not wanted.is_finite())
    ):
        text = f"quantity {wanted} is not a multiple of the lot {instrument.lot}"
        case.failed(6, BAD_LOT, text, value=wanted, limit=instrument.lot, lots=case.live)
    else:
        case.rows.append(CLEAR[BAD_LOT])
    if case.price is None and case.mid is None:
        case.failed(6, BELOW_MIN, "there is no price to value the minimum by")
    elif case.quantity < smallest:
        text = (
            f"{instrument.quantity(case.quantity)} {instrument.base} is below the venue's "
            f"minimum of {instrument.quantity(smallest)} at this price"
        )
        case.failed(6, BELOW_MIN, text, value=case.quantity, limit=smallest)
    else:
        case.rows.append((6, BELOW_MIN, True, case.quantity, smallest, ""))


def check_book(case: Case) -> None:
    """7: the venue's own book can be trusted."""
    market = case.market
    if market is None:
        for code in (BOOK_STALE, BOOK_CROSSED, BOOK_NOT_LIVE):
            case.failed(7, code, "there is no book")
    else:
        _judge_book(case, market)


def check_skew(case: Case) -> None:
    """7: the clocks can be trusted."""
    limits = case.limits
    skew = case.view.owner_skew_ns(case.request.owner, case.request.epoch)
    ahead = case.request.signal_created_ns - case.now_ns if case.parent else 0
    worst, limit = max(abs(skew), ahead), limits.max_skew_ns
    if worst <= limit:
        case.rows.append((7, CLOCK_SKEW, True, worst, limit, ""))
    elif ahead > limit:
        # By the clocks as both sides know them it is in the future: its expiry is uncertain.
        text = f"the signal is dated {ahead / 1e6:.0f} ms ahead"
        case.failed(7, CLOCK_SKEW, text, value=ahead, limit=limit)
    elif case.reducing:
        case.rows.append(SKIPPED[CLOCK_SKEW])
    else:
        text = f"macro's clock and ours differ by {skew / 1e6:+.0f} ms"
        case.failed_entry(7, CLOCK_SKEW, text, value=abs(skew), limit=limit)


def not_ready(market: JudgedMarket) -> str:
    """Why a book on demand cannot be traded on yet."""
    return f"the book is not ready: {market.reason}"


def _judge_book(case: Case, market: JudgedMarket) -> None:
    if market.on_demand and market.state == "SYNCING":
        # Its age says nothing: nobody has looked at it before.
        case.failed(7, BOOK_NOT_LIVE, not_ready(market), value=market.state, limit="LIVE")
        return
    age = case.now_ns - market.proof_ns
    limit = case.limits.stale_ns
    # A book from the future has no known age.
    crossed = market.crossed
    if (market.state == "STALE" and not crossed) or not 0 <= age <= limit:
        text = f"nothing has proven the book for {age / 1e9:.2f} s"
        case.failed(7, BOOK_STALE, text, value=age, limit=limit)
    else:
        case.rows.append((7, BOOK_STALE, True, age, limit, ""))
    if crossed:
        case.failed(7, BOOK_CROSSED, "best bid and ask are crossed or locked")
    else:
        case.rows.append(CLEAR[BOOK_CROSSED])
    if market.state not in {"LIVE", "STALE"}:
        text = f"the book is {market.state}: {market.reason}"
        case.failed(7, BOOK_NOT_LIVE, text, value=market.state, limit="LIVE")
    elif case.mid is None:
        case.failed(7, BOOK_NOT_LIVE, "the book has no two sides", limit="LIVE")
    else:
        case.rows.append(CLEAR[BOOK_NOT_LIVE])


def check_price(case: Case) -> None:
    """8: the price is near the market, and the market near the other venues."""
    _check_collar(case)
    request, limits = case.request, case.limits
    if not listed(limits.reference_symbols, request.venue, request.symbol):
        case.rows.append(NOT_CONFIGURED)
        return
    reference, mid = request.reference_mid, case.mid
    if reference is None or mid is None or not math.isfinite(reference) or reference <= 0:
        case.failed(8, REF_DIVERGENCE, "there is no reference price, and one is required")
        return
    apart = abs(mid - reference) / reference * BPS
    most = limits.ref_divergence_bps
    kept = apart <= most
    if near(apart, most):
        away = abs(_exact_mid(case) - exact(reference))
        kept = away * 10_000 <= exact(most) * exact(reference)
    if kept:
        case.rows.append((8, REF_DIVERGENCE, True, apart, limits.ref_divergence_bps, ""))
    else:
        text = f"mid {mid} is {apart:.1f} bps from the reference {reference}"
        case.failed(8, REF_DIVERGENCE, text, value=apart, limit=limits.ref_divergence_bps)


def _check_collar(case: Case) -> None:
    instrument, mid, limits = case.instrument, case.mid, case.limits
    if case.request.price_ticks is None and case.parent:
        case.rows.append(NO_PRICE)
        return
    if instrument is None or mid is None or case.price is None:
        case.failed(8, PRICE_COLLAR, "there is no price to compare")
        return
    away = (case.price * instrument.tick_float - mid) / mid * BPS
    if not case.buy:
        away = -away
    # Positive: the side that costs money. Negative: the order only rests far from the market.
    least, most = -limits.fat_finger_bps, limits.price_collar_bps
    kept = least <= away <= most
    if near(away, most) or near(away, least):
        middle = _exact_mid(case)
        beyond = (Fraction(instrument.price(case.price)) - middle) * (1 if case.buy else -1)
        kept = exact(least) * middle <= beyond * 10_000 <= exact(most) * middle
    if kept:
        case.rows.append((8, PRICE_COLLAR, True, away, limits.price_collar_bps, ""))
        return
    if _one_tick(case) and case.price == instrument.ticks_of_float(_far(case)):
        text = "the nearest price there is: the spread is one tick"
        case.rows.append((8, RiskCode.PRICE_COLLAR, True, away, limits.price_collar_bps, text))
        return
    limit = most if away > 0 else least
    text = f"price {instrument.price(case.price)} is {abs(away):.0f} bps from the mid {mid}"
    case.failed(8, PRICE_COLLAR, text, value=away, limit=limit)


def _far(case: Case) -> float:
    """The best price of the other side, of a case that has one."""
    return (case.ask if case.buy else case.bid) or 0.0


def _one_tick(case: Case) -> bool:
    """For a reduction: no market could be narrower, however many bps one tick is.

    A coin that has fallen to a few ticks must still be sold.
    """
    bid, ask, instrument = case.bid, case.ask, case.instrument
    if not case.reducing or bid is None or ask is None or instrument is None:
        return False
    return round((ask - bid) / instrument.tick_float) == 1


def check_stop_price(case: Case) -> None:
    """8, of a stop: the limit is not so far behind the trigger that nothing would ever trade."""
    stop, limit = case.request.stop_ticks, case.price
    if stop is None or stop <= 0 or limit is None or limit == stop:
        case.rows.append(CLEAR[PRICE_COLLAR])
        return
    behind = (limit - stop) / stop * BPS * (-1 if case.buy else 1)
    most = case.limits.fat_finger_bps
    if behind <= most:
        case.rows.append((8, PRICE_COLLAR, True, behind, most, ""))
        return
    text = f"the limit lies {behind:.0f} bps on the wrong side of the stop price"
    case.failed(8, PRICE_COLLAR, text, value=behind, limit=most)


def check_liquidity(case: Case) -> None:
    """9: the spread is normal, and the order small against the displayed depth."""
    bid, ask, mid, limits = case.bid, case.ask, case.mid, case.limits
    instrument, market = case.instrument, case.market
    if bid is None or ask is None or mid is None or market is None or instrument is None:
        case.failed(9, SPREAD_WIDE, "there is no spread to judge")
        case.failed(9, DEPTH_PARTICIPATION, "there is no depth to judge")
        return
    spread = (ask - bid) / mid * BPS
    kept = spread <= limits.max_spread_bps
    if near(spread, limits.max_spread_bps):
        wide = exact(ask) - exact(bid)
        kept = wide * 10_000 <= exact(limits.max_spread_bps) * _exact_mid(case)
    if kept:
        case.rows.append((9, SPREAD_WIDE, True, spread, limits.max_spread_bps, ""))
    elif case.reducing:
        # The cost of an exit is bounded by its own worst price and the collar; on a pair whose
        # spread is always wide it would wait for ever.
        case.rows.append(SKIPPED[SPREAD_WIDE])
    else:
        text = f"the spread is {spread:.1f} bps"
        case.failed_entry(9, SPREAD_WIDE, text, value=spread, limit=limits.max_spread_bps)

    # A marketable price is compared with what it would take; a resting one with the queue
    # that it joins, since it would otherwise be the market.
    taking = not case.request.post_only and (
        case.price is None
        or (case.buy and instrument.price_float(case.price) >= ask)
        or (not case.buy and instrument.price_float(case.price) <= bid)
    )
    share = limits.depth_participation_bps / BPS
    book, lot = market.book, instrument.lot_float
    reach = mid * limits.price_collar_bps / BPS
    if _one_tick(case):
        reach = max(reach, instrument.tick_float)
    # Twice what is needed: when there is less, all of it has been counted.
    needed = 2 * case.live * lot / share if share > 0 else math.inf
    shown = book.displayed("sell" if case.buy is taking else "buy", mid, reach, needed)
    most = 0
    if math.isfinite(shown) and share > 0:
        most = part_of(shown / lot, limits.depth_participation_bps)
    if case.live <= most:
        case.rows.append((9, DEPTH_PARTICIPATION, True, case.live * lot, shown * share, ""))
        return
    if case.parent and case.request.sliced and most >= case.min_lots():
        case.rows.append(
            (9, DEPTH_PARTICIPATION, True, case.live * lot, shown * share, "worked in slices")
        )
        return
    text = f"the order is more than {share:.0%} of the {shown:g} displayed within the collar"
    # Where nothing is shown there is nothing to send an order for.
    failed = case.failed_size if shown > 0 else case.failed
    failed(9, DEPTH_PARTICIPATION, text, value=case.live * lot, limit=shown * share, lots=most)


def check_self_cross(case: Case) -> None:
    """11, of a child: it would not trade with another order of ours."""
    other: Side = "sell" if case.buy else "buy"
    request = case.request
    own = None if case.parent else case.view.own_best(request.venue, request.symbol, other)
    if own is None or case.price is None or case.instrument is None:
        case.rows.append(CLEAR[SELF_CROSS])
        return
    if case.price < own if case.buy else case.price > own:
        case.rows.append((11, SELF_CROSS, True, case.price, own, ""))
        return
    mine = case.instrument.price(own)
    text = f"price {case.instrument.price(case.price)} reaches our own {other} at {mine}"
    case.failed(11, SELF_CROSS, text, value=case.price, limit=own, lots=0)


def _exact_mid(case: Case) -> Fraction:
    return (exact(case.bid or 0.0) + exact(case.ask or 0.0)) / 2

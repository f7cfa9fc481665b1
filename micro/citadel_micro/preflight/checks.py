"""Checks a venue's data on an account: every check, whichever fail. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.config.config import VenueSection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citadel_micro.shell.account_facts import AccountFacts, SymbolFacts

Verdict = Literal["ok", "warn", "refused", "failed"]
"""``refused`` keeps a live run from starting; ``failed`` is a step of the test order."""

_MS: Final = 1_000_000
CLOCK_WARN_NS: Final = 250 * _MS
CLOCK_MOST_NS: Final = 1_000 * _MS
"""Binance rejects a request whose time leads its own clock by more."""
OF_KEY: Final = frozenset(
    {"account", "permissions", "permission to trade", "withdrawals", "transfers", "IP addresses"}
)
"""Names of the checks that another key of the same account can fail on its own."""
ON_DEMAND: Final = "pairs on demand"
_SHOWN: Final = 5
"""Pairs that are named in one line."""
_USED_WARN: Final = Decimal("0.5")
"""Share of a rate limit that others on the account or address may have used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the walk."""

    name: str
    verdict: Verdict
    text: str
    """The numbers."""
    mend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The values of the configuration and the key file."""

    venue: str
    section: VenueSection
    account: str
    instruments: Mapping[str, Instrument]
    """Rules that orders will be made by, by unified symbol."""
    resumed: frozenset[str] = frozenset()
    """Symbols of the run that this one resumes."""


def judge(facts: AccountFacts, expected: Expected) -> list[Check]:
    """Every check, in the order in which a person would fix them."""
    return [
        _account(facts, expected),
        _clock(facts),
        *_rights(facts),
        *_modes(facts),
        *_symbols(facts, expected),
        *_on_demand(facts, expected),
        _balances(facts),
        _open_orders(facts),
        *_limits(facts),
        _timer(facts, expected),
        *_execution(facts, expected),
    ]


def _account(facts: AccountFacts, expected: Expected) -> Check:
    if not facts.account:
        return Check(
            name="account",
            verdict="warn",
            text=f"{expected.venue} does not say whose key this is; the key file says "
            f"{expected.account}",
            mend="compare it on the venue's website",
        )
    if facts.account != expected.account:
        return Check(
            name="account",
            verdict="refused",
            text=f"the key is of account {facts.account}, and live_account is {expected.account}",
            mend="use the key of that account, or write the other id in live_account and the key "
            "file",
        )
    return Check(
        name="account", verdict="ok", text=f"{facts.account} on {expected.section.network}"
    )


def _clock(facts: AccountFacts) -> Check:
    offset, error = facts.clock_offset_ns, facts.clock_error_ns
    text = f"the venue's clock is {offset / _MS:+.1f} ms from this machine's (± {error / _MS:.1f})"
    mend = "set this machine's clock by NTP (chronyc tracking, timedatectl)"
    if abs(offset) - error > CLOCK_MOST_NS:
        most = f"; at most {CLOCK_MOST_NS // _MS} ms"
        return Check(name="clock", verdict="refused", text=text + most, mend=mend)
    if abs(offset) > CLOCK_WARN_NS or error > CLOCK_WARN_NS:
        return Check(name="clock", verdict="warn", text=text, mend=mend)
    return Check(name="clock", verdict="ok", text=text)


def _rights(facts: AccountFacts) -> Iterator[Check]:
    rights = facts.rights
    if not facts.may_trade:
        yield Check(
            name="trading",
            verdict="refused",
            text="the account may not trade now",
            mend="see the venue's messages to the account",
        )
    if rights.failed:
        yield Check(
            name="permissions",
            verdict="refused",
            text=f"the key's permissions could not be read: {rights.failed}",
            mend="without them nobody knows whether the key can withdraw; try again, and allow "
            "the key to read",
        )
        return
    if rights.trade is False:
        yield Check(
            name="permission to trade",
            verdict="refused",
            text="the key may not trade",
            mend="enable trading, and nothing else, for this key at the venue",
        )
    elif facts.may_trade:
        told = "" if rights.trade else f" (of the account; {rights.not_told})"
        yield Check(name="permission to trade", verdict="ok", text=f"given{told}")
    yield _forbidden("withdrawals", rights.withdraw, rights.not_told)
    yield _forbidden("transfers", rights.transfer, rights.not_told)
    if rights.bound_to_addresses:
        yield Check(name="IP addresses", verdict="ok", text="the key is bound to addresses")
    else:
        known = rights.bound_to_addresses is False
        yield Check(
            name="IP addresses",
            verdict="warn",
            text="any address may use the key" if known else f"not told: {rights.not_told}",
            mend="bind the key to this machine's address at the venue",
        )


def _forbidden(name: str, may: bool | None, not_told: str) -> Check:  # noqa: FBT001 - a fact
    if may:
        return Check(
            name=name,
            verdict="refused",
            text=f"the key may make {name}: whoever gets it gets the money",
            mend="remove that permission from the key at the venue; trading needs none of it",
        )
    if may is None:
        return Check(
            name=name,
            verdict="warn",
            text=f"not told: {not_told}",
            mend="see on the venue's website that the key may not",
        )
    return Check(name=name, verdict="ok", text="the key may not")


def _modes(facts: AccountFacts) -> Iterator[Check]:
    for name, on, wanted in (
        ("hedge mode", facts.hedge_mode, "one-way mode"),
        ("multi-asset mode", facts.multi_asset_mode, "single-asset mode"),
    ):
        if on is None:
            continue
        yield Check(
            name=name,
            verdict="refused" if on else "ok",
            text=f"on; micro counts positions in {wanted}" if on else "off",
            mend=f"close all positions, then set {wanted} at the venue" if on else "",
        )


def _symbols(facts: AccountFacts, expected: Expected) -> Iterator[Check]:
    for symbol in expected.section.symbols:
        found = facts.symbols.get(symbol)
        verdict: Verdict = "warn" if symbol in expected.resumed else "refused"
        if found is None:
            yield Check(
                name=symbol,
                verdict=verdict,
                text=f"{expected.venue} has no such symbol on {expected.section.network}",
                mend=f"remove it from venues.{expected.venue}.symbols",
            )
            continue
        if not found.tradable:
            why = found.why_not or f"its status is {found.status}"
            yield Check(
                name=symbol,
                verdict=verdict,
                text=f"cannot be traded: {why}",
                mend=f"remove it from venues.{expected.venue}.symbols until it can",
            )
            continue
        rules = expected.instruments.get(symbol)
        differing = [] if rules is None else _differing(found, rules)
        shown = ", ".join(f"{name} {value}" for name, value in found.filters.items())
        if differing:
            yield Check(
                name=symbol,
                verdict="refused",
                text=f"stored trading rules are not the venue's: {'; '.join(differing)}",
                mend=f"citadel instruments {expected.venue} --refresh",
            )
        else:
            yield Check(name=symbol, verdict="ok", text=f"{found.status}: {shown}")
        if rules is not None:
            yield _fees(symbol, found, rules)


def _on_demand(facts: AccountFacts, expected: Expected) -> Iterator[Check]:
    """Hundreds of pairs, in one line or two."""
    named = expected.section.symbols
    pairs = {symbol: its for symbol, its in expected.instruments.items() if symbol not in named}
    if not pairs:
        return
    wrong: list[str] = []
    closed: list[str] = []
    dear: list[str] = []
    for symbol, rules in pairs.items():
        found = facts.symbols.get(symbol)
        if found is None or not found.tradable:
            closed.append(symbol)
            continue
        wrong += [f"{symbol}: {text}" for text in _differing(found, rules)]
        if (found.maker_fee or 0) > rules.maker_fee or (found.taker_fee or 0) > rules.taker_fee:
            dear.append(symbol)
    if wrong:
        yield Check(
            name=ON_DEMAND,
            verdict="refused",
            text=f"stored trading rules are not the venue's: {_some(wrong)}",
            mend=f"citadel instruments {expected.venue} --refresh",
        )
    elif closed:
        yield Check(
            name=ON_DEMAND,
            verdict="warn",
            text=f"{len(closed)} of {len(pairs)} cannot be traded now: {_some(closed)}",
            mend="nothing, if no macro names them; the venue rejects what is ordered there",
        )
    else:
        yield Check(name=ON_DEMAND, verdict="ok", text=f"all {len(pairs)} may be traded")
    if dear:
        yield Check(
            name=f"{ON_DEMAND} fees",
            verdict="warn",
            text=f"above those that orders are reckoned with: {_some(dear)}",
            mend="give the account's own fees in venues.NAME.instruments_file",
        )


def _some(rows: list[str]) -> str:
    rest = len(rows) - _SHOWN
    return ", ".join(rows[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _differing(found: SymbolFacts, rules: Instrument) -> list[str]:
    pairs = (
        ("tick", found.tick, rules.tick),
        ("lot", found.lot, rules.lot),
        ("minimum notional", found.min_notional, rules.min_notional),
    )
    return [
        f"{name} is {theirs.normalize():f}, stored {ours.normalize():f}"
        for name, theirs, ours in pairs
        if theirs is not None and theirs != ours
    ]


def _fees(symbol: str, found: SymbolFacts, rules: Instrument) -> Check:
    name = f"{symbol} fees"
    if found.maker_fee is None or found.taker_fee is None:
        return Check(name=name, verdict="warn", text="not told", mend="compare them by hand")
    text = f"maker {_bps(found.maker_fee)}, taker {_bps(found.taker_fee)}"
    if found.maker_fee > rules.maker_fee or found.taker_fee > rules.taker_fee:
        return Check(
            name=name,
            verdict="warn",
            text=f"{text}, and orders are reckoned with {_bps(rules.maker_fee)} and "
            f"{_bps(rules.taker_fee)}",
            mend="give the account's own fees in venues.NAME.instruments_file",
        )
    return Check(name=name, verdict="ok", text=text)


def _bps(fraction: Decimal) -> str:
    return f"{(fraction * 10_000).normalize():f} bps"


def _balances(facts: AccountFacts) -> Check:
    if not facts.balances:
        return Check(
            name="balances", verdict="warn", text="the account is empty", mend="deposit first"
        )
    rows = [
        f"{currency} {free.normalize():f}"
        + (f" (+ {used.normalize():f} in orders)" if used else "")
        for currency, (free, used) in sorted(facts.balances.items())
    ]
    return Check(name="balances", verdict="ok", text=", ".join(rows))


def _open_orders(facts: AccountFacts) -> Check:
    count = facts.open_orders
    if count:
        return Check(
            name="open orders",
            verdict="warn",
            text=f"{count} open; those that are not this micro's are reported and left alone",
            mend="give micro an account of its own",
        )
    return Check(name="open orders", verdict="ok", text="none")


def _limits(facts: AccountFacts) -> Iterator[Check]:
    for each in facts.rate_limits:
        if each.used is None:
            yield Check(name=f"limit of {each.name}", verdict="ok", text=f"{each.limit}")
            continue
        text = f"{each.used} of {each.limit} used"
        crowded = each.used > each.limit * _USED_WARN
        yield Check(
            name=f"limit of {each.name}",
            verdict="warn" if crowded else "ok",
            text=text,
            mend="another program uses this account or address" if crowded else "",
        )


def _timer(facts: AccountFacts, expected: Expected) -> Check:
    if facts.timer != "none":
        return Check(
            name="venue timer", verdict="ok", text=f"cancels when micro is silent, by {facts.timer}"
        )
    if expected.section.watchdog_key_file is not None:
        return Check(
            name="venue timer", verdict="ok", text="micro uses none here; the watchdog stands in"
        )
    return Check(
        name="venue timer",
        verdict="warn",
        text="micro uses none here: orders stay open if micro dies, and without a watchdog entries "
        "are refused (risk.dms_venues)",
        mend="run `citadel watchdog` with a key of its own (watchdog_key_file)",
    )


def _execution(facts: AccountFacts, expected: Expected) -> Iterator[Check]:
    """Where orders go through a generic adapter that was never tried at the venue."""
    if facts.execution == "unverified":
        yield Check(
            name="execution",
            verdict="warn",
            text=f"unverified: orders to {expected.venue} go through ccxt, which nobody has tried "
            "here; by default its limits are a tenth (live.unverified_share)",
            mend="begin with the smallest orders, and compare every fill with the venue's website",
        )

"""A venue's list of markets: rules of each, what is unusable and why, and its age."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final

from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.instruments.rules import unknown_symbol
from citadel_proto.errors import BadInput

_UNITS: Final = ("kind", "settle", "tick", "lot", "contract_size")
"""The units of the integers in an order, a fill or a paper account."""
_COMPARED: Final = tuple(each.name for each in fields(Instrument) if each.init)
_NS_PER_H: Final = 3_600_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One market of a venue."""

    rules: Instrument
    active: bool
    """Whether it is open for trading, according to the venue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketList:
    """The markets that a venue lists.

    Args:
        venue: venue id.
        source: REST root that was given instead of the venue's own; empty for the venue's own.
        reader: who read it: ``exchangeInfo``, or ccxt with its version.
        fetched_ns: when, ns since the epoch.
        markets: by unified symbol.
        left_out: why a listed symbol has no usable rules.
        partial: it holds only some of the symbols.
    """

    venue: str
    source: str
    reader: str
    fetched_ns: int
    markets: Mapping[str, Market]
    left_out: Mapping[str, str] = field(default_factory=dict)
    partial: bool = False

    def has(self, symbol: str) -> bool:
        """Whether it is listed and open for trading."""
        found = self.markets.get(symbol)
        return found is not None and found.active

    def instrument(self, symbol: str, now_ns: int) -> Instrument:
        """Rules of a symbol that is open for trading.

        Raises BadInput with the nearest names, or with the problem of this one.
        """
        if self.has(symbol):
            return self.markets[symbol].rules
        why = self.left_out.get(symbol)
        if symbol in self.markets:
            why = "it is listed, but not open for trading"
        if why is not None:
            raise BadInput(
                f"{self.venue} {symbol} cannot be traded: {why}",
                where="symbol",
                mend="choose another, or give its rules in an instruments file",
            )
        known = [name for name, market in self.markets.items() if market.active]
        error = unknown_symbol(self.venue, symbol, known)
        raise BadInput(
            f"{error.what} in its list of {self.age(now_ns)} ago",
            where=error.where,
            allowed=error.allowed,
            mend=error.mend,
        )

    def age(self, now_ns: int) -> str:
        """Time since it was fetched, as text."""
        return age_text(now_ns - self.fetched_ns)


def age_text(span_ns: int) -> str:
    """A duration as text: ``40 s``, ``12 min``, ``3.5 h``, ``2.0 days``."""
    hours = max(0, span_ns) / _NS_PER_H
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} s"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"  # noqa: PLR2004 - two days


def same_units(old: Instrument, new: Instrument) -> bool:
    """Whether integers in the one's ticks and lots mean the same in the other's."""
    return all(getattr(old, name) == getattr(new, name) for name in _UNITS)


def differences(old: Instrument, new: Instrument) -> list[str]:
    """The changes, each as ``tick 0.1 -> 0.01``; empty when there are none."""
    return [
        f"{name} {getattr(old, name)} -> {getattr(new, name)}"
        for name in _COMPARED
        if getattr(old, name) != getattr(new, name)
    ]


def changes(old: MarketList, new: MarketList) -> dict[str, list[str]]:
    """The changes between two lists, by symbol. New symbols are no change."""
    found: dict[str, list[str]] = {}
    for symbol, before in old.markets.items():
        after = new.markets.get(symbol)
        if after is None and new.partial:
            continue
        if after is None:
            found[symbol] = [f"no longer usable: {new.left_out.get(symbol, 'not listed')}"]
            continue
        told = differences(before.rules, after.rules)
        if before.active != after.active:
            told.append("open for trading again" if after.active else "closed for trading")
        if told:
            found[symbol] = told
    return found

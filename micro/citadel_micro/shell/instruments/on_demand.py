"""Rules of the pairs that are followed only while a macro names them, from names and patterns."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from citadel_micro.shell.config.sharding import takes
from citadel_micro.shell.instruments.load import load_instruments
from citadel_micro.shell.marketdata.generic import is_generic
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from citadel_micro.shell.config.model import VenueSection
    from citadel_micro.shell.instruments.load import Lists
    from citadel_micro.shell.instruments.markets import MarketList
    from citadel_micro.shell.instruments.rules import Instruments

MOST: Final = 1_000
"""Every one of them costs a line in each journal's header, and a look in every tick of the engine."""


def is_pattern(name: str) -> bool:
    """Whether it stands for several symbols."""
    return "*" in name or "?" in name


async def on_demand_rules(
    venue: str,
    section: VenueSection,
    lists: Lists,
    always: Iterable[tuple[str, str]],
    shard: str = "",
) -> Instruments:
    """Rules of a venue's ``on_demand`` pairs, without those that are followed ``always``.

    Only those of this ``shard``, as one of several micros.

    Raises:
        BadInput: an unknown symbol, a pattern that fits nothing, or a venue that cannot do this.
        PeerUnavailable, VenueViolation: as ``load_instruments``.
    """
    if not section.on_demand:
        return {}
    where = f"venues.{venue}.on_demand"
    if is_generic(venue):
        raise BadInput(
            f"the symbols of {venue} cannot change during a run",
            where=where,
            mend="name all of them in symbols",
        )
    markets: MarketList | None = None
    if any(map(is_pattern, section.on_demand)):
        markets = await _whole_list(venue, section, lists)
    wanted: dict[str, None] = {}
    for name in section.on_demand:
        found = [name] if markets is None or not is_pattern(name) else _matching(markets, name)
        if not found:
            raise BadInput(
                f"no market of {venue} that is open for trading fits {name}",
                where=where,
                allowed="names and patterns of unified symbols: ETH/USDT, */USDT, */USDT:USDT",
            )
        wanted |= dict.fromkeys(found)
    taken = {symbol for of, symbol in always if of == venue}
    symbols = [symbol for symbol in wanted if symbol not in taken and takes(shard, symbol)]
    if len(symbols) > MOST:
        raise BadInput(
            f"{len(symbols)} symbols fit",
            where=where,
            allowed=f"up to {MOST}",
            mend="narrow the patterns: */USDT instead of *",
        )
    if markets is not None:
        now_ns = lists.now()
        return {(venue, symbol): markets.instrument(symbol, now_ns) for symbol in symbols}
    return await load_instruments(
        venue,
        symbols,
        rest_url=section.rest_url or "",
        file=section.instruments_file,
        lists=lists,
    )


async def _whole_list(venue: str, section: VenueSection, lists: Lists) -> MarketList:
    """Everything that a venue lists. Large lists are fetched by a child, which stores them whole."""
    rest_url = section.rest_url or ""
    listing = await lists.listing(venue, section.symbols, rest_url=rest_url)
    if not listing.markets.partial or lists.cache is None:
        return listing.markets
    stored, _ = lists.cache.read(venue, rest_url)
    return replace(listing.markets) if stored is None else stored


def _matching(markets: MarketList, pattern: str) -> Sequence[str]:
    return sorted(
        name for name in markets.markets if markets.has(name) and fnmatchcase(name, pattern)
    )

"""Trading rules for a run: from a file, from the stored list while it is fresh, else from the venue.

A venue that cannot be reached does not stop a run that has a stored list; a warning then gives the
list's age. Without any list there are no rules to trade by, and the run does not start.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from citadel_micro.shell.instruments.file import read_instruments
from citadel_micro.shell.instruments.markets import MarketList, changes
from citadel_micro.shell.instruments.sources import RULES
from citadel_micro.shell.marketdata.generic import is_generic
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_proto.errors import BadInput, PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.instruments.cache import Cache
    from citadel_micro.shell.instruments.rules import Instruments

log: Final = structlog.get_logger("instruments")

Fetch = Callable[[str, str, Sequence[str]], Awaitable[MarketList]]
"""(venue, REST root or empty, symbols needed) -> a list that has at least these."""

FRESH_NS: Final = 24 * 3_600_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list, its source, and what has changed in it."""

    markets: MarketList
    fetched: bool
    """Fetched from the venue just now; else from disk."""
    problem: str = ""
    """Why the venue's own could not be fetched, where that was tried."""
    changes: Mapping[str, Sequence[str]]


class Lists:
    """Lists of markets, stored on disk.

    Args:
        cache: where; None stores nothing.
        fresh_ns: a stored list younger than this is used without fetching.
        fetch: fetches from the venue; by default as the adapters do it, in this process.
        now: wall clock, ns since the epoch.
    """

    def __init__(
        self,
        cache: Cache | None,
        *,
        fresh_ns: int = FRESH_NS,
        fetch: Fetch | None = None,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.cache = cache
        self.fresh_ns = fresh_ns
        self.now = now
        self._fetch = fetch or RULES.get().fetch

    async def listing(
        self,
        venue: str,
        symbols: Sequence[str] = (),
        *,
        rest_url: str = "",
        refresh: bool = False,
        use_old: bool = True,
    ) -> Listing:
        """The list of a venue.

        A stored one is used while it is fresh and has all the symbols, but not
        where a REST root was given: that is a simulator, or something else whose rules change
        at any time.

        Args:
            venue: venue id.
            symbols: symbols that a stored list must have.
            rest_url: instead of the venue's own hosts.
            refresh: fetch in any case.
            use_old: use a stored list, however old, when the venue does not answer.

        Raises:
            BadInput: unknown venue, or one without a list.
            PeerUnavailable: it does not answer, and no list is stored.
            VenueViolation: it answers with invalid data, and no list is stored.
        """
        RULES.get().check(venue)  # an unknown venue is refused before its files are looked for
        stored = self._stored(venue, rest_url)
        if stored is not None and not refresh and not rest_url:
            age_ns = self.now() - stored.fetched_ns
            # A list from the future was written by a wrong clock.
            if 0 <= age_ns < self.fresh_ns and all(map(stored.has, symbols)):
                return Listing(markets=stored, fetched=False, changes={})
        try:
            fetched = await self._fetch(venue, rest_url, symbols)
        except (PeerUnavailable, VenueViolation) as error:
            if not use_old:
                raise
            if stored is None:
                raise type(error)(_nothing(self.cache, error)) from None
            log.warning(
                "trading rules are old: the venue does not answer",
                venue=venue,
                age=stored.age(self.now()),
                error=str(error),
            )
            return Listing(markets=stored, fetched=False, problem=str(error), changes={})
        changed: Mapping[str, Sequence[str]] = {}
        if stored is not None:
            changed = changes(stored, fetched)
        if self.cache is not None and not fetched.partial:
            self._store(self.cache, fetched)
        return Listing(markets=fetched, fetched=True, changes=changed)

    def age_s(self, venue: str, rest_url: str) -> float:
        """Age of the stored list, 0 where there is none."""
        stored = self._stored(venue, rest_url)
        return 0.0 if stored is None else max(0, self.now() - stored.fetched_ns) / 1e9

    def _store(self, cache: Cache, markets: MarketList) -> None:
        """A full disk is only a warning."""
        try:
            cache.write(markets)
        except OSError as error:
            log.warning("trading rules are not stored", folder=str(cache.folder), error=str(error))

    def _stored(self, venue: str, rest_url: str) -> MarketList | None:
        if self.cache is None:
            return None
        found, problem = self.cache.read(venue, rest_url)
        if problem:
            log.warning("stored trading rules cannot be used", problem=problem)
        return found


def _nothing(cache: Cache | None, error: Exception) -> str:
    if cache is None:
        return str(error)
    return (
        f"{error}; and no list of an earlier run is in {cache.folder}. Try again later, "
        "or give an instruments file (docs/howto/run-micro-alone.md)"
    )


async def load_instruments(
    venue: str,
    symbols: Sequence[str],
    *,
    rest_url: str = "",
    file: Path | None = None,
    lists: Lists | None = None,
    use_old: bool = True,
    known: Mapping[tuple[str, str], Instrument] | None = None,
) -> Instruments:
    """Rules of these unified symbols, from ``file`` where it has them, else from the venue's list.

    Args:
        venue: venue id.
        symbols: unified symbols.
        rest_url: instead of the venue's own, for a simulator.
        file: an instruments file, see ``read_instruments``.
        lists: where lists are stored; by default nowhere.
        use_old: as for ``Lists.listing``.
        known: rules of the run that this one resumes. A symbol that the venue has closed since keeps them: the
            stops of the others must not wait for a person.

    Raises:
        BadInput: unknown venue or symbol, with the nearest names.
        PeerUnavailable: the venue does not answer; retrying may help.
        VenueViolation: the venue answered with invalid data.
    """
    if not is_generic(venue):
        venue_spec(venue)
    found: Instruments = {} if file is None else read_instruments(file)
    missing = [symbol for symbol in symbols if (venue, symbol) not in found]
    if missing:
        lists = lists or Lists(None)
        listing = await lists.listing(venue, missing, rest_url=rest_url, use_old=use_old)
        for symbol, told in listing.changes.items():
            if symbol in missing:
                log.warning("trading rules changed", venue=venue, symbol=symbol, changes=list(told))
        now_ns = lists.now()
        for symbol in missing:
            try:
                found[venue, symbol] = listing.markets.instrument(symbol, now_ns)
            except BadInput as error:
                before = None if known is None else known.get((venue, symbol))
                if before is None:
                    raise
                why, mend = error.what, error.mend
                log.warning("trading rules of the run before are used", why=why, mend=mend)
                found[venue, symbol] = before
        log.info(
            "trading rules",
            venue=venue,
            reader=listing.markets.reader,
            age=listing.markets.age(now_ns),
            fetched=listing.fetched,
        )
    return {(venue, symbol): found[venue, symbol] for symbol in symbols}

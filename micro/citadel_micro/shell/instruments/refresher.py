"""Keeps the stored lists fresh during a run, and reports when a rule in use has changed.

A run keeps the rules that it started with: its orders, fills and journal are counted in their ticks
and lots. Changes take effect at the next start, but for coarser ticks and lots: between those no order is
taken, so that orders are sent in them at once.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from citadel_micro.shell.instruments.markets import differences
from citadel_micro.shell.instruments.resume_rules import steps_of
from citadel_proto.errors import BadInput, PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.model.commands import Note
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.model.steps import Steps
    from citadel_micro.shell.instruments.load import Lists
    from citadel_micro.shell.instruments.rules import Instruments

RETRY_S: Final = 900.0
LEAST_S: Final = 3_600.0
"""Not fetched more often than this, however short lists count as fresh."""
HURRIED_S: Final = 60.0
"""But so soon after the last where a venue refuses an order that may be against its rules."""

_OF_RULES: Final = ("BAD_PRICE", "BAD_QUANTITY", "BELOW_MIN", "OTHER")
"""The last: a venue may say it in words that an adapter does not know."""

log: Final = structlog.get_logger("instruments")


class Refresher:
    """Fetches each venue's list again when it is no longer fresh.

    Args:
        lists: where lists are kept, and how they are fetched.
        used: the rules of this run, of all venues.
        rest_urls: venue -> REST root that was given, empty for its own; only these are fetched.
        ages_s: venue -> age of its list at the start, s.
        retry_s: after a failure.
        least_s: between two fetches.
        on_change: called with (venue, symbol, change); logs by default.
        on_steps: called with (venue, symbol, steps) for each symbol of a list that was fetched.
    """

    def __init__(
        self,
        lists: Lists,
        used: Mapping[tuple[str, str], Instrument],
        rest_urls: Mapping[str, str],
        *,
        ages_s: Mapping[str, float] | None = None,
        retry_s: float = RETRY_S,
        least_s: float = LEAST_S,
        on_change: Callable[[str, str, str], None] | None = None,
        on_steps: Callable[[str, str, Steps], None] = lambda _venue, _symbol, _steps: None,
    ) -> None:
        self._lists = lists
        self._used: Instruments = dict(used)
        self._rest_urls = rest_urls
        self._ages_s = dict(ages_s or {})
        self._retry_s = retry_s
        self._least_s = least_s
        self._on_change = on_change or _warn
        self._on_steps = on_steps
        self._hurries = {venue: asyncio.Event() for venue in rest_urls}
        self.warned: dict[tuple[str, str], str] = {}
        """The last reported change of each (venue, symbol)."""
        self._tasks: list[asyncio.Task[None]] = []
        self.refreshed = 0
        """Lists fetched."""
        self.failures = 0

    def start(self) -> None:
        """Start; returns at once."""
        for venue in self._rest_urls:
            self._tasks.append(asyncio.create_task(self._keep(venue), name=f"rules of {venue}"))

    async def close(self) -> None:
        """End it. Safe to repeat."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, venue: str) -> None:
        period_s = max(self._lists.fresh_ns / 1e9, self._least_s)
        wait_s = max(period_s - self._ages_s.get(venue, 0.0), self._least_s)
        hurry = self._hurries[venue]
        while True:
            began = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await hurry.wait()
                    await asyncio.sleep(began + HURRIED_S - time.monotonic())
            hurry.clear()
            wait_s = period_s if await self.refresh(venue) else self._retry_s

    def note(self, note: Note) -> None:
        """Fetch the lists soon where a venue has refused an order that may be against its rules."""
        if note.event == "order_rejected" and dict(note.fields).get("code") in _OF_RULES:
            for each in self._hurries.values():
                each.set()

    async def refresh(self, venue: str) -> bool:
        """Fetch a venue's list now; False when it could not be fetched."""
        symbols = [symbol for owner, symbol in self._used if owner == venue]
        began = time.monotonic()
        try:
            listing = await self._lists.listing(
                venue, symbols, rest_url=self._rest_urls[venue], refresh=True, use_old=False
            )
        except BadInput as error:
            # It answers, and one of our symbols is missing.
            self._say(venue, "", str(error))
            return True
        except (PeerUnavailable, VenueViolation) as error:
            self.failures += 1
            log.warning("trading rules could not be refreshed", venue=venue, error=str(error))
            return False
        self.refreshed += 1
        log.info("trading rules refreshed", venue=venue, took_s=round(time.monotonic() - began, 2))
        for symbol in symbols:
            market = listing.markets.markets.get(symbol)
            if market is None or not market.active:
                self._say(venue, symbol, "no longer open for trading")
                continue
            used = self._used[venue, symbol]
            self._on_steps(venue, symbol, steps_of(used, market.rules))
            changes = differences(used, market.rules)
            if changes:
                self._say(venue, symbol, "; ".join(changes))
        return True

    def _say(self, venue: str, symbol: str, what: str) -> None:
        """Report each change once."""
        if self.warned.get((venue, symbol)) != what:
            self.warned[venue, symbol] = what
            self._on_change(venue, symbol, what)


def _warn(venue: str, symbol: str, what: str) -> None:
    log.warning(
        "trading rules have changed at the venue; this run keeps those that it started with",
        venue=venue,
        symbol=symbol,
        changes=what,
    )

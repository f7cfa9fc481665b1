"""Follows on-demand pairs while a macro may trade them, or while something of ours is open there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.shell.marketdata.aggregator import Aggregator

LINGER_S: Final = 60.0
"""A pair that left every list is followed for this much longer: lists by volume waver at their end."""
SILENT_S: Final = 60.0
"""The list of a macro without a heartbeat for this long no longer counts."""
TURN_S: Final = 1.0

Key = tuple[str, str]
"""(venue, symbol)."""

log: Final = structlog.get_logger("feeds")


class Follower:
    """Decides which on-demand feeds are up.

    Nothing here is in the journal but what it causes: every pair's first and last event is a
    ``FeedStatus``, so a replay needs no list.

    Args:
        engine: knows what is on demand, and where something is open.
        feeds: the feeds, started.
        most: venue -> on-demand pairs followed at once.
    """

    def __init__(self, engine: Engine, feeds: Aggregator, most: Mapping[str, int]) -> None:
        self._engine = engine
        self._feeds = feeds
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._on_demand = {
            key: inst for key, inst in engine.inst_states.items() if not inst.followed
        }
        self._lists: dict[str, tuple[float, tuple[Key, ...]]] = {}
        """Macro -> when its last heartbeat came, and its list."""
        self._wanted_s: dict[Key, float] = {}
        """What is followed -> when it was last wanted."""
        self._full: set[Key] = set()
        """Reported as beyond the limit."""
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin. Where something of an earlier run is open, it is followed at once."""
        if self._on_demand:
            self._turn()

    def close(self) -> None:
        """End. The feeds end by themselves."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._on_demand = {}

    @property
    def followed(self) -> tuple[Key, ...]:
        """On-demand pairs that are followed now."""
        return tuple(self._wanted_s)

    def on_pairs(self, macro: str, pairs: tuple[Key, ...]) -> None:
        """The pairs that a macro has named in its heartbeat."""
        if not self._on_demand:
            return
        known = self._lists.get(macro)
        self._lists[macro] = (self._loop.time(), pairs)
        if self._timer is not None and (known is None or known[1] != pairs):
            self._timer.cancel()
            self._turn()

    def _turn(self) -> None:
        self._timer = self._loop.call_later(TURN_S, self._turn)
        now_s = self._loop.time()
        for macro in [
            m for m, (received_s, _) in self._lists.items() if now_s - received_s > SILENT_S
        ]:
            del self._lists[macro]
        wanted = dict.fromkeys(self._wanted())
        for key in wanted:
            if key in self._wanted_s:
                self._wanted_s[key] = now_s
        for key, last_s in list(self._wanted_s.items()):
            if now_s - last_s >= LINGER_S:
                self._drop(key, "it is not followed: no macro names it any more")
        for key in wanted:
            if key not in self._wanted_s:
                self._begin(key, wanted, now_s)
        for key in self._full - wanted.keys():
            self._full.discard(key)
            self._feeds.drop(*key, "it is not followed: no macro has asked for it")

    def _wanted(self) -> Iterable[Key]:
        """On-demand pairs that are wanted, the most important first."""
        portfolio = self._engine.portfolio
        for key, inst in self._on_demand.items():
            if inst.parents or inst.held.waiting or portfolio.quantity(*key):
                yield key
        for _, pairs in self._lists.values():
            for key in pairs:
                if key in self._on_demand:
                    yield key

    def _begin(self, key: Key, wanted: Mapping[Key, None], now_s: float) -> None:
        venue, symbol = key
        most = self._most[venue]
        here = [each for each in self._wanted_s if each[0] == venue]
        if len(here) >= most:
            spare = [each for each in here if each not in wanted]
            if not spare:
                self._refuse(key, most)
                return
            self._drop(spare[0], "it is not followed: no macro names it any more")
        self._full.discard(key)
        self._wanted_s[key] = now_s
        log.info("follows", venue=venue, symbol=symbol, on_demand=len(here) + 1, most=most)
        self._feeds.follow(venue, symbol, self._on_demand[key].instrument.venue_symbol)

    def _drop(self, key: Key, reason: str) -> None:
        del self._wanted_s[key]
        log.info("follows no longer", venue=key[0], symbol=key[1])
        self._feeds.drop(*key, reason)

    def _refuse(self, key: Key, most: int) -> None:
        """Report it once, also to those who try to trade it."""
        if key in self._full:
            return
        self._full.add(key)
        reason = f"it is not followed: {most} others are (venues.{key[0]}.on_demand_most)"
        log.warning("too many pairs", venue=key[0], symbol=key[1], reason=reason)
        self._feeds.drop(*key, reason)

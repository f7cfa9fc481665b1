"""Other venues than Binance at a simulator: each with a market, accounts and protocol of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from citadel_micro.sim.flow_feed import Feed
from citadel_micro.simulator import markets
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.private.app import Membership

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

    from citadel_micro.simulator.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueParts:
    """What a venue's side is built from.

    ``market`` makes a market of the same symbols around the same prices, with orders of its own, by
    a name that alone decides them. ``catch_up`` moves all markets to now and publishes what happens.
    """

    market: Callable[[str], Feed]
    config: SimulatorConfig
    members: Membership
    clock_ns: Callable[[], int]
    catch_up: Callable[[], None]


class VenueSide(Protocol):
    """One venue: its market, its public data and its private protocol."""

    @property
    def clients(self) -> Iterable[Client]:
        """Return every open websocket connection."""

    def routes(self) -> list[web.RouteDef]:
        """Return its endpoints, all below a path of its own."""

    def addresses(self, rest_url: str, ws_url: str) -> dict[str, str]:
        """Return what a client needs to know of them; the arguments are the simulator's roots."""

    def next_ns(self) -> int:
        """Return when ``advance`` may next have something."""

    def advance(self, until_ns: int) -> None:
        """Move its market, and publish what happens."""

    def settle(self) -> None:
        """Publish what requests made."""

    def tick(self) -> None:
        """Do what goes by the clock."""


def make_market(config: SimulatorConfig, name: str, now_ns: int) -> Feed:
    """Return a market of the same symbols around the same prices, with orders of its own."""
    return markets.open_market(config, markets.chosen_symbols(config), now_ns, name)

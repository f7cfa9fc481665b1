"""Venues without a spec of their own: ``ccxt-<exchange>``, as far as the shell knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from citadel_micro.shell.marketdata.spec import PREFIX, venue_spec
from citadel_micro.shell.slot import Slot

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from citadel_micro.shell.marketdata.context import Emit
    from citadel_micro.shell.marketdata.health import ConnectionHealth
    from citadel_micro.shell.marketdata.lag_monitor import Load
    from citadel_micro.shell.marketdata.spec import Channel

INTEGRITY: Final = "unverified"


def is_generic(venue: str) -> bool:
    """Whether a venue id is one of these."""
    return venue.startswith(PREFIX)


def integrity_of(venue: str) -> str:
    """Name of the integrity strategy of any venue. Raises BadInput for an unknown one."""
    if is_generic(venue):
        GENERIC.get().check(venue)
        return INTEGRITY
    return venue_spec(venue).integrity


class LiveFeed(Protocol):
    """The feed of one such venue; also a ``Source`` of ``event_queue``."""

    symbols: tuple[str, ...]
    load: Load

    async def run(self) -> None:
        """Keep it up. Returns only when canceled."""

    def resync(self, symbol: str, reason: str) -> None:
        """The book of this symbol cannot be trusted: resynchronize."""

    def health(self) -> ConnectionHealth:
        """Its counts so far."""

    def octets_read(self) -> int:
        """As ``Source``."""

    def unread(self) -> int:
        """As ``Source``."""

    def hold(self, *, held: bool) -> None:
        """As ``Source``."""


class GenericFeeds(Protocol):
    """Makes them."""

    def check(self, venue: str) -> None:
        """Raise BadInput, with the nearest names, for an unknown venue."""

    def feed(
        self,
        venue: str,
        symbols: Sequence[str],
        *,
        emit: Emit,
        clock: Callable[[], int],
        rng: random.Random,
        channels: Sequence[Channel],
        quiet_s: float,
        ws_url: str,
        rest_url: str,
    ) -> LiveFeed:
        """The feed of one venue, not yet running."""


GENERIC: Final[Slot[GenericFeeds]] = Slot("feeds of venues without a spec")

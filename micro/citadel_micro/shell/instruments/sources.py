"""Sources of trading rules, as far as the shell knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from citadel_micro.shell.slot import Slot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.shell.instruments.markets import MarketList


class RuleSource(Protocol):
    """Fetches venues' lists."""

    program: str
    """Module that fetches a list in another process (``python -m``), see ``instruments.child``."""

    def check(self, venue: str) -> None:
        """Raise BadInput, with the nearest names, for a venue without a list."""

    def quick(self, venue: str) -> bool:
        """Whether it is one small request, which needs no process of its own."""

    async def fetch(self, venue: str, rest_url: str, symbols: Sequence[str] = ()) -> MarketList:
        """A venue's list, from the venue, in this process.

        Raises:
            BadInput: unknown venue, or one without a list.
            PeerUnavailable, VenueViolation: it does not answer, or with invalid data.
        """


RULES: Final[Slot[RuleSource]] = Slot("the venues' lists of trading rules")

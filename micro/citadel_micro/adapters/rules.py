"""Trading rules: which source is used for which venue. Nothing is loaded before it is needed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.shell.instruments.markets import MarketList


class AdapterRules:
    """Binance directly, where it is one request without ccxt; every other venue through ccxt."""

    program = "citadel_micro.adapters.fetch_rules"

    def check(self, venue: str) -> None:
        """Raise BadInput, with the nearest names, for a venue without a list."""
        if not self.quick(venue):
            from citadel_micro.adapters.ccxt.venues import source_of  # noqa: PLC0415

            source_of(venue)

    def quick(self, venue: str) -> bool:
        """Whether its list is fetched without ccxt."""
        from citadel_micro.adapters.binance.instruments import INFO_PATHS  # noqa: PLC0415

        return venue in INFO_PATHS

    async def fetch(self, venue: str, rest_url: str, symbols: Sequence[str] = ()) -> MarketList:
        """A venue's list, from the venue, in this process.

        Raises:
            BadInput: unknown venue, or one without a list.
            PeerUnavailable, VenueViolation: it does not answer, or with invalid data.
        """
        del symbols  # all of them come at once
        if self.quick(venue):
            from citadel_micro.adapters.binance.instruments import (  # noqa: PLC0415
                fetch_exchange_info,
            )

            root = rest_url or venue_spec(venue).rest_url
            return await fetch_exchange_info(venue, root, rest_url, time.time_ns())
        from citadel_micro.adapters.ccxt.fetch import fetch_by_ccxt  # noqa: PLC0415

        return await fetch_by_ccxt(venue, rest_url, time.time_ns())

"""Feeds of the venues that only ccxt knows; ccxt is loaded when the first is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from citadel_micro.shell.marketdata.context import Emit
    from citadel_micro.shell.marketdata.generic import LiveFeed
    from citadel_micro.shell.marketdata.spec import Channel


class CcxtFeeds:
    """As ``shell.marketdata.generic.GenericFeeds``."""

    def check(self, venue: str) -> None:
        """Raise BadInput, with the nearest names, where ccxt.pro has no such exchange."""
        from citadel_micro.adapters.ccxt.generic_feed import exchange_class  # noqa: PLC0415

        exchange_class(venue)

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
        from citadel_micro.adapters.ccxt.generic_feed import GenericFeed  # noqa: PLC0415

        return GenericFeed(
            venue,
            symbols,
            emit=emit,
            clock=clock,
            rng=rng,
            channels=channels,
            quiet_s=quiet_s,
            ws_url=ws_url,
            rest_url=rest_url,
        )

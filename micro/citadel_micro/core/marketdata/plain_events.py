"""Lets compiled code do what most events need of a market, where the kernel is compiled.

Nearly all events are plain: the next change of a LIVE book, a newer quote, a new trade, a feature's next value.
The compiled kernel handles those as the methods of the classes below do, in the same slots of the same
objects, and leaves every other to these methods (``core.marketdata._live``). Without it nothing changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from citadel_micro.core.marketdata import kernel
from citadel_micro.core.marketdata.checksum import Checksum
from citadel_micro.core.marketdata.cross_check import CrossCheck
from citadel_micro.core.marketdata.rolling_sums import CellSums
from citadel_micro.core.marketdata.sequencing import Chain, ConnSeq, Contiguous, Unnumbered
from citadel_micro.core.marketdata.sequencing_binance import RangeBridgeFutures, RangeBridgeSpot
from citadel_micro.core.marketdata.trade_news import SAMPLES, UNKNOWN, News
from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Class = TypeVar("Class", bound=type)
_JUDGES: Final = (RangeBridgeSpot, RangeBridgeFutures, Chain, Contiguous, ConnSeq, Unnumbered)


def quick_market(of: Class) -> Class:
    """Let the compiled kernel handle plain events of this class, if there is one."""
    if kernel.LIVE is not None:
        kernel.LIVE.take_over_market(
            of,
            _JUDGES,
            checksum=Checksum,
            check=CrossCheck,
            sums=CellSums,
            news=News,
            events=(DepthUpdate, QuoteTick, TradeTick),
            news_samples=(SAMPLES, UNKNOWN),
        )
    return of


def quick_features(of: Class) -> Class:
    """The same for the features of a market."""
    if kernel.LIVE is not None:
        kernel.LIVE.take_over_features(of)
    return of


def quick_states(held: type) -> Callable[[Class], Class]:
    """The same for the state of an instrument, whose held stops are of this class: ``market_events`` needs them."""

    def take(of: Class) -> Class:
        if kernel.LIVE is not None:
            kernel.LIVE.take_over_states(of, held)
        return of

    return take


OTHER: Final = 0
"""An event that is not plain: nothing was done."""
QUIET: Final = 1
"""A plain one, after which there is nothing to report."""


def market_events(
    states: Mapping[tuple[str, str], object],
) -> Callable[[object], int]:
    """What does as the engine does for a plain event of an instrument without open orders.

    It is called with the event, and answers OTHER, QUIET, or what has changed.

    Args:
        states: (venue, symbol) -> the state of an instrument. None is taken out or replaced later.
    """
    if kernel.LIVE is None:
        return _other
    found: Callable[[object], int] = kernel.LIVE.MarketEvents(states).take
    return found


def _other(event: object) -> int:  # noqa: ARG001
    return OTHER

"""Simulators that begin within one minute have one market: it is warmed up once, and each gets a copy.

What a market does is a function of its seed, its symbols and the minute of its start. Hundreds of tests
start a simulator for a second or two, and nine tenths of that went into the minutes before.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.flow_reference import MINUTE_NS
from citadel_micro.simulator import markets

if TYPE_CHECKING:
    from citadel_micro.sim.flow_feed import SyntheticFeed
    from citadel_micro.sim.flow_symbols import FlowSymbol
    from citadel_micro.simulator.config import SimulatorConfig

KEPT: Final = 8
"""Markets; those of earlier minutes are of no use any more."""
open_afresh: Final = markets.open_market
_kept: Final[OrderedDict[tuple[Any, ...], SyntheticFeed]] = OrderedDict()


def open_a_copy(
    config: SimulatorConfig,
    symbols: tuple[FlowSymbol, ...],
    now_ns: int,
    name: str = "",
    *,
    last_day: bool = False,
) -> SyntheticFeed:
    """In the place of ``open_market``: the same market, from the one that is kept."""
    minute = now_ns // MINUTE_NS
    key = (config.seed, symbols, name, last_day, config.history_days, config.warm_minutes, minute)
    feed = _kept.pop(key, None)
    if feed is None or feed.now_ns > now_ns:
        feed = open_afresh(config, symbols, now_ns, name, last_day=last_day)
    feed.advance(now_ns)
    _kept[key] = feed
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    # What never changes is not copied.
    fixed: list[object] = [*symbols, *feed.specs.values()]
    for trades in feed.trades.values():
        fixed += trades
    return copy.deepcopy(feed, {id(each): each for each in fixed})


def share() -> None:
    """Let every simulator in this process begin so."""
    markets.open_market = open_a_copy

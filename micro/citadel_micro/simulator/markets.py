"""Opens the synthetic markets of a simulator, warmed up to the time at which clients come."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from citadel_micro.sim.flow import SyntheticMarket
from citadel_micro.sim.flow_feed import SyntheticFeed
from citadel_micro.sim.flow_reference import DAY_MINUTES, MINUTE_NS
from citadel_micro.sim.flow_symbols import choose_symbols
from citadel_micro.sim.rng import key_of

if TYPE_CHECKING:
    from citadel_micro.sim.flow_symbols import FlowSymbol
    from citadel_micro.simulator.config import SimulatorConfig


def chosen_symbols(config: SimulatorConfig) -> tuple[FlowSymbol, ...]:
    """Return the symbols of the synthetic market, with books as deep as asked for.

    Raises:
        BadInput: for symbols that are not simulated.
    """
    return tuple(
        replace(item, flow=replace(item.flow, deep_levels=config.deep_levels))
        for item in choose_symbols(config.symbols)
    )


def open_market(
    config: SimulatorConfig,
    symbols: tuple[FlowSymbol, ...],
    now_ns: int,
    name: str = "",
    *,
    last_day: bool = False,
) -> SyntheticFeed:
    """Return a market at ``now_ns`` (ns since 1970 UTC), after ``config.warm_minutes`` of trading.

    Markets of two names have the same prices and orders of their own. ``last_day``: the minutes of which
    every ticker asks are drawn before anyone waits for them.
    """
    start_ns = (now_ns // MINUTE_NS - config.warm_minutes) * MINUTE_NS
    flow_seed = key_of(config.seed, name) if name else None
    market = SyntheticMarket(symbols, config.seed, start_ns, flow_seed=flow_seed)
    feed = SyntheticFeed(market, symbols, config.history_days * DAY_MINUTES)
    feed.advance(now_ns)
    if last_day:
        for store in feed.candles.values():
            store.span(store.now - DAY_MINUTES + 1, store.now + 1)
    return feed

"""The engine's and the feeds' part of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.algos import with_present_defaults
from citadel_micro.core.model.client_ids import ClientIds
from citadel_micro.core.model.config import EngineConfig, ReferenceConfig, VenueConfig
from citadel_micro.shell.marketdata.aggregator import FeedConfig
from citadel_micro.shell.marketdata.generic import integrity_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.core.model.abilities import VenueAbilities
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.shell.config.config import MicroConfig

MS_NS: Final = 1_000_000
TICK_NS: Final = 100 * MS_NS
"""Housekeeping of the engine, unless books are published more often."""


def engine_config_of(
    config: MicroConfig,
    run_id: str,
    abilities: Mapping[str, VenueAbilities],
    marks: Mapping[str, str],
    limits: RiskLimits,
    *,
    instruments: Iterable[tuple[str, str]] = (),
) -> EngineConfig:
    """The engine's part of a configuration.

    Args:
        config: what to run.
        run_id: of this run.
        abilities: of each venue.
        marks: of the orders on each.
        limits: to begin with.
        instruments: (venue, symbol) of everything that may be traded.

    Raises:
        BadInput: a venue would not take our client order ids.
    """
    for name, its in abilities.items():
        # As long as they get: the 2 billionth order of this run, and its 46,656th child.
        ClientIds(its.client_id_form, marks[name]).theirs(f"sc{marks[name]}{run_id}-zzzzzz-zzz")
    interval_ns = config.bridge.book_interval_ms * MS_NS
    reconcile = config.reconcile
    return EngineConfig(
        run_id=run_id,
        instance=config.instance,
        venues={
            name: VenueConfig.of(
                its,
                integrity=integrity_of(name),
                mark=marks[name],
                shared_account=config.venues[name].shared_account,
                on_demand=_on_demand(config, name, instruments),
            )
            for name, its in abilities.items()
        },
        limits=limits,
        algo_defaults=with_present_defaults(config.algorithms),
        slice_entries=True,
        wide_valuation=True,
        flatten_ends_small=True,
        flatten_spares_later=True,
        flatten_counts_contracts=True,
        late_reject_ends=True,
        round_exits=True,
        ask_trades_again=True,
        tell_foreign=True,
        book_publish_interval_ns=interval_ns,
        tick_ns=min(TICK_NS, interval_ns),
        compare_ns=round(reconcile.interval_s * 1_000) * MS_NS,
        reconcile_retry_ns=round(reconcile.retry_s * 1_000) * MS_NS,
        audit_ns=round(reconcile.audit_s * 1_000) * MS_NS,
        references={
            name: ReferenceConfig(
                integrity=integrity_of(name),
                symbols={symbol: lent.contract_sizes.get(symbol, 1.0) for symbol in lent.symbols},
            )
            for name, lent in config.reference.items()
        },
    )


def _on_demand(
    config: MicroConfig, venue: str, instruments: Iterable[tuple[str, str]]
) -> tuple[str, ...]:
    always = set(config.venues[venue].symbols)
    return tuple(symbol for of, symbol in instruments if of == venue and symbol not in always)


def feeds_of(
    config: MicroConfig, instruments: Mapping[tuple[str, str], Instrument]
) -> list[FeedConfig]:
    """The feeds that a configuration asks for: of venues that are traded, and of reference books."""
    feeds = [
        FeedConfig(
            venue=name,
            symbols={
                symbol: each.venue_symbol
                for (venue, symbol), each in instruments.items()
                if venue == name and symbol in section.symbols
            },
            websocket_url=section.ws_url or "",
            rest_url=section.rest_url or "",
        )
        for name, section in config.venues.items()
    ]
    feeds += [
        FeedConfig(
            venue=name,
            symbols=dict.fromkeys(lent.symbols, ""),
            websocket_url=lent.ws_url or "",
            rest_url=lent.rest_url or "",
        )
        for name, lent in config.reference.items()
    ]
    return feeds

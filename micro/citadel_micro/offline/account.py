"""Engine and paper account of an experiment: without limits but those that protect the numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.paper.orders import ABILITIES
from citadel_micro.core.algos import with_present_defaults
from citadel_micro.core.model.config import EngineConfig, VenueConfig
from citadel_micro.core.model.risk_limits import RiskLimits, paper_defaults
from citadel_micro.sim.paper import PaperVenue
from citadel_micro.sim.paper_config import PaperConfig

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.sim.paper_rules import SelfTrade
    from citadel_micro.sim.queue_model import QueueModel

_RICH: Final = Decimal(10) ** 18
"""The largest figure that a limit accepts: coins are traded by the 10^12."""


def engine_config(instrument: Instrument, integrity: str) -> EngineConfig:
    """Configuration of an engine that trades one instrument on paper."""
    return EngineConfig(
        run_id="work",
        instance="work",
        venues={instrument.venue: VenueConfig.of(ABILITIES, integrity=integrity)},
        limits=_limits(instrument),
        book_publish_interval_ns=0,
        algo_defaults=with_present_defaults({}),
        slice_entries=True,
        wide_valuation=True,
        flatten_ends_small=True,
        flatten_spares_later=True,
        flatten_counts_contracts=True,
        late_reject_ends=True,
        round_exits=True,
        ask_trades_again=True,
    )


def paper_venue(
    instrument: Instrument,
    *,
    queue_model: QueueModel,
    seed: int,
    self_trade: SelfTrade = "expire_maker",
) -> PaperVenue:
    """A paper account that can afford everything."""
    return PaperVenue(
        instrument.venue,
        {instrument.symbol: instrument},
        PaperConfig(
            seed=seed,
            queue_model=queue_model,
            self_trade=self_trade,
            balances=dict.fromkeys((instrument.base, instrument.quote, instrument.settle), _RICH),
        ),
    )


def _limits(instrument: Instrument) -> RiskLimits:
    """An experiment is not an account: only limits that protect the numbers stay on.

    Money is counted in the currency that the instrument is settled in, so that it needs no rate.
    """
    spot = instrument.kind == "spot"
    return paper_defaults(
        reporting_currency=instrument.quote if spot else instrument.settle,
        lease_required=False,
        max_order_quantity={"*": _RICH},
        max_position_quantity={"*": _RICH},
        max_order_notional=_RICH,
        max_position_notional=_RICH,
        max_gross_exposure=_RICH,
        max_net_exposure=_RICH,
        max_venue_exposure={"*": _RICH},
        max_daily_loss=_RICH,
        max_rolling_loss=_RICH,
        max_drawdown=_RICH,
    )

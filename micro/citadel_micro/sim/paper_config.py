"""Settings of the paper venue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from citadel_micro.sim.accounts import FeeToken
from citadel_micro.sim.paper_funding import HOURS_8_NS
from citadel_micro.sim.paper_link import LinkConfig
from citadel_micro.sim.paper_rules import SelfTrade
from citadel_micro.sim.queue_model import QueueModel


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperConfig:
    """Settings of the paper venue: seed, queue model, opening balances, and latency.

    ``self_trade``: which order ends when two of the account meet, in the venue's default.
    ``fee_token``: fees are taken in it, at the price of its book in the quote currency while that
    is followed, else at the one given here (0: then not).
    ``funding``: share of a perpetual's value that a long pays at each time, by symbol, "*" for all others.
    """

    seed: int = 1
    self_trade: SelfTrade = "expire_maker"
    queue_model: QueueModel = "expected"
    balances: Mapping[str, Decimal] = field(default_factory=dict)
    fee_token: FeeToken | None = None
    funding: Mapping[str, Decimal] = field(default_factory=dict)
    funding_interval_ns: int = HOURS_8_NS
    link: LinkConfig = field(default_factory=LinkConfig)

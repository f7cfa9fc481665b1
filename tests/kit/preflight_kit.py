"""A good account as a venue would tell of it, and an inspector that tells what a test wants."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from citadel_micro.core.model.instrument import Instrument
from citadel_micro.preflight.checks import Expected
from citadel_micro.shell.account_facts import AccountFacts, KeyRights, SymbolFacts
from citadel_micro.shell.config.config import VenueSection

if TYPE_CHECKING:
    from citadel_micro.shell.account_facts import AccountQuery, TrialDesk

RIGHTS = KeyRights(trade=True, withdraw=False, transfer=False, bound_to_addresses=True)
SYMBOL = SymbolFacts(
    status="TRADING",
    tradable=True,
    tick=Decimal("0.01"),
    lot=Decimal("0.00001"),
    min_notional=Decimal(5),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
    filters={"PRICE_FILTER": "tick 0.01"},
)
FACTS = AccountFacts(
    account="354937868",
    clock_offset_ns=1_000_000,
    clock_error_ns=2_000_000,
    may_trade=True,
    rights=RIGHTS,
    symbols={"BTC/USDT": SYMBOL},
    balances={"USDT": (Decimal(1000), Decimal(0))},
    open_orders=0,
    rate_limits=(),
    timer="none",
)
RULES = Instrument(
    venue="binance-spot",
    symbol="BTC/USDT",
    venue_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    settle="USDT",
    kind="spot",
    tick=Decimal("0.01"),
    lot=Decimal("0.00001"),
    min_lots=1,
    min_notional=Decimal(5),
    contract_size=Decimal(1),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
    fee_side="received",
)


def expected() -> Expected:
    """What a configuration for that account says."""
    return Expected(
        venue="binance-spot",
        section=VenueSection(symbols=["BTC/USDT"], network="testnet", key_file=Path("k.toml")),
        account="354937868",
        instruments={"BTC/USDT": RULES},
    )


class ToldInspector:
    """Tells what it was given, or raises it."""

    def __init__(self, told: AccountFacts | Exception) -> None:
        self.told = told
        self.asked: list[AccountQuery] = []

    async def facts(self, query: AccountQuery) -> AccountFacts:
        self.asked.append(query)
        if isinstance(self.told, Exception):
            raise self.told
        return self.told

    async def trial_desk(self, query: AccountQuery) -> TrialDesk:
        raise NotImplementedError(query.venue)

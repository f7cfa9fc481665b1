"""Queries Bybit about an account, its key and its symbols, over REST; reads only."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from citadel_micro.adapters.bybit.codes import refusal
from citadel_micro.adapters.bybit.linear_margin import MODES, Positions
from citadel_micro.adapters.bybit.messages import Order, Wallet, balances
from citadel_micro.adapters.bybit.orders import bybit_signer
from citadel_micro.adapters.bybit.requests import LIMITS, LINEAR, SPOT, WALLET, simple
from citadel_micro.adapters.bybit.session import BybitRest
from citadel_micro.adapters.bybit.trial_desk import BybitTrialDesk
from citadel_micro.shell.account_facts import AccountFacts, KeyRights, RateLimit, SymbolFacts
from citadel_micro.shell.venue.addresses import address_of
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.outcomes import Answered, Fate
from citadel_micro.shell.venue.query_errors import accept
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import (
    BadInput,
    PeerUnavailable,
    VenueViolation,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.account_facts import AccountQuery
    from citadel_micro.shell.venue.dialect import Request

T = TypeVar("T")
CLOCK_SAMPLES: Final = 5
MOST_OPEN: Final = 50
_UNIFIED: Final = frozenset({3, 4, 5, 6})
"""``unifiedMarginStatus``: unified accounts of 1.0 and 2.0."""
_ANYWHERE: Final = "*"


class _Key(msgspec.Struct, rename="camel"):
    permissions: dict[str, list[str]]
    read_only: int
    ips: list[str] = []
    user_id: int = msgspec.field(default=0, name="userID")


class _Account(msgspec.Struct, rename="camel"):
    unified_margin_status: int
    margin_mode: str = ""


class _Wallets(msgspec.Struct):
    rows: list[Wallet] = msgspec.field(name="list")


class _Orders(msgspec.Struct):
    rows: list[Order] = msgspec.field(name="list")


class _Lots(msgspec.Struct, rename="camel"):
    """Spot's, and those of perpetuals."""

    min_order_qty: Decimal
    base_precision: Decimal | None = None
    qty_step: Decimal | None = None
    min_order_amt: Decimal | None = None
    min_notional_value: Decimal | None = None
    max_limit_order_qty: Decimal | None = None
    max_order_qty: Decimal | None = None

    @property
    def lot(self) -> Decimal | None:
        return self.base_precision or self.qty_step

    @property
    def least(self) -> Decimal | None:
        """Least notional."""
        return self.min_order_amt or self.min_notional_value

    @property
    def most(self) -> Decimal | None:
        """Most of a limit order."""
        return self.max_limit_order_qty or self.max_order_qty


class _Prices(msgspec.Struct, rename="camel"):
    tick_size: Decimal


class _Instrument(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    lot_size_filter: _Lots
    price_filter: _Prices


class _Instruments(msgspec.Struct):
    rows: list[_Instrument] = msgspec.field(name="list")


class _Fee(msgspec.Struct, rename="camel"):
    symbol: str
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal


class _Fees(msgspec.Struct):
    rows: list[_Fee] = msgspec.field(name="list")


class _Envelope(msgspec.Struct):
    result: msgspec.Raw


class BybitInspector:
    """As ``shell.account_facts.AccountInspector``."""

    async def facts(self, query: AccountQuery) -> AccountFacts:
        """See ``BybitFacts``."""
        return await BybitFacts(query).facts()

    async def trial_desk(self, query: AccountQuery) -> BybitTrialDesk:
        """See ``BybitTrialDesk``."""
        desk = BybitTrialDesk(query)
        await desk.open()
        return desk


class BybitFacts:
    """The queries about one account.

    Args:
        query: the account, and what to query.
    """

    def __init__(self, query: AccountQuery) -> None:
        root = address_of(query, "private_rest_url")
        self._query = query
        self._root = root
        self._category = SPOT if query.venue.endswith(SPOT) else LINEAR
        self._clock = VenueClock(query.now)
        self._rest = BybitRest(
            HttpClient(root, f"venues.{query.venue}.private_rest_url"),
            bybit_signer(query.key, self._clock),
            self._clock,
            RequestBudget(LIMITS),
        )

    async def facts(self) -> AccountFacts:
        """Everything. Raises as ``AccountInspector.facts``."""
        try:
            for _ in range(CLOCK_SAMPLES):
                await self._rest.measure(self._query.now)
            key = await self._get(simple("key"), _Key)
            account = await self._get(simple("account"), _Account)
            self._check_unified(account)
            self._check_margin(account)
            symbols = {
                symbol: await self._symbol(rules.venue_symbol)
                for symbol, rules in self._query.instruments.items()
            }
            wallets = await self._get(WALLET, _Wallets)
            open_orders = 0
            hedged: bool | None = None
            for chosen in self._listings():
                page = {"category": self._category, "limit": str(MOST_OPEN), **chosen}
                open_orders += len((await self._get(simple("realtime", page), _Orders)).rows)
            if self._category == LINEAR:
                hedged = await self._hedged()
        finally:
            await self._rest.close()
        return AccountFacts(
            account=str(key.user_id or ""),
            clock_offset_ns=self._clock.offset_ns,
            clock_error_ns=self._clock.error_ns,
            may_trade=True,  # the venue tells nothing of the account beside the key
            rights=_rights(key, self._category),
            symbols={symbol: told for symbol, told in symbols.items() if told is not None},
            balances={
                coin: (free, used) for coin, free, used in balances(wallets.rows) if free or used
            },
            open_orders=open_orders,
            rate_limits=tuple(
                RateLimit(name=f"{kind} per {seconds} s", limit=limit)
                for (kind, seconds), limit in LIMITS.items()
            ),
            timer="none",
            hedge_mode=hedged,
            multi_asset_mode=None,
        )

    def _listings(self) -> list[dict[str, str]]:
        """Orders of perpetuals are listed by their settle currency."""
        if self._category == SPOT:
            return [{}]
        coins = dict.fromkeys(each.settle for each in self._query.instruments.values())
        return [{"settleCoin": coin} for coin in coins]

    async def _hedged(self) -> bool:
        """Whether one of the symbols has a long and a short position apart."""
        for rules in self._query.instruments.values():
            params = {"category": self._category, "symbol": rules.venue_symbol}
            held = await self._get(simple("positions", params), Positions)
            if any(row.position_idx for row in held.rows):
                return True
        return False

    def _check_unified(self, account: _Account) -> None:
        if account.unified_margin_status not in _UNIFIED:
            raise BadInput(
                "this is a classic account of Bybit",
                where=self._query.key.file,
                allowed="a unified trading account",
                mend="upgrade it on the venue's website, or make a new subaccount",
            )

    def _check_margin(self, account: _Account) -> None:
        """Of perpetuals: it is one mode for the whole account, so micro does not change it."""
        section = self._query.section
        mode = MODES.get(account.margin_mode)
        if self._category == LINEAR and mode != section.margin_mode:
            raise BadInput(
                f"the account's margin mode is {account.margin_mode}",
                where=f"venues.{self._query.venue}.margin_mode",
                allowed=f"{section.margin_mode}, as configured",
                mend="set the account's on the venue's website, or configure what it has",
            )

    async def _symbol(self, name: str) -> SymbolFacts | None:
        """One symbol with the account's fees; None where there is none of that name."""
        params = {"category": self._category, "symbol": name}
        try:
            told = await self._get(simple("instruments", params, signed=False), _Instruments)
        except VenueViolation:
            return None
        found = next((row for row in told.rows if row.symbol == name), None)
        if found is None:
            return None
        fees = await self._get(simple("fees", params), _Fees)
        fee = next((row for row in fees.rows if row.symbol == name), None)
        lots = found.lot_size_filter
        return SymbolFacts(
            status=found.status,
            tradable=found.status == "Trading",
            why_not="" if found.status == "Trading" else f"its status is {found.status}",
            tick=found.price_filter.tick_size,
            lot=lots.lot,
            min_notional=lots.least,
            maker_fee=None if fee is None else fee.maker_fee_rate,
            taker_fee=None if fee is None else fee.taker_fee_rate,
            filters=_shown(found),
        )

    async def _get(self, request: Request, kind: type[T]) -> T:
        """One answer."""
        outcome = await self._rest.ask(request)
        where = f"{self._root}: {request.method}"
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{where}: {outcome.reason}")
        self._accept(where, outcome)
        try:
            result = msgspec.json.decode(outcome.body, type=_Envelope).result
            return msgspec.json.decode(result, type=kind)
        except msgspec.MsgspecError as error:
            raise VenueViolation(f"{where}: not as documented: {error}") from None

    def _accept(self, where: str, answer: Answered) -> None:
        """Return for a success; raise the error that the answer means."""
        refused = refusal(answer)
        accept(
            answer,
            refused,
            where=where,
            key=self._query.key,
            clock=self._clock,
            passes=refused is not None and refused.fate is Fate.UNKNOWN,
        )


def _rights(key: _Key, category: str) -> KeyRights:
    wallet = key.permissions.get("Wallet", [])
    trades = "SpotTrade" in key.permissions.get("Spot", [])
    if category == LINEAR:
        # Leverage is set before the first order.
        trades = {"Order", "Position"} <= set(key.permissions.get("ContractTrade", []))
    return KeyRights(
        trade=not key.read_only and trades,
        withdraw="Withdraw" in wallet,
        transfer=any(each != "Withdraw" for each in wallet),
        bound_to_addresses=bool(key.ips) and _ANYWHERE not in key.ips,
    )


def _shown(found: _Instrument) -> Mapping[str, str]:
    lots = found.lot_size_filter
    shown = {
        "tick": found.price_filter.tick_size,
        "lot": lots.lot,
        "least quantity": lots.min_order_qty,
        "least notional": lots.least,
        "most quantity": lots.most,
    }
    return {name: f"{value:f}" for name, value in shown.items() if value is not None}

"""Queries Binance spot about an account, its key and its symbols, over REST; reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

import msgspec

from citadel_micro.adapters.binance.account_messages import (
    Account,
    Commission,
    Info,
    Limit,
    Rates,
    Restrictions,
    Symbol,
    Time,
    limit_of,
    symbol_facts,
)
from citadel_micro.adapters.binance.error_codes import refusal
from citadel_micro.adapters.binance.trial_desk import SpotTrialDesk
from citadel_micro.core.model.time_units import MS
from citadel_micro.shell.account_facts import AccountFacts, KeyRights, RateLimit
from citadel_micro.shell.venue.addresses import address_of
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.outcomes import Answered, Fate
from citadel_micro.shell.venue.query_errors import accept
from citadel_micro.shell.venue.signing import signer_of
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import (
    BadInput,
    PeerUnavailable,
    Refused,
    VenueViolation,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.account_facts import AccountQuery

T = TypeVar("T")
CLOCK_SAMPLES: Final = 5
AT_ONCE: Final = 100
"""Symbols in one query."""
MOST_FEES: Final = 50
"""Maximum number of symbols whose own fees are queried, each of which costs 20 of 6,000 a minute; for
the others the account's are used."""
RECV_WINDOW_MS: Final = 5_000
_WEIGHT_USED: Final = "x-mbx-used-weight-1m"
_NO_SUCH_SYMBOL: Final = "-1121"


class SpotInspector:
    """As ``shell.account_facts.AccountInspector``."""

    async def facts(self, query: AccountQuery) -> AccountFacts:
        """See ``SpotFacts``."""
        return await SpotFacts(query).facts()

    async def trial_desk(self, query: AccountQuery) -> SpotTrialDesk:
        """See ``SpotTrialDesk``."""
        desk = SpotTrialDesk(query)
        await desk.open()
        return desk


class SpotFacts:
    """The queries about one account of Binance spot; others of the venue's markets are derived from it.

    Args:
        query: the account, and what to query.
    """

    time_path = "/api/v3/time"

    def __init__(self, query: AccountQuery) -> None:
        root = address_of(query, "private_rest_url")
        self._query = query
        self._client = HttpClient(root, f"venues.{query.venue}.private_rest_url")
        self._clock = VenueClock(query.now)
        self._signer = signer_of(query.key)
        self._headers = {"X-MBX-APIKEY": query.key.id.reveal()}
        self._weight_used: int | None = None

    async def facts(self) -> AccountFacts:
        """Everything. Raises as ``AccountInspector.facts``."""
        try:
            await self._measure_clock()
            account = await self._get("/api/v3/account", Account, {})
            rights = await self._rights()
            info = await self._symbols()
            fees = {each.symbol: account.commission_rates for each in info.symbols}
            for symbol in sorted(fees, key=self._is_on_demand)[:MOST_FEES]:
                fees[symbol] = await self._fees(symbol, account)
            open_orders = await self._get("/api/v3/openOrders", list[msgspec.Raw], {})
            orders = await self._get("/api/v3/rateLimit/order", list[Limit], {})
        finally:
            await self._client.close()
        unified = {rules.venue_symbol: ours for ours, rules in self._query.instruments.items()}
        return AccountFacts(
            account="" if account.uid is None else str(account.uid),
            clock_offset_ns=self._clock.offset_ns,
            clock_error_ns=self._clock.error_ns,
            may_trade=account.can_trade,
            rights=rights,
            symbols={
                unified[each.symbol]: symbol_facts(each, account.permissions, fees[each.symbol])
                for each in info.symbols
            },
            balances={
                each.asset: (each.free, each.locked)
                for each in account.balances
                if each.free or each.locked
            },
            open_orders=len(open_orders),
            rate_limits=(*self._weight(info), *(limit_of(each, each.count) for each in orders)),
            timer="none",
        )

    def _is_on_demand(self, name: str) -> bool:
        """Whether a symbol, by the venue's name, is none of those that are always followed."""
        rules, always = self._query.instruments, self._query.section.symbols
        return not any(s in rules and rules[s].venue_symbol == name for s in always)

    async def _measure_clock(self) -> None:
        for _ in range(CLOCK_SAMPLES):
            sent_ns = self._query.now()
            told = await self._get(self.time_path, Time)
            self._clock.measured(sent_ns, told.server_time * MS)

    async def _rights(self) -> KeyRights:
        """Of the key. Networks other than the mainnet need not report them: nothing there can be withdrawn."""
        try:
            return await self._told_rights()
        except (BadInput, Refused, PeerUnavailable, VenueViolation) as error:
            network = self._query.section.network
            if network != "mainnet":
                return KeyRights(
                    trade=None,
                    withdraw=None,
                    transfer=None,
                    bound_to_addresses=None,
                    not_told=f"the {network} does not say what a key may do",
                )
            return KeyRights(
                trade=None, withdraw=None, transfer=None, bound_to_addresses=None, failed=str(error)
            )

    async def _told_rights(self) -> KeyRights:
        """As the venue reports them. Raises as ``facts``."""
        return (await self._get("/sapi/v1/account/apiRestrictions", Restrictions, {})).rights()

    async def _symbols(self) -> Info:
        """Those that exist: one unknown symbol fails the query about all."""
        theirs = [rules.venue_symbol for rules in self._query.instruments.values()]
        found: list[Info] = []
        for begin in range(0, len(theirs), AT_ONCE):
            some = theirs[begin : begin + AT_ONCE]
            together = await self._info({"symbols": msgspec.json.encode(some).decode()})
            alone = [] if together is not None else [await self._info({"symbol": e}) for e in some]
            found += [each for each in (together, *alone) if each is not None]
        return Info(
            symbols=[symbol for each in found for symbol in each.symbols],
            rate_limits=found[0].rate_limits if found else [],
        )

    async def _info(self, params: Mapping[str, str]) -> Info | None:
        try:
            found = await self._get("/api/v3/exchangeInfo", Info, params, signed=False)
        except VenueViolation as error:
            if _NO_SUCH_SYMBOL in str(error):
                return None
            raise
        asked = {rules.venue_symbol for rules in self._query.instruments.values()}
        symbols: list[Symbol] = [each for each in found.symbols if each.symbol in asked]
        return Info(symbols=symbols, rate_limits=found.rate_limits)

    async def _fees(self, symbol: str, account: Account) -> Rates | None:
        try:
            told = await self._get("/api/v3/account/commission", Commission, {"symbol": symbol})
        except VenueViolation:
            return account.commission_rates
        return told.sums()

    def _weight(self, info: Info) -> tuple[RateLimit, ...]:
        return tuple(
            limit_of(each, self._weight_used)
            for each in info.rate_limits
            if each.rate_limit_type == "REQUEST_WEIGHT"
        )

    async def _get(
        self,
        path: str,
        kind: type[T],
        params: Mapping[str, str] | None = None,
        *,
        signed: bool | None = None,
    ) -> T:
        """One answer. Queries with parameters are signed unless configured otherwise."""
        sign = params is not None if signed is None else signed
        query = _encoded(params or {})
        if sign:
            stamp = {"recvWindow": RECV_WINDOW_MS, "timestamp": self._clock.venue_ns() // MS}
            query = "&".join(part for part in (query, _encoded(stamp)) if part)
            query += f"&signature={quote(self._signer.sign(query.encode()), safe='')}"
        target = f"{path}?{query}" if query else path
        outcome = await self._client.send("GET", target, headers=self._headers if sign else None)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{self._client.root}{path}: {outcome.reason}")
        used = outcome.headers.get(_WEIGHT_USED, "")
        if used.isdecimal():
            self._weight_used = int(used)
        self._accept(path, outcome)
        try:
            return msgspec.json.decode(outcome.body, type=kind)
        except msgspec.MsgspecError as error:
            raise VenueViolation(f"{self._client.root}{path}: not as documented: {error}") from None

    def _accept(self, path: str, answer: Answered) -> None:
        """Return for a success; raise the error that the answer means."""
        refused = refusal(answer)
        accept(
            answer,
            refused,
            where=f"{self._client.root}{path}",
            key=self._query.key,
            clock=self._clock,
            passes=refused is not None and refused.fate is Fate.UNKNOWN and answer.status >= 500,  # noqa: PLR2004 - the server's fault
        )


def _encoded(params: Mapping[str, str | int]) -> str:
    return "&".join(f"{name}={quote(str(value), safe='')}" for name, value in params.items())

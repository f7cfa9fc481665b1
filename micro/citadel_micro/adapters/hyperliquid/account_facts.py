"""Queries Hyperliquid about an account, its API wallet and its perpetuals, over HTTP; reads only."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from citadel_micro.adapters.hyperliquid.codes import refusal
from citadel_micro.adapters.hyperliquid.margin import UNIFIED, Meta
from citadel_micro.adapters.hyperliquid.messages import Clearing
from citadel_micro.adapters.hyperliquid.requests import LIMITS, SIGNIFICANT, HyperRequests, query
from citadel_micro.adapters.hyperliquid.session import Role, mine
from citadel_micro.adapters.hyperliquid.signing import ActionSigner
from citadel_micro.adapters.hyperliquid.trial_desk import HyperTrialDesk
from citadel_micro.core.model.time_units import MS
from citadel_micro.shell.account_facts import AccountFacts, KeyRights, RateLimit, SymbolFacts
from citadel_micro.shell.venue.addresses import address_of
from citadel_micro.shell.venue.http_client import JSON, HttpClient
from citadel_micro.shell.venue.outcomes import Answered, Fate
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import BadInput, PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.adapters.hyperliquid.margin import Listed
    from citadel_micro.shell.account_facts import AccountQuery, Timer
    from citadel_micro.shell.venue.dialect import Request

T = TypeVar("T")
CLOCK_SAMPLES: Final = 5
LEAST_NOTIONAL: Final = Decimal(10)
"""Of every order, in USDC (page "Error responses")."""
TIMER_VOLUME: Final = 1_000_000
"""An account that has traded less, in USDC, may not schedule a cancel."""
MOST_DECIMALS: Final = 6
_MASTER: Final = "user"


class HyperInspector:
    """As ``shell.account_facts.AccountInspector``."""

    async def facts(self, query: AccountQuery) -> AccountFacts:
        """See ``HyperFacts``."""
        return await HyperFacts(query).facts()

    async def trial_desk(self, query: AccountQuery) -> HyperTrialDesk:
        """See ``HyperTrialDesk``."""
        desk = HyperTrialDesk(query)
        await desk.open()
        return desk


class _Time(msgspec.Struct):
    time: int


class _Fees(msgspec.Struct, rename="camel"):
    user_cross_rate: Decimal
    user_add_rate: Decimal


class _Rates(msgspec.Struct, rename="camel"):
    cum_vlm: Decimal
    n_requests_used: int
    n_requests_cap: int


class HyperFacts:
    """The queries about one account.

    Args:
        query: the account, and what to query.
    """

    def __init__(self, query: AccountQuery) -> None:
        root = address_of(query, "private_rest_url")
        self._query = query
        self._account = query.key.account.lower()
        self._client = HttpClient(root, f"venues.{query.venue}.private_rest_url")
        self._clock = VenueClock(query.now)
        self._signer = ActionSigner(query.key, self._clock)
        self._requests = HyperRequests(query.instruments, self._account)

    async def facts(self) -> AccountFacts:
        """Everything. Raises as ``AccountInspector.facts``."""
        of_user = self._requests.of_user
        try:
            for _ in range(CLOCK_SAMPLES):
                sent_ns = self._query.now()
                told = await self._get(query("exchangeStatus"), _Time)
                self._clock.measured(sent_ns, told.time * MS)
            rights = await self._rights()
            kind = await self._get(of_user("userAbstraction"), str)
            meta = await self._get(query("meta"), Meta)
            mids = await self._get(query("allMids"), dict[str, Decimal])
            fees = await self._get(of_user("userFees"), _Fees)
            state = await self._get(of_user("clearinghouseState"), Clearing)
            orders = await self._get(of_user("frontendOpenOrders"), list[msgspec.Raw])
            rates = await self._get(of_user("userRateLimit"), _Rates)
        finally:
            await self._client.close()
        wallet = state.wallet
        free = min(state.withdrawable, wallet)
        timer: Timer = "account" if rates.cum_vlm >= TIMER_VOLUME else "none"
        weight = next(iter(LIMITS.values()))
        return AccountFacts(
            account=self._query.key.account if not rights.failed else "",
            clock_offset_ns=self._clock.offset_ns,
            clock_error_ns=self._clock.error_ns,
            may_trade=True,
            rights=rights,
            symbols=self._symbols(meta, mids, fees),
            balances={"USDC": (free, wallet - free)} if wallet else {},
            open_orders=len(orders),
            rate_limits=(
                RateLimit(name="weight in 60 s", limit=weight),
                RateLimit(
                    name="requests earned", limit=rates.n_requests_cap, used=rates.n_requests_used
                ),
            ),
            timer=timer,
            hedge_mode=False,
            multi_asset_mode=kind in UNIFIED,
        )

    async def _rights(self) -> KeyRights:
        """Of the key: an API wallet trades, and nothing else; the account's own key does everything."""
        address = self._signer.address
        role = await self._get(query("userRole", user=address), Role)
        why = mine(role, self._account, address)
        if why:
            raise BadInput(
                why,
                where=self._query.key.file,
                allowed=f"an API wallet of account {self._account} on the "
                f"{self._query.key.network}",
                mend="approve the API wallet on the venue's page, and write the account's address "
                "in account",
            )
        master = address == self._account
        return KeyRights(
            trade=True,
            withdraw=master,
            transfer=master,
            bound_to_addresses=None,
            not_told="the venue binds no key to addresses",
        )

    def _symbols(
        self, meta: Meta, mids: Mapping[str, Decimal], fees: _Fees
    ) -> dict[str, SymbolFacts]:
        listed = {each.name: each for each in meta.universe}
        found: dict[str, SymbolFacts] = {}
        for symbol, rules in self._query.instruments.items():
            each = listed.get(rules.venue_symbol)
            if each is None or rules.kind != "linear":
                continue
            price = mids.get(each.name)
            found[symbol] = SymbolFacts(
                status="delisted" if each.is_delisted else "listed",
                tradable=not each.is_delisted,
                why_not="the venue does not list it any more" if each.is_delisted else "",
                tick=None if price is None else tick_at(price, each),
                lot=Decimal(1).scaleb(-each.sz_decimals),
                min_notional=LEAST_NOTIONAL,
                maker_fee=fees.user_add_rate,
                taker_fee=fees.user_cross_rate,
                filters={
                    "szDecimals": str(each.sz_decimals),
                    "maxLeverage": str(each.max_leverage),
                },
            )
        return found

    async def _get(self, request: Request, kind: type[T]) -> T:
        where = f"{self._client.root}/info ({request.method})"
        body = json.dumps({"type": request.method, **request.params})
        outcome = await self._client.send("POST", "/info", body=body, content_type=JSON)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{where}: {outcome.reason}")
        refused = refusal(outcome)
        if refused is not None:
            if refused.fate is Fate.WAIT or outcome.status >= 500:  # noqa: PLR2004 - the server's fault
                raise PeerUnavailable(f"{where}: {refused.text}")
            raise VenueViolation(f"{where}: {refused.text}")
        try:
            return msgspec.json.decode(outcome.body, type=kind)
        except msgspec.MsgspecError as error:
            raise VenueViolation(f"{where}: not as documented: {error}") from None


def tick_at(price: Decimal, listed: Listed) -> Decimal:
    """The smallest difference of two prices there: five significant digits, or whole numbers."""
    places = min(SIGNIFICANT - 1 - price.adjusted(), MOST_DECIMALS - listed.sz_decimals)
    return Decimal(1).scaleb(-max(places, 0))

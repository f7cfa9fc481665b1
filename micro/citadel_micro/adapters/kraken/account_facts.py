"""Queries Kraken about an account, its key and its pairs; reads only.

The rights of a key come from GetApiKeyInfo, whose list of permissions is read by its words: what
names a withdrawal permits one. An answer without a list refuses the live run.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import structlog

from citadel_micro.adapters.kraken.codes import CALLS, NONCE, USED_UP, refusal
from citadel_micro.adapters.kraken.messages import Held, coin_of, pair_name
from citadel_micro.adapters.kraken.orders import budget_of, kraken_dialect
from citadel_micro.adapters.kraken.requests import query
from citadel_micro.adapters.kraken.session import REST_TIMEOUT_S, KrakenRest, RestSigner
from citadel_micro.adapters.kraken.trial_desk import KrakenTrialDesk
from citadel_micro.shell.account_facts import AccountFacts, KeyRights, RateLimit, SymbolFacts
from citadel_micro.shell.venue.addresses import address_of
from citadel_micro.shell.venue.asking import in_parts
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.outcomes import Answered, Fate
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
log: Final = structlog.get_logger("preflight")
PERCENT: Final = Decimal(100)
_NO_SUCH_PAIR: Final = "asset pair"
_ALLOWLIST: Final = ("ip_allowlist", "ipAllowlist", "ip_whitelist")


class _Result(msgspec.Struct):
    result: msgspec.Raw


class _Pair(msgspec.Struct):
    altname: str
    status: str = ""
    tick_size: Decimal | None = None
    ordermin: Decimal | None = None
    costmin: Decimal | None = None
    pair_decimals: int | None = None
    lot_decimals: int | None = None


class _Fee(msgspec.Struct):
    fee: Decimal


PAUSES_S: Final = (15.0, 15.0, 30.0)
"""Before a call is made again where the account has used up its own. A small account gets one back every three
seconds and a start needs about ten: the third start within a minute has none left, and orders may be open."""
PART: Final = 100
"""Pairs in one query: with pairs on demand there may be several hundred, in an address. Each query about
fees counts, of 15 calls that a small account has at once."""


class _Volume(msgspec.Struct):
    fees: dict[str, _Fee] = {}
    fees_maker: dict[str, _Fee] = {}


class _Open(msgspec.Struct):
    open: dict[str, msgspec.Raw]


class KrakenInspector:
    """As ``shell.account_facts.AccountInspector``."""

    async def facts(self, query: AccountQuery) -> AccountFacts:
        """See ``KrakenFacts``."""
        return await KrakenFacts(query).facts()

    async def trial_desk(self, query: AccountQuery) -> KrakenTrialDesk:
        """See ``KrakenTrialDesk``."""
        desk = KrakenTrialDesk(query)
        await desk.open()
        return desk


class KrakenFacts:
    """The queries about one account.

    Args:
        query: the account, and what to query.
    """

    def __init__(self, query: AccountQuery) -> None:
        root, self._ws_url = (
            address_of(query, name) for name in ("private_rest_url", "ws_api_url")
        )
        self._query = query
        self._clock = VenueClock(query.now)
        where = f"venues.{query.venue}.private_rest_url"
        client = HttpClient(root, where, timeout_s=REST_TIMEOUT_S)
        self._root = client.root
        self._rest = KrakenRest(client, RestSigner(query.key))

    async def facts(self) -> AccountFacts:
        """Everything. Raises as ``AccountInspector.facts``."""
        try:
            # First: without a valid key, that is the error to show.
            held = await self._get("BalanceEx", dict[str, Held])
            told = await self._key_info()
            pairs = await self._pairs()
            volume = await self._volume(pairs)
            orders = await self._get("OpenOrders", _Open)
            await self._measure_clock()
        finally:
            await self._rest.close()
        rules = {pair_name(each): each for each in self._query.instruments.values()}
        balances = {coin_of(asset): each for asset, each in held.items() if each.balance}
        return AccountFacts(
            account="" if isinstance(told, KeyRights) else account_of(told),
            clock_offset_ns=self._clock.offset_ns,
            clock_error_ns=self._clock.error_ns,
            may_trade=True,
            rights=told if isinstance(told, KeyRights) else rights_of(told),
            symbols={
                rules[each.altname].symbol: symbol_facts(each, volume)
                for each in pairs
                if each.altname in rules
            },
            balances={
                coin: (each.balance - each.hold_trade, each.hold_trade)
                for coin, each in balances.items()
            },
            open_orders=len(orders.open),
            rate_limits=(RateLimit(name="REST calls", limit=15),),
            timer="account",
        )

    async def _key_info(self) -> Mapping[str, Any] | KeyRights:
        try:
            return await self._get("GetApiKeyInfo", dict[str, Any])
        except (BadInput, Refused, PeerUnavailable, VenueViolation) as error:
            return KeyRights(
                trade=None, withdraw=None, transfer=None, bound_to_addresses=None, failed=str(error)
            )

    async def _measure_clock(self) -> None:
        """By the websocket: REST has whole seconds only. It also shows that the key opens one."""
        for pause_s in PAUSES_S:
            try:
                await self._open_once()
            except PeerUnavailable as error:
                if USED_UP not in str(error):
                    raise
                await self._calls_come_back(str(error), pause_s)
            else:
                return
        await self._open_once()

    async def _open_once(self) -> None:
        query_ = self._query
        dialect = kraken_dialect(
            query_.venue,
            query_.instruments,
            query_.key,
            self._clock,
            budget_of(query_.instruments),
            query_.now,
            rest_url=self._root,
            ws_url=self._ws_url,
        )
        try:
            session = await dialect.open_entry(lambda _frame: None)
            session.close()
        except Refused as error:
            raise self._rejected(str(error)) from error
        finally:
            await dialect.close()

    async def _calls_come_back(self, why: str, pause_s: float) -> None:
        log.warning("waiting for calls", venue=self._query.venue, why=why, seconds=pause_s)
        await asyncio.sleep(pause_s)

    async def _pairs(self) -> list[_Pair]:
        """Those that exist: one unknown pair fails the query about all that are asked about with it."""
        names = [pair_name(each) for each in self._query.instruments.values()]
        found: list[_Pair] = []
        for some in in_parts(names, PART):
            for part in (some, *([name] for name in some)):
                try:
                    told = await self._get("AssetPairs", dict[str, _Pair], pair=",".join(part))
                except VenueViolation as error:
                    if _NO_SUCH_PAIR in str(error):
                        continue
                    raise
                found += told.values()
                if part is some:
                    break
        return found

    async def _volume(self, pairs: list[_Pair]) -> _Volume:
        found = _Volume()
        for some in in_parts([each.altname for each in pairs], PART):
            told = await self._get("TradeVolume", _Volume, pair=",".join(some))
            found.fees.update(told.fees)
            found.fees_maker.update(told.fees_maker)
        return found

    async def _get(self, name: str, kind: type[T], **params: str) -> T:
        """One result."""
        request = query(name)
        if name == "AssetPairs":
            request = Request(purpose="query", method=name, params=params, signed=False)
        elif params:
            request = Request(purpose="query", method=name, params=params, costs={CALLS: 1})
        outcome = await self._rest.ask(request)
        for pause_s in PAUSES_S:
            refused = refusal(outcome) if isinstance(outcome, Answered) else None
            if refused is None or refused.text != USED_UP:
                break
            await self._calls_come_back(f"{name}: {refused.text}", pause_s)
            outcome = await self._rest.ask(request)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{self._root}: {name}: {outcome.reason}")
        self._accept(name, outcome)
        try:
            result = msgspec.json.decode(outcome.body, type=_Result).result
            return msgspec.json.decode(result, type=kind, strict=False)
        except msgspec.MsgspecError as error:
            raise VenueViolation(f"{self._root}: {name}: not as documented: {error}") from None

    def _accept(self, name: str, answer: Answered) -> None:
        """Return for a success; raise the error that the answer means."""
        refused = refusal(answer)
        if refused is None:
            return
        where = f"{self._root}: {name}"
        if refused.text == NONCE:
            raise Refused(
                f"{where}: {refused.text}: another program uses this key, or has, with larger "
                "nonces than the venue's time in microseconds; give micro a key of its own"
            )
        if refused.key:
            raise self._rejected(f"{name}: {refused.text}")
        if refused.fate is Fate.WAIT:
            raise PeerUnavailable(f"{where}: {refused.text}; more requests lengthen it")
        if refused.fate is Fate.UNKNOWN:
            raise PeerUnavailable(f"{where}: {refused.text}")
        raise VenueViolation(f"{where}: {refused.text}")

    def _rejected(self, text: str) -> BadInput:
        return BadInput(
            f"the venue does not take the key: {text}",
            where=self._query.key.file,
            allowed="a key of this machine's address, that may query funds and orders, and create, "
            "modify and cancel orders",
            mend="compare id and secret with the venue's page of API keys, its permissions and "
            "the addresses that it allows",
        )


def account_of(info: Mapping[str, Any]) -> str:
    """The public id of the account, without its blanks; empty where the venue gives none."""
    found = info.get("iban")
    return found.replace(" ", "") if isinstance(found, str) else ""


def rights_of(info: Mapping[str, Any]) -> KeyRights:
    """What the words of its permissions permit."""
    listed = info.get("permissions")
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        return KeyRights(
            trade=None,
            withdraw=None,
            transfer=None,
            bound_to_addresses=None,
            failed="GetApiKeyInfo lists no permissions",
        )
    words = [str(each).lower() for each in listed]
    bound = next((info[name] for name in _ALLOWLIST if name in info), None)
    return KeyRights(
        trade=any("modify" in each or "create" in each for each in words),
        withdraw=any("withdraw" in each for each in words),
        transfer=any("transfer" in each for each in words),
        bound_to_addresses=None if bound is None else bool(bound),
        not_told="GetApiKeyInfo does not say which addresses may use it",
    )


def symbol_facts(pair: _Pair, volume: _Volume) -> SymbolFacts:
    """One pair as the venue trades it for this account."""
    maker = volume.fees_maker.get(pair.altname) or volume.fees.get(pair.altname)
    taker = volume.fees.get(pair.altname)
    shown = {
        "tick": pair.tick_size,
        "least": pair.ordermin,
        "least cost": pair.costmin,
        "decimals of a size": pair.lot_decimals,
    }
    return SymbolFacts(
        status=pair.status,
        tradable=pair.status == "online",
        tick=pair.tick_size,
        min_notional=pair.costmin,
        maker_fee=None if maker is None else maker.fee / PERCENT,
        taker_fee=None if taker is None else taker.fee / PERCENT,
        filters={name: str(value) for name, value in shown.items() if value is not None},
    )

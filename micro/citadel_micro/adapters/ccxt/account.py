"""What ccxt says of an account, one test order through it, and a watchdog's cancels."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from citadel_micro.adapters.ccxt.instruments import Unusable, near, price_step, size_step
from citadel_micro.adapters.ccxt.order_dialect import CcxtDialect
from citadel_micro.adapters.ccxt.order_errors import refusal_of
from citadel_micro.adapters.ccxt.order_rows import Frame
from citadel_micro.adapters.ccxt.orders import venue_of
from citadel_micro.shell.account_facts import AccountFacts, KeyRights, StepResult, SymbolFacts
from citadel_micro.shell.venue.cancel_desk import RestingOrder
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.facts import OrderFact
from citadel_micro.shell.venue.order_ids import OurOrder
from citadel_micro.shell.venue.outcomes import Answered, Fate, NotSent, Refusal
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import BadInput, PeerUnavailable, Refused, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.adapters.ccxt.order_session import CcxtSession
    from citadel_micro.core.model.commands import CancelOrder, PlaceOrder
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.account_facts import AccountQuery
    from citadel_micro.shell.config.config import VenueSection
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.venue.cancel_desk import CancelAccount
    from citadel_micro.shell.venue.outcomes import Outcome


class CcxtInspector:
    """As ``shell.account_facts.AccountInspector``."""

    async def facts(self, query: AccountQuery) -> AccountFacts:
        """Everything that ccxt has a method for. Raises as the protocol says."""
        line = _Line(query.key, query.section, query.instruments, query.now)
        await line.open()
        try:
            balances = await line.asked("balance", wanted="")
            open_orders = 0
            for symbol in query.instruments:
                open_orders += len((await line.asked("open", symbol=symbol)).orders)
            symbols = {
                symbol: facts
                for symbol in query.instruments
                if (facts := _symbol(line.session.exchange, symbol)) is not None
            }
        finally:
            await line.close()
        return AccountFacts(
            account="",
            clock_offset_ns=line.clock.offset_ns,
            clock_error_ns=line.clock.error_ns,
            may_trade=True,
            rights=KeyRights(
                trade=None,
                withdraw=None,
                transfer=None,
                bound_to_addresses=None,
                not_told="ccxt has no question about what a key may do",
            ),
            symbols=symbols,
            balances={c: (Decimal(f), Decimal(u)) for c, f, u in balances.balances},
            open_orders=open_orders,
            rate_limits=(),
            timer="none",
            execution="unverified",
        )

    async def trial_desk(self, query: AccountQuery) -> CcxtTrialDesk:
        """A connection for one test order."""
        desk = CcxtTrialDesk(query)
        await desk.open()
        return desk


class CcxtTrialDesk:
    """As ``shell.account_facts.TrialDesk``."""

    def __init__(self, query: AccountQuery) -> None:
        self._line = _Line(query.key, query.section, query.instruments, query.now)
        self._placed = ""

    async def open(self) -> None:
        """Connect. Raises as ``AccountInspector.facts``."""
        await self._line.open()

    async def last_price(self, symbol: str) -> Decimal:
        """Of the last trade."""
        told = (await self._line.asked("price", symbol=symbol)).text
        if not told:
            raise VenueViolation(f"{symbol}: ccxt knows no last price")
        return Decimal(told)

    async def place(self, order: PlaceOrder) -> StepResult:
        """Place it."""
        request = self._line.dialect.place(order)
        outcome = await self._line.ask(request)
        if isinstance(outcome, NotSent):
            return StepResult(done=False, text=outcome.reason, nothing_sent=True)
        if not isinstance(outcome, Answered):
            return StepResult(done=False, text=outcome.reason)
        said = self._line.dialect.read(request, outcome)
        if isinstance(said, Refusal):
            certain = said.fate in {Fate.REFUSED, Fate.WAIT}
            return StepResult(done=False, text=said.text, nothing_sent=certain)
        found = [each for each in said if isinstance(each, OrderFact)]
        if not found:
            return StepResult(done=False, text="the answer says nothing of the order")
        self._placed = found[-1].venue_order_id
        return _standing(found[-1], ("open",))

    async def query(self, order: PlaceOrder, *, rests: bool) -> StepResult:
        """Query it by the venue's id, or by ours where that is not known."""
        ours = OurOrder(
            order.client_id,
            order.symbol,
            order.side,
            order.price_ticks,
            order.quantity_lots,
            order.expires_ns,
            order.expires_ns,
            venue_order_id=self._placed,
        )
        found = await self._line.dialect.find(self._line.ask, ours, deep=False)
        fact = getattr(found, "order", None)
        if not isinstance(fact, OrderFact):
            return StepResult(done=False, text=getattr(found, "text", ""))
        return _standing(fact, ("open",) if rests else ("canceled", "expired"))

    async def reduce(self, order: PlaceOrder, quantity_lots: int) -> StepResult | None:
        """None: orders are not changed through ccxt."""
        del order, quantity_lots
        return None

    async def cancel(self, command: CancelOrder) -> StepResult:
        """Cancel it."""
        ours = OurOrder(command.client_id, command.symbol, "", 0, 0, 0, 0, self._placed)
        request = self._line.dialect.cancel(command, ours)
        outcome = await self._line.ask(request)
        if not isinstance(outcome, Answered):
            return StepResult(done=False, text=outcome.reason)
        said = self._line.dialect.read(request, outcome)
        if isinstance(said, Refusal):
            return StepResult(done=False, text=said.text)
        found = [each for each in said if isinstance(each, OrderFact)]
        if not found:
            return StepResult(done=False, text="taken, and not confirmed yet")
        return _standing(found[-1], ("canceled",))

    async def close(self) -> None:
        """Close the connection."""
        await self._line.close()


class CcxtCancelDesk:
    """As ``shell.venue.cancel_desk.CancelDesk``: of the configured symbols, which ccxt often needs."""

    def __init__(self, account: CancelAccount) -> None:
        self._account = account
        self._line: _Line | None = None

    @property
    def retry_s(self) -> float:
        """Zero: ccxt holds requests back by itself."""
        return 0.0

    async def open_orders(self) -> list[RestingOrder]:
        """See the protocol."""
        if self._line is None:
            account = self._account
            line = _Line(account.key, account.section, {}, account.now)
            await line.open()
            self._line = line
        found = []
        for symbol in self._account.section.symbols:
            frame = await self._line.asked("open", symbol=symbol)
            found += [
                RestingOrder(symbol=each.symbol, venue_order_id=each.id, client_id=each.name)
                for each in frame.orders
            ]
        return found

    async def cancel(self, order: RestingOrder) -> str:
        """By the venue's id."""
        if self._line is None:
            return "not connected"
        params = {"symbol": order.symbol, "order": order.venue_order_id, "name": order.client_id}
        outcome = await self._line.ask(Request(purpose="cancel", method="cancel", params=params))
        if not isinstance(outcome, Answered):
            return outcome.reason
        frame = msgspec.json.decode(outcome.body, type=Frame)
        if not frame.error:
            return ""
        refused = refusal_of(frame)
        if refused.key:
            raise _of_key(self._account.key, refused.text)
        # Gone before: the next listing shows whether that is so.
        return "" if refused.fate is Fate.NOT_FOUND else refused.text

    async def close(self) -> None:
        """Close its connections."""
        if self._line is not None:
            await self._line.close()


class _Line:
    """One session with what reads its answers."""

    def __init__(
        self,
        key: ApiKey,
        section: VenueSection,
        instruments: Mapping[str, Instrument],
        now: Callable[[], int],
    ) -> None:
        self.key = key
        self.clock = VenueClock(now)
        self._now = now
        self.venue = venue_of(
            key.venue,
            key,
            tuple(instruments),
            rest_url=section.private_rest_url or "",
            ws_url=section.ws_api_url or "",
        )
        self.dialect = CcxtDialect(self.venue, instruments, self.clock, now)
        self.session: CcxtSession

    async def open(self) -> None:
        """Raises BadInput where the key is rejected, PeerUnavailable where there is no answer."""
        try:
            self.session = await self.dialect.open_entry(lambda _frame: None)
        except Refused as error:
            raise _of_key(self.key, str(error)) from error

    async def ask(self, request: Request) -> Outcome:
        """Send a request, and wait for its outcome."""
        answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            if not answered.done():
                answered.set_result(outcome)

        self.session.send(request, done)
        return await answered

    async def asked(self, method: str, **params: str | int) -> Frame:
        """The answer to a query. Raises as ``AccountInspector.facts``."""
        outcome = await self.ask(Request(purpose="query", method=method, params=params))
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{self.venue.name}: {method}: {outcome.reason}")
        frame = msgspec.json.decode(outcome.body, type=Frame)
        if frame.error:
            refused = refusal_of(frame)
            if refused.key:
                raise _of_key(self.key, refused.text)
            if refused.fate in {Fate.UNKNOWN, Fate.WAIT}:
                raise PeerUnavailable(f"{self.venue.name}: {method}: {refused.text}")
            raise VenueViolation(f"{self.venue.name}: {method}: {refused.text}")
        return frame

    async def close(self) -> None:
        await self.dialect.close()


def _of_key(key: ApiKey, why: str) -> BadInput:
    return BadInput(
        f"the venue does not take the key: {why}",
        where=key.file,
        allowed=f"a key of the {key.network} that may read and trade",
        mend="compare id, secret and passphrase with the venue's page of API keys",
    )


def _standing(fact: OrderFact, wanted: tuple[str, ...]) -> StepResult:
    text = f"{fact.standing}, {max(fact.cumulative_lots, 0)} lots filled"
    done = fact.standing in wanted and fact.cumulative_lots <= 0
    return StepResult(done=done, text=f"{text}; the venue calls it {fact.venue_order_id}")


def _symbol(exchange: Any, symbol: str) -> SymbolFacts | None:  # noqa: ANN401 - ccxt has no types
    """As ccxt lists it; None where it does not."""
    market = exchange.markets.get(symbol)
    if market is None:
        return None
    mode, precision = int(exchange.precisionMode), market.get("precision") or {}
    try:
        tick, lot = (
            price_step(precision.get("price"), mode, None),
            size_step(precision.get("amount"), mode),
        )
        least = near(((market.get("limits") or {}).get("cost") or {}).get("min"), "cost")
        maker, taker = near(market.get("maker"), "maker"), near(market.get("taker"), "taker")
    except Unusable:
        tick = lot = least = maker = taker = None
    active = market.get("active") is not False
    return SymbolFacts(
        status="listed" if active else "inactive",
        tradable=active,
        why_not="" if active else "ccxt says that it is not active",
        tick=tick,
        lot=lot,
        min_notional=least,
        maker_fee=maker,
        taker_fee=taker,
        filters={
            name: f"{value.normalize():f}"
            for name, value in (("tick", tick), ("lot", lot), ("minimum", least))
            if value is not None
        },
    )

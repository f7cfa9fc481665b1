"""Answers with the status of a success that say nothing: of a gateway, cut short, or of another time.

An order that they name nothing of may be open, a list that they have not is not an empty one, and a
timer that they do not confirm is not armed.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, cast

import pytest
from unheard_adapters import (
    NAMES,
    amending,
    canceling,
    placing,
    unheard_adapter,
    unheard_desk,
)

from citadel_micro.adapters.binance import spot_session
from citadel_micro.adapters.binance.spot_requests import TIME
from citadel_micro.adapters.binance.spot_session import SpotSession
from citadel_micro.adapters.binance.usdm_session import UsdmStream
from citadel_micro.shell.venue.cancel_timer import CancelTimer, TimerOrWatchdog
from citadel_micro.shell.venue.dialect import Absent, Request, Survey, Unclear
from citadel_micro.shell.venue.order_ids import OurOrder
from citadel_micro.shell.venue.outcomes import Answered, Fate, Outcome, Refusal
from citadel_micro.shell.venue.sound_facts import of_answer, of_query
from citadel_proto.errors import PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citadel_micro.adapters.binance.spot_dialect import SpotDialect
    from citadel_micro.adapters.binance.spot_session import SpotRest
    from citadel_micro.adapters.bybit.linear_dialect import LinearDialect
    from citadel_micro.adapters.bybit.session import BybitRest
    from citadel_micro.adapters.okx.dialect import OkxDialect
    from citadel_micro.shell.venue.dialect import Ask

BODIES = {
    "nothing": b"",
    "null": b"null",
    "a number": b"0",
    "a word": b'"ok"',
    "no fields": b"{}",
    "a page": b'<!doctype html><div class="success">"ok" "success"</div>',
    "a gateway's message": b'{"message":"Internal server error"}',
    "an error of another API": b'{"error":{"status":503,"text":"upstream"}}',
    "code and message": b'{"code":-1000,"msg":"An unknown error occurred."}',
    "cut short": b'{"code":"0","retCode":0,"error":[],"status":"ok","result":{"op',
    "Kraken without a result": b'{"error":[]}',
    "Kraken with an empty one": b'{"error":[],"result":{}}',
    "Kraken with none": b'{"error":[],"result":null}',
    "Bybit without a result": b'{"retCode":0,"retMsg":"OK"}',
    "Bybit with an empty one": b'{"retCode":0,"retMsg":"OK","result":{}}',
    "OKX without data": b'{"code":"0","msg":""}',
    "OKX with none": b'{"code":"0","msg":"","data":null}',
    "Hyperliquid without a response": b'{"status":"ok"}',
    "Hyperliquid with an empty one": b'{"status":"ok","response":{"type":"order","data":{"statuses":[]}}}',
}
STATUSES = (200, 0)
"""Of HTTP, and of those websockets that have none."""


def answers() -> Iterator[tuple[str, Answered]]:
    for what, body in BODIES.items():
        for status in STATUSES:
            yield f"{what}, {status}", Answered(status=status, body=body)


def always(answer: Answered) -> Ask:
    async def ask(_request: Request) -> Outcome:
        return answer

    return ask


@pytest.mark.parametrize("venue", NAMES)
def test_no_request_of_an_order_has_an_outcome(venue: str) -> None:
    async def main() -> None:
        adapter = unheard_adapter(venue)
        dialect = adapter._dialect
        order = placing(adapter)
        known = adapter.ids.find(order.client_id)
        assert known is not None
        requests = [dialect.place(order), dialect.place(placing(adapter, ioc=True))]
        requests.append(dialect.cancel(canceling(order), known))
        adapter.ids.named(known, "123456")
        requests.append(dialect.cancel(canceling(order), known))
        amend = dialect.amend(amending(order), known)
        if isinstance(amend, Request):
            requests.append(amend)
        for request in requests:
            for what, answer in answers():
                said = of_answer(dialect.read, request, answer)
                assert isinstance(said, Refusal), (what, request.method, said)
                assert said.fate is Fate.UNKNOWN, (what, request.method, said)
        await adapter.released()

    asyncio.run(main())


@pytest.mark.parametrize("venue", NAMES)
def test_no_query_finds_an_order_absent_or_an_account_empty(venue: str) -> None:
    async def main() -> None:
        adapter = unheard_adapter(venue)
        dialect, symbol = adapter._dialect, NAMES[venue][0]
        sent = adapter.ids.find(placing(adapter).client_id)
        assert sent is not None
        named = OurOrder("x", symbol, "buy", 900_000, 1_000, 0, sent.placed_ns, "123456")
        for what, answer in answers():
            ask = always(answer)
            found = await of_query(dialect.find(ask, sent, deep=True))
            assert isinstance(found, Unclear), (what, found)
            assert not found.anomaly, (what, found)
            found = await of_query(dialect.find(ask, named, deep=False))
            # Absent is no more than "not now" of an order that the venue has had.
            assert isinstance(found, Unclear | Absent), (what, found)
            account: Survey | Unclear = await of_query(dialect.survey(ask))
            assert isinstance(account, Unclear), (what, account)
            told = await of_query(dialect.trades(ask, symbol, sent.placed_ns))
            assert isinstance(told, Unclear), (what, told)
            anomalies = [x.text for x in (found, account, told) if getattr(x, "anomaly", False)]
            assert not anomalies, "no symbol is halted for it: it is asked again"
        await adapter.released()

    asyncio.run(main())


@pytest.mark.parametrize("venue", ["binance-usdm", "hyperliquid", "kraken-spot", "okx"])
def test_no_timer_is_armed(venue: str) -> None:
    async def main() -> None:
        adapter = unheard_adapter(venue)
        armed = adapter.dead_man
        timer = armed._timer if isinstance(armed, TimerOrWatchdog) else armed
        requests = cast("CancelTimer", timer)._timer.requests
        for period_ms in (60_000, 0):
            request = requests.arm(NAMES[venue][0], period_ms)
            for what, answer in answers():
                assert requests.confirmed(request, answer) is not None, (what, period_ms)
        await adapter.released()

    asyncio.run(main())


@pytest.mark.parametrize("venue", NAMES)
def test_no_watchdog_takes_it_for_an_account_without_orders(
    venue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        desk = unheard_desk(venue)
        for what, answer in answers():
            monkeypatch.setattr(desk, "_ask", always(answer))
            with pytest.raises((PeerUnavailable, VenueViolation)):
                pytest.fail(f"{what}: {await desk._listed()}")
        await desk.close()

    asyncio.run(main())


LISTS = {
    "bybit-spot": b'{"retCode":0,"retMsg":"OK","result":{"list":[]}}',
    "bybit-linear": b'{"retCode":0,"retMsg":"OK","result":{"list":[]}}',
    "okx": b'{"code":"0","msg":"","data":[]}',
}
"""No orders, no fills; and of balances an account that is not there."""


@pytest.mark.parametrize("venue", LISTS)
def test_a_list_without_the_account_does_not_say_that_nothing_is_held(venue: str) -> None:
    async def main() -> None:
        adapter = unheard_adapter(venue)
        answer = Answered(status=200, body=LISTS[venue])
        account = await of_query(adapter._dialect.survey(always(answer)))
        assert isinstance(account, Unclear), account
        assert not account.anomaly, "it is asked again"
        await adapter.released()

    asyncio.run(main())


def test_an_account_of_okx_that_is_not_told_yet_does_not_end_micro(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal is final; what was not said is asked for again."""

    async def main() -> None:
        adapter = unheard_adapter("okx")
        dialect = cast("OkxDialect", adapter._dialect)
        for data in (b"[]", b"null"):
            body = b'{"code":"0","msg":"","data":%s}' % data
            monkeypatch.setattr(dialect, "ask", always(Answered(status=200, body=body)))
            with pytest.raises(PeerUnavailable, match="account/config"):
                await dialect._check_account()
        await adapter.released()

    asyncio.run(main())


@pytest.mark.parametrize("period_ms", [30_000, 0])
@pytest.mark.parametrize("told", ["1795832253000", "0", ""])
def test_a_timer_of_okx_is_what_its_answer_says(period_ms: int, told: str) -> None:
    """One that is to be off, and names a time, would cancel what is placed later."""

    async def main() -> None:
        adapter = unheard_adapter("okx")
        dialect = cast("OkxDialect", adapter._dialect)
        request = dialect.arm("BTC/USDT", period_ms)
        body = b'{"code":"0","msg":"","data":[{"triggerTime":"%s"}]}' % told.encode()
        said = dialect.confirmed(request, Answered(status=200, body=body))
        assert (said is None) == (bool(period_ms) == (told not in {"", "0"}))
        await adapter.released()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (b'{"listenKey":"ours"}', False),
        (b'{"listenKey":"another"}', True),
        (b'{"code":-1125,"msg":"This listenKey does not exist."}', True),
        (b'{"code":-1000,"msg":"An unknown error occurred."}', False),
        (b"{}", False),
        (b"", False),
    ],
)
def test_a_stream_of_a_listen_key_that_others_have_replaced_is_left(
    answer: bytes, *, ends: bool
) -> None:
    """What is extended is the account's key: another one where a client has ended ours and begun its own."""
    status = 400 if b'"code"' in answer else 200
    asked: list[str] = []

    class Rest:
        async def ask(self, request: Request) -> Outcome:
            asked.append(request.method)
            if len(asked) > 3:
                raise PeerUnavailable("the test has seen enough")
            return Answered(status=status, body=answer)

    async def main() -> None:
        stream = UsdmStream(
            cast("SpotRest", Rest()), lambda _frame: None, lambda _frame: None, keep_alive_s=0
        )
        stream._key = "ours"
        if ends:
            await stream._keep_alive()
            assert asked == ["listenKey.ping"]
            assert "another client" in stream._why
        else:
            with pytest.raises(PeerUnavailable):
                await stream._keep_alive()

    asyncio.run(main())


def test_a_time_that_cannot_be_read_does_not_end_the_upkeep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection stays, so its key is watched on, and the venue's clock."""
    monkeypatch.setattr(spot_session, "CHECK_S", 0)
    answers = iter([b"{}", b'{"serverTime":"soon"}', b'{"serverTime":%d}'])
    ended: list[str] = []

    class Session(SpotSession):
        def send(self, request: Request, done: Callable[[Outcome], None]) -> None:
            if request is TIME:
                body = next(answers)
                now_ms = self._clock.venue_ns() // 1_000_000
                done(Answered(status=200, body=body % now_ms if b"%d" in body else body))
            else:
                refused = b'{"code":-2015,"msg":"Invalid API-key."}'
                done(Answered(status=401, body=refused))

        def _end(self, why: str) -> None:
            ended.append(why)

    async def main() -> None:
        adapter = unheard_adapter("binance-spot")
        dialect = cast("SpotDialect", adapter._dialect)
        session = Session(dialect._signer, adapter.clock, adapter.budget, lambda _frame: None)
        check = dialect._requests.open_orders("BTC/USDT")
        await session._keep_up(adapter.clock._now, check)
        assert len(ended) == 1
        assert "-2015" in ended[0]
        await adapter.released()

    asyncio.run(main())


SETTINGS: dict[str, dict[str, object]] = {
    "binance-usdm": {
        "positionSide": {"dualSidePosition": False},
        "multiAssets": {"multiAssetsMargin": False},
        "symbolConfig": [{"symbol": "BTCUSDT", "marginType": "ISOLATED", "leverage": 1}],
        "leverageBracket": [],
    },
    "bybit-linear": {
        "account": {"marginMode": "ISOLATED_MARGIN"},
        "positions": {"list": [{"symbol": "BTCUSDT", "side": "", "size": "0", "leverage": "1"}]},
        "tiers": {"list": []},
    },
}
"""What a connection asks for; the last is without the symbol's tiers."""


@pytest.mark.parametrize("venue", SETTINGS)
def test_a_symbol_without_tiers_is_asked_about_again(venue: str) -> None:
    """With none the connection would be up, and every entry refused until the next one."""
    asked: list[str] = []

    class Rest:
        async def ask(self, request: Request) -> Outcome:
            asked.append(request.method)
            told = SETTINGS[venue][request.method]
            whole = {"retCode": 0, "retMsg": "OK", "result": told}
            body = json.dumps(whole if venue == "bybit-linear" else told)
            return Answered(status=200, body=body.encode())

    async def main() -> None:
        adapter = unheard_adapter(venue)
        dialect = cast("LinearDialect", adapter._dialect)
        with pytest.raises(PeerUnavailable, match="tiers of BTC/USDT:USDT"):
            await dialect._margin.verified(cast("BybitRest", Rest()))
        assert set(asked) == set(SETTINGS[venue])
        await adapter.released()

    asyncio.run(main())

"""Answers with the status of a success that say nothing: of a gateway, cut short, or of another time.

An order that they name nothing of may be open, a list that they have not is not an empty one, and a
timer that they do not confirm is not armed.
"""

from __future__ import annotations

import asyncio
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

from citadel_micro.shell.venue.cancel_timer import CancelTimer, TimerOrWatchdog
from citadel_micro.shell.venue.dialect import Absent, Request, Survey, Unclear
from citadel_micro.shell.venue.order_ids import OurOrder
from citadel_micro.shell.venue.outcomes import Answered, Fate, Outcome, Refusal
from citadel_micro.shell.venue.sound_facts import of_answer, of_query
from citadel_proto.errors import PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Iterator

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

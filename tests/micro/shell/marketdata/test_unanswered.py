"""A subscription that the venue answers with silence is BROKEN with a reason, after its time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from waiting import until
from ws_kit import ScriptedVenue, follow

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate, FeedStatus
from citadel_micro.shell.marketdata import unanswered as answers
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_micro.shell.marketdata.unanswered import ANSWER_NS, Unanswered

if TYPE_CHECKING:
    import pytest
    from aiohttp import web

    from citadel_micro.shell.marketdata.aggregator import Aggregator

SECOND = 1_000_000_000
VENUE = "okx"


def snapshot(name: str) -> str:
    book = {"asks": [["101", "1"]], "bids": [["100", "1"]], "ts": "1", "seqId": 5, "prevSeqId": -1}
    arg = {"channel": "books", "instId": name}
    return json.dumps({"arg": arg, "action": "snapshot", "data": [book]})


def test_what_nothing_answers_is_broken_and_comes_back_when_messages_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "ANSWER_NS", SECOND)

    async def script(socket: web.WebSocketResponse, said: dict[str, Any]) -> None:
        if said.get("op") == "subscribe":
            await socket.send_str(snapshot("BTC-USDT"))

    symbols = {"BTC/USDT": "", "GONE/USDT": ""}
    books = {symbol: MarketBook(VENUE, symbol, venue_spec(VENUE).integrity) for symbol in symbols}

    def take(events: list[Any]) -> None:
        for event in events:
            if isinstance(event, FeedStatus):
                books[event.symbol].on_status(event)
            elif isinstance(event, DepthUpdate):
                books[event.symbol].on_depth(event)
        events.clear()

    async def story(server: ScriptedVenue, events: list[Any], _feeds: Aggregator) -> None:
        def broken() -> bool:
            take(events)
            return books["GONE/USDT"].state == "BROKEN"

        await until(broken)
        assert "GONE-USDT" in books["GONE/USDT"].reason
        assert "without an answer" in books["GONE/USDT"].reason
        assert books["BTC/USDT"].state == "LIVE"
        await server.say(snapshot("GONE-USDT"))

        def live() -> bool:
            take(events)
            return books["GONE/USDT"].state == "LIVE"

        await until(live)

    follow(VENUE, symbols, script, story, channels=["depth"])


def test_the_time_begins_when_it_was_asked_and_asking_again_does_not_prolong_it() -> None:
    waiting = Unanswered()
    waiting.asked(["A", "B"], 0)
    waiting.asked(["A"], ANSWER_NS // 2)
    waiting.answered("B")
    assert waiting.overdue(ANSWER_NS) == []
    assert waiting.overdue(ANSWER_NS + 1) == [("A", ANSWER_NS + 1)]
    assert waiting.overdue(ANSWER_NS + 2) == [], "said once"
    assert waiting.given_up == {"A"}
    waiting.answered("A")
    assert not waiting.given_up


def test_while_requests_wait_for_their_turn_nothing_is_overdue() -> None:
    waiting = Unanswered()
    waiting.asked(["A"], 0)
    waiting.pause(10 * ANSWER_NS)
    assert waiting.overdue(11 * ANSWER_NS) == []
    assert waiting.overdue(11 * ANSWER_NS + 1) == [("A", ANSWER_NS + 1)]

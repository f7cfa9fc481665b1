"""The answer to a query: decoded, or a reason why there is nothing; a bad row spoils it all."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from citadel_micro.shell.venue.asking import decoded_answer, orders_in
from citadel_micro.shell.venue.dialect import Request, Unclear
from citadel_micro.shell.venue.facts import Anomaly, OrderFact
from citadel_micro.shell.venue.outcomes import Answered, Fate, Outcome, Refusal, Unknown
from citadel_proto.errors import VenueViolation

REQUEST = Request(purpose="query", method="openOrders", params={})
REFUSED = Refusal(fate=Fate.REFUSED, text="not now")


def refusal(answer: Answered) -> Refusal | None:
    return REFUSED if answer.status != 200 else None


def asked(outcome: Outcome) -> list[int] | Unclear:
    async def ask(request: Request) -> Outcome:
        assert request is REQUEST
        return outcome

    def decode(body: bytes) -> list[int]:
        return msgspec.json.decode(body, type=list[int])

    return asyncio.run(decoded_answer(ask, REQUEST, refusal=refusal, decode=decode))


def test_an_answer_is_decoded() -> None:
    assert asked(Answered(status=200, body=b"[1,2]")) == [1, 2]


@pytest.mark.parametrize(
    ("outcome", "text", "refused"),
    [
        (Unknown("no answer within 10 s"), "openOrders: no answer within 10 s", None),
        (Answered(status=429, body=b"[1]"), "openOrders: not now", REFUSED),
    ],
)
def test_why_there_is_none(outcome: Outcome, text: str, refused: Refusal | None) -> None:
    assert asked(outcome) == Unclear(text, refused)


def test_one_that_is_not_as_documented_is_no_answer() -> None:
    unclear = asked(Answered(status=200, body=b'["a"]'))
    assert isinstance(unclear, Unclear)
    assert unclear.text.startswith("openOrders: Expected `int`")


def fact(client_id: str) -> OrderFact:
    return OrderFact(
        symbol="BTC/USDT",
        client_id=client_id,
        venue_order_id="7",
        standing="open",
        price_ticks=1,
        quantity_lots=2,
        cumulative_lots=0,
        exchange_ns=3,
    )


def read(name: str) -> OrderFact | Anomaly | None:
    if name == "elsewhere":
        return None
    if name == "impossible":
        return Anomaly(symbol="BTC/USDT", client_id="a", text="it filled more than was asked")
    if name == "unreadable":
        raise VenueViolation("a price of x")
    return fact(name)


def test_orders_of_other_instruments_are_left_out() -> None:
    assert orders_in(["a", "elsewhere", "b"], read) == [fact("a"), fact("b")]


@pytest.mark.parametrize(
    ("bad", "text"),
    [("impossible", "it filled more than was asked"), ("unreadable", "a price of x")],
)
def test_one_bad_order_makes_the_whole_answer_unclear(bad: str, text: str) -> None:
    def reader(name: str) -> OrderFact | Anomaly | None:
        assert name != "after", "read on"
        return read(name)

    assert orders_in(["a", bad, "after"], reader) == Unclear(text, anomaly=True)

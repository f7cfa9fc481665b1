"""Every field of everything that a venue says about an account, at its extremes: nothing of it may escape.

A short run in virtual time collects what the adapter is told by each venue. Each field of it is then
replaced by what no venue should send.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from live_chaos import LiveRun
from virtual_others import MARKETS

from citadel_micro.shell.venue import sound_facts
from citadel_micro.shell.venue.adapter import LiveAdapter
from citadel_micro.shell.venue.dialect import Unclear
from citadel_micro.shell.venue.facts import StreamEnds
from citadel_micro.shell.venue.outcomes import Answered, Unknown
from citadel_micro.shell.venue.queries import VenueQueries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.outcomes import Outcome

Thing = Any
"""Of whichever venue."""
EXTREMES: tuple[Thing, ...] = (
    *("NaN", "sNaN", "-Infinity", "-1", "1E+999999", "1E-999999", "9" * 5_000, "x", ""),
    *(None, [], {}, True, -1, 0, 2**63, 2**70, 1e308),
)
ABSENT = "No such field."


class Heard:
    """What an adapter was told, one of each shape."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.frames: dict[Thing, tuple[Thing, bytes]] = {}
        self.answers: dict[Thing, tuple[Thing, Request, Answered]] = {}
        self.queries: dict[
            Thing, tuple[Callable[..., Thing], tuple[Thing, ...], list[Outcome]]
        ] = {}
        frame, answered, init = LiveAdapter._frame, LiveAdapter._answered, VenueQueries.__init__

        def on_frame(adapter: LiveAdapter, data: bytes) -> None:
            self.frames.setdefault(shape(data), (adapter._dialect, bytes(data)))
            frame(adapter, data)

        def on_answer(
            adapter: LiveAdapter, command: Thing, request: Request, outcome: Thing
        ) -> None:
            if isinstance(outcome, Answered):
                key = (request.method, outcome.status, shape(outcome.body))
                self.answers.setdefault(key, (adapter._dialect, request, outcome))
            answered(adapter, command, request, outcome)

        def on_init(inquiries: VenueQueries, venue: str, dialect: Thing, **settings: Thing) -> None:
            for name in ("find", "survey", "trades", "funding"):
                if hasattr(dialect, name):
                    setattr(dialect, name, self.listening(getattr(dialect, name), name))
            init(inquiries, venue, dialect, **settings)

        patch.setattr(LiveAdapter, "_frame", on_frame)
        patch.setattr(LiveAdapter, "_answered", on_answer)
        patch.setattr(VenueQueries, "__init__", on_init)

    def listening(self, call: Callable[..., Thing], name: str) -> Callable[..., Thing]:
        async def listened(ask: Callable[..., Thing], *args: Thing, **more: Thing) -> Thing:
            told: list[Outcome] = []

            async def asked(request: Request) -> Outcome:
                told.append(await ask(request))
                return told[-1]

            found = await call(asked, *args, **more)
            key = (name, *(shape(each.body) for each in told if isinstance(each, Answered)))
            self.queries.setdefault(key, (lambda ask: call(ask, *args, **more), args, told))
            return found

        return listened


def shape(data: bytes) -> Thing:
    """The fields of a message without what is in them."""
    try:
        return _shape(json.loads(data))
    except ValueError:
        return data[:20]


def _shape(value: Thing) -> Thing:
    if isinstance(value, dict):
        return tuple((name, _shape(value[name])) for name in sorted(value))
    if isinstance(value, list):
        return ("list", _shape(value[0]) if value else ())
    return value if isinstance(value, str) and value.isupper() else ()


def changed(data: bytes) -> Iterator[bytes]:
    """The message with one field at an extreme, or without it."""
    try:
        value = json.loads(data)
    except ValueError:
        return
    text = json.dumps(value)
    for path in _paths(value, ()):
        for extreme in (*EXTREMES, ABSENT):
            whole = json.loads(text)
            inner = whole
            for name in path[:-1]:
                inner = inner[name]
            if not path:
                whole = extreme
            elif extreme != ABSENT:
                inner[path[-1]] = extreme
            elif isinstance(inner, dict):
                del inner[path[-1]]
            yield json.dumps(whole).encode()


def _paths(value: Thing, path: tuple[Thing, ...]) -> Iterator[tuple[Thing, ...]]:
    yield path
    inner: Thing = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value[:1])
    for name, each in inner:
        yield from _paths(each, (*path, name))


@pytest.mark.parametrize("market", MARKETS)
def test_no_extreme_of_any_field_escapes(market: Thing, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard(monkeypatch)
    LiveRun(7, market=market, rules=(), kills=False, seconds=5).play()
    assert heard.frames, "nothing was streamed"
    assert heard.queries, "nothing was asked"
    blind = unclear = 0
    for dialect, frame in heard.frames.values():
        for data in changed(frame):
            facts = sound_facts.of_frame(dialect.read_event, data)
            blind += any(isinstance(each, StreamEnds) for each in facts)
    for dialect, request, answer in heard.answers.values():
        for data in changed(answer.body):
            told = Answered(status=answer.status, body=data, headers=answer.headers)
            sound_facts.of_answer(dialect.read, request, told)

    async def ask_all() -> int:
        failed = 0
        for call, _, outcomes in heard.queries.values():
            for number, outcome in enumerate(outcomes):
                if not isinstance(outcome, Answered):
                    continue
                for data in changed(outcome.body):
                    told = Answered(status=outcome.status, body=data, headers=outcome.headers)
                    rest = iter([*outcomes[:number], told, *outcomes[number + 1 :]])

                    async def ask(_request: Request, rest: Iterator[Outcome] = rest) -> Outcome:
                        return next(rest, Unknown("nothing more"))

                    failed += isinstance(await sound_facts.of_query(call(ask)), Unclear)
        return failed

    unclear = asyncio.run(ask_all())
    assert blind
    assert unclear

"""A command about what is not there is refused, and names what may have been meant."""

from __future__ import annotations

import pytest
from engine_kit import SECOND, SYMBOL, VENUE, Rig, signal

from citadel_micro.core.model.commands import Note
from citadel_micro.core.model.events import MacroBeat
from citadel_micro.core.risk.scopes import known_scope
from citadel_proto.errors import BadInput

ACTIONS = ["pause", "halt", "kill", "cancel_all", "flatten"]
NAMES = {(f"venue-{n}", f"C{k}/USDT"): f"C{k}USDT" for n in range(2) for k in range(30)}


def refusals(rig: Rig) -> list[str]:
    found: list[str] = []
    for note in rig.notes:
        assert isinstance(note, Note)
        if note.event == "operator_command_refused":
            found.append(str(dict(note.fields)["error"]))
    return found


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("scope", "near"),
    [
        (f"symbol:{VENUE}:BTCUSDT", f"symbol:{VENUE}:{SYMBOL}"),
        (f"symbol:{VENUE}:btc-usdt", f"symbol:{VENUE}:{SYMBOL}"),
        (f"symbol:{VENUE}:BTC/USD", f"symbol:{VENUE}:{SYMBOL}"),
        ("symbol:other:BTC/USDT", f"symbol:{VENUE}:{SYMBOL}"),
        ("venue:fakes", f"venue:{VENUE}"),
        (f"symbol:{SYMBOL}", f"symbol:{VENUE}:{SYMBOL}"),
        (SYMBOL, f"symbol:{VENUE}:{SYMBOL}"),
        ("btcusdt", f"symbol:{VENUE}:{SYMBOL}"),
        (VENUE, f"venue:{VENUE}"),
        ("strat:test", "strategy:test"),
        ("strategy:tset", "strategy:test"),
    ],
)
def test_a_scope_that_is_not_there_is_refused_with_the_nearest(
    action: str, scope: str, near: str
) -> None:
    rig = Rig()
    rig.send(signal())
    rig.run(SECOND)
    rig.operate(action, scope=scope)
    rig.run(SECOND)
    (text,) = refusals(rig)
    assert f"did you mean {near}?" in text
    assert rig.engine.risk.breakers.trips == ()
    assert rig.report().status == "working"


@pytest.mark.parametrize("action", ACTIONS)
def test_everything_that_is_there_may_be_named(action: str) -> None:
    for scope in ("", "global", f"venue:{VENUE}", f"symbol:{VENUE}:{SYMBOL}", "strategy:test"):
        rig = Rig()
        rig.send(signal())
        rig.run(SECOND)
        rig.operate(action, scope=scope)
        refused = action == "flatten" and scope.startswith("strategy")
        assert len(refusals(rig)) == refused


def test_a_strategy_is_known_by_its_heartbeat_and_by_its_trips() -> None:
    rig = Rig()
    rig.operate("halt", scope="strategy:mine")
    assert "no strategy was heard of yet" in refusals(rig)[0]
    rig.send(MacroBeat(instance="m", strategy="mine", epoch=1, seq=1, skew_ns=0))
    rig.operate("halt", scope="strategy:mine")
    assert rig.engine.risk.effective_state(VENUE, SYMBOL, "mine") == "HALTED"
    rig.restart()
    rig.run(SECOND)
    rig.operate("kill", scope="strategy:mine")
    assert rig.engine.risk.effective_state(VENUE, SYMBOL, "mine") == "KILLED"


def test_of_many_names_some_are_shown() -> None:
    with pytest.raises(BadInput, match="and 50 more") as refusal:
        known_scope("symbol:venue-1:c7usdt", NAMES, ())
    assert "did you mean symbol:venue-1:C7/USDT?" in str(refusal.value)
    for venue, symbol in NAMES:
        assert known_scope(f"symbol:{venue}:{symbol}", NAMES, ())

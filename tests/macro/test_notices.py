"""What people hear of micro, each thing once."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from freqtrade.enums import RPCMessageType, State
from freqtrade.worker import Worker
from freqtrade_kit import running
from scripted_orders import Script

from citadel_macro.notices import AGAIN_S, SILENT, Notices
from citadel_proto.messages import RiskState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from freqtrade_kit import Rig, Simulator

    from citadel_macro.micro_client import MicroLink


class Link:
    """As much of a link as notices read."""

    def __init__(self) -> None:
        self.up = True
        self.why = ""
        self.away: list[str] = []
        self.scopes: dict[str, RiskState] = {}

    def alive(self) -> bool:
        return self.up

    def silent(self) -> list[str]:
        return self.away

    def refuses_us(self) -> str:
        return self.why

    def risk(self) -> dict[str, RiskState]:
        return self.scopes


class Desk:
    def __init__(self) -> None:
        self.link = Link()
        self.now = 0.0
        self.said: list[str] = []
        self.notices = Notices(cast("MicroLink", self.link), lambda: self.now)
        self.notices.say = self.said.append

    def heard(self) -> list[str]:
        self.notices.check()
        self.notices.check()
        said, self.said[:] = list(self.said), []
        return said


def risk(state: str, **more: Any) -> RiskState:  # noqa: ANN401 - its fields
    return RiskState(scope="global", state=state, instance="m", seq=0, **more)


def report(**more: Any) -> Any:  # noqa: ANN401 - a report, as far as notices read it
    return SimpleNamespace(
        **{
            "symbol": "BTC/USDT",
            "side": "buy",
            "kind": "order",
            "quantity": "0.1",
            "status": "rejected",
            "reason_code": "MAX_POSITION",
            "reason": "too much",
        }
        | more
    )


def test_the_loss_of_micro_and_its_return_are_said_once() -> None:
    desk = Desk()
    assert desk.heard() == []
    desk.link.up = False
    assert desk.heard() == [SILENT]
    desk.now = 12.0
    desk.link.up = True
    assert desk.heard() == ["micro is back after 12 s."]


def test_one_of_several_micros_that_is_silent_is_said_by_name() -> None:
    desk = Desk()
    assert desk.heard() == []
    desk.link.away = ["micro-2"]
    [text] = desk.heard()
    assert "micro-2" in text
    assert "the others can" in text
    desk.link.away = []
    assert desk.heard() == ["a micro is back (micro-2)."]


def test_a_micro_that_refuses_this_bot_is_said() -> None:
    desk = Desk()
    desk.link.why = "its clock is 3 s off"
    assert desk.heard() == ["micro accepts no orders of this bot: its clock is 3 s off"]
    desk.link.up = False
    assert desk.heard() == [SILENT]
    desk.link.up = True
    assert desk.heard() == ["micro is back after 0 s."]
    desk.link.why = ""
    assert desk.heard() == ["micro accepts orders of this bot again."]


def test_a_trip_says_how_to_go_on_and_its_end_is_said() -> None:
    desk = Desk()
    desk.link.scopes["global"] = risk("ACTIVE")
    assert desk.heard() == []
    desk.link.scopes["global"] = risk(
        "HALTED", trip_id="t1", code="DAILY_LOSS", reason="5 % lost", manual_reset=True
    )
    (text,) = desk.heard()
    assert "global is HALTED (DAILY_LOSS: 5 % lost)" in text
    assert "citadel operator reset --trip t1" in text
    desk.link.scopes["global"] = risk("REDUCING", trip_id="t2", code="LEASE_LOST", reason="silent")
    assert desk.heard() == ["micro: global is REDUCING (LEASE_LOST: silent)"]
    desk.link.scopes["global"] = risk("ACTIVE")
    assert desk.heard() == ["micro: global trades normally again."]


def test_a_refusal_is_said_once_until_something_fills_or_time_has_passed() -> None:
    desk = Desk()
    for _ in range(3):
        desk.notices.refused(report())
    assert desk.said == ["micro refused buy 0.1 BTC/USDT: MAX_POSITION (too much)"]
    desk.notices.refused(report(reason_code="BELOW_MIN"))
    desk.notices.refused(report(kind="stop", side="sell", reason=""))
    assert desk.said[2] == "micro refused stop 0.1 BTC/USDT: MAX_POSITION (no reason given)"
    desk.notices.filled(report(side="sell"))
    desk.notices.refused(report())
    assert len(desk.said) == 3
    desk.notices.filled(report())
    desk.notices.refused(report())
    assert len(desk.said) == 4
    desk.now = AGAIN_S
    desk.notices.refused(report())
    assert len(desk.said) == 5


# --- in a real Freqtrade ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rig(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory, signals_port: int
) -> Iterator[Rig]:
    with running(simulator, tmp_path_factory.mktemp("notices"), signals_port) as rig:
        rig.until(lambda: rig.bot.state == State.RUNNING)
        yield rig


@pytest.fixture
def warnings(rig: Rig) -> Iterator[list[str]]:
    """What Freqtrade sends to Telegram, webhook and FreqUI as a warning."""
    heard: list[str] = []
    original = rig.bot.rpc.send_msg

    def send_msg(message: dict[str, Any]) -> None:
        if message["type"] == RPCMessageType.WARNING:
            heard.append(message["status"])
        original(message)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rig.bot.rpc, "send_msg", send_msg)
        yield heard
    rig.strategy.enter = set()


def test_freqtrade_says_why_an_entry_was_refused(rig: Rig, warnings: list[str]) -> None:
    rig.micro.scripts["ETH/USDT", "buy"] = Script(reject="MAX_POSITION")
    rig.strategy.enter = {"ETH/USDT"}
    rig.until(lambda: warnings)
    for _ in range(3):
        rig.step()
    (text,) = warnings
    assert text.startswith("micro refused buy ")
    assert "ETH/USDT: MAX_POSITION (" in text


def test_freqtrade_says_the_loss_of_micro_while_it_sleeps(rig: Rig, warnings: list[str]) -> None:
    dead_after_s = rig.exchange.link.connector.config.dead_after
    started = time.monotonic()
    rig.micro.mute = True
    while not warnings:
        assert time.monotonic() - started < 60
        Worker._sleep(10)
    assert warnings == [SILENT]
    assert time.monotonic() - started < dead_after_s + 15, "it has slept over it"
    rig.micro.mute = False
    while len(warnings) < 2:
        assert time.monotonic() - started < 120
        Worker._sleep(1)
    assert warnings[1].startswith("micro is back after ")

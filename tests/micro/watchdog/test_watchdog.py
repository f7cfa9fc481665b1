"""A watchdog on the simulated exchange: when it cancels, what, and when it stops."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from spot_kit import VENUE, demo_key
from waiting import until
from watchdog_kit import Yard, hurried, in_yard

from citadel_micro.shell.ops.watchdog_server import GONE_S
from citadel_micro.simulator.accounts import AccountConfig
from citadel_micro.simulator.keys import ApiKey, Kind, Permission, public_pem
from citadel_micro.watchdog import guard as guard_module
from citadel_proto.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.watchdog.watch import Watchdog


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)


def state(dog: Watchdog) -> dict[str, object]:
    found: dict[str, object] = dog.health()[1]["venues"][VENUE]
    return found


def test_it_cancels_micros_orders_when_micro_is_gone_and_leaves_those_of_others(
    tmp_path: Path,
) -> None:
    async def body(yard: Yard) -> None:
        await yard.guarded()
        yard.place(count=20)
        yard.place("by-hand")
        yard.place("scother1run-1-1")  # another micro's, of another run folder
        await asyncio.sleep(1)
        assert len(yard.open()) == 22
        gone_s = time.monotonic()
        await yard.vanish()
        await until(lambda: state(yard.dogs[0])["canceled"] == 20)
        assert time.monotonic() - gone_s >= yard.config.watchdog.silence_s - 0.2
        assert sorted(yard.open()) == ["by-hand", "scother1run-1-1"]
        assert not yard.dogs[0].health()[0]

    in_yard(tmp_path, body)


def test_all_orders_of_the_account_where_it_is_configured_so(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        await yard.guarded()
        yard.place()
        yard.place("by-hand")
        await yard.vanish()
        await until(lambda: not yard.open())

    in_yard(tmp_path, body, extra="orders = 'all'")


def test_it_never_cancels_while_micro_answers(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        await yard.guarded()
        yard.place(count=3)
        await asyncio.sleep(3)
        assert len(yard.open()) == 3
        assert state(yard.dogs[0])["canceled"] == 0
        assert yard.dogs[0].health()[0]

    in_yard(tmp_path, body)


def test_a_micro_that_answers_but_is_cut_off_from_its_venue_is_not_in_command(
    tmp_path: Path,
) -> None:
    async def body(yard: Yard) -> None:
        await yard.guarded()
        yard.place()
        yard.in_command = ()
        await until(lambda: not yard.open())
        # Nothing may be placed while one cancels: the new order could be among them.
        await until(lambda: not yard.post.armed(VENUE))
        yard.in_command = (VENUE,)
        await until(lambda: yard.post.armed(VENUE))
        yard.place()
        await asyncio.sleep(1.5)
        assert len(yard.open()) == 1

    in_yard(tmp_path, body)


def test_it_hands_over_to_a_micro_that_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(yard: Yard) -> None:
        await yard.guarded()
        await yard.vanish()
        dog = yard.dogs[0]
        await until(lambda: state(dog)["canceling"])
        yard.fault("answer-delayed=always,for=1")
        monkeypatch.setattr(guard_module, "AT_ONCE", 1)
        yard.place(count=10)
        await until(lambda: len(yard.open()) < 10)
        post = await yard.appear()
        await until(lambda: post.armed(VENUE))
        left = len(yard.open())
        assert left >= 5
        await asyncio.sleep(2.5)
        assert len(yard.open()) == left

    in_yard(tmp_path, body)


def test_two_watchdogs_do_each_other_no_harm(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        await yard.guarded()
        await yard.watch()
        await until(lambda: len(yard.post.watchdogs()) == 2)
        yard.place(count=20)
        yard.place("by-hand")
        await yard.vanish()
        await until(lambda: yard.open() == ["by-hand"])
        post = await yard.appear()
        await until(lambda: post.armed(VENUE))

    in_yard(tmp_path, body)


@pytest.mark.parametrize(
    "fault",
    [
        "request-lost=first:3",
        "answer-lost=first:3",
        "unknown-executed=first:3",
        "http-503-lost=first:3",
        "cancel-unknown=first:3",
        "answer-garbled=always",
        "too-many-requests=first:2,for=1",
        "answer-lost=first:2,on=openOrders.status",
        "clock-skew=first:4,for=8",
    ],
)
def test_it_cancels_whatever_the_venue_does_with_its_requests(tmp_path: Path, fault: str) -> None:
    async def body(yard: Yard) -> None:
        await yard.guarded()
        yard.place(count=5)
        yard.place("by-hand")
        await yard.vanish()
        yard.fault(fault)
        await until(lambda: yard.open() == ["by-hand"])

    in_yard(tmp_path, body)


def test_an_order_that_reaches_the_venue_late_is_found_as_well(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        await yard.guarded()
        yard.place()
        await yard.vanish()
        await until(lambda: not yard.open())
        yard.place()
        await until(lambda: not yard.open())

    in_yard(tmp_path, body)


def test_a_watchdog_that_starts_after_micros_death_cancels_as_well(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        yard.place(count=2)
        await yard.watch()
        await until(lambda: not yard.open())

    in_yard(tmp_path, body)


def test_where_no_micro_has_run_nothing_is_canceled_not_even_all(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        yard.place("by-hand")
        (yard.config.run_dir / "mark").unlink()
        dog = await yard.watch()
        await until(lambda: state(dog)["micro_silent_s"] >= 2)  # type: ignore[operator]
        assert yard.open() == ["by-hand"]

    in_yard(tmp_path, body, extra="orders = 'all'")


def test_a_key_that_is_taken_away_no_longer_stands_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "CHECK_EVERY_S", 0.2)

    async def body(yard: Yard) -> None:
        await yard.guarded()
        yard.server.spot.venue.ring.revoke(demo_key("ed25519").id.reveal())
        await until(lambda: not yard.post.armed(VENUE))
        well, found = yard.dogs[0].health()
        assert not well
        assert "-2015" in str(found["reasons"])

    in_yard(tmp_path, body)


def test_micro_notices_the_death_of_its_watchdog(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        await yard.guarded()
        yard.tasks[0].cancel()
        died_s = time.monotonic()
        await until(lambda: not yard.post.armed(VENUE))
        assert time.monotonic() - died_s < GONE_S + 20  # a busy machine's share

    in_yard(tmp_path, body)


@pytest.mark.parametrize(
    ("permissions", "says"),
    [
        ({Permission.TRADE, Permission.WITHDRAW}, "withdrawals"),
        ({Permission.FUTURES}, "may not trade"),
    ],
)
def test_a_key_that_may_too_much_or_too_little_ends_it(
    tmp_path: Path, permissions: set[Permission], says: str
) -> None:
    key = demo_key("ed25519")
    account = AccountConfig(
        name="demo",
        keys=(
            ApiKey(
                key_id=key.id.reveal(),
                account="demo",
                kind=Kind.ED25519,
                secret=key.secret.reveal(),
                public=public_pem(key.secret.reveal()),
                permissions=frozenset(permissions),
            ),
        ),
    )

    async def body(yard: Yard) -> None:
        await yard.watch()
        with pytest.raises(Refused, match=says):
            await yard.tasks[0]
        yard.tasks.clear()

    in_yard(tmp_path, body, accounts=(account,))

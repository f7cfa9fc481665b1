"""Owners over the real channels, and journaled: the same after a replay."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from uplink_kit import SECOND, Macro, Micro

from citadel_bridge.auth import KeyStore
from citadel_bridge.sockets import Endpoint
from citadel_micro.shell.journal.verify import verify
from citadel_proto.messages import Cancel

if TYPE_CHECKING:
    from pathlib import Path


def cancel(macro: Macro, signal_id: str) -> None:
    macro.send(
        Cancel(
            signal_id=signal_id,
            reason="test",
            created_ns=macro.wall(),
            epoch=macro.epoch,
            seq=0,
            owner=macro.owner,
        )
    )


@pytest.mark.parametrize("who", ["stranger", "operator", "owner"])
def test_an_order_is_withdrawn_by_its_owner_and_from_the_operators_address(
    tmp_path: Path, who: str
) -> None:
    async def go() -> None:
        bot, stranger = Macro("macro-1", "a", 1), Macro("macro-2", "b", 2)
        operator = Macro("cli-1", "c", 3)
        micro = Micro(
            tmp_path, (bot.address, stranger.address), operators=(Endpoint(operator.address),)
        )
        try:
            macros = {"owner": bot, "stranger": stranger, "operator": operator}
            for _ in range(5):
                for each in macros.values():
                    await each.watch(micro, 0.1)
            order = bot.signal(expires_ns=bot.wall() + 60 * SECOND)
            bot.send(order)
            await micro.until(lambda: micro.report(order.signal_id))
            cancel(macros[who], order.signal_id)
            for each in macros.values():
                await each.watch(micro, 0.2)
            report = micro.report(order.signal_id)
            assert report is not None
            assert report.owner == "a"
            assert report.status == ("working" if who == "stranger" else "canceled")
        finally:
            micro.close()
            for each in (bot, stranger, operator):
                each.close()

    asyncio.run(go())
    (journal,) = tmp_path.glob("journal-*")
    assert verify(journal).difference is None


@pytest.mark.parametrize("role", ["cli", "macro"])
def test_with_keys_only_the_command_lines_own_are_the_operators(tmp_path: Path, role: str) -> None:
    keys = KeyStore(tmp_path / "keys")
    keys.make()

    async def go() -> None:
        bot = Macro("macro-1", "a", 1)
        other = Macro("other-1", "b", 2, keys=keys.server(role))
        address = Endpoint(other.address, keys.client("micro", "cli"))
        micro = Micro(tmp_path / "run", (bot.address,), operators=(address,))
        try:
            for _ in range(5):
                await bot.watch(micro, 0.1)
                await other.watch(micro, 0.1)
            order = bot.signal(expires_ns=bot.wall() + 60 * SECOND)
            bot.send(order)
            await micro.until(lambda: micro.report(order.signal_id))
            cancel(other, order.signal_id)
            await bot.watch(micro, 0.5)
            report = micro.report(order.signal_id)
            assert report is not None
            assert report.status == ("canceled" if role == "cli" else "working")
        finally:
            micro.close()
            bot.close()
            other.close()

    asyncio.run(go())


@pytest.mark.parametrize("role", ["macro", "recorder", "cli"])
def test_who_may_only_observe_or_operate_cannot_take_a_macros_place(
    tmp_path: Path, role: str
) -> None:
    """Not at the address where micro expects a macro, whatever it claims to be in its messages."""
    keys = KeyStore(tmp_path / "keys")
    keys.make()

    async def go() -> None:
        bot = Macro("macro-1", "a", 1)
        other = Macro("other-1", "b", 2, keys=keys.server(role, ("micro",)))
        signals = (bot.address, Endpoint(other.address, keys.client("micro", "macro")))
        micro = Micro(tmp_path / "run", signals)
        try:
            for _ in range(5):
                await bot.watch(micro, 0.1)
                await other.watch(micro, 0.1)
            forged = other.signal()
            other.send(forged)
            # What comes after it by another way: the forged one has had its time.
            order = bot.signal()
            await bot.watch(micro, 0.3)
            bot.send(order)
            await micro.until(lambda: micro.report(order.signal_id))
            if role == "macro":
                await micro.until(lambda: micro.report(forged.signal_id))
            else:
                heard = [peer.instance for peer in micro.uplink.peers.alive(micro.clock.now())]
                assert "other-1" not in heard
                assert micro.report(forged.signal_id) is None
        finally:
            micro.close()
            bot.close()
            other.close()

    asyncio.run(go())


def test_a_second_process_of_one_owner_is_named_in_the_heartbeat(tmp_path: Path) -> None:
    async def go() -> None:
        bot, copy = Macro("macro-1", "a", 1), Macro("macro-2", "a", 2)
        micro = Micro(tmp_path, (bot.address, copy.address))
        try:
            await bot.watch(micro, 0.5)
            for _ in range(8):
                await bot.watch(micro, 0.1)
                await copy.watch(micro, 0.2)
            beat = micro.beats()[-1]
            assert [name for name, _ in beat.macros_refused] == ["macro-2"]
            assert "macro-1" in beat.macros_refused[0][1]
            assert [name for name, _ in beat.macros_seen] == ["macro-1"]
            order = copy.signal()
            copy.send(order)
            await micro.until(lambda: micro.report(order.signal_id))
            report = micro.report(order.signal_id)
            assert report is not None
            assert (report.status, report.reason_code) == ("rejected", "OWNER_IN_USE")
            assert "macro-1" in report.reason
        finally:
            micro.close()
            bot.close()
            copy.close()

    asyncio.run(go())

"""A whole micro under its operator: health, status, halts, alerts, the page."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from alert_kit import receiver, urls_file
from stack_kit import SYMBOL, Stack, run
from waiting import until

from citadel_bridge.cli import main
from citadel_micro.daemon import Micro
from citadel_micro.shell.ops.control import SOCKET, Request, ask
from citadel_micro.shell.ops.health import check
from citadel_micro.shell.ops.metrics import exposition
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_macro_micro_is_well_unless_one_is_required(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = Micro(s.config(bridge={"macro_required": True}))
        s.micros.append(micro)
        await micro.start()
        market = micro.engine.markets["binance-spot", SYMBOL]
        await until(lambda: market.state == "LIVE")
        assert check(micro.vitals)[1]["reasons"] == ["macro was never connected"]
        micro.vitals.macro_required = False
        await until(lambda: check(micro.vitals)[0])

    run(tmp_path, body)


def test_a_person_at_the_controls(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        deep = s.folder.joinpath(*["a-rather-long-name-of-a-folder"] * 5)
        micro = await s.up(s.config(run_dir=deep))
        far = s.far(micro)
        s.peer.send(far)
        await until(lambda: (r := s.peer.report(far.signal_id)) and r.status == "working")

        async def do(action: str, *, reason: str = "", trip_id: str = "") -> dict[str, Any]:
            request = Request(action, trip_id=trip_id, reason=reason)
            return await asyncio.to_thread(ask, deep, request)

        assert (deep / SOCKET).stat().st_mode & 0o777 == 0o600
        halted = await do("halt", reason="looks odd")
        assert (halted["ok"], halted["risk"]) == (True, "halted")
        report = await s.peer.ended(far.signal_id)
        assert (report.status, report.reason_code) == ("canceled", "HALTED")

        bad: list[tuple[dict[str, Any], str]] = [
            ({"action": "reset", "trip_id": "nonsense", "reason": "x"}, "no trip"),
            ({"action": "halt", "scope": "planet:mars", "reason": "x"}, "planet:mars"),
            ({"action": "halt", "reason": "x", "through_halt": True}, "flatten only"),
            ({"action": "explode"}, "no action"),
        ]
        for request, words in bad:
            refused = await asyncio.to_thread(ask, deep, Request(**request))
            assert not refused["ok"]
            assert words in refused["error"]
        again = await do("reset", trip_id=halted["trips"][0]["trip_id"], reason="looked at it")
        assert again["ok"], again["error"]

        for noise in (b"", b"\n", b"{}\n", b"[" * 10_000 + b"\n", bytes(100_000)):
            reader, writer = await _connect(deep)
            writer.write(noise)
            if writer.can_write_eof():
                writer.write_eof()
            line = await reader.read()
            assert not line or not json.loads(line)["ok"]
            writer.close()
        assert (await do("status"))["ok"]
        await micro.close()
        with pytest.raises(PeerUnavailable, match="is it running"):
            await do("status")

    run(tmp_path, body)


async def status_when_healthy(capsys: pytest.CaptureFixture[str]) -> str:
    """What ``citadel status`` shows of one that is well: on a busy machine it is overloaded at times."""
    shown = ""

    async def healthy() -> bool:
        nonlocal shown
        code = await asyncio.to_thread(main, ["status"])
        shown = capsys.readouterr().out
        return code == 0

    await until(healthy)
    return shown


async def metrics_when_healthy(micro: Micro) -> str:
    shown = ""

    def healthy() -> bool:
        nonlocal shown
        shown = exposition(micro.vitals).decode()
        return "citadel_unhealthy_reasons 0.0" in shown

    await until(healthy)
    return shown


def test_status_shows_the_account_as_the_engine_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(s: Stack) -> None:
        monkeypatch.chdir(tmp_path)
        micro = await s.up(s.config(run_dir=tmp_path / "runs" / "one"))
        buy = s.peer.signal(order_type="market")
        s.peer.send(buy)
        await s.peer.ended(buy.signal_id)
        resting = s.far(micro)
        s.peer.send(resting)
        await until(lambda: micro.runner.live_children == 1)

        code = await asyncio.to_thread(main, ["status", "--json"])
        assert code == 0
        # This micro logs here too.
        (line,) = [each for each in capsys.readouterr().out.splitlines() if each.startswith("{")]
        run = json.loads(line)
        portfolio = micro.engine.portfolio
        position = portfolio.position(buy.venue, buy.symbol)
        assert position is not None
        (shown,) = run["positions"]
        assert shown["quantity"] == format(position.quantity, "f")
        assert shown["entry"] == format(position.entry_price, "f")
        (order,) = run["orders"]
        parent = micro.engine.order_store.known[resting.signal_id]
        assert order["id"] == resting.signal_id
        assert order["working"] == [
            {
                "price": format(parent.rules.price(parent.live[0].price_ticks), "f"),
                "quantity": format(parent.rules.amount(parent.target), "f"),
                "state": "working",
            }
        ]
        assert float(order["touch"][0]) < float(order["touch"][1])
        (ended,) = run["ended"]
        assert ended["id"] == buy.signal_id
        filled = micro.engine.order_store.known[buy.signal_id].filled
        assert ended["filled"] == format(parent.rules.amount(filled), "f")
        assert ended["cost_bps"] is not None
        assert [each["name"] for each in run["losses"]] == ["today", "rolling", "drawdown"]
        assert run["account"]["equity"] is not None

        text = await status_when_healthy(capsys)
        for word in ("risk ACTIVE", "positions", "open orders", "last orders that traded", "books"):
            assert word in text
        text = await metrics_when_healthy(micro)
        for line in (
            f'citadel_position{{symbol="BTC/USDT",venue="binance-spot"}} {float(position.quantity)}',
            'citadel_fills_total{liquidity="taker"} ',
            'citadel_child_orders{state="working"} 1.0',
            'citadel_child_orders{state="unknown"} 0.0',
            "citadel_risk_rank 0.0",
            'citadel_profit{currency="USDT"} -',
            'citadel_loss_limit{over="today"} 2500.0',
        ):
            assert line in text, line
        await asyncio.to_thread(main, ["top", "--count", "2", "--every", "0.1"])
        assert "BTC/USDT" in capsys.readouterr().out
        ask_halt = Request("halt", reason="looks odd")
        await asyncio.to_thread(ask, tmp_path / "runs" / "one", ask_halt)
        text = exposition(micro.vitals).decode()
        assert 'citadel_trip{code="OPERATOR_HALT",scope="global",state="HALTED"} 1.0' in text
        assert "citadel_risk_rank 3.0" in text
        assert await asyncio.to_thread(main, ["status"]) == 3
        assert "OPERATOR_HALT" in capsys.readouterr().out
        # One that was killed leaves its socket behind, and hides nobody.
        (tmp_path / "runs" / "dead").mkdir()
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(str(tmp_path / "runs" / "dead" / SOCKET))
        dead.close()
        assert await asyncio.to_thread(main, ["status"]) == 3
        shown = capsys.readouterr()
        assert "OPERATOR_HALT" in shown.out
        assert "no micro answers at" in shown.err
        await micro.close()
        assert await asyncio.to_thread(main, ["status"]) == 4
        assert "no micro runs below runs/" in capsys.readouterr().err
        assert await asyncio.to_thread(main, ["status", "--run-dir", "none"]) == 2

    run(tmp_path, body)


def test_a_halt_is_alerted_once_and_so_is_its_end(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        with receiver() as (url, taken):
            urls = urls_file(tmp_path / "keys", url)
            folder = tmp_path / "told"
            alerts = {"urls_file": str(urls), "least": "info"}
            micro = await s.up(s.config(run_dir=folder, alerts=alerts))
            await until(lambda: taken)
            assert "micro is up: paper" in taken[0]["message"]
            halted = time.monotonic()
            await asyncio.to_thread(ask, folder, Request("halt", reason="looks odd"))
            await until(lambda: any("OPERATOR_HALT" in each["message"] for each in taken))
            assert time.monotonic() - halted < 20
            halt = next(each for each in taken if "OPERATOR_HALT" in each["message"])
            assert halt["type"] == "failure"
            (trip,) = micro.engine.risk.breakers.trips
            reset = Request("reset", trip_id=trip.trip_id, reason="it was nothing")
            await asyncio.to_thread(ask, folder, reset)
            # A busy machine's silent feeds may be told too, in messages of their own or in these.
            await until(lambda: any("over: global is HALTED" in each["message"] for each in taken))
            await micro.close()
            assert "micro is ending" in taken[-1]["message"]
            told = [line for each in taken for line in each["message"].splitlines()]
            halts = [line for line in told if "OPERATOR_HALT" in line]
            assert len(halts) == 2, "once when it began, once when it was over"
            assert [line.startswith("over: global is HALTED") for line in halts] == [False, True]

    run(tmp_path, body)


def test_a_halted_position_is_flattened_when_asked_for_by_name(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        folder = s.folder / "flat"
        micro = await s.up(s.config(run_dir=folder))
        buy = s.peer.signal(order_type="market")
        s.peer.send(buy)
        await s.peer.ended(buy.signal_id)
        inst = (buy.venue, buy.symbol)
        assert micro.engine.portfolio.quantity(*inst) > 0

        async def do(action: str, *, through_halt: bool = False) -> dict[str, Any]:
            request = Request(action, reason="get out", through_halt=through_halt)
            return await asyncio.to_thread(ask, folder, request)

        assert (await do("halt"))["ok"]
        refused = await do("flatten")
        assert not refused["ok"]
        assert "--through-halt" in refused["error"]
        assert (await do("flatten", through_halt=True))["ok"]
        await until(lambda: micro.engine.portfolio.quantity(*inst) == 0)
        await micro.close()

    run(tmp_path, body)


async def _connect(folder: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{descriptor}/{SOCKET}")
    finally:
        os.close(descriptor)


def test_the_page_of_a_whole_micro(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        folder = micro.config.run_dir
        assert await asyncio.to_thread(main, ["page", "--run-dir", str(folder)]) == 0
        said = capsys.readouterr().out.splitlines()
        url, _, token = next(line for line in said if line.startswith("http")).partition("/#token=")
        assert url == micro.http_url
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as page:
                assert "Skip to the run" in await page.text()
            async with session.ws_connect(f"{url}/page/live") as socket:
                key = f"binance-spot:{SYMBOL}"
                await socket.send_json({"token": token, "books": [key]})
                assert await socket.receive_json(timeout=30) == {"may_act": True}
                seen: dict[str, dict[str, Any]] = {}

                async def shown() -> bool:
                    frame = await socket.receive_json(timeout=30)
                    for section, rows in frame.get("set", {}).items():
                        seen.setdefault(section, {}).update(rows)
                    return {"run", "depth", "macros", "feeds", "limits"} <= seen.keys()

                await until(shown)
                assert seen["run"][""]["equity"] == 100_000
                assert seen["depth"][key]["state"] == "LIVE"
                assert seen["macros"]["macro-1"]["address"] == s.peer.address
            kill = {"action": "kill", "reason": "try", "confirm": "KILL"}
            headers = {"Authorization": f"Bearer {token}"}
            async with session.post(f"{url}/page/act", json=kill, headers=headers) as answer:
                assert (await answer.json())["risk"] == "killed"
        await micro.close()
        # It survives a restart, and so does the token.
        again = await s.up()
        assert again.engine.risk.beat_state() == "killed"
        assert (folder / "page.token").read_text().strip() == token
        await again.close()
        assert await asyncio.to_thread(main, ["page", "--run-dir", str(folder)]) != 0

    run(tmp_path, body)

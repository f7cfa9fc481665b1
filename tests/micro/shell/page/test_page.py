"""The page's paths over real HTTP, without a browser."""

from __future__ import annotations

import asyncio
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from engine_kit import MS, SYMBOL, signal
from page_kit import PageRun, Served, served
from page_screen import BOOK, Screen, closed, frames, get, serve
from waiting import until

from citadel_micro.shell.ops.connections import BoundedServer
from citadel_micro.shell.page.page import HEADERS, MOST_VIEWERS

if TYPE_CHECKING:
    from pathlib import Path


def test_every_file_of_the_page_is_served_with_its_headers(tmp_path: Path) -> None:
    async def body(page: Served, _run: PageRun) -> None:
        status, index, _ = await get(page, "/")
        assert status == 200
        paths = [
            "/",
            *(f"/{name}" for name in re.findall(r'(?:src|href)="(page/[^"]+)"', index.decode())),
        ]
        assert len(paths) > 3
        for path in paths:
            status, text, headers = await get(page, path)
            assert status == 200, path
            assert HEADERS.items() <= headers.items()
            for name in re.findall(r'from "\./([^"]+)"', text.decode()):
                if f"/page/{name}" not in paths:
                    paths.append(f"/page/{name}")
            # Self-contained: no address of any other server.
            assert not re.findall(rb"https?://(?!www\.w3\.org)", text)
        assert len(paths) == 9
        for path in ("/page/nothing.js", "/page/..%2fpage.py", "/page/__init__.py"):
            assert (await get(page, path))[0] == 404

    serve(tmp_path, body)


def test_a_name_that_is_not_ours_is_refused_on_every_path(tmp_path: Path) -> None:
    async def body(page: Served, run: PageRun) -> None:
        for path in ("/", "/page/app.js", "/page/live", "/healthz", "/metrics"):
            status, text, _ = await get(page, path, Host="stranger.example")
            assert status == 421
            assert b"http.hosts" in text
        status, _ = await page.act({"action": "halt"}, Host="stranger.example")
        assert status == 421
        assert run.engine.risk.beat_state() == "active"
        assert (await get(page, "/healthz", Host="localhost"))[0] == 200

    serve(tmp_path, body)


def test_off_loopback_health_and_metrics_are_asked_under_any_name(tmp_path: Path) -> None:
    async def body(page: Served, _run: PageRun) -> None:
        assert (await get(page, "/healthz", Host="micro"))[0] == 200
        assert (await get(page, "/", Host="micro"))[0] == 421
        assert (await get(page, "/", Host="desk.example.org"))[0] == 200

    serve(tmp_path, body, host="0.0.0.0", hosts=["desk.example.org"])  # noqa: S104 - what is configured


def test_another_page_can_neither_look_nor_act(tmp_path: Path) -> None:
    async def body(page: Served, run: PageRun) -> None:
        for origin in ("http://stranger.example", "null", "http://127.0.0.1:1"):
            assert (await page.act({"action": "halt"}, Origin=origin))[0] == 403
            with pytest.raises(aiohttp.WSServerHandshakeError):
                async with page.looking(Origin=origin):
                    pass
        assert (await page.act({"action": "halt"}, Sec_Fetch_Site="cross-site"))[0] == 403
        assert run.engine.risk.beat_state() == "active"

    serve(tmp_path, body)


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        ({"action": "halt"}, {"Authorization": "Bearer wrong"}, 401, "citadel page"),
        ({"action": "halt"}, {"Authorization": ""}, 401, "citadel page"),
        (b"action=halt", {"Content_Type": "application/x-www-form-urlencoded"}, 415, "json"),
        (b'{"action":"halt"}', {"Content_Type": "text/plain"}, 415, "json"),
        (b"{", {}, 400, "not a command"),
        (b'{"action":"halt","reason":"' + b"x" * 5_000 + b'"}', {}, 413, "4096"),
        ({"action": "shutdown"}, {}, 400, "Invalid enum value"),
        ({"action": "halt", "more": 1}, {}, 400, "unknown field"),
        ({"action": "reset", "trip_id": "trip-1"}, {}, 400, "reason"),
        ({"action": "kill"}, {}, 428, "type KILL"),
        ({"action": "kill", "confirm": "kill"}, {}, 428, "type KILL"),
        ({"action": "halt", "scope": "venue:nope"}, {}, 409, "did you mean venue:fake"),
        ({"action": "reset", "trip_id": "trip-9", "reason": "r"}, {}, 409, "nothing is tripped"),
    ],
)
def test_what_is_no_command_changes_nothing_and_says_why(
    tmp_path: Path, body: object, headers: dict[str, str], status: int, words: str
) -> None:
    async def main(page: Served, run: PageRun) -> None:
        found, answer = await page.act(body, **headers)
        assert (found, answer["ok"]) == (status, False)
        assert words in answer["error"]
        assert run.engine.risk.breakers.trips == ()

    serve(tmp_path, main)


def test_commands_of_a_person_are_executed_and_journaled(tmp_path: Path) -> None:
    async def body(page: Served, run: PageRun) -> None:
        risk = run.engine.risk
        assert await page.act({"action": "pause", "reason": "news"}) == (
            200,
            {"ok": True, "error": "", "risk": "reducing"},
        )
        (trip,) = risk.breakers.trips
        assert (trip.code, trip.reason) == ("OPERATOR_PAUSE", "news (on the page)")
        assert (await page.act({"action": "halt", "scope": "venue:fake"}))[0] == 200
        assert (await page.act({"action": "kill", "confirm": "KILL"}))[1]["risk"] == "killed"
        for trip in risk.breakers.trips:
            for _ in range(2 if trip.code == "OPERATOR_KILL" else 1):
                reset = {"action": "reset", "trip_id": trip.trip_id, "reason": "it is over"}
                assert (await page.act(reset))[0] == 200
        assert risk.beat_state() == "active"
        assert (await page.act({"action": "flatten", "reason": "home"}))[1]["ok"]

    serve(tmp_path, body)


def test_a_program_without_origin_acts_with_the_token(tmp_path: Path) -> None:
    async def body(page: Served, _run: PageRun) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{page.url}/page/act",
                json={"action": "halt"},
                headers={"Authorization": f"Bearer {page.token}"},
            ) as response,
        ):
            assert response.status == 200

    serve(tmp_path, body)


def test_a_viewer_sees_the_run_and_then_what_changes(tmp_path: Path) -> None:
    async def body(page: Served, run: PageRun) -> None:
        async with page.looking({"books": [BOOK]}) as socket:
            assert await frames(socket, 1) == [{"may_act": False}]
            screen = Screen(socket)
            await screen.until(lambda: screen.rows.get("depth"))
            whole = screen.frames[0]
            assert (whole["n"], whole["run"], whole["whole"]) == (1, "run1", True)
            (state,) = screen.all("run")
            assert (state["risk"], state["reasons"], state["profit"]) == ("ACTIVE", [], 0.0)
            assert state["equity"] == float(run.engine.portfolio.equity() or 0)
            assert screen.rows["depth"][BOOK]["bid"] == [60_000.0, 50.0]
            assert len(screen.rows["depth"][BOOK]["depth"][0]) == 5

            run.send(signal("s1"))
            run.run(20 * MS)
            await screen.until(lambda: screen.all("orders"))
            (order,) = screen.all("orders")
            assert (order["symbol"], order["side"], order["status"]) == (SYMBOL, "buy", "working")
            assert order["working"] == [[60_000.0, 0.5, "working"]]
            await screen.until(
                lambda: any(
                    row["name"] == "open orders" and row["used"] for row in screen.all("limits")
                )
            )

            run.operate("halt", reason="news")
            run.run(20 * MS)
            await screen.until(lambda: screen.all("trips") and not screen.all("orders"))
            await screen.until(lambda: screen.all("run")[0]["risk"] == "HALTED")
            assert (
                screen.all("trips")[0]["how"]
                == "reset it with a reason; trading goes on in probation"
            )
            assert [frame["n"] for frame in screen.frames] == list(range(1, len(screen.frames) + 1))

    serve(tmp_path, body)


def touched(screen: Screen, bid: float) -> bool:
    """Whether a point of the course has this best bid."""
    courses = [frame["courses"]["s1"] for frame in screen.frames if "courses" in frame]
    return any(point[1] == bid for course in courses for point in course["points"])


def test_the_course_of_an_order_has_its_touch_its_price_and_its_fills(tmp_path: Path) -> None:
    async def body(page: Served, run: PageRun) -> None:
        run.send(signal("s1"))
        async with page.looking({"orders": ["s1", "nothing"]}) as socket:
            screen = Screen(socket)
            for step in range(1, 4):
                run.run(300 * MS)
                run.book(60_000.0 + step, 60_000.5 + step)
                run.run(20 * MS)
                await screen.until(partial(touched, screen, 60_000.0 + step))
            (child,) = run.engine.order_store.known["s1"].live
            run.venue.fill(child.client_id, 500)
            run.run(100 * MS)
            await screen.until(lambda: screen.courses["s1"]["to"])
            course = screen.courses["s1"]
            assert [fill[1:] for fill in course["fills"]] == [[60_003.0, 0.5, "maker"]]
            assert course["arrival"] == 60_000.05
            await screen.until(lambda: [row["id"] for row in screen.all("ended")] == ["s1"])
            await screen.until(lambda: screen.all("costs"))
            (cost,) = screen.all("costs")
            assert (cost["symbol"], cost["algo"], cost["orders"]) == (SYMBOL, "chase_limit", 1)
            assert cost["bps"] == pytest.approx(screen.all("ended")[0]["cost"])

    serve(tmp_path, body)


def test_a_viewer_that_missed_something_asks_for_everything(tmp_path: Path) -> None:
    async def body(page: Served, _run: PageRun) -> None:
        async with page.looking() as socket:
            screen = Screen(socket)
            await screen.until(lambda: len(screen.frames) > 2)
            await socket.send_json({"whole": True})
            await screen.until(lambda: sum(1 for f in screen.frames if f.get("whole")) == 2)
            assert screen.rows["books"]

    serve(tmp_path, body)


def test_a_book_that_stands_still_is_sent_to_a_second_viewer_too(tmp_path: Path) -> None:
    async def body(page: Served, _run: PageRun) -> None:
        async with page.looking({"books": [BOOK]}) as first, page.looking() as second:
            screens = [Screen(first), Screen(second)]
            await screens[0].until(lambda: screens[0].rows.get("depth"))
            await screens[1].until(lambda: screens[1].rows.get("books"))
            assert not screens[1].rows.get("depth")
            await second.send_json({"books": [BOOK]})
            await screens[1].until(lambda: screens[1].rows.get("depth"))
            assert screens[1].rows["depth"] == screens[0].rows["depth"]
            await second.send_json({"books": []})
            await first.send_json({"books": []})
            await screens[0].until(lambda: not screens[0].rows["depth"])
            await screens[1].until(lambda: not screens[1].rows["depth"])

    serve(tmp_path, body)


def test_a_fault_in_the_page_is_no_fault_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(page: Served, run: PageRun) -> None:
        loop = asyncio.get_running_loop()
        told: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _loop, context: told.append(context))
        history = page.page._history
        assert history is not None
        assert history._task is not None
        monkeypatch.setattr(run.engine.portfolio, "profit", lambda: 1 / 0)
        async with page.looking() as socket:
            await until(lambda: closed(socket))
        await until(history._task.done)
        await asyncio.sleep(0)
        # The daemon halts for what escapes a callback, which has a handle; a task has none.
        assert [context for context in told if "handle" in context] == []
        assert (await page.act({"action": "halt"}))[0] == 200
        assert run.engine.risk.beat_state() == "halted"

    serve(tmp_path, body)


def test_before_there_is_a_run_it_says_so_and_then_shows_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path / "run") as page, page.looking({"books": [BOOK]}) as socket:
            assert (await frames(socket, 2))[1] == {"starting": True}
            assert (await page.act({"action": "halt"}))[0] == 503
            page.show(PageRun())
            screen = Screen(socket)
            await socket.send_json({"books": [BOOK]})
            await screen.until(lambda: screen.rows.get("depth"))

    asyncio.run(main())


def test_looking_from_elsewhere_needs_the_token(tmp_path: Path) -> None:
    async def body(page: Served, _run: PageRun) -> None:
        far = {"X_Forwarded_For": "192.0.2.7"}
        for first in ({}, {"token": "wrong"}):
            async with page.looking(first, **far) as socket:
                assert await frames(socket, 1) == [{"refused": "token"}]
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        async with page.looking({"token": page.token}, **far) as socket:
            assert (await frames(socket, 2))[0] == {"may_act": True}

    serve(tmp_path, body)


@pytest.mark.parametrize(
    "said", ["{", '{"books": 1}', '{"other": 1}', json.dumps({"books": ["x"] * 501})]
)
def test_a_viewer_that_talks_nonsense_is_hung_up(tmp_path: Path, said: str) -> None:
    async def body(page: Served, _run: PageRun) -> None:
        async with page.looking() as socket:
            await frames(socket, 2)
            await socket.send_str(said)
            await until(lambda: closed(socket))
        await until(lambda: not page.page._sockets)

    serve(tmp_path, body)


def test_viewers_are_bounded_and_leave_no_trace(tmp_path: Path) -> None:
    async def body(page: Served, _run: PageRun) -> None:
        async with aiohttp.ClientSession() as session:
            sockets = []
            for _ in range(MOST_VIEWERS):
                sockets.append(await session.ws_connect(f"{page.url}/page/live"))
                await sockets[-1].send_json({})
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await session.ws_connect(f"{page.url}/page/live")
            live = page.page._live
            assert live is not None
            await until(lambda: len(live.viewers) == MOST_VIEWERS)
            for socket in sockets:
                await socket.close()
            await until(lambda: not live.viewers and not page.page._sockets)

    serve(tmp_path, body)


def test_a_browser_that_reads_nothing_is_dropped_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("citadel_micro.shell.page.page.SEND_S", 0.3)

    async def body(page: Served, run: PageRun) -> None:
        live = page.page._live
        assert live is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", page.server.port)
        writer.write(
            b"GET /page/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + frame_of(b'{"books":[]}')
        )
        await reader.readuntil(b"\r\n\r\n")
        await until(lambda: live.viewers)
        (viewer,) = live.viewers
        run.vitals.mode = "x" * 20_000_000  # more than the sockets between the two hold

        def gone() -> bool:
            viewer.version = -1
            return viewer not in live.viewers

        await until(gone)
        run.vitals.mode = "paper"
        live.board.put("run", {"": {}})
        async with page.looking() as socket:
            await frames(socket, 2)  # others are served as before
        await until(lambda: not page.page._sockets)
        writer.close()

    serve(tmp_path, body)


def frame_of(text: bytes) -> bytes:
    """A masked text frame of a websocket, with a mask of zeros."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


def test_a_slow_request_is_cut_and_a_crowd_is_bounded(tmp_path: Path) -> None:
    async def body(page: Served, _run: PageRun) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", page.server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: loc")
        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()
        crowd = [await asyncio.open_connection("127.0.0.1", page.server.port) for _ in range(4)]
        late, its_way = await asyncio.open_connection("127.0.0.1", page.server.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(late.readexactly(1), 60)
        its_way.close()
        for each, its in crowd:
            assert await asyncio.wait_for(each.read(), 60) == b""
            its.close()
        assert (await get(page, "/healthz"))[0] == 200

    serve(tmp_path, body, bounds=BoundedServer(first_request_s=0.3, most=4))


def test_a_body_that_does_not_come_is_not_awaited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("citadel_micro.shell.page.page.BODY_S", 0.2)

    async def body(page: Served, _run: PageRun) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", page.server.port)
        writer.write(
            f"POST /page/act HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {page.token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
        )
        assert b"408" in await asyncio.wait_for(reader.readline(), 60)
        writer.close()

    serve(tmp_path, body)

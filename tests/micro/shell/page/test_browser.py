"""The page in a real Chromium. Pictures of it are left in ``.cache/page``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from effort import campaign
from engine_kit import MS, SYMBOL, signal
from page_kit import PageRun, Served, served
from page_probes import CONTRAST, DRAWN, LONG, OVER, WHERE, WIDTHS
from page_stage import UP, Stage, busy, lasting_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chromium import Tab


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with asyncio.Runner() as runner:
        made = Stage(runner, tmp_path_factory.mktemp("browser"))
        try:
            yield made
        finally:
            made.close()


@pytest.fixture(scope="module")
def pictures(repository: Path) -> Path:
    return repository / ".cache" / "page"


def test_it_loads_and_shows_what_happens(stage: Stage, tmp_path: Path) -> None:
    async def body(page: Served, run: PageRun, tab: Tab) -> None:
        await tab.open(page.url)
        await tab.until(UP)
        assert await tab.text("#risk-word") == "Trading"
        assert await tab.text("#mode") == "PAPER"
        assert await tab.text("#rights") == "looking only"
        await tab.until("document.querySelector('.tile .touch').innerText.includes('60,000.0')")
        run.book(60_010.0, 60_010.1)
        await tab.until("document.querySelector('.tile .touch').innerText.includes('60,010.0')")
        run.send(signal("s1"))
        run.run(20 * MS)
        await tab.until("document.querySelector('#orders tbody tr')")
        assert (await tab.text("#orders tbody tr")).split("\t")[:3] == [SYMBOL, "buy", "0 / 0.5"]
        await tab.until("!document.getElementById('course').hidden")
        (child,) = run.engine.order_store.known["s1"].live
        run.venue.fill(child.client_id, 500)
        run.run(100 * MS)
        await tab.until("document.querySelector('#ended tbody tr')")
        assert "filled" in await tab.text("#ended tbody tr")
        await tab.until("document.querySelector('#positions tbody tr')")
        run.operate("halt", reason="news")
        run.run(20 * MS)
        await tab.until("document.documentElement.dataset.risk === 'HALTED'")
        assert await tab.text("#risk-word") == "Halted"
        await tab.until("document.getElementById('trips').innerText.includes('OPERATOR_HALT')")
        assert "Halted" in await tab.text("#cry"), "said to those who listen"
        assert "Halted" in await tab.value("document.title")

    stage.show(tmp_path, body)


def test_it_does_not_say_trading_where_something_is_wrong(stage: Stage, tmp_path: Path) -> None:
    async def body(page: Served, run: PageRun, tab: Tab) -> None:
        async def says(word: str, why: str, risk: str) -> None:
            await tab.until(f"document.getElementById('risk-word').innerText === '{word}'")
            assert why in await tab.text("#risk-why")
            assert await tab.value("document.documentElement.dataset.risk") == risk

        await tab.open(page.url)
        await says("Trading", "all is well", "ACTIVE")
        run.engine.executor.venue_down["fake"] = "socket closed"
        await says("Trading, impaired", "socket closed", "IMPAIRED")
        run.engine.executor.venue_down.clear()
        run.operate("pause", scope="strategy:test", reason="news")
        run.send(signal("s1"))
        run.operate("pause", scope="strategy:test", reason="news")
        await says("Trading in parts", "see below", "IMPAIRED")
        run.vitals.runner.failed = True  # type: ignore[misc]
        await says("Fault", "halted by a fault", "FAULT")
        assert "Fault" in await tab.text("#cry")

    stage.show(tmp_path, body)


def test_the_token_leaves_the_address_and_acts(stage: Stage, tmp_path: Path) -> None:
    async def body(page: Served, run: PageRun, tab: Tab) -> None:
        await tab.open(page.url_to_act)
        await tab.until(UP)
        assert await tab.value("location.href") == f"{page.url}/"
        assert page.token not in "".join(tab.requests)
        await tab.until("document.getElementById('rights').innerText === 'may act'")
        await tab.click("[data-act=pause]")
        await tab.type("news")
        await tab.press("Enter")
        await tab.until("document.documentElement.dataset.risk === 'REDUCING'")
        await tab.until("!document.getElementById('act').open")
        assert "Pause: done" in await tab.text("#done")
        (trip,) = run.engine.risk.breakers.trips
        assert trip.reason == "news (on the page)"
        # Its reset is a button beside it, and needs a reason.
        await tab.until("document.querySelector('#trips button')")
        await tab.click("#trips button")
        assert await tab.value("document.getElementById('act-go').disabled")
        await tab.press("Enter")
        assert run.engine.risk.beat_state() == "reducing"
        await tab.type("it is over")
        await tab.press("Enter")
        await tab.until("document.documentElement.dataset.risk === 'PROBATION'")

    stage.show(tmp_path, body)


def test_a_kill_takes_a_second_step(stage: Stage, tmp_path: Path) -> None:
    async def body(page: Served, run: PageRun, tab: Tab) -> None:
        await tab.open(page.url_to_act)
        await tab.until(UP)
        await tab.click("[data-act=kill]")
        await tab.until("document.getElementById('act').open")
        assert await tab.value("document.getElementById('act-go').disabled")
        await tab.press("Enter")
        await tab.type("KIL")
        await tab.press("Enter")
        assert await tab.value("document.getElementById('act-go').disabled")
        assert run.engine.risk.beat_state() == "active"
        await tab.type("L")
        await tab.press("Enter")
        await tab.until("document.documentElement.dataset.risk === 'KILLED'")
        assert run.engine.risk.beat_state() == "killed"

    stage.show(tmp_path, body)


def test_without_the_token_it_asks_for_it_before_acting(stage: Stage, tmp_path: Path) -> None:
    async def body(page: Served, run: PageRun, tab: Tab) -> None:
        await tab.open(page.url)
        await tab.until(UP)
        await tab.click("[data-act=halt]")
        await tab.until("document.getElementById('ask-token').open")
        await tab.type("wrong" * 5)
        await tab.press("Enter")
        await tab.until("document.getElementById('act').open")
        await tab.press("Enter")
        await tab.until("document.getElementById('ask-token').open")
        assert "not this micro's" in await tab.text("#token-what")
        assert run.engine.risk.beat_state() == "active"
        await tab.type(page.token)
        await tab.press("Enter")
        await tab.until("document.getElementById('act').open")
        await tab.press("Enter")
        await tab.until("document.documentElement.dataset.risk === 'HALTED'")

    stage.show(tmp_path, body, allowed=("401",))


def test_another_page_in_the_same_browser_can_do_nothing(stage: Stage, tmp_path: Path) -> None:
    async def body(page: Served, run: PageRun, tab: Tab) -> None:
        async with served(tmp_path / "other") as other:
            # Another origin on the same machine, and a document that has no content policy.
            await tab.open(f"{other.url}/healthz")
            act = f"{page.url}/page/act"
            halt = """body: '{"action":"halt"}'"""
            plain = f"fetch('{act}', {{method: 'POST', {halt}, mode: 'no-cors'}})"
            await tab.value(f"{plain}.then(() => 0, () => 0)")
            wise = (
                f"fetch('{act}', {{method: 'POST', {halt}, headers: "
                f"{{'Content-Type': 'application/json', Authorization: 'Bearer {page.token}'}}}})"
            )
            look = f"fetch('{page.url}/healthz').then((found) => found.text())"
            for script in (wise, look):
                assert await tab.value(f"{script}.then(() => 'done', () => 'refused')") == "refused"
            live = f"{page.url.replace('http', 'ws')}/page/live"
            script = (
                f"new Promise((end) => {{ const s = new WebSocket('{live}');"
                "s.onopen = () => end('open'); s.onerror = () => end('refused'); })"
            )
            assert await tab.value(script) == "refused"
        assert run.engine.risk.beat_state() == "active"
        tab.problems.clear()
        tab.requests.clear()

    stage.show(tmp_path, body)


def test_a_strangers_name_for_this_machine_shows_nothing(stage: Stage, tmp_path: Path) -> None:
    async def body(page: Served, _run: PageRun, tab: Tab) -> None:
        # What DNS rebinding makes of a browser: the stranger's name has become our address.
        for path in ("/", "/healthz", "/metrics"):
            await tab.open(f"http://stranger.example:{page.server.port}{path}")
            assert "is not known as" in await tab.value("document.body.innerText")
        tab.problems.clear()
        tab.requests.clear()

    stage.show(tmp_path, body)


def test_it_cannot_be_framed(stage: Stage, tmp_path: Path) -> None:
    async def body(page: Served, _run: PageRun, tab: Tab) -> None:
        await tab.open("about:blank")
        await tab.value(
            f"(() => {{ const f = document.createElement('iframe'); f.src = '{page.url}';"
            "document.body.append(f); return new Promise((end) => { f.onload = end; }); })()"
        )
        assert await tab.value("document.querySelector('iframe').contentDocument") is None
        frames = (await tab.call("Page.getFrameTree"))["frameTree"]["childFrames"]
        assert frames[0]["frame"].get("unreachableUrl", "").startswith(page.url)
        tab.problems.clear()
        tab.requests.clear()

    stage.show(tmp_path, body)


def test_a_restart_is_seen_and_leaves_no_ghost(stage: Stage, tmp_path: Path) -> None:
    async def body(page: Served, run: PageRun, tab: Tab) -> None:
        run.send(signal("s1"))
        run.run(20 * MS)
        await tab.open(page.url)
        await tab.until("document.querySelector('#orders tbody tr')")
        port = page.server.port
        page.page.close()
        await page.server.close()
        await tab.until("document.documentElement.dataset.link === 'lost'")
        await tab.until("document.getElementById('risk-word').innerText === 'No connection'")
        assert "What is shown is old" in await tab.text("#lost")
        async with served(tmp_path / "run", port=port) as again:
            await tab.until("document.getElementById('risk-word').innerText === 'Starting'")
            assert (
                await tab.value("document.querySelectorAll('#orders tbody tr, .tile').length") == 0
            )
            again.show(PageRun("run2"))
            await tab.until(UP)
            await tab.until("document.getElementById('run-name').innerText.includes('run2')")
            assert await tab.value("document.querySelectorAll('#orders tbody tr').length") == 0
            assert await tab.value("document.getElementById('lost').hidden")

    stage.show(tmp_path, body, allowed=("ERR_CONNECTION_REFUSED", "WebSocket"), port=lasting_port())


@pytest.mark.parametrize("dark", [False, campaign(True)], ids=["light", "dark"])
def test_it_fits_every_width_and_can_be_read(
    stage: Stage, tmp_path: Path, pictures: Path, *, dark: bool
) -> None:
    async def body(page: Served, run: PageRun, tab: Tab) -> None:
        busy(run)
        await tab.open(page.url_to_act)
        await tab.until(
            "document.querySelector('#trips li') && document.querySelector('#costs tbody tr')"
        )
        for name, (width, height) in WIDTHS.items():
            await tab.size(width, height, mobile=name == "phone")
            await tab.until(f"innerWidth === {width}")
            over = await tab.value(OVER)
            assert over == [], f"{name}: beside the screen"
            assert await tab.value(CONTRAST) == [], f"{name}: hard to read"
            # In view again after the window changed: a book that stands still is drawn, too.
            await tab.value("document.querySelector('.tile').scrollIntoView()")
            await tab.until(DRAWN)
            await tab.value("scrollTo(0, 0)")
            await tab.picture(pictures / f"{name}-{'dark' if dark else 'light'}.png")
        # Names as long as they come are shortened or wrapped, not pushed out.
        for name, (width, height) in WIDTHS.items():
            await tab.size(width, height, mobile=name == "phone")
            await tab.until(f"innerWidth === {width}")
            assert await tab.value(LONG) > 10
            assert await tab.value(OVER) == [], f"{name}: long names"
            assert await tab.value("document.querySelector('header').offsetHeight") < 250
        for state in ("halt", "kill"):
            run.operate(state, reason="look")
            run.run(20 * MS)
            await tab.until(f"document.documentElement.dataset.risk === '{state.upper()}ED'")
            assert await tab.value(CONTRAST) == [], state

    stage.show(tmp_path, body, dark=dark)


def test_it_is_walked_with_the_keyboard_alone(stage: Stage, tmp_path: Path) -> None:
    async def body(page: Served, run: PageRun, tab: Tab) -> None:
        busy(run)
        await tab.open(page.url_to_act)
        await tab.until(
            "document.querySelector('#trips button') && document.querySelector('#ended button')"
        )
        await tab.press("Tab")
        assert await tab.value("document.activeElement.className") == "skip"
        walked: list[str] = []
        for _ in range(60):
            await tab.press("Tab")
            at = await tab.value(WHERE)
            if at is None:
                break
            name, seen, lined = at
            assert seen, f"{name} has the focus and is not on the screen"
            assert lined, f"{name} has the focus and nothing shows it"
            walked.append(name)
        assert walked[:4] == ["Pause", "Halt", "Flatten", "Kill"]
        assert "Reset…" in walked
        assert walked.count(SYMBOL) >= 4
        assert any(name.lower().startswith("balances") for name in walked)
        # A dialog holds the focus, gives it back, and Escape does nothing but close it.
        await tab.press("Tab")
        await tab.value("document.querySelector('[data-act=halt]').focus()")
        await tab.press("Enter")
        await tab.until("document.getElementById('act').open")
        for _ in range(6):
            await tab.press("Tab")
            assert await tab.value(
                "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
            )
        await tab.press("Escape")
        await tab.until("!document.getElementById('act').open")
        assert await tab.value("document.activeElement.dataset.act") == "halt"
        assert run.engine.risk.beat_state() == "active"
        # The skip link leads past the head.
        await tab.value("document.querySelector('.skip').focus()")
        await tab.press("Enter")
        assert await tab.value("document.activeElement.id") == "main"

    stage.show(tmp_path, body)

"""A real Chromium without a window, told what to do over its DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/ has the methods that are called here by name.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable")
REQUIRED: Final = "CITADEL_REQUIRE_CHROMIUM"
START_S: Final = 60.0
CALL_S: Final = 60.0
FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # containers have no user namespaces; it is shown our own pages only
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-default-browser-check",
    "--password-store=basic",
    "--remote-debugging-port=0",
    "--window-size=1440,900",
    # Nothing leaves this machine: no name is looked up, and one of a stranger leads back here.
    (
        "--host-resolver-rules=MAP stranger.example 127.0.0.1, MAP * ~NOTFOUND, "
        "EXCLUDE 127.0.0.1, EXCLUDE localhost"
    ),
)
KEYS: Final = {
    "Tab": ("Tab", 9, ""),
    "Enter": ("Enter", 13, "\r"),
    "Escape": ("Escape", 27, ""),
    " ": ("Space", 32, " "),
    "ArrowDown": ("ArrowDown", 40, ""),
}


def chromium_path() -> str:
    """The program; the test is skipped where there is none, or failed where it is required."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    reason = "no Chromium here: apt-get install chromium"
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class Chromium:
    """The process, and one connection to it. Use ``running``."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, process: subprocess.Popen[bytes]
    ) -> None:
        self._socket = socket
        self.process = process
        self._numbers = iter(range(1, 10**9))
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}
        self._reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            body = json.loads(message.data)
            waiting = self._answers.pop(body.get("id", 0), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(body)
            tab = self._tabs.get(body.get("sessionId", ""))
            if tab is not None and "method" in body:
                tab.told(body["method"], body["params"])

    async def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:  # noqa: ANN401 - as the protocol has them
        """One method's result."""
        number = next(self._numbers)
        waiting = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        await self._socket.send_json(message | ({"sessionId": session} if session else {}))
        body = await asyncio.wait_for(waiting, CALL_S)
        if "error" in body:
            raise AssertionError(f"{method}: {body['error']}")
        found: dict[str, Any] = body["result"]
        return found

    @asynccontextmanager
    async def tab(
        self, *, width: int = 1440, height: int = 900, dark: bool = False, mobile: bool = False
    ) -> AsyncIterator[Tab]:
        """A tab with cookies and storage of its own."""
        context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        made = await self.call(
            "Target.createTarget", url="about:blank", browserContextId=context, newWindow=True
        )
        attached = await self.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        tab = Tab(self, attached["sessionId"])
        self._tabs[tab.session] = tab
        try:
            for domain in ("Page", "Runtime", "Log", "Network"):
                await tab.call(f"{domain}.enable")
            # Processor time: on a busy machine a task takes longer by the clock.
            await tab.call("Performance.enable", timeDomain="threadTicks")
            await tab.size(width, height, mobile=mobile)
            await tab.scheme(dark=dark)
            yield tab
        finally:
            del self._tabs[tab.session]
            await self.call("Target.disposeBrowserContext", browserContextId=context)

    async def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(AssertionError, TimeoutError, ConnectionError):
            await asyncio.wait_for(self.call("Browser.close"), 5)
        self._reader.cancel()
        await self._socket.close()


class Tab:
    """One page in it."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self.browser = browser
        self.session = session
        self.problems: list[str] = []
        """Errors and warnings of the console, violations of the content policy included."""
        self.requests: list[str] = []

    def told(self, method: str, params: dict[str, Any]) -> None:
        """An event of the protocol."""
        if method == "Runtime.exceptionThrown":
            about = params["exceptionDetails"]
            self.problems.append(str(about.get("exception", {}).get("description", about["text"])))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.problems.append(str([each.get("value") for each in params["args"]]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    async def call(self, method: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401 - as the protocol has them
        """One method's result."""
        return await self.browser.call(method, self.session, **params)

    async def open(self, url: str) -> None:
        """Go there."""
        found = await self.call("Page.navigate", url=url)
        assert "errorText" not in found, found["errorText"]
        await self.until("document.readyState === 'complete'")

    async def value(self, script: str) -> Any:  # noqa: ANN401 - whatever the script gives
        """What an expression gives; a promise is awaited."""
        found = await self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, script: str, seconds: float = 60.0) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(AssertionError):
                if await self.value(f"Boolean({script})"):
                    return
            if time.monotonic() > end:
                pytest.fail(f"not within {seconds:g} s: {script}; problems: {self.problems}")
            await asyncio.sleep(0.02)

    async def text(self, selector: str) -> str:
        """Text of the first element."""
        return str(await self.value(f"document.querySelector({json.dumps(selector)}).innerText"))

    async def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Make the window so large."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if mobile else 1,
            mobile=mobile,
        )

    async def scheme(self, *, dark: bool) -> None:
        """Prefer one of the colour schemes."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[feature])

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key."""
        code, number, text = KEYS[key]
        both = {
            "key": key,
            "code": code,
            "windowsVirtualKeyCode": number,
            "modifiers": 8 if shift else 0,
        }
        kind = "keyDown" if text else "rawKeyDown"
        await self.call("Input.dispatchKeyEvent", type=kind, text=text, **both)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **both)

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def click(self, selector: str) -> None:
        """Click into the middle of an element, with the mouse."""
        at = await self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        where = {"x": at[0], "y": at[1], "button": "left", "clickCount": 1}
        await self.call("Input.dispatchMouseEvent", type="mousePressed", **where)
        await self.call("Input.dispatchMouseEvent", type="mouseReleased", **where)

    async def picture(self, path: Path, *, whole: bool = True) -> None:
        """Take a screenshot, of the whole page unless configured otherwise."""
        found = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(found["data"]))  # noqa: ASYNC240 - nobody waits

    async def processor_s(self) -> float:
        """Seconds of a core that the tab's main thread has worked so far."""
        metrics = (await self.call("Performance.getMetrics"))["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Chromium]:
    """A Chromium with an empty profile in a folder."""
    profile = folder / "chromium"
    command = [chromium_path(), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(  # noqa: ASYNC220 - nobody waits
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = profile / "DevToolsActivePort"
        end = time.monotonic() + START_S
        lines: list[str] = []
        while len(lines) < 2:
            if time.monotonic() > end or process.poll() is not None:
                pytest.fail(f"Chromium did not start: {process.poll()}")
            await asyncio.sleep(0.02)
            with contextlib.suppress(OSError):
                lines = address.read_text().split()
        url = f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, max_msg_size=0) as socket,
        ):
            browser = Chromium(socket, process)
            try:
                yield browser
            finally:
                await browser.close()
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()

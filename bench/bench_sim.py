"""How many orders a second ``citadel sim`` serves beside its market.

    python bench/bench_sim.py [--clients 20] [--rate 500] [--seconds 10]

Every client has an account, a websocket API connection that is subscribed to its user stream, and places
its share of the orders: post-only ones far below the market, each of which it cancels half a second later, so
that there are as many cancels as orders; every tenth is immediate-or-cancel and trades. Requests leave
at their time whether or not earlier ones were answered; what is answered late counts as late.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from processes import start, wait_for

from citadel_micro.shell.venue.signing import HmacSigner
from citadel_micro.simulator.accounts import named_keys

if TYPE_CHECKING:
    from collections.abc import Callable

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
CANCEL_AFTER_S: Final = 0.5
TAKER_EVERY: Final = 10
TICKS_S: Final = os.sysconf("SC_CLK_TCK")


class _Answer(msgspec.Struct):
    id: int | None = None
    status: int = 0


_decode: Final = msgspec.json.Decoder(_Answer).decode


class Trader(WSListener):
    """One client."""

    def __init__(self, name: str) -> None:
        key = named_keys(name)[0]
        self._key = key.key_id
        self._signer = HmacSigner(key.secret.encode())
        self._number = 0
        self._sent: dict[int, tuple[str, float]] = {}
        self.took_ms: dict[str, list[float]] = {"place": [], "cancel": []}
        self.refused: list[bytes] = []
        self.events = 0
        self.transport: WSTransport | None = None
        self.measuring = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        if frame.msg_type != WSMsgType.TEXT:
            return
        data = frame.get_payload_as_bytes()
        answer = _decode(data)
        sent = None if answer.id is None else self._sent.pop(answer.id, None)
        if sent is None:
            self.events += 1
            return
        kind, at_s = sent
        if answer.status != 200:  # noqa: PLR2004 - HTTP
            self.refused.append(data)
        elif kind in self.took_ms and self.measuring:
            self.took_ms[kind].append((time.monotonic() - at_s) * 1e3)

    def ask(self, kind: str, method: str, **params: str | int) -> None:
        """Sign and send."""
        self._number += 1
        every: dict[str, str | int] = params | {
            "apiKey": self._key,
            "timestamp": time.time_ns() // 1_000_000,
        }
        text = "&".join(f"{name}={every[name]}" for name in sorted(every))
        every["signature"] = self._signer.sign(text.encode())
        self._sent[self._number] = (kind, time.monotonic())
        body = {"id": self._number, "method": method, "params": every}
        assert self.transport is not None  # noqa: S101 - after its connection
        self.transport.send(WSMsgType.TEXT, msgspec.json.encode(body))

    @property
    def waiting(self) -> int:
        """Requests without an answer."""
        return len(self._sent)

    def place(self, number: int, prices: dict[str, tuple[float, float]]) -> None:
        """One order, and its cancel later."""
        symbol = SYMBOLS[number % len(SYMBOLS)]
        bid, ask = prices[symbol]
        name = f"b{number}"
        order: dict[str, Any] = {"symbol": symbol, "newClientOrderId": name}
        digits = 5 if symbol == "BTCUSDT" else 4
        if number % TAKER_EVERY == 0:
            order |= {"side": "BUY", "type": "LIMIT", "timeInForce": "IOC"}
            order |= {"price": f"{ask * 1.01:.2f}", "quantity": f"{30 / bid:.{digits}f}"}
            self.ask("place", "order.place", **order)
            return
        order |= {"side": "BUY", "type": "LIMIT_MAKER", "price": f"{bid * 0.95:.2f}"}
        order["quantity"] = f"{60 / bid:.{digits}f}"
        self.ask("place", "order.place", **order)
        asyncio.get_running_loop().call_later(
            CANCEL_AFTER_S,
            lambda: self.ask("cancel", "order.cancel", symbol=symbol, origClientOrderId=name),
        )


async def trade(
    ready: dict[str, Any],
    options: argparse.Namespace,
    cpu_s: Callable[[], float],
) -> tuple[list[Trader], float, float]:
    """All clients; returns them, the seconds and processor seconds of the exchange."""
    prices = {}
    for symbol in SYMBOLS:
        path = f"/api/v3/ticker/bookTicker?symbol={symbol}"
        reader, writer = await asyncio.open_connection(*_address(ready["rest"]))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
        book = msgspec.json.decode(body)
        prices[symbol] = (float(book["bidPrice"]), float(book["askPrice"]))
    traders = [Trader(f"c{number}") for number in range(options.clients)]
    for each in traders:
        await ws_connect(lambda each=each: each, f"{ready['ws']}/ws-api/v3")
        each.ask("subscribe", "userDataStream.subscribe.signature")
    await asyncio.sleep(0.5)
    count = 0

    async def send(seconds: float) -> float:
        nonlocal count
        began_s = time.monotonic()
        due_s = began_s
        while due_s < began_s + seconds:
            await asyncio.sleep(max(due_s - time.monotonic(), 0))
            traders[count % len(traders)].place(count, prices)
            count += 1
            due_s += 1 / options.rate
        return began_s

    await send(2)  # connections are warm, and cancels have begun
    for each in traders:
        each.measuring = True
    before_s = cpu_s()
    began_s = await send(options.seconds)
    used_s = cpu_s() - before_s
    took_s = time.monotonic() - began_s
    for each in traders:
        each.measuring = False
    return traders, took_s, used_s


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


def main() -> int:
    """Measure and print one line a kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    options, _ = parser.parse_known_args()
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-sim-")))
        file = folder / "sim.json"
        accounts = [f"--account=c{number}" for number in range(options.clients)]
        process = start(
            stack,
            folder / "sim.log",
            *("-m", "citadel_bridge.cli", "sim", "--port", "0", "--ready-file", str(file)),
            *("--order-limit", "1000000", "--weight-limit", "100000000", *accounts),
        )
        ready = wait_for(file, process)

        def cpu_s() -> float:
            words = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(words[11]) + int(words[12])) / TICKS_S

        time.sleep(2)
        alone_s, began_s = cpu_s(), time.monotonic()
        time.sleep(3)
        alone = (cpu_s() - alone_s) / (time.monotonic() - began_s)
        traders, took_s, used_s = uvloop.run(trade(ready, options, cpu_s))
    print(
        f"{options.clients} clients, {options.rate:g} orders a second offered in {took_s:.1f} s\n"
    )
    print("| requests | answered a second | p50, ms | p99, ms |")
    print("| --- | ---: | ---: | ---: |")
    for kind in ("place", "cancel"):
        took = sorted(each for trader in traders for each in trader.took_ms[kind])
        if took:
            p99 = took[int(len(took) * 0.99)]
            print(
                f"| {kind} | {len(took) / took_s:.0f} | {statistics.median(took):.1f} | {p99:.1f} |"
            )
    print("\n| what | how much |")
    print("| --- | ---: |")
    print(f"| unanswered at the end | {sum(each.waiting for each in traders)} |")
    refused = [text for each in traders for text in each.refused]
    print(f"| refused | {len(refused)} |")
    print(f"| events | {sum(each.events for each in traders)} |")
    print(f"| of a core, the exchange | {used_s / took_s:.0%} |")
    print(f"| the same before | {alone:.0%} |")
    if refused:
        print(f"\nthe first that was refused: {refused[0].decode()[:200]}")
    print(f"\n1-minute load average {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    return 0


if __name__ == "__main__":
    sys.exit(main())

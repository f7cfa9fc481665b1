"""A client that knows nothing of this project but docs/reference/wire.md: pyzmq and msgpack only.

Usage: plain_client.py WIRE.md MARKET SIGNALS SYMBOL. Buys at market, places an order and cancels it,
queries, and prints what it saw as JSON.
"""

from __future__ import annotations

import json
import re
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped]
import zmq

if TYPE_CHECKING:
    from collections.abc import Callable

VENUE = "binance-spot"
FINAL = {"filled", "done_dust", "canceled", "expired", "rejected", "anomaly"}
Row = dict[str, Any]


def read_page(path: str) -> dict[str, list[tuple[str, Any]]]:
    """Of every message and part: its fields in order, each with its value if absent."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for section in Path(path).read_text(encoding="utf-8").split("\n### ")[1:]:
        rows = re.findall(r"^\| \d+ \| `(\w+)` \| (.*?) \| ([^|]*) \|", section, re.MULTILINE)
        found[section.partition("\n")[0]] = [
            (field, value_of(kind, absent.strip("`"))) for field, kind, absent in rows
        ]
    return found


def value_of(kind: str, absent: str) -> Any:  # noqa: ANN401 - any value of msgpack
    """What to send for a field that is not given."""
    if absent == "nil":
        return None
    if kind == "bool":
        return absent == "true"
    if kind in {"ns", "uint", "int"}:
        return int(absent) if absent.isdigit() else 0
    if kind.startswith(("map", "array")):
        return {} if kind.startswith("map") else []
    return "" if absent == "empty" else absent


class Client:
    """Both channels of one macro."""

    def __init__(self, page: str, market: str, signals: str) -> None:
        self.fields = read_page(page)
        self.deadline = time.monotonic() + 60
        self.instance = f"plain-{time.time_ns()}"
        self.owner = f"o{time.time_ns()}"
        self.epoch = time.time_ns()
        self.seqs: dict[str, int] = {}
        self.beat_due = 0.0
        self.micro = ""
        context = zmq.Context()
        self.incoming = context.socket(zmq.SUB)
        for prefix in ("hb\0", f"book/{VENUE}/", "report/", f"answer/{self.instance}\0"):
            self.incoming.setsockopt(zmq.SUBSCRIBE, prefix.encode())
        self.incoming.connect(market)
        self.outgoing = context.socket(zmq.PUB)
        self.outgoing.bind(signals)

    def send(self, kind: str, topic: str, /, **given: Any) -> None:  # noqa: ANN401 - fields by name
        seq = self.seqs[topic] = self.seqs.get(topic, 0) + 1
        given |= {"epoch": self.epoch, "seq": seq, "owner": self.owner}
        body: list[Any] = [kind]
        for name, absent in self.fields[kind]:
            body.append(given.pop(name) if name in given else absent)
        assert not given, f"the page has no field {', '.join(given)} of {kind}"
        self.outgoing.send(topic.encode() + b"\0" + msgpack.packb(body))

    def receive(self) -> tuple[str, Row]:
        """The next message, by field; heartbeats go out meanwhile."""
        while True:
            if time.monotonic() >= self.beat_due:
                self.beat_due = time.monotonic() + 0.2
                self.send(
                    *("MacroHeartbeat", "hb"),
                    instance=self.instance,
                    state="running",
                    wall_ns=time.time_ns(),
                    mono_ns=time.monotonic_ns(),
                    micro_instance_seen=self.micro,
                    micro_seq_seen=0,
                    schema=1,
                )
            if self.incoming.poll(100):
                topic, _, body = self.incoming.recv().partition(b"\0")
                kind, *values = msgpack.unpackb(body)
                row = dict(zip((name for name, _ in self.fields[kind]), values, strict=False))
                assert topic.decode().split("/")[0] in {"hb", "book", "report", "answer"}
                if kind == "MicroHeartbeat":
                    self.micro = row["instance"]
                return kind, row
            if time.monotonic() > self.deadline:
                sys.exit("no message in time")

    def until(self, wanted: str, check: Any, again: Any = None) -> Row:  # noqa: ANN401
        """The first message of a kind that passes; ``again`` is called every 0.5 s."""
        due = 0.0
        while time.monotonic() < self.deadline:
            if again is not None and time.monotonic() >= due:
                due = time.monotonic() + 0.5
                again()
            kind, row = self.receive()
            if kind == wanted and check(row):
                return row
        sys.exit(f"no such {wanted} in time")


def levels(packed: bytes) -> list[tuple[float, float]]:
    """Price and size of each level."""
    return list(struct.iter_unpack("<dd", packed))


def main(page: str, market: str, signals: str, symbol: str) -> None:
    """Trade, and print what was seen."""
    me = Client(page, market, signals)
    me.until("MicroHeartbeat", lambda row: me.instance in [name for name, _ in row["macros_seen"]])
    book = me.until("BookSnapshot", lambda row: row["symbol"] == symbol and row["state"] == "LIVE")
    bids, asks = levels(book["bids"]), levels(book["asks"])

    def order(name: str, **given: Any) -> tuple[str, Callable[[], None]]:  # noqa: ANN401
        signal_id = f"{me.instance}-{name}"
        now = time.time_ns()
        given |= {"venue": VENUE, "symbol": symbol, "signal_id": signal_id, "strategy": "plain"}
        given |= {"side": "buy", "created_ns": now, "expires_ns": now + 60_000_000_000}

        def publish() -> None:
            me.send("Signal", f"signal/{VENUE}/{symbol}", **given)

        return signal_id, publish

    def cancel() -> None:
        me.send(
            *("Cancel", f"cancel/{VENUE}/{symbol}"),
            signal_id=resting,
            created_ns=time.time_ns(),
            venue=VENUE,
            symbol=symbol,
        )

    def of(signal_id: str, states: set[str]) -> Callable[[Row], bool]:
        return lambda row: row["signal_id"] == signal_id and row["status"] in states

    bought, publish = order("buy", quantity="0.05", algo="marketable_limit")
    filled = me.until("ExecutionReport", of(bought, FINAL), publish)
    low = f"{bids[0][0] * 0.95:.2f}"
    resting, publish = order("rest", quantity="0.1", algo="limit", limit_price=low)
    me.until("ExecutionReport", of(resting, {"working"}), publish)
    canceled = me.until("ExecutionReport", of(resting, FINAL), cancel)
    balances = query(me, "balances")
    one = query(me, "order", signal_id=bought)
    names = [name for name, _ in me.fields["ExecutionReport"]]
    report = dict(zip(names, one["reports"][0][1:], strict=False))
    held = [row for row in balances["balances"] if row[0] == "BTC"]
    print(
        json.dumps(
            {
                "spread_is_positive": asks[0][0] > bids[0][0] > bids[1][0] > 0,
                "sizes_are_positive": all(size > 0 for _, size in bids + asks),
                "filled": [filled["status"], filled["filled"], len(filled["fills"]) > 0],
                "canceled": [canceled["status"], canceled["reason_code"], canceled["filled"]],
                "queried": [report["signal_id"] == bought, report["status"]],
                "holds": bool(held) and float(held[0][3]) > 0,
                "instance": me.micro,
            }
        )
    )


def query(me: Client, kind: str, **given: Any) -> Row:  # noqa: ANN401 - fields by name
    """Ask micro, until it answers."""
    query_id = f"{me.instance}-{kind}-{time.time_ns()}"
    return me.until(
        "Answer",
        lambda row: row["query_id"] == query_id,
        lambda: me.send(
            *("Query", "query"),
            query_id=query_id,
            kind=kind,
            reply_to=me.instance,
            created_ns=time.time_ns(),
            **given,
        ),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

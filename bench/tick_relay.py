"""The venue's side of ``bench_tick.py``: a market of its own, and a relay to the simulator for the rest.

Each client has a port of its own. Its market data connection and depth snapshots are served here, so
that a frame leaves when this process says so; everything else passes through to the simulator,
which judges the orders. Timed is from right before the frame is written to its socket until
the kernel has received the packet that completes the order (``SO_TIMESTAMPNS``), so that what this process
or the simulator do meanwhile does not count.

Frames of measurements end on odd update ids, those in between, which keep idle clients' books alive, on
even ones. A client says when it is done with an order, over a connection of its own; the next frame
leaves a pause after that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import selectors
import socket
import struct
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

SO_TIMESTAMPNS: Final = 35
ALIVE_S: Final = 0.1
"""Between two frames to a client that is not measured now."""
GIVE_UP_S: Final = 2.0
"""For an order that does not come, and for a client that does not become ready."""
MS: Final = 1_000_000
LEVELS: Final = 34
"""That change a side in each frame: as many as in recorded ones of Binance USD-M."""
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ORDERS: Final = (b'"order.place"', b'"order.modify"')
_HTTP_ORDERS: Final = (b"POST /api/v3/order", b"POST /fapi/v1/order", b"PUT /fapi/v1/order")


@dataclass(slots=True)
class Client:
    """One client: its port, and what is known of its market data connection."""

    name: str
    usdm: bool
    symbol: str = "BTCUSDT"
    market: socket.socket | None = None
    combined: bool = False
    plain_echo: bool = False
    """Has no book: gets frames of measurements only, as does one that has not subscribed yet."""
    last_id: int = 1_000_000
    high: bool = False
    """The best bid is one tick above the book's own."""
    control: socket.socket | None = None
    ready: int = 0
    seen_ns: int = 0
    bids: list[list[str]] = field(default_factory=list)
    asks: list[list[str]] = field(default_factory=list)


@dataclass(slots=True)
class Connection:
    """One accepted connection, and where it is passed on to."""

    client: Client
    sock: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    upstream: socket.socket | None = None
    websocket: bool = False
    """A websocket that is passed on: its frames are read for orders."""
    ours: bool = False
    """A websocket that is served here."""


class Relay:
    """See the module.

    Args:
        upstream: (host, port) of the simulator; None where there are only echoes.
    """

    def __init__(self, upstream: tuple[str, int] | None) -> None:
        self._upstream = upstream
        self._selector = selectors.DefaultSelector()
        self.clients: dict[str, Client] = {}
        self._alive_s = 0.0
        self._measured: Client | None = None

    def add(self, name: str, *, usdm: bool, echo: bool) -> int:
        """A client; returns its port."""
        client = Client(name, usdm, plain_echo=echo)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._selector.register(
            listener, selectors.EVENT_READ, lambda: self._accept(listener, client)
        )
        self.clients[name] = client
        self.renew(client)
        port: int = listener.getsockname()[1]
        return port

    def renew(self, client: Client) -> None:
        """Take the simulator's book as the client's market. Before it asks for a snapshot only."""
        if self._upstream is None or client.plain_echo:
            client.bids = [[f"{60_000 - each}.00", "1.00000"] for each in range(50)]
            client.asks = [[f"{60_001 + each}.00", "1.00000"] for each in range(50)]
            return
        path = "/fapi/v1/depth" if client.usdm else "/api/v3/depth"
        host, port = self._upstream
        url = f"http://{host}:{port}{path}?symbol={client.symbol}&limit=1000"
        with urllib.request.urlopen(url, timeout=20) as answer:
            book = json.load(answer)
        # Room for a bid between the best prices.
        client.bids, client.asks = book["bids"][1:], book["asks"]

    # measuring

    def run(self, name: str, count: int, gap_s: float, mode: str, move: bool) -> dict[str, Any]:  # noqa: FBT001
        """Send so many frames; returns the times in ns and how many orders did not come."""
        client = self.clients[name]
        if client.control is None or client.market is None:
            raise SystemExit(f"{name} is not connected")
        self._measured = client
        times: list[int] = []
        missed = 0
        client.ready = 0
        client.control.sendall(f"{mode}\n".encode())
        for _ in range(count):
            if not self._until(lambda: client.ready > 0, GIVE_UP_S):
                missed += 1
                continue
            client.ready = 0
            if gap_s:
                self._until(lambda: False, gap_s)
            elif client.seen_ns:
                self._step(0)
            client.seen_ns = 0
            if move:
                # Of two amends in one millisecond of the venue's clock, micro cannot tell the second's
                # report from a repetition of the first's, and waits to ask. A venue is further away.
                ready_ms = time.time_ns() // MS
                while time.time_ns() // MS == ready_ms:
                    pass
            frame = self._frame(client, odd=True, move=move)
            began_ns = time.time_ns()
            client.market.sendall(frame)
            if self._until(lambda: client.seen_ns > 0, GIVE_UP_S):
                times.append(client.seen_ns - began_ns)
            else:
                missed += 1
        self._until(lambda: client.ready > 0, 1.0)
        if move and client.high:
            client.market.sendall(self._frame(client, odd=False, move=True))
        self._measured = None
        return {"times": times, "missed": missed}

    def idle(self, seconds: float) -> None:
        """Serve for so long."""
        self._until(lambda: False, seconds)

    def _until(self, done: Callable[[], bool], seconds: float) -> bool:
        end_s = time.monotonic() + seconds
        while not done():
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return False
            self._step(left_s)
        return True

    def _step(self, wait_s: float) -> None:
        now_s = time.monotonic()
        if now_s >= self._alive_s:
            self._alive_s = now_s + ALIVE_S
            for client in self.clients.values():
                if client is not self._measured and not client.plain_echo:
                    self._keep_alive(client)
        for key, _ in self._selector.select(min(wait_s, ALIVE_S)):
            key.data()

    def _keep_alive(self, client: Client) -> None:
        if client.market is not None:
            try:
                client.market.sendall(self._frame(client, odd=False, move=False))
            except OSError:
                client.market = None

    def _frame(self, client: Client, *, odd: bool, move: bool) -> bytes:
        first = client.last_id + 1
        before, client.last_id = client.last_id, first + ((first % 2 == 1) is not odd)
        turn = client.last_id % 7 + 1
        bids = [[row[0], _other(row[1], turn)] for row in client.bids[:LEVELS]]
        asks = [[row[0], _other(row[1], turn)] for row in client.asks[:LEVELS]]
        if move:
            client.high = not client.high
            better = f"{float(client.bids[0][0]) + _tick(client):.2f}"
            bids.insert(0, [better, "1.500" if client.high else "0.000"])
        now_ms = time.time_ns() // MS
        data: dict[str, Any] = {"e": "depthUpdate", "E": now_ms}
        if client.usdm:
            data["T"] = now_ms
        data |= {"s": client.symbol, "U": first, "u": client.last_id}
        if client.usdm:
            data["pu"] = before
        data |= {"b": bids, "a": asks}
        value = {"stream": f"{client.symbol.lower()}@depth@100ms", "data": data}
        text = json.dumps(value if client.combined else data, separators=(",", ":")).encode()
        return _ws_frame(text)

    # connections

    def _accept(self, listener: socket.socket, client: Client) -> None:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        connection = Connection(client, sock)
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._read(connection))

    def _read(self, connection: Connection) -> None:
        try:
            data, extra, _, _ = connection.sock.recvmsg(1 << 18, 64)
        except OSError:
            data, extra = b"", []
        if not data:
            self._drop(connection)
            return
        client = connection.client
        if connection.sock is client.control:
            client.ready += len(data)
            return
        received_ns = _stamp(extra)
        connection.buffer += data
        if connection.ours:
            self._served(connection)
        elif connection.websocket:
            if connection.upstream is not None:
                connection.upstream.sendall(data)
            for kind, payload in _frames(connection.buffer):
                if kind == 1 and any(each in payload[:200] for each in _ORDERS):
                    client.seen_ns = client.seen_ns or received_ns
        else:
            self._requests(connection, received_ns)

    def _requests(self, connection: Connection, received_ns: int) -> None:
        """HTTP requests, one after the other."""
        client, buffer = connection.client, connection.buffer
        if buffer.startswith(b"control\n"):
            client.control = connection.sock
            client.ready += len(buffer) - len(b"control\n")
            return
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(buffer[: end + 4])
            lower = head.lower()
            size = 0
            if (at := lower.find(b"content-length:")) >= 0:
                size = int(lower[at + 15 : lower.find(b"\r\n", at)])
            if len(buffer) < end + 4 + size:
                return
            whole = bytes(buffer[: end + 4 + size])
            del buffer[: end + 4 + size]
            path = head.split(b" ", 2)[1]
            if b"upgrade: websocket" in lower:
                self._upgrade(connection, head, path)
                return
            if whole.startswith(_HTTP_ORDERS):
                client.seen_ns = client.seen_ns or received_ns
            if path.startswith((b"/api/v3/depth", b"/fapi/v1/depth")):
                connection.sock.sendall(_http(self._snapshot(client)))
            else:
                self._up(connection).sendall(whole)

    def _upgrade(self, connection: Connection, head: bytes, path: bytes) -> None:
        elsewhere = (b"ws-api", b"ws-fapi", b"private", b"market/", b"listenKey")
        if any(each in path for each in elsewhere) and not connection.client.plain_echo:
            connection.websocket = True
            self._up(connection).sendall(head)
            return
        key = next(
            line.split(b":", 1)[1].strip()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - RFC 6455
        connection.sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        if connection.client.plain_echo and b"order" in path:
            connection.websocket = True
            return
        connection.ours = True
        connection.client.combined = b"/stream" in path
        if connection.client.plain_echo or b"depth" in path:
            connection.client.market = connection.sock

    def _served(self, connection: Connection) -> None:
        """Subscriptions and pings on the market data connection."""
        for kind, payload in _frames(connection.buffer):
            if kind == 9:  # noqa: PLR2004 - a ping
                connection.sock.sendall(_ws_frame(payload, kind=10))
            elif kind == 1 and payload.startswith(b"{"):
                request = json.loads(payload)
                answer = json.dumps({"result": None, "id": request.get("id")}).encode()
                connection.sock.sendall(_ws_frame(answer))
                if request.get("method") == "SUBSCRIBE" and "depth" in payload.decode():
                    connection.client.market = connection.sock

    def _up(self, connection: Connection) -> socket.socket:
        if connection.upstream is None:
            if self._upstream is None:
                raise SystemExit("there is no simulator behind this relay")
            up = connection.upstream = socket.create_connection(self._upstream)
            up.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(up, selectors.EVENT_READ, lambda: self._back(connection))
        return connection.upstream

    def _back(self, connection: Connection) -> None:
        assert connection.upstream is not None  # noqa: S101 - registered with it
        try:
            data = connection.upstream.recv(1 << 18)
            if data:
                connection.sock.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        for each in (connection.sock, connection.upstream):
            if each is not None and each.fileno() >= 0:
                self._selector.unregister(each)
                each.close()
        if connection.client.market is connection.sock:
            connection.client.market = None

    def _snapshot(self, client: Client) -> bytes:
        bids = client.bids
        value: dict[str, Any] = {"lastUpdateId": client.last_id, "bids": bids, "asks": client.asks}
        if client.usdm:
            now_ms = time.time_ns() // MS
            value |= {"E": now_ms, "T": now_ms}
        return json.dumps(value, separators=(",", ":")).encode()


def _tick(client: Client) -> float:
    return 0.1 if client.usdm else 0.01


def _other(quantity: str, turn: int) -> str:
    whole, _, rest = quantity.partition(".")
    return f"{whole}.{turn}{rest[1:]}" if rest else quantity


def _stamp(extra: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()


def _ws_frame(payload: bytes, kind: int = 1) -> bytes:
    size = len(payload)
    if size < 126:  # noqa: PLR2004 - RFC 6455
        return bytes((0x80 | kind, size)) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", 0x80 | kind, 126, size) + payload
    return struct.pack(">BBQ", 0x80 | kind, 127, size) + payload


def _frames(buffer: bytearray) -> list[tuple[int, bytes]]:
    """(opcode, payload) of the whole masked frames at the buffer's beginning, which are removed."""
    found = []
    while len(buffer) >= 6:  # noqa: PLR2004 - the shortest masked frame
        size, at = buffer[1] & 0x7F, 2
        if size == 126:  # noqa: PLR2004 - RFC 6455
            size, at = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:  # noqa: PLR2004 - RFC 6455
            size, at = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < at + 4 + size:
            break
        mask = bytes(buffer[at : at + 4])
        masked = int.from_bytes(buffer[at + 4 : at + 4 + size], "big")
        key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        found.append((buffer[0] & 0x0F, (masked ^ key).to_bytes(size, "big")))
        del buffer[: at + 4 + size]
    return found


def _http(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"x-mbx-used-weight-1m: 1\r\n\r\n" + body


def main() -> int:
    """Serve: one JSON order a line on stdin, one JSON answer a line on stdout."""
    first = json.loads(sys.stdin.readline())
    upstream = first["upstream"]
    relay = Relay(None if upstream is None else (upstream[0], upstream[1]))
    ports = {
        each["name"]: relay.add(each["name"], usdm=each["usdm"], echo=each["echo"])
        for each in first["clients"]
    }
    print(json.dumps(ports), flush=True)
    pipe = selectors.DefaultSelector()
    pipe.register(sys.stdin, selectors.EVENT_READ)
    while True:
        while not pipe.select(0):
            relay.idle(0.02)
        line = sys.stdin.readline()
        if not line:
            return 0
        order = json.loads(line)
        if order["do"] == "connected":
            found = [
                name
                for name, each in relay.clients.items()
                if each.control is not None and each.market is not None
            ]
            print(json.dumps(found), flush=True)
        else:
            result = relay.run(
                order["name"], order["count"], order["gap_s"], order["mode"], order["move"]
            )
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    sys.exit(main())

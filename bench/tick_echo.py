"""A client without a book, an engine or a journal: a frame in, as many bytes as an order out.

What any client in Python pays under the same loop (uvloop) and websocket library (picows).
"""

from __future__ import annotations

import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from tick_control import Control, connect

ORDER = b'{"id":17,"method":"order.place","params":{"x":"' + b"y" * 330 + b'"}}'


class _Echo(WSListener):
    def __init__(self) -> None:
        self.orders: WSTransport | None = None
        self.control: Control | None = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        if frame.msg_type == WSMsgType.TEXT and self.orders and self.control:
            frame.get_payload_as_bytes()
            self.orders.send(WSMsgType.TEXT, ORDER)
            self.control.ready()

    def on_mode(self, _mode: str) -> None:
        """A measurement begins."""
        if self.control is not None:
            self.control.ready()


async def main(port: int) -> None:
    """Echo until the relay ends."""
    echo = _Echo()
    market, _ = await ws_connect(lambda: echo, f"ws://127.0.0.1:{port}/market")
    echo.orders, _ = await ws_connect(WSListener, f"ws://127.0.0.1:{port}/order")
    echo.control = await connect(port, echo.on_mode)
    await market.wait_disconnected()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))

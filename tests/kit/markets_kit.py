"""A local server that lists markets as ten exchanges do, for real ccxt objects to read."""

from __future__ import annotations

import copy
import json
from typing import Any, Self

from aiohttp import web
from listed_markets import (
    binance,
    bitget,
    bybit,
    coinbase,
    deribit,
    gate,
    hyperliquid,
    kraken,
    kucoin,
    okx,
)

ANSWERS: dict[str, Any] = {
    **binance.ANSWERS,
    **okx.ANSWERS,
    **bybit.ANSWERS,
    **kraken.ANSWERS,
    **coinbase.ANSWERS,
    **kucoin.ANSWERS,
    **bitget.ANSWERS,
    **gate.ANSWERS,
    **deribit.ANSWERS,
    **hyperliquid.ANSWERS,
}


class Exchange:
    """Answers any exchange's questions about its markets; what it is asked otherwise is counted.

    ``answers`` may be changed while it runs. A key is part of a path with its query, or of a body;
    the longest that fits is the answer.
    """

    def __init__(self) -> None:
        self.answers = copy.deepcopy(ANSWERS)
        self.asked: list[str] = []
        self.unknown: list[str] = []
        self.status = 200
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        asked = f"{request.rel_url} {(await request.text()).replace(' ', '')}"
        self.asked.append(asked)
        if self.status != 200:
            return web.Response(status=self.status, text="down for maintenance")
        for part in sorted(self.answers, key=len, reverse=True):
            if part in asked:
                body = self.answers[part]
                text = body if isinstance(body, str) else json.dumps(body)
                return web.Response(text=text, content_type="application/json")
        self.unknown.append(asked)
        return web.Response(status=404, text="no such thing")

"""Binance spot's read-only account endpoints, as documented, on loopback; signatures are checked."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl

from aiohttp import web
from key_kit import KEY_ID, KEY_SECRET

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

LATE_MS = 5_000


def error(status: int, code: int, msg: str) -> web.Response:
    """As the venue words it."""
    return web.json_response({"code": code, "msg": msg}, status=status)


class BinanceAccount:
    """Serves one account with one HMAC key. ``answers`` and ``skew_ms`` may be changed at any time.

    Args:
        uid: of the account.
    """

    def __init__(self, uid: int = 354937868) -> None:
        self.skew_ms = 0
        """The venue's clock minus this machine's."""
        self.requests: list[str] = []
        """Method and path of each."""
        self.url = ""
        self.answers: dict[str, Callable[[dict[str, str]], Any]] = {
            "/api/v3/account": lambda _: {
                "makerCommission": 15,
                "commissionRates": {"maker": "0.00150000", "taker": "0.00150000"},
                "canTrade": True,
                "canWithdraw": True,
                "canDeposit": True,
                "accountType": "SPOT",
                "balances": [
                    {"asset": "BTC", "free": "0.50000000", "locked": "0.00000000"},
                    {"asset": "USDT", "free": "900.00000000", "locked": "100.00000000"},
                    {"asset": "ETH", "free": "0.00000000", "locked": "0.00000000"},
                ],
                "permissions": ["SPOT", "TRD_GRP_004"],
                "uid": uid,
            },
            "/sapi/v1/account/apiRestrictions": lambda _: {
                "ipRestrict": True,
                "createTime": 1698645219000,
                "enableReading": True,
                "enableWithdrawals": False,
                "enableInternalTransfer": False,
                "permitsUniversalTransfer": False,
                "enableSpotAndMarginTrading": True,
                "enableFutures": False,
            },
            "/api/v3/account/commission": lambda params: {
                "symbol": params["symbol"],
                "standardCommission": {"maker": "0.0007", "taker": "0.0009"},
                "specialCommission": {"maker": "0.0001", "taker": "0.0000"},
                "taxCommission": {"maker": "0.0001", "taker": "0.0001"},
                "discount": {"enabledForAccount": True, "discountAsset": "BNB"},
            },
            "/api/v3/openOrders": lambda _: [],
            "/api/v3/rateLimit/order": lambda _: [
                {
                    "rateLimitType": "ORDERS",
                    "interval": "SECOND",
                    "intervalNum": 10,
                    "limit": 100,
                    "count": 3,
                }
            ],
            "/api/v3/time": lambda _: {"serverTime": self._now_ms()},
            "/api/v3/exchangeInfo": self._info,
        }
        self.symbols = {
            "BTCUSDT": {
                "symbol": "BTCUSDT",
                "status": "TRADING",
                "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
                "isSpotTradingAllowed": True,
                "permissions": [],
                "permissionSets": [["SPOT", "MARGIN"]],
                "filters": [
                    {"filterType": "PRICE_FILTER", "minPrice": "0.01", "tickSize": "0.01000000"},
                    {
                        "filterType": "LOT_SIZE",
                        "minQty": "0.00001000",
                        "maxQty": "9000.00000000",
                        "stepSize": "0.00001000",
                    },
                    {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
                    {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
                ],
            }
        }
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._check])
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def _now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.skew_ms

    def _info(self, params: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
        asked = params.get("symbols", params.get("symbol", "")).strip("[]").replace('"', "")
        names = asked.split(",")
        if any(name not in self.symbols for name in names):
            return error(400, -1121, "Invalid symbol.")
        return {
            "timezone": "UTC",
            "serverTime": self._now_ms(),
            "rateLimits": [
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": 6000,
                }
            ],
            "symbols": [self.symbols[name] for name in names],
        }

    @web.middleware
    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        if request.path in {"/api/v3/time", "/api/v3/exchangeInfo"}:
            return await handler(request)
        if request.headers.get("X-MBX-APIKEY") != KEY_ID:
            return error(401, -2014, "API-key format invalid.")
        query, _, signature = request.raw_path.partition("?")[2].partition("&signature=")
        right = hmac.new(KEY_SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        if signature != right:
            return error(400, -1022, "Signature for this request is not valid.")
        params = dict(parse_qsl(query))
        late_ms = self._now_ms() - int(params["timestamp"])
        if late_ms > LATE_MS or late_ms < -1_000:
            text = "Timestamp for this request is outside of the recvWindow."
            return error(400, -1021, text)
        return await handler(request)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        answer = self.answers.get(request.path)
        if answer is None:
            return web.Response(status=404, text="<html>not found</html>")
        body = answer(dict(request.query))
        if isinstance(body, web.StreamResponse):
            return body
        return web.json_response(body, headers={"X-MBX-USED-WEIGHT-1M": "124"})

"""The operator's interface to a running simulator: faults, ledgers, money, halts, foreign orders.

HTTP below ``/sim/v1``, with the token that the ready line shows in ``X-Sim-Token``. It is no part
of any exchange: a client under test never uses it.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, get_args

import msgspec
from aiohttp import web

from citadel_micro.sim.exchange.model import OrderRefused, OrderRequest, Side, SymbolStatus
from citadel_micro.sim.flow_symbols import e8_text
from citadel_micro.simulator.accounts import amount_e8
from citadel_micro.simulator.private.app import PrivateSide
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from citadel_micro.sim.exchange.model import Ledger
    from citadel_micro.simulator.binance_usdm.app import BinanceUsdm
    from citadel_micro.simulator.venues import VenueSide

Json = dict[str, Any]
_FIXED = ("kraken", "hyperliquid")
"""Markets whose ticks and lots are the market's own."""


class Control:
    """The endpoints."""

    def __init__(
        self,
        spot: PrivateSide,
        token: str,
        usdm: BinanceUsdm | None = None,
        venues: Mapping[str, VenueSide] | None = None,
    ) -> None:
        """Act for callers that know ``token``: on ``spot``, or the market that a body names."""
        self._spot = spot
        self._venues = dict(venues or {})
        self._usdm = usdm
        self._token = token
        rules = spot.venue.exchange.rules
        self._by_name = {rule.spec.venue_symbol: name for name, rule in rules.items()}

    def _market(self, body: Json) -> PrivateSide:
        name = body.get("market", "spot")
        if name == "spot":
            return self._spot
        other: object = self._venues.get(name)
        if isinstance(other, PrivateSide):
            return other
        if name != "usdm":
            allowed = ", ".join(("spot", "usdm", *self._venues))
            raise BadInput(f"market is {name!r}", where="market", allowed=allowed)
        return self._futures

    @property
    def _futures(self) -> BinanceUsdm:
        if self._usdm is None:
            what = "this simulator has no futures"
            raise BadInput(what, where="market", mend="start it with --futures")
        return self._usdm

    def routes(self) -> list[web.RouteDef]:
        """Return the table of endpoints."""
        table: dict[tuple[str, str], Callable[[Json], Any]] = {
            ("GET", "faults"): self.faults,
            ("POST", "faults"): self.add_fault,
            ("DELETE", "faults"): self.clear_faults,
            ("GET", "ledger"): self.ledger,
            ("POST", "deposit"): self.deposit,
            ("POST", "status"): self.set_status,
            ("POST", "steps"): self.set_steps,
            ("POST", "order"): self.place,
            ("DELETE", "order"): self.cancel,
            ("POST", "revoke"): self.revoke,
            ("POST", "pardon"): self.pardon,
            ("POST", "mark"): self.set_mark,
            ("POST", "funding"): self.set_funding,
            ("POST", "close-out"): self.close_out,
            ("POST", "cut"): self.cut,
        }
        return [
            web.route(verb, f"/sim/v1/{path}", self._wrap(act))
            for (verb, path), act in table.items()
        ]

    def _wrap(
        self, act: Callable[[Json], Any]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("X-Sim-Token", "")
            if not hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode()):
                return _json({"error": "X-Sim-Token is missing or wrong"}, 403)
            raw = await request.read()
            try:
                body = msgspec.json.decode(raw, type=dict[str, Any]) if raw else {}
                self._spot.service.catch_up()
                result = act({**request.query, **body})
                self._spot.settle()
                if self._usdm is not None:
                    self._usdm.settle()
                for side in self._venues.values():
                    side.settle()
            except KeyError as error:
                return _json({"error": f"{error.args[0]!r} is missing or unknown"}, 400)
            except (BadInput, OrderRefused, msgspec.DecodeError) as error:
                return _json({"error": str(error)}, 400)
            return _json(result, 200)

        return answer

    # ------------------------------------------------------------------ faults

    def faults(self, _body: Json) -> Json:
        """Return the rules in force and every hit."""
        faults = self._spot.venue.faults
        hits = [
            {"name": hit.name, "key": hit.key, "on": hit.on, "time": hit.time_ms}
            for hit in faults.log
        ]
        return {"rules": faults.listed(), "hits": hits}

    def add_fault(self, body: Json) -> Json:
        """Put ``rule`` in force."""
        self._spot.venue.faults.extend([str(body["rule"])])
        return {}

    def clear_faults(self, body: Json) -> Json:
        """Lift all rules, or those of ``name``."""
        self._spot.venue.faults.clear(str(body.get("name", "")))
        return {}

    # ------------------------------------------------------------------ money and symbols

    def ledger(self, body: Json) -> Json:
        """Return the exchange's own ledger of ``account``."""
        side = self._market(body)
        ledger = side.venue.exchange.ledger(self._account(body))
        return ledger_json(side, ledger, body.get("market", "spot"))

    def deposit(self, body: Json) -> Json:
        """Add ``amount`` of ``asset`` to ``account``; a negative one withdraws."""
        text = str(body["amount"])
        sign = -1 if text.startswith("-") else 1
        amount = amount_e8(text.removeprefix("-"), "amount", "deposit") * sign
        self._market(body).venue.exchange.deposit(self._account(body), str(body["asset"]), amount)
        return {}

    def set_status(self, body: Json) -> Json:
        """Set ``symbol`` to ``status``, such as TRADING, HALT or BREAK."""
        status = body["status"]
        if status not in get_args(SymbolStatus):
            allowed = ", ".join(get_args(SymbolStatus))
            raise BadInput(f"status {status!r} does not exist", where="status", allowed=allowed)
        self._market(body).venue.exchange.set_status(self._by_name[body["symbol"]], status)
        return {}

    def set_steps(self, body: Json) -> Json:
        """List and enforce another ``tick`` and ``lot`` of ``symbol``, multiples of the market's own.

        What rests stays, and others trade in the market's own: visible in the list of instruments alone.
        """
        rules = self._market(body).venue.exchange.rules
        if body.get("market") in _FIXED:
            what = f"the list of instruments of {body['market']} does not show other steps"
            raise BadInput(what, where="market")
        name = self._by_name[body["symbol"]]
        steps = []
        for key, own_e8 in (("tick", rules[name].spec.tick_e8), ("lot", rules[name].spec.lot_e8)):
            wanted = amount_e8(body[key], key, "steps")
            if wanted % own_e8:
                what = f"{key} is {body[key]}, no multiple of {e8_text(own_e8)}"
                raise BadInput(what, where=key)
            steps.append(wanted // own_e8)
        rules[name] = rules[name].coarser(*steps)
        return {}

    # ------------------------------------------------------------------ another client

    def place(self, body: Json) -> Json:
        """Place an order of ``account`` as another of its clients: LIMIT with ``price``, else MARKET."""
        side = body["side"]
        if side not in get_args(Side):
            raise BadInput(f"side is {side!r}", where="order", allowed="BUY, SELL")
        price = body.get("price")
        request = OrderRequest(
            symbol=self._by_name[body["symbol"]],
            side=side,
            type="MARKET" if price is None else "LIMIT",
            quantity_e8=amount_e8(body["quantity"], "quantity", "order"),
            price_e8=0 if price is None else amount_e8(price, "price", "order"),
            client_id=str(body.get("clientOrderId", f"web_{self._spot.venue.new_name()}")),
            origin="foreign",
        )
        done = self._market(body).venue.exchange.place(self._account(body), request)
        return {
            "orderId": done.order.order_id,
            "clientOrderId": done.order.client_id,
            "status": done.order.status,
        }

    def cancel(self, body: Json) -> Json:
        """Cancel ``orderId`` of ``account`` as another of its clients."""
        order = self._market(body).venue.exchange.cancel(
            self._account(body),
            self._by_name[body["symbol"]],
            order_id=int(body["orderId"]),
            cancel_id=f"web_{self._spot.venue.new_name()}",
        )
        return {"orderId": order.order_id, "status": order.status}

    # ------------------------------------------------------------------ keys and addresses

    def revoke(self, body: Json) -> Json:
        """Revoke ``key``."""
        if not self._spot.venue.ring.revoke(str(body["key"])):
            raise BadInput("there is no such key", where="revoke")
        return {}

    def pardon(self, body: Json) -> Json:
        """Lift the ban of ``address``."""
        self._market(body).venue.weights.pardon(str(body["address"]))
        return {}

    # ------------------------------------------------------------------ futures

    def set_mark(self, body: Json) -> Json:
        """Hold the mark price of ``symbol`` at ``price``; without one it follows the market again."""
        price = body.get("price")
        mark = None if price is None else amount_e8(price, "price", "mark")
        self._futures.exchange.set_mark(self._by_name[body["symbol"]], mark)
        return {}

    def set_funding(self, body: Json) -> Json:
        """Set the funding ``rate`` of ``symbol``; with ``now`` exchange it at once."""
        symbol, text = self._by_name[body["symbol"]], str(body["rate"])
        sign = -1 if text.startswith("-") else 1
        rate = amount_e8(text.removeprefix("-"), "rate", "funding") * sign
        exchange = self._futures.exchange
        exchange.funding_e8[symbol] = rate
        if body.get("now"):
            exchange.fund(symbol, rate)
        return {}

    def close_out(self, body: Json) -> Json:
        """Close the position of ``account`` in ``symbol`` as the exchange does: ``by`` liquidation or adl."""
        by = body.get("by", "liquidation")
        if by not in {"liquidation", "adl"}:
            raise BadInput(f"by is {by!r}", where="close-out", allowed="liquidation, adl")
        symbol = self._by_name[body["symbol"]]
        order = self._futures.exchange.close_out(self._account(body), symbol, by)
        return (
            {} if order is None else {"orderId": order.order_id, "clientOrderId": order.client_id}
        )

    def cut(self, body: Json) -> Json:
        """Cut every private connection of a market now, as at its age of 24 hours."""
        self._market(body).streams.cut()
        return {}

    def _account(self, body: Json) -> str:
        account = str(body["account"])
        if account not in self._spot.accounts:
            allowed = ", ".join(self._spot.accounts)
            raise BadInput(f"account {account!r} does not exist", where="account", allowed=allowed)
        return account


def ledger_json(side: PrivateSide, ledger: Ledger, market: str) -> Json:
    """Return a ledger of a market with every number as exact text."""
    spec = side.venue.spec
    return {
        "account": ledger.account_id,
        "market": market,
        "opening": {asset: e8_text(value) for asset, value in ledger.opening.items()},
        "balances": {asset: e8_text(value) for asset, value in ledger.balances.items()},
        "movements": [
            {
                "time": item.time_ns // 1_000_000,
                "kind": item.kind,
                "asset": item.asset,
                "amount": e8_text(item.amount_e8),
                "symbol": item.symbol,
                "tradeId": item.trade_id,
                "orderId": item.order_id,
            }
            for item in ledger.movements
        ],
        "fills": [
            {
                "number": fill.number,
                "symbol": fill.symbol,
                "orderId": fill.order_id,
                "clientOrderId": fill.client_id,
                "tradeId": fill.trade_id,
                "side": fill.side,
                "price": spec(fill.symbol).price_text(fill.ticks),
                "quantity": spec(fill.symbol).size_text(fill.lots),
                "quote": e8_text(fill.quote_e8),
                "fee": e8_text(fill.fee_e8),
                "feeAsset": fill.fee_asset,
                "realised": e8_text(fill.realised_e8),
                "maker": fill.maker,
                "time": fill.time_ns // 1_000_000,
            }
            for fill in ledger.fills
        ],
    }


def _json(body: Any, status: int) -> web.Response:  # noqa: ANN401 - any JSON value
    raw = msgspec.json.encode(body)
    return web.Response(body=raw, status=status, content_type="application/json")

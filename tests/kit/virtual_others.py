"""OKX, Bybit, Kraken and Hyperliquid at the simulator in virtual time, as ``virtual_venue``."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from exchange_kit import synthetic
from hyper_kit import hyper_key
from kraken_bench import kraken_key
from okx_kit import our_key
from spot_kit import demo_key
from virtual_venue import REST_URL, WS_URL, VirtualSpot, VirtualUsdm, VirtualVenue
from virtual_wire import request_of

from citadel_micro.adapters.bybit.orders import ABILITIES as BYBIT_ABILITIES
from citadel_micro.adapters.bybit.orders import LINEAR_ABILITIES, LINEAR_VENUE, bybit_adapter
from citadel_micro.adapters.bybit.orders import VENUE as BYBIT
from citadel_micro.adapters.hyperliquid.orders import ABILITIES as HYPER_ABILITIES
from citadel_micro.adapters.hyperliquid.orders import hyper_adapter
from citadel_micro.adapters.kraken.orders import ABILITIES as KRAKEN_ABILITIES
from citadel_micro.adapters.kraken.orders import VENUE as KRAKEN
from citadel_micro.adapters.kraken.orders import kraken_adapter
from citadel_micro.adapters.okx.orders import ABILITIES as OKX_ABILITIES
from citadel_micro.adapters.okx.orders import VENUE as OKX
from citadel_micro.adapters.okx.orders import okx_adapter
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.hyperliquid.app import NAME as HYPERLIQUID
from citadel_micro.simulator.hyperliquid.wallets import wallet_of
from citadel_micro.simulator.kraken.names import trade_name
from citadel_micro.simulator.okx.names import SwapSpec, inst_id
from citadel_micro.simulator.venue_makers import MAKERS
from citadel_micro.simulator.venues import VenueParts

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from citadel_micro.shell.keys.api_key import KeyKind
    from citadel_micro.shell.order_adapter import AdapterSetup
    from citadel_micro.shell.venue.adapter import LiveAdapter
    from citadel_micro.sim.exchange.model import Fill
    from citadel_micro.sim.flow_feed import Feed
    from citadel_micro.sim.flow_symbols import SymbolSpec


class VirtualSide(VirtualVenue):
    """A venue that is a side of a simulator, as ``simulator.venues`` has it."""

    maker: str
    key_kinds: tuple[KeyKind, ...] = ("hmac",)

    def open(self) -> None:
        """As ``VirtualVenue``."""
        parts = VenueParts(
            market=self._market,
            config=self.config,
            members=self.members,
            clock_ns=self.now,
            catch_up=self.catch_up,
        )
        self.side = MAKERS[self.maker](parts)
        self.exchange = self.side.exchange
        self.feed = self.exchange._feed
        self.service = getattr(self.side, "side", self.side).service
        self.weights = self.service.venue.weights
        self.at = self.side.addresses(REST_URL, WS_URL)

    def _market(self, name: str) -> Feed:
        del name
        return synthetic(self.config.seed, self.config.symbols)

    def routes(self) -> list[Any]:
        """As ``VirtualVenue``."""
        routes: list[Any] = self.side.routes()
        return routes

    def serve(self, connection: Any, path: str) -> Awaitable[None]:  # noqa: ANN401 - as a socket
        """As ``VirtualVenue``."""
        request = request_of("GET", path, {}, transport=connection)
        served: Awaitable[None] = self.handlers["GET", path](request)
        return served

    def catch_up(self) -> None:
        """As ``VirtualVenue``."""
        self.side.advance(self.now())
        self.side.settle()

    def tick(self) -> None:
        """Do what goes by the clock: timers, heartbeats."""
        self.catch_up()
        self.side.tick()

    def read_rules(self) -> dict[str, Instrument]:
        """As ``VirtualVenue``."""
        every = (self._rules_of(spec) for spec in self.feed.specs.values())
        return {each.symbol: each for each in every}

    def _native(self, spec: SymbolSpec) -> str:
        return spec.venue_symbol

    def _rules_of(self, spec: SymbolSpec) -> Instrument:
        return Instrument(
            venue=self.name,
            symbol=f"{spec.symbol}:{spec.quote}" if self.margined else spec.symbol,
            venue_symbol=self._native(spec),
            base=spec.base,
            quote=spec.quote,
            settle=spec.quote,
            kind="linear" if self.margined else "spot",
            tick=Decimal(spec.tick_e8) / E8,
            lot=Decimal(spec.lot_e8) / E8,
            min_lots=1,
            min_notional=Decimal(self.exchange.rules[spec.symbol].min_notional_e8) / E8,
            contract_size=Decimal(1),
            maker_fee=Decimal("0.001"),
            taker_fee=Decimal("0.001"),
            fee_side="quote" if self.margined else "received",
        )


class VirtualOkx(VirtualSide):
    """OKX spot."""

    name = OKX
    maker = "okx"
    abilities = OKX_ABILITIES

    def _native(self, spec: SymbolSpec) -> str:
        return inst_id(spec)

    def adapter(self, setup: AdapterSetup, kind: KeyKind) -> LiveAdapter:
        """As ``VirtualVenue``."""
        del kind
        at = self.at
        return okx_adapter(
            setup,
            our_key(),
            rest_url=at["private_rest_url"],
            ws_url=at["ws_api_url"],
            public_url=at["ws_url"],
            leverage=5,
        )


class VirtualOkxSwap(VirtualOkx):
    """OKX's linear perpetuals, whose lots are parts of contracts."""

    maker = "okx-swap"
    margined = True

    def _native(self, spec: SymbolSpec) -> str:
        return inst_id(SwapSpec.of(spec))

    def _rules_of(self, spec: SymbolSpec) -> Instrument:
        swap = SwapSpec.of(spec)
        lot = Decimal(swap.lot_e8) / swap.contract_e8
        size = Decimal(swap.contract_e8) / E8
        return replace(super()._rules_of(spec), lot=lot, contract_size=size)


class VirtualBybit(VirtualSide):
    """Bybit spot."""

    name = BYBIT
    maker = "bybit"
    abilities = BYBIT_ABILITIES

    def adapter(self, setup: AdapterSetup, kind: KeyKind) -> LiveAdapter:
        """As ``VirtualVenue``."""
        at = self.at
        return bybit_adapter(
            setup,
            replace(demo_key(kind), venue=self.name),
            rest_url=at["private_rest_url"],
            ws_api_url=at["ws_api_url"],
            stream_url=at["private_ws_url"],
        )


class VirtualBybitLinear(VirtualSide):
    """Bybit's linear perpetuals, in isolated margin."""

    name = LINEAR_VENUE
    maker = "bybit-linear"
    abilities = LINEAR_ABILITIES
    margined = True

    def open(self) -> None:
        """As ``VirtualVenue``."""
        super().open()
        for account in self.members.accounts:
            for symbol in self.exchange.rules:
                self.exchange.set_isolated(account, symbol, isolated=True)

    def adapter(self, setup: AdapterSetup, kind: KeyKind) -> LiveAdapter:
        """As ``VirtualVenue``."""
        at = self.at
        return bybit_adapter(
            setup,
            replace(demo_key(kind), venue=self.name),
            rest_url=at["private_rest_url"],
            ws_api_url=at["ws_api_url"],
            stream_url=at["private_ws_url"],
            public_url=at["ws_url"],
            leverage=5,
        )


class VirtualKraken(VirtualSide):
    """Kraken spot."""

    name = KRAKEN
    maker = "kraken"
    abilities = KRAKEN_ABILITIES

    def _native(self, spec: SymbolSpec) -> str:
        return spec.symbol

    @staticmethod
    def trade_name(fill: Fill) -> str:
        """As ``VirtualVenue``."""
        return trade_name(fill.trade_id, maker=fill.maker)

    def adapter(self, setup: AdapterSetup, kind: KeyKind) -> LiveAdapter:
        """As ``VirtualVenue``."""
        return kraken_adapter(
            setup, kraken_key(kind), rest_url=self.at["rest"], ws_url=self.at["ws_api"]
        )


class VirtualHyper(VirtualSide):
    """Hyperliquid's perpetuals."""

    name = HYPERLIQUID
    maker = "hyperliquid"
    abilities = HYPER_ABILITIES
    key_kinds = ("secp256k1",)
    money = "USDC"
    margined = True

    def _native(self, spec: SymbolSpec) -> str:
        return spec.base

    def forgive(self) -> None:
        """As ``VirtualVenue``, and the wallets' keys."""
        wallet = wallet_of(next(iter(self.members.accounts)))
        for key in (wallet.master, wallet.agent, wallet.watchdog):
            if self.members.ring.get(key.key_id) is None:
                self.members.ring.add(key)
        super().forgive()

    def adapter(self, setup: AdapterSetup, kind: KeyKind) -> LiveAdapter:
        """As ``VirtualVenue``."""
        del kind
        at = self.at
        return hyper_adapter(
            setup,
            hyper_key(),
            rest_url=at["private_rest_url"],
            ws_url=at["ws_api_url"],
            leverage=5,
        )


Market = Literal[
    "spot", "usdm", "okx", "okx-swap", "bybit", "bybit-linear", "kraken", "hyperliquid"
]
MARKETS: Final[dict[Market, type[VirtualVenue]]] = {
    "spot": VirtualSpot,
    "usdm": VirtualUsdm,
    "okx": VirtualOkx,
    "okx-swap": VirtualOkxSwap,
    "bybit": VirtualBybit,
    "bybit-linear": VirtualBybitLinear,
    "kraken": VirtualKraken,
    "hyperliquid": VirtualHyper,
}
"""By the name that ``make campaign-live ARGS="--market …"`` knows."""

"""Where a micro trades that is killed: its venue at the simulator, and what its configuration says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hyper_desk import RULES_FILE as HYPER_RULES
from hyper_kit import hyper_key
from kraken_bench import ACCOUNT as KRAKEN_ACCOUNT
from kraken_bench import kraken_key
from okx_desk import ACCOUNT as OKX_ACCOUNT
from okx_desk import key_text as okx_key_text
from spot_kit import SYMBOL, VENUE, demo_key

from citadel_micro.simulator.binance_spot.records import account_uid
from citadel_micro.simulator.kraken.names import trade_name

if TYPE_CHECKING:
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.sim.exchange.model import Fill
    from citadel_micro.simulator.server import SimulatorServer

BINANCE_ACCOUNT: Final = str(account_uid("demo"))
_SPOT_RULES: Final = """
[[instrument]]
venue = "{venue}"
symbol = "BTC/USDT"
venue_symbol = "{native}"
tick = "0.01"
lot = "0.00001"
min_notional = "{least}"
"""


@dataclass(frozen=True, slots=True)
class Market:
    """Where it trades. ``side`` is the venue's name at the simulator, empty for Binance."""

    name: str
    venue: str
    symbol: str = SYMBOL
    listed: str = SYMBOL
    """At the exchange."""
    side: str = ""
    usdm: bool = False
    native: str = ""
    """In rules of our own: empty to ask the venue."""
    least: int = 5
    """Of an order, in money."""
    account: str = BINANCE_ACCOUNT
    network: str = "testnet"
    settings: str = ""
    faults: tuple[str, ...] = ()
    """Of this venue alone."""

    @property
    def margined(self) -> bool:
        """It has positions."""
        return ":" in self.symbol

    @property
    def money(self) -> str:
        """What it pays with."""
        return self.listed.partition("/")[2]

    def exchange(self, server: SimulatorServer) -> Any:  # noqa: ANN401 - of either kind
        """Its exchange."""
        if self.side:
            side: Any = server.venues[self.side]
            return side.exchange
        return (server.usdm if self.usdm else server.spot).venue.exchange

    def allow_many_starts(self, server: SimulatorServer) -> None:
        """Each start asks for lists: more of them a minute than a venue's weight is meant for."""
        if self.name == "hyperliquid":
            side: Any = server.venues[self.side]
            side.weights.limit = 1_000_000

    def addresses(self, server: SimulatorServer) -> dict[str, str]:
        """Of the simulator, by setting."""
        rest, ws = server.rest_url, server.ws_url
        if self.side:
            at = server.venues[self.side].addresses(rest, ws)
            if "rest" in at:  # Kraken's, by names of ccxt
                names = {"rest_url": "rest", "ws_url": "ws", "ws_api_url": "ws_api"}
                at = {name: at[each] for name, each in names.items()}
                at["private_rest_url"] = at["rest_url"]
            return {name: url for name, url in at.items() if name.endswith("_url")}
        if self.usdm:
            stream = f"{ws}/fstream"
            own = {"ws_url": f"{stream}/public/stream", "private_ws_url": stream, "ws_api_url": ws}
        elif self.venue == VENUE:
            own = {"ws_url": ws, "ws_api_url": f"{ws}/ws-api/v3"}
        else:
            own = {"ws_url": ws, "ws_api_url": ws}
        return {"rest_url": rest, "private_rest_url": rest, **own}

    def key_text(self) -> str:
        """A key file of the demo account."""
        if self.name == "okx":
            return okx_key_text()
        key = self._key()
        head = f"venue = '{self.venue}'\naccount = '{self.account}'\nnetwork = '{self.network}'\n"
        if key.kind == "secp256k1":
            return f"{head}private_key = '0x{key.secret.reveal()}'\n"
        name = "secret" if key.kind == "hmac" else "private_key"
        return f"{head}id = '{key.id.reveal()}'\n{name} = '''{key.secret.reveal()}'''\n"

    def _key(self) -> ApiKey:
        if self.name == "kraken":
            return kraken_key()
        if self.name == "hyperliquid":
            return hyper_key()
        return demo_key("ed25519" if self.name in {"spot", "usdm"} else "hmac")

    def rules_text(self) -> str:
        """Trading rules of our own; empty to ask the venue."""
        if self.name == "hyperliquid":
            return HYPER_RULES
        if not self.native:
            return ""
        return _SPOT_RULES.format(venue=self.venue, native=self.native, least=self.least)

    def trade_name(self, fill: Fill) -> str:
        """What the venue calls a fill."""
        if self.name == "kraken":
            return trade_name(fill.trade_id, maker=fill.maker)
        return str(fill.trade_id)


_LEVERAGE: Final = "leverage = 5\n"
MARKETS: Final = {
    each.name: each
    for each in (
        Market("spot", VENUE),
        Market("usdm", "binance-usdm", f"{SYMBOL}:USDT", usdm=True, settings=_LEVERAGE),
        Market("ccxt", "ccxt-binance", native="BTCUSDT"),
        Market(
            "okx",
            "okx",
            side="okx",
            native="BTC-USDT",
            least=0,
            account=OKX_ACCOUNT,
            network="demo",
        ),
        Market(
            "bybit",
            "bybit-spot",
            side="bybit",
            native="BTCUSDT",
            faults=("taken-lost=0.05",),
        ),
        Market("kraken", "kraken-spot", side="kraken", native="BTC/USDT", account=KRAKEN_ACCOUNT),
        Market(
            "hyperliquid",
            "hyperliquid",
            "BTC/USDC:USDC",
            "BTC/USDC",
            side="hyperliquid",
            account=hyper_key().account,
            settings=f"{_LEVERAGE}margin_mode = 'isolated'\n",
        ),
    )
}
"""By the name that ``make campaign-kills ARGS="--market …"`` knows."""

"""Our Kraken adapter at the simulated exchange, and a whole micro that trades there."""

from __future__ import annotations

from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from key_kit import write_key
from kraken_kit import SYMBOL, addresses, kraken_config, side_of
from live_desk import ROOMY
from live_desk import Desk as SpotDesk
from spot_kit import LiveBench, demo_key

from citadel_micro.adapters.kraken.orders import VENUE, kraken_adapter
from citadel_micro.shell.instruments.rules import make_instrument
from citadel_micro.shell.keys.api_key import ApiKey
from citadel_micro.simulator.kraken.names import number_of, order_name, trade_name
from citadel_micro.simulator.kraken.records import public_account_id
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.keys.api_key import KeyKind
    from citadel_micro.shell.venue.stream_watch import StreamWatch
    from citadel_micro.simulator.kraken.app import KrakenSpot

ACCOUNT = public_account_id("demo").replace(" ", "")
MARK = "abc123"


def kraken_rules(symbol: str = SYMBOL) -> Instrument:
    """Those of the simulator."""
    return make_instrument(
        venue=VENUE,
        symbol=symbol,
        native=symbol,
        kind="spot",
        tick=Decimal("0.01"),
        lot=Decimal("0.00001"),
        min_quantity=Decimal("0.00001"),
        min_notional=Decimal(5),
        fees=(Decimal("0.001"), Decimal("0.001")),
        fee_side="quote",
    )


def kraken_key(kind: KeyKind = "hmac") -> ApiKey:
    """The demo account's, as a key file of Kraken has it."""
    key = demo_key(kind)
    return ApiKey(
        venue=VENUE,
        account=ACCOUNT,
        network="mainnet",
        kind=kind,
        id=key.id,
        secret=key.secret,
        passphrase=key.passphrase,
        file="key.toml",
    )


class KrakenBench(LiveBench):
    """An adapter, what it reports, and the exchange behind it."""

    venue = VENUE
    symbol = SYMBOL
    mark = MARK

    def make(
        self,
        *,
        key: ApiKey | None = None,
        watch: StreamWatch | None = None,
        renew_s: float = 3_600.0,
    ) -> None:
        at = addresses(self.server)
        adapter = kraken_adapter(
            self.setup(),
            key or kraken_key(),
            rest_url=at["rest"],
            ws_url=at["ws_api"],
            watch=watch,
            renew_s=renew_s,
        )
        self.run(adapter)

    async def touch(self) -> tuple[int, int]:
        book = self.side.exchange._feed.book(SYMBOL)
        return book.bids[-1], book.asks[0]

    def theirs(self, client_id: str) -> str:
        """Our client id as the venue has it."""
        return self.adapter.ids.theirs(client_id)

    @property
    def side(self) -> KrakenSpot:
        return side_of(self.server)

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return self.side.exchange


@asynccontextmanager
async def kraken_bench(*faults: str, **settings: Any) -> AsyncIterator[KrakenBench]:  # noqa: ANN401
    """A bench whose adapter is not started."""
    async with SimulatorServer(kraken_config(*faults, **settings)) as server:
        bench = KrakenBench(server, kraken_rules())
        try:
            yield bench
        finally:
            if bench.adapter is not None:
                await bench.adapter.released()


class KrakenDesk(SpotDesk):
    """A micro in live mode, and the Kraken that it trades on."""

    venue = VENUE
    symbol = SYMBOL
    timed = True

    async def start(self) -> None:
        key = kraken_key()
        text = (
            f"venue = '{VENUE}'\naccount = '{ACCOUNT}'\nnetwork = 'testnet'\n"
            f"id = '{key.id.reveal()}'\nsecret = '{key.secret.reveal()}'\n"
        )
        at = addresses(self.server)
        await self.launch(
            self.beginning(ACCOUNT, reconcile="[reconcile]\ninterval_s = 2\n")
            + f"[venues.{VENUE}]\nnetwork = 'testnet'\nsymbols = ['{SYMBOL}']\n{self.of_venue}"
            f"key_file = '{write_key(self.folder / 'keys', text)}'\n"
            f"rest_url = '{at['rest']}'\nws_url = '{at['ws']}'\n"
            f"private_rest_url = '{at['rest']}'\nws_api_url = '{at['ws_api']}'\n{ROOMY}"
        )

    @property
    def exchange(self) -> Any:  # noqa: ANN401 - the simulator's own
        return side_of(self.server).exchange

    def books_agree(self) -> None:
        """Fills, coins and cash of micro are those of the exchange, to the last unit."""
        engine = self.micro.engine
        theirs = sorted(
            (order_name(fill.order_id), trade_name(fill.trade_id, maker=fill.maker))
            for fill in self.exchange.my_trades("demo", SYMBOL, limit=10_000)
        )
        ours = sorted(
            (child.venue_order_id, fill.trade_id)
            for parent in engine.order_store.known.values()
            for child in parent.children
            for fill in child.fills
        )
        assert ours == theirs
        assert all(number_of(order_id, "O") for order_id, _ in ours)
        assert not self.exchange.open_orders("demo")
        self.coins_agree()

"""Every table and key of micro's configuration, with its default."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from citadel_bridge.addresses import DEFAULT_COMMAND_SIGNALS, DEFAULT_MARKET, DEFAULT_SIGNALS
from citadel_micro.core.model.account_events import MarginMode  # noqa: TC001 - pydantic reads it
from citadel_micro.shell.config.risk_section import RiskSection, risk_limits
from citadel_micro.shell.config.section import (
    Account,
    Address,
    Addresses,
    HttpUrl,
    KeyPath,
    Names,
    PrivateHttpUrl,
    PrivateWsUrl,
    Section,
    WsUrl,
)
from citadel_micro.shell.config.sharding import is_shard
from citadel_micro.shell.keys.api_key import Network  # noqa: TC001 - pydantic reads the annotations
from citadel_micro.sim.faults import SCENARIOS, Faults, scenario

if TYPE_CHECKING:
    from citadel_micro.core.model.risk_limits import RiskLimits

HTTP_PORT_DEFAULT: Final = 5580
WATCHDOG_PORT_DEFAULT: Final = 5581
DEFAULT_VENUE: Final = "binance-spot"


class BridgeSection(Section):
    """The two ZeroMQ channels."""

    macros: Addresses = Field(default=[DEFAULT_SIGNALS])
    """Where macros publish signals; several may be named."""
    command_lines: Addresses = Field(default=[DEFAULT_COMMAND_SIGNALS])
    """Where the command line publishes signals."""
    market: Address = DEFAULT_MARKET
    """Where micro publishes reports, books and heartbeats."""
    lane: Path | None = None
    """Unix socket for macros on this machine, by which signals and reports go as well, sooner than by
    ZeroMQ: an absolute path in a folder that nobody else may write to, named in the macros' `lanes`
    too. Linux only."""
    keys: Path | None = None
    """Folder of CURVE keys (`citadel keys make DIR`). Required for any address that is not
    loopback."""
    shard: str = ""
    """As one of several micros for the same macros: `own` takes orders on the pairs of this
    configuration and leaves all others to the other micros; `2/3` the same, of the second of three
    shares of these pairs. Empty for a micro that is alone, which rejects what it does not know."""
    macro_required: bool = False
    """Whether /healthz is unhealthy until a macro's heartbeat is received."""
    book_levels: int = Field(default=20, ge=1, le=1_000)
    """Levels of each side in a published book."""
    book_interval_ms: int = Field(default=100, ge=1, le=60_000)
    """Minimum time between two published books of one symbol; changes in between are conflated."""

    @field_validator("shard")
    @classmethod
    def _share(cls, value: str) -> str:
        if not is_shard(value):
            raise ValueError('must be "own", or K/N with K up to N: 2/3 is the second of three')
        return value


class VenueSection(Section):
    """One venue: where its public data is, and what to follow."""

    symbols: Names = Field(default=["BTC/USDT", "ETH/USDT"], min_length=1)
    """Unified symbols to follow and trade."""
    on_demand: Names = Field(default=[])
    """Further symbols that may be traded, each followed only while a macro names it (for Freqtrade's
    pair lists that change). Patterns such as `*/USDT` stand for all that the venue lists at the
    start. On paper everywhere; live at `binance-spot` and
    `kraken-spot`."""
    on_demand_most: int = Field(default=40, ge=1, le=500)
    """Followed at once of `on_demand`. More are refused until others leave."""
    rest_url: HttpUrl | None = None
    """REST root; the venue's own by default, a simulator's `http://HOST:PORT` otherwise."""
    ws_url: WsUrl | None = None
    """Websocket root; the venue's own by default, a simulator's `ws://HOST:PORT` otherwise."""
    network: Network = "mainnet"
    """Whose hosts are used where no address is given: `testnet` and `demo` have worthless money,
    and books of their own."""
    key_file: KeyPath | None = None
    """File of the API key that trades, for `mode = "live"`; a private file, see go-live.md."""
    watchdog_key_file: KeyPath | None = None
    """File of a second API key of the same account, with which the watchdog cancels."""
    timer_beside_foreign: bool = False
    """Arm the venue's timer, which cancels when micro falls silent, although it would then cancel orders
    of others as well: those of the same symbol, or of the account, as the venue has it. Otherwise
    entries are denied (`VENUE_DMS_NOT_ARMED`) as long as others have orders there."""
    private_rest_url: PrivateHttpUrl | None = None
    """REST root of signed requests instead of the venue's own; without TLS on loopback only."""
    ws_api_url: PrivateWsUrl | None = None
    """Websocket of signed requests instead of the venue's own; without TLS on loopback only."""
    private_ws_url: PrivateWsUrl | None = None
    """Websocket root of the account's stream instead of the venue's own, where that is another one
    (Binance USD-M); a simulator's `ws://HOST:PORT/fstream`."""
    leverage: int = Field(default=1, ge=1, le=125)
    """Of every symbol of a futures venue, set there before the first order; a signal may ask for this
    or less."""
    margin_mode: MarginMode = "isolated"
    """The same: each position has margin of its own (`isolated`), or the whole wallet (`cross`)."""
    shared_account: bool = False
    """Another micro trades derivatives of the same account: its orders' fills are not counted as
    ours. Without it a second micro on one derivative position halts the symbol."""
    instruments_file: Path | None = None
    """Trading rules from a file instead of the venue's list, for the symbols that it has."""
    start_timeout_s: float = Field(default=60.0, gt=0, le=3_600)
    """How long to wait at the start for a venue that does not answer, where no list of its
    instruments is stored, or `rest_url` is given."""

    @property
    def most_symbols(self) -> int:
        """Symbols followed at once, at most."""
        return len(self.symbols) + (self.on_demand_most if self.on_demand else 0)


def _contract_sizes(value: dict[str, float]) -> dict[str, float]:
    for symbol, size in value.items():
        if not 0 < size < float("inf"):
            raise ValueError(f"{symbol} is {size}; must be greater than 0")
    return value


class ReferenceSection(Section):
    """One venue that provides reference books only: market data, no orders."""

    symbols: Names = Field(min_length=1)
    """Unified symbols to follow."""
    rest_url: HttpUrl | None = None
    """REST root instead of the venue's own."""
    ws_url: WsUrl | None = None
    """Websocket root instead of the venue's own."""
    contract_sizes: Annotated[dict[str, float], AfterValidator(_contract_sizes)] = Field(default={})
    """Base units of one contract by symbol, of inverse contracts quote units, where it is not 1."""


_LONGEST_MS = 120_000


class PaperSection(Section):
    """The paper venue: how orders would have filled."""

    seed: int = Field(default=1, ge=0, lt=2**63)
    """Seed of latencies and faults; the same seed on the same market gives the same fills."""
    queue_model: Literal["pessimistic", "expected", "optimistic"] = "expected"
    """How fast the queue ahead of our orders shrinks."""
    balances: dict[str, Decimal] = Field(default={"USDT": Decimal(100_000)})
    """Opening balances by currency, used when the run folder holds no account yet."""
    latency_floor_ms: float = Field(default=2.0, ge=0, le=60_000)
    """Minimum one-way latency to the venue."""
    latency_mean_ms: float = Field(default=1.0, ge=0, le=60_000)
    """Mean of the exponential latency on top of the floor, one way."""
    latency_quantiles_ms: list[float] = Field(default=[], max_length=1_000)
    """Measured times from order to acknowledgement at equally likely shares, rising, in place of the
    two above: `citadel paper fit-latency` prints them."""
    fee_token: str = Field(default="", max_length=20)
    """Currency in which fees are taken at a discount while the account has enough of it: BNB."""
    fee_token_discount: Decimal = Field(default=Decimal("0.25"), ge=0, lt=1)
    """Share that it saves. Binance: 0.25 on spot, 0.1 on USD-M futures."""
    fee_token_price: Decimal = Field(default=Decimal(0), ge=0)
    """Its price in the quote currency where its own pair is not among the symbols; 0: unknown, and fees
    are then taken as without it."""
    funding_rates: dict[str, Decimal] = Field(default={})
    """Funding of perpetuals: share of a position's value that a long pays each time, by unified symbol,
    `*` for all others. Public books do not hold the rates; Binance's interest part is 0.0001."""
    funding_interval_h: int = Field(default=8, ge=1, le=24)
    """Hours between two payments, from 0 UTC on."""
    faults: str = "none"
    """Named fault scenario of the venue."""

    @field_validator("faults")
    @classmethod
    def _known_scenario(cls, value: str) -> str:
        if value not in SCENARIOS:
            raise ValueError(f"must be one of {', '.join(sorted(SCENARIOS))}")
        return value

    @field_validator("latency_quantiles_ms")
    @classmethod
    def _rising(cls, value: list[float]) -> list[float]:
        if any(not 0 <= each <= _LONGEST_MS for each in value) or sorted(value) != value:
            raise ValueError("must rise, from 0 to 120000 ms")
        if len(value) == 1:
            raise ValueError("must be two or more")
        return value

    @field_validator("funding_rates")
    @classmethod
    def _small(cls, value: dict[str, Decimal]) -> dict[str, Decimal]:
        for symbol, rate in value.items():
            if not rate.is_finite() or abs(rate) >= 1:
                raise ValueError(f"{symbol} is {rate}; must be between -1 and 1: 0.0001 is 0.01 %")
        return value

    @field_validator("balances")
    @classmethod
    def _real_balances(cls, value: dict[str, Decimal]) -> dict[str, Decimal]:
        for currency, amount in value.items():
            if not amount.is_finite() or amount < 0:
                raise ValueError(f"{currency} is {amount}; must be 0 or more")
        return value

    def fault_model(self) -> Faults:
        """The scenario's probabilities and delays."""
        return scenario(self.faults)


class LiveSection(Section):
    """Settings for `mode = "live"` beside the limits of `[risk]`, which it requires."""

    first_run_cap: Decimal = Field(default=Decimal(50), gt=0, le=10**12)
    """Largest order on a mainnet in the reporting currency, until `citadel live lift-cap`."""
    first_run_total: Decimal = Field(default=Decimal(200), gt=0, le=10**12)
    """Largest exposure on a mainnet, all orders counted as filled, until then."""
    first_run_orders: int = Field(default=10, ge=0, le=1_000_000)
    """Filled orders in the run folder before the cap may be lifted without `--early`."""
    unverified_share: Decimal = Field(default=Decimal("0.1"), gt=0, le=1)
    """Share of `risk.max_order_notional` and of `risk.max_venue_exposure` that holds on venues whose
    execution is unverified (`ccxt-<exchange>`), unless they are named in `risk.max_venue_order_notional`
    and `risk.max_venue_exposure`."""


class WatchdogSection(Section):
    """`citadel watchdog`, which cancels when micro falls silent."""

    silence_s: float = Field(default=10.0, ge=3, le=600)
    """How long micro must be silent, or cut off from its venue, before its orders are canceled."""
    orders: Literal["ours", "all"] = "ours"
    """Cancel this micro's orders, or every open order of the account, also those of others."""
    port: int = Field(default=WATCHDOG_PORT_DEFAULT, ge=0, le=65_535)
    """Port of its own /healthz on 127.0.0.1; 0 takes a free one."""


class InstrumentsSection(Section):
    """The venues' lists of ticks, lots, minimums and fees, and their storage."""

    cache_dir: Path | None = None
    """Folder of the stored lists; by default `instruments` in the run folder."""
    fresh_h: float = Field(default=24.0, ge=0, le=8_760)
    """Age in hours below which a stored list is used at the start without asking the venue. An
    older one is used only where the venue does not answer. A list is also fetched again at this
    interval, of at least 1 hour, while micro runs; changes take effect at the next
    start."""
    fetch_timeout_s: float = Field(default=60.0, gt=0, le=3_600)
    """How long fetching one list may take."""


class ReconcileSection(Section):
    """How often the venue is queried for our orders and holdings, besides the start and every reconnect."""

    interval_s: float = Field(default=60.0, ge=0, le=3_600)
    """Between two comparisons of open orders, fills, balances and positions; 0 for none."""
    retry_s: float = Field(default=2.0, ge=0.1, le=60)
    """After a query that was not answered."""
    audit_s: float = Field(default=15.0, ge=1, le=3_600)
    """A resting order without a report for this long is queried by itself."""


class HttpSection(Section):
    """The server of health, metrics and the page."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=HTTP_PORT_DEFAULT, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    allow_remote: bool = False
    """Permit a host that is not loopback. Health and metrics show positions and have no password; the
    page asks for its token there. Put TLS before it: the token is sent as it is."""
    enabled: bool = True
    """Whether to serve at all."""
    page: bool = True
    """Whether to serve the page, at `/`."""
    token_file: KeyPath | None = None
    """File with the page's token, a private file; by default `page.token` in the run folder, made at
    the first start."""
    hosts: Names = Field(default=[])
    """Names under which browsers reach the server, besides its addresses and `localhost`: any other is
    refused, because it could be a stranger's (DNS rebinding)."""


class AlertsSection(Section):
    """Messages to people when something is wrong, and when it is over."""

    urls_file: Path | None = None
    """File of Apprise URLs, one a line, that only its owner can read; none: no alerts."""
    least: Literal["info", "warning", "critical"] = "warning"
    """Lowest severity that is sent. The end of what was sent is always sent."""
    most_per_hour: int = Field(default=30, ge=1, le=10_000)
    """Bound on messages; critical ones are sent beyond it."""


class JournalSection(Section):
    """The append-only record of everything."""

    fsync: bool = True
    """Wait for the disk before an order is sent. Off is for machines whose disk does not matter."""
    compress: bool = True
    """Compress what no order waits for, which is nearly all: for under half a microsecond of processor time
    per message of the market, 5 to 30 % less disk space, and a quarter where there is no compiled kernel."""
    part_mb: float = Field(default=0.0, ge=0, le=1e6)
    """Go on in a new file at this size, so that ``citadel journal tidy`` can remove the old files of a long
    run. A restart needs the newest file; to recompute a run all of its files are needed. 0: one file a run."""


class LogSection(Section):
    """Log lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is written."""
    format: Literal["auto", "json", "console"] = "auto"
    """`auto` writes for people on a terminal and JSON otherwise."""


def _parameter(value: object) -> object:
    """Environment variables give everything as text."""
    if not isinstance(value, str):
        return value
    if value in {"true", "false"}:
        return value == "true"
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


Param = Annotated[bool | int | float | str, BeforeValidator(_parameter)]


class MicroConfig(BaseModel):
    """Everything that micro can be told; ``load`` merges it from file, variables and command line."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    mode: Literal["paper", "live"] = "paper"
    """`paper`: real public data, simulated fills, no keys. `live`: orders go to the venue, with real
    money on its mainnet; asked for in a file or on the command line, never by a variable."""
    live_account: Account = ""
    """The venue's id of the account, typed again: live runs only where it equals `account` in the
    key file, and what the venue says itself."""
    instance: str = Field(default="micro", pattern=r"^[a-z0-9][a-z0-9-]{0,15}$")
    """Name of this micro, part of its run ids."""
    run_dir: Path = Path("runs/micro")
    """Folder of the journal; one micro at a time."""
    busy_poll: bool = False
    """Never sleep: what arrives is read some 0.1 ms sooner, and orders that are never sent keep the way of an
    order in the processor's caches. Takes a whole core, all the time: only on a machine with a core to spare."""
    bridge: BridgeSection = BridgeSection()
    venues: dict[str, VenueSection] = Field(
        default={DEFAULT_VENUE: VenueSection()}, min_length=1, max_length=1
    )
    """Venues by id; in this version exactly one."""
    reference: dict[str, ReferenceSection] = {}
    """Venues by id whose books are followed, consolidated and compared with, never traded on."""
    instruments: InstrumentsSection = InstrumentsSection()
    paper: PaperSection = PaperSection()
    live: LiveSection = LiveSection()
    watchdog: WatchdogSection = WatchdogSection()
    risk: RiskSection = RiskSection()  # type: ignore[valid-type]  # made from RiskLimits
    reconcile: ReconcileSection = ReconcileSection()
    algorithms: dict[str, dict[str, Param]] = {}
    """Parameters by algorithm, used where a signal names none: `[algorithms.chase_limit]`."""
    http: HttpSection = HttpSection()
    alerts: AlertsSection = AlertsSection()
    journal: JournalSection = JournalSection()
    log: LogSection = LogSection()

    @field_validator("venues", "reference", mode="before")
    @classmethod
    def _venue_ids(cls, value: object) -> object:
        """Shells cannot write ``binance-spot`` in a variable's name; ``binance_spot`` is the same."""
        if not isinstance(value, dict):
            return value
        merged: dict[str, Any] = {}
        for name, section in value.items():
            target = str(name).replace("_", "-")
            old = merged.get(target)
            if isinstance(old, dict) and isinstance(section, dict):
                section = {**old, **section}  # noqa: PLW2901 - one venue, told of in two places
            merged[target] = section
        return merged

    def limits(self) -> RiskLimits:
        """The risk gate's limits."""
        return risk_limits(self.risk)

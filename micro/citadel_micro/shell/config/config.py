"""Configuration of micro: one TOML file, environment overrides, and a default for every key.

Precedence, highest first: command line, environment (``CITADEL_HTTP__PORT=9000``), file, defaults.
A key that does not exist is refused with the nearest one that does; a bad value is reported with
the place it came from. Every duration and size has its unit in its name.
"""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from citadel_bridge.auth import is_local
from citadel_bridge.config import DEFAULT_COMMAND_SIGNALS, DEFAULT_MARKET, DEFAULT_SIGNALS
from citadel_micro.core.algos import algorithm
from citadel_micro.core.algos.base import checked
from citadel_micro.core.model.risk_limits import RiskLimits, paper_defaults
from citadel_micro.shell.config.sources import Origins, explain, from_environment, from_file
from citadel_micro.shell.config.urls import HTTP, WS, url_problem
from citadel_micro.sim.faults import SCENARIOS, Faults, scenario
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HTTP_PORT_DEFAULT: Final = 5580
DEFAULT_VENUE: Final = "binance-spot"

_MILLION: Final = 1_000_000


def _listed(value: object) -> object:
    """Environment variables and options give lists as comma-separated text."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _address(value: str) -> str:
    if not value.startswith(("tcp://", "ipc://")):
        raise ValueError("must start with tcp:// or ipc://")
    return value


def _http_url(value: str) -> str:
    return _url(value, HTTP)


def _ws_url(value: str) -> str:
    return _url(value, WS)


def _url(value: str, schemes: tuple[str, ...]) -> str:
    problem = url_problem(value, schemes)
    if problem:
        raise ValueError(problem)
    return value.rstrip("/")


Address = Annotated[str, AfterValidator(_address)]
Addresses = Annotated[list[Address], BeforeValidator(_listed)]
Names = Annotated[list[str], BeforeValidator(_listed)]


class Section(BaseModel):
    """Base of all tables: no unknown keys, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class BridgeSection(Section):
    """The two ZeroMQ channels."""

    macros: Addresses = [DEFAULT_SIGNALS]
    """Where macros publish signals; several may be named."""
    command_lines: Addresses = [DEFAULT_COMMAND_SIGNALS]
    """Where the command line publishes signals."""
    market: Address = DEFAULT_MARKET
    """Where micro publishes reports, books and heartbeats."""
    keys: Path | None = None
    """Folder of CURVE keys (`citadel keys make DIR`). Required for any address that is not
    loopback."""
    macro_required: bool = False
    """Whether /healthz is unhealthy until a macro's heartbeat is heard."""
    book_levels: int = Field(default=20, ge=1, le=1_000)
    """Levels of each side in a published book."""
    book_interval_ms: int = Field(default=100, ge=1, le=60_000)
    """Least time between two published books of one symbol; what comes between is conflated."""


class VenueSection(Section):
    """One venue: where its public data is, and what to follow."""

    symbols: Names = Field(default=["BTC/USDT", "ETH/USDT"], min_length=1)
    """Unified symbols to follow and trade."""
    rest_url: Annotated[str, AfterValidator(_http_url)] | None = None
    """REST root; the venue's own by default, a simulator's `http://HOST:PORT` otherwise."""
    ws_url: Annotated[str, AfterValidator(_ws_url)] | None = None
    """Websocket root; the venue's own by default, a simulator's `ws://HOST:PORT` otherwise."""
    instruments_file: Path | None = None
    """Trading rules from a file instead of the venue's list, for the symbols that it has."""
    start_timeout_s: float = Field(default=60.0, gt=0, le=3_600)
    """How long to wait at the start for a venue that does not answer, where no list of its
    instruments is stored, or `rest_url` is given."""


def _contract_sizes(value: dict[str, float]) -> dict[str, float]:
    for symbol, size in value.items():
        if not 0 < size < float("inf"):
            raise ValueError(f"{symbol} is {size}; must be greater than 0")
    return value


class ReferenceSection(Section):
    """One venue that only lends its books: market data, no orders."""

    symbols: Names = Field(min_length=1)
    """Unified symbols to follow."""
    rest_url: Annotated[str, AfterValidator(_http_url)] | None = None
    """REST root instead of the venue's own."""
    ws_url: Annotated[str, AfterValidator(_ws_url)] | None = None
    """Websocket root instead of the venue's own."""
    contract_sizes: Annotated[dict[str, float], AfterValidator(_contract_sizes)] = {}
    """Base units of one contract by symbol, of inverse contracts quote units, where it is not 1."""


class PaperSection(Section):
    """The paper venue: how orders would have filled."""

    seed: int = Field(default=1, ge=0, lt=2**63)
    """Seed of latencies and faults; the same seed on the same market gives the same fills."""
    queue_model: Literal["pessimistic", "expected", "optimistic"] = "expected"
    """How fast the orders ahead of ours in the queue go away."""
    balances: dict[str, Decimal] = {"USDT": Decimal(100_000)}
    """Opening balances by currency, used when the run folder holds no account yet."""
    latency_floor_ms: float = Field(default=2.0, ge=0, le=60_000)
    """Least one-way latency to the venue."""
    latency_mean_ms: float = Field(default=1.0, ge=0, le=60_000)
    """Mean of the exponential latency on top of the floor, one way."""
    faults: str = "none"
    """Named fault scenario that the venue plays."""

    @field_validator("faults")
    @classmethod
    def _known_scenario(cls, value: str) -> str:
        if value not in SCENARIOS:
            raise ValueError(f"must be one of {', '.join(sorted(SCENARIOS))}")
        return value

    @field_validator("balances")
    @classmethod
    def _real_balances(cls, value: dict[str, Decimal]) -> dict[str, Decimal]:
        for currency, amount in value.items():
            if not amount.is_finite() or amount < 0:
                raise ValueError(f"{currency} is {amount}; must be 0 or more")
        return value

    def fault_model(self) -> Faults:
        """The scenario's chances and delays."""
        return scenario(self.faults)


class InstrumentsSection(Section):
    """The venues' lists of ticks, lots, minimums and fees, and where they are kept."""

    cache_dir: Path | None = None
    """Folder of the stored lists; `instruments` in the run folder where none is named."""
    fresh_h: float = Field(default=24.0, ge=0, le=8_760)
    """Age in hours below which a stored list is used at the start without asking the venue. An
    older one is used only where the venue does not answer. A list is also fetched anew at this
    interval, of at least 1 hour, while micro runs; what has changed takes effect at the next
    start."""
    fetch_timeout_s: float = Field(default=60.0, gt=0, le=3_600)
    """How long the fetching of one list may take."""


class HttpSection(Section):
    """The health and metrics server."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=HTTP_PORT_DEFAULT, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    allow_remote: bool = False
    """Permit a host that is not loopback. The server shows positions and has no password."""
    enabled: bool = True
    """Whether to serve at all."""


class JournalSection(Section):
    """The append-only record of everything."""

    fsync: bool = True
    """Wait for the disk before an order leaves. Off is for machines whose disk does not matter."""


class LogSection(Section):
    """Log lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is written."""
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


def _risk_section() -> type[Section]:
    """A table with one key per field of ``RiskLimits``; durations in milliseconds."""
    hints = get_type_hints(RiskLimits)
    defaults = paper_defaults()
    table: dict[str, Any] = {}
    for each in dataclasses.fields(RiskLimits):
        value = getattr(defaults, each.name)
        if each.name.endswith("_ns"):
            table[each.name.removesuffix("_ns") + "_ms"] = (
                int,
                Field(default=value // _MILLION, ge=0, le=2**40),
            )
        elif isinstance(value, tuple):
            table[each.name] = (Names, Field(default=list(value)))
        else:
            table[each.name] = (hints[each.name], Field(default=value))
    # A paper run must trade without a macro: its default lease is off, the command line suffices.
    table["lease_required"] = (bool, Field(default=False))
    model: type[Section] = create_model("RiskSection", __base__=Section, **table)
    model.__doc__ = "Limits of the risk gate; what is not named keeps its documented paper figure."
    return model


RiskSection: Final = _risk_section()


def risk_limits(section: BaseModel) -> RiskLimits:
    """The limits that a ``[risk]`` table names. Raises BadInput for a number that cannot be one."""
    changes: dict[str, object] = {}
    for each in dataclasses.fields(RiskLimits):
        if each.name.endswith("_ns"):
            changes[each.name] = getattr(section, each.name.removesuffix("_ns") + "_ms") * _MILLION
        else:
            value = getattr(section, each.name)
            changes[each.name] = tuple(value) if isinstance(value, list) else value
    return paper_defaults(**changes)


class MicroConfig(BaseSettings):
    """Everything that micro can be told."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, env_prefix="CITADEL_"
    )

    mode: Literal["paper"] = "paper"
    """`paper`: real public data, simulated fills, no keys."""
    instance: str = Field(default="micro", pattern=r"^[a-z0-9][a-z0-9-]{0,15}$")
    """Name of this micro, part of its run ids."""
    run_dir: Path = Path("runs/micro")
    """Folder of the journal; one micro at a time."""
    bridge: BridgeSection = BridgeSection()
    venues: dict[str, VenueSection] = Field(
        default={DEFAULT_VENUE: VenueSection()}, min_length=1, max_length=1
    )
    """Venues by id; in this version exactly one."""
    reference: dict[str, ReferenceSection] = {}
    """Venues by id whose books are followed, consolidated and compared with, never traded on."""
    instruments: InstrumentsSection = InstrumentsSection()
    paper: PaperSection = PaperSection()
    risk: RiskSection = RiskSection()  # type: ignore[valid-type]  # made from RiskLimits
    algorithms: dict[str, dict[str, Param]] = {}
    """Parameters by algorithm, used where a signal names none: `[algorithms.chase_limit]`."""
    http: HttpSection = HttpSection()
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values come merged from ``load``, which remembers where each one is from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def limits(self) -> RiskLimits:
        """The risk gate's limits."""
        return risk_limits(self.risk)


def load(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    venue_overrides: Mapping[str, Any] | None = None,
) -> MicroConfig:
    """Read the configuration.

    Args:
        path: TOML file; None takes the defaults.
        environment: variables; none by default, so that a caller says so when it wants the
            process's own.
        overrides: nested values of the command line.
        venue_overrides: values of the command line for the one venue, whichever it is.

    Raises:
        BadInput: everything that is wrong, each with where it is, what is allowed and how to mend
            it.
    """
    origins = Origins()
    merged: dict[str, Any] = {}
    if path is not None:
        origins.add_file(path, from_file(path), merged)
    sections = {
        name for name, field in MicroConfig.model_fields.items() if name not in _scalar_names()
    }
    origins.add_environment(
        from_environment(environment or {}, scalars=_scalar_names(), sections=sections), merged
    )
    origins.add_overrides(overrides or {}, merged)
    if venue_overrides:
        named = merged.get("venues")
        name = next(iter(named), None) if isinstance(named, dict) else None
        origins.add_overrides({"venues": {name or DEFAULT_VENUE: venue_overrides}}, merged)
    try:
        config = MicroConfig(**merged)
    except ValidationError as error:
        raise explain(error, MicroConfig, origins) from error
    _cross_checks(config, origins)
    return config


def _scalar_names() -> set[str]:
    return {"mode", "instance", "run_dir"}


def _cross_checks(config: MicroConfig, origins: Origins) -> None:
    """What no single value shows."""
    if config.http.host not in {"127.0.0.1", "localhost", "::1"} and not config.http.allow_remote:
        raise BadInput(
            f"http.host is {config.http.host}, which is not loopback",
            where=origins.where(("http", "host")),
            allowed="127.0.0.1, ::1, localhost",
            mend="set http.allow_remote = true if the network before it is trusted",
        )
    if config.bridge.keys is None:
        for name in ("market", "macros", "command_lines"):
            value = getattr(config.bridge, name)
            for address in [value] if isinstance(value, str) else value:
                if not is_local(address):
                    raise BadInput(
                        f"bridge.{name} has {address}, which is not loopback, and there are no "
                        "keys",
                        where=origins.where(("bridge", name)),
                        allowed="127.0.0.1, ipc://, or any address with bridge.keys",
                        mend="make keys with `citadel keys make DIR` and set bridge.keys = DIR",
                    )
    for address in config.bridge.macros:
        if address in config.bridge.command_lines:
            raise BadInput(
                f"{address} is both under macros and under command_lines",
                where=origins.where(("bridge", "macros")),
                mend="name it once: what comes from a command line may cancel anybody's order",
            )
    for venue in config.reference:
        if venue in config.venues:
            raise BadInput(
                f"{venue} is both under venues and under reference",
                where=origins.where(("reference", venue)),
                mend=f"a venue that is traded on is compared as well: remove [reference.{venue}]",
            )
    for name, values in config.algorithms.items():
        with _at(origins, "algorithms", name):
            checked(name, algorithm(name).params, values.items())
    with _at(origins, "risk"):
        config.limits()


@contextmanager
def _at(origins: Origins, *location: str) -> Iterator[None]:
    """Say of a BadInput from the core where in the configuration its cause is."""
    try:
        yield
    except BadInput as error:
        raise BadInput(
            error.what, where=origins.where(location), allowed=error.allowed, mend=error.mend
        ) from error

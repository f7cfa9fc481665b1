"""Configuration of a simulator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from citadel_micro.sim.flow_symbols import DEFAULT_SYMBOLS
from citadel_micro.simulator.accounts import DEFAULT_ACCOUNTS, AccountConfig
from citadel_proto.errors import BadInput

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_HISTORY_DAYS = 1500
MAX_DEEP_LEVELS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Deliberate faults, off by default.

    ``drop_depth`` is the share of depth messages (0 to 1) that a connection does not get;
    ``disconnect_every_s`` closes every websocket connection at that age (0: never).
    """

    drop_depth: float = 0.0
    disconnect_every_s: float = 0.0

    def __post_init__(self) -> None:
        """Reject invalid shares and ages."""
        if not 0.0 <= self.drop_depth <= 1.0:
            what = f"drop-depth is {self.drop_depth}"
            raise BadInput(what, where="fault", allowed="a share from 0 to 1")
        if not 0.0 <= self.disconnect_every_s < float("inf"):
            what = f"disconnect-every is {self.disconnect_every_s}"
            raise BadInput(what, where="fault", allowed="seconds, 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """Everything a simulator needs to know.

    ``port`` 0 takes a free one. ``symbols`` are unified names and belong to the synthetic market;
    with ``replay`` the capture says what is traded, and ``seed`` shapes the drawn history only.
    ``warm_minutes`` of virtual market are run before the first client can connect, so that there
    are trades to show. ``deep_levels`` a side lie behind the some hundreds that the synthetic flow
    keeps busy. ``buffer_bytes`` is what a slow client may leave unread before it is
    disconnected.

    ``fault_rules`` are rules of ``fault_rules.py`` as texts. ``weight_limit`` is the request weight
    of an address in a minute, ``orders_10s`` and ``orders_day`` what an account may have of
    unfilled orders; ``session_s`` is the age at which a private connection is cut.

    ``futures`` serves Binance USD-M beside spot: the same symbols, in a synthetic market of its own
    around the same prices. ``funding_s`` is how often funding is exchanged, ``listen_key_s`` the life of
    a listen key; the limits are as above.

    ``venues`` are served beside Binance, each with a market of its own likewise (``venues.py``).
    """

    host: str = "127.0.0.1"
    port: int = 0
    allow_remote: bool = False
    seed: int = 1
    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    history_days: int = 60
    replay: Path | None = None
    replay_loop: bool = True
    warm_minutes: int = 2
    deep_levels: int = 0
    buffer_bytes: int = 4 * 1024 * 1024
    faults: Faults = Faults()
    fault_rules: tuple[str, ...] = ()
    accounts: tuple[AccountConfig, ...] = DEFAULT_ACCOUNTS
    weight_limit: int = 6000
    orders_10s: int = 100
    orders_day: int = 200_000
    session_s: float = 86_400.0
    futures: bool = False
    futures_weight_limit: int = 2400
    futures_orders_10s: int = 300
    futures_orders_minute: int = 1200
    funding_s: int = 28_800
    listen_key_s: float = 3600.0
    venues: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be served.

        Raises:
            BadInput: for a host that others can reach without ``allow_remote``, and for a port or
                a number of days out of range.
        """
        if self.host not in LOOPBACK and not self.allow_remote:
            what = f"host {self.host!r} can be reached from other machines"
            raise BadInput(
                what,
                where="--host",
                allowed=", ".join(LOOPBACK),
                mend="add --allow-remote if that is what you want",
            )
        if not 0 <= self.port <= 65_535:  # noqa: PLR2004 - TCP
            what = f"port {self.port} does not exist"
            raise BadInput(what, where="--port", allowed="0 (any free port) to 65535")
        if not 0 <= self.history_days <= MAX_HISTORY_DAYS:
            what = f"{self.history_days} days of history"
            raise BadInput(what, where="--history-days", allowed=f"0 to {MAX_HISTORY_DAYS}")
        for name, limit in (
            ("--weight-limit", self.weight_limit),
            ("--order-limit", self.orders_10s),
            ("orders_day", self.orders_day),
            ("futures_weight_limit", self.futures_weight_limit),
            ("futures_orders_10s", self.futures_orders_10s),
            ("futures_orders_minute", self.futures_orders_minute),
        ):
            if limit < 1:
                raise BadInput(f"a limit of {limit}", where=name, allowed="1 or more")
        if self.futures and self.replay is not None:
            what = "futures cannot be replayed from a capture of spot"
            raise BadInput(what, where="--futures", mend="leave out --futures or --replay")
        if self.venues and self.replay is not None:
            what = "only Binance spot can be replayed from a capture"
            raise BadInput(what, where="--venues", mend="leave out --venues or --replay")
        if self.funding_s < 1:
            what = f"funding every {self.funding_s} seconds"
            raise BadInput(what, where="--funding-interval", allowed="1 or more")
        if not 0 <= self.deep_levels <= MAX_DEEP_LEVELS:
            what = f"{self.deep_levels} deep levels"
            raise BadInput(what, where="--deep-levels", allowed=f"0 to {MAX_DEEP_LEVELS}")
        if self.warm_minutes < 0:
            what = f"{self.warm_minutes} minutes to warm up"
            raise BadInput(what, where="warm_minutes", allowed="0 or more")

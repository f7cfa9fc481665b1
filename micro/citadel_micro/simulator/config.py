"""What a simulator is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from citadel_micro.sim.flow_symbols import DEFAULT_SYMBOLS
from citadel_proto.errors import BadInput

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_HISTORY_DAYS = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Faults on purpose, off by default.

    ``drop_depth`` is the share of depth messages (0 to 1) that a connection does not get;
    ``disconnect_every_s`` closes every websocket connection at that age (0: never).
    """

    drop_depth: float = 0.0
    disconnect_every_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse shares and ages that mean nothing."""
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
    are trades to show. ``buffer_bytes`` is what a slow client may leave unread before it is
    disconnected.
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
    buffer_bytes: int = 4 * 1024 * 1024
    faults: Faults = Faults()

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
        if self.warm_minutes < 0:
            what = f"{self.warm_minutes} minutes to warm up"
            raise BadInput(what, where="warm_minutes", allowed="0 or more")

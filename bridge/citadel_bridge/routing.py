"""Which of the connected micros an order or a query is for, and whether it may be sent now.

Every micro receives what macro publishes. Of several, each takes the orders on its own pairs, which its
heartbeats name, so that one that is silent harms nothing but its own pairs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from citadel_bridge.errors import ClockSkew, MicroUnavailable
from citadel_proto.messages import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from citadel_bridge.config import ConnectorConfig
    from citadel_bridge.micro_state import Peer
    from citadel_bridge.read_api import MicroView

_S: Final = 1_000_000_000
_CHECK_S: Final = 0.01


class Routing:
    """The routes of one connector.

    Args:
        view: what is known of the micros.
        config: settings of the connector.
        instance: its name.
        settling: seconds that the first connections may still take; 0 later on.
    """

    def __init__(
        self,
        view: MicroView,
        config: ConnectorConfig,
        instance: str,
        settling: Callable[[], float],
    ) -> None:
        self._view = view
        self._config = config
        self._instance = instance
        self._settling = settling
        self._where = ", ".join(config.market)

    def require(self, venue: str = "", symbol: str = "", *, reduce_only: bool = True) -> None:
        """Check that a micro takes orders on a pair of us; without one, that any micro does.

        Raises:
            MicroUnavailable: none is connected, it takes none of us, or more than one would.
            ClockSkew: its clock differs too much for new risk.
        """
        peers = self._serving(venue, symbol)
        if all(peer.schema != SCHEMA_VERSION for peer in peers):
            raise MicroUnavailable(
                f"micro at {self._where} speaks schema {peers[0].schema}, this process "
                f"{SCHEMA_VERSION}; run the same release on both sides"
            )
        for peer in peers:
            if peer.refuses_us and (venue or len(peers) == 1):
                raise MicroUnavailable(
                    f"micro at {self._where} rejects orders of this process, {self._instance}: "
                    f"{peer.refuses_us}"
                )
        if venue:
            self._require_one(peers, venue, symbol)
        skew = min((peer.meter.skew_ns for peer in peers), key=abs)
        if not reduce_only and abs(skew) > self._config.skew_refuse * _S:
            raise ClockSkew(
                f"the clock of micro at {self._where} differs by {skew / _S:+.3f} s, more than "
                f"{self._config.skew_refuse:g} s: no new risk until the clocks are set"
            )

    def asked(self, venue: str = "", symbol: str = "", holder: str = "") -> frozenset[str]:
        """Whose answers a query needs; none: the first answer, where there is only one micro.

        Args:
            venue: of the order or orders; empty for all.
            symbol: likewise.
            holder: the micro that has reported the order last, whichever pairs it takes by now.

        Raises:
            MicroUnavailable: one that is needed is silent.
        """
        if len(self._config.market) == 1 and len(self._view.micros()) <= 1:
            return frozenset()
        self._wait(lambda: len(self._view.micros()) >= len(self._config.market))
        peers = self._serving(venue, symbol)
        if symbol and not any(peer.serves for peer in peers):
            self._require_all()
        kept = self._held_by(holder, peers)
        if kept is None:
            raise MicroUnavailable(f"{holder}, which has reported this order, is silent")
        return frozenset(peer.instance for peer in [*peers, *kept])

    def deniers(self, venue: str, symbol: str, holder: str = "") -> frozenset[str]:
        """Micros that must say that there is no such order before that is believed; none: no answer is enough."""
        peers = self._view.serving(venue, symbol)
        told = any(peer.serves for peer in peers)
        if not told and len(self._view.serving("")) < len(self._config.market):
            return frozenset()  # the one that is silent may have it
        kept = self._held_by(holder, peers)
        return frozenset() if kept is None else frozenset(peer.instance for peer in [*peers, *kept])

    def silent(self) -> list[str]:
        """The micros that are not connected: by name, or by number where that is not known."""
        alive = {peer.micro for peer in self._view.peers()}
        names = sorted(self._view.micros().keys() - alive)
        unknown = len(self._config.market) - len(alive) - len(names)
        return [*names, *([f"{unknown} never connected"] if unknown > 0 else [])]

    def _serving(self, venue: str, symbol: str) -> Sequence[Peer]:
        self._wait(lambda: self._view.serving(venue, symbol))
        peers = self._view.serving(venue, symbol)
        if peers:
            return peers
        if not self._view.peers():
            raise MicroUnavailable(
                f"no heartbeat of micro at {self._where} for {self._config.dead_after:g} s; "
                "is it running? citadel micro"
            )
        raise MicroUnavailable(
            f"no connected micro takes orders on {' '.join(filter(None, (venue, symbol)))}; connected: "
            f"{', '.join(sorted(p.instance for p in self._view.peers()))}; silent: "
            f"{', '.join(self.silent()) or 'none'}"
        )

    def _held_by(self, holder: str, peers: Sequence[Peer]) -> list[Peer] | None:
        """Who has reported an order, if that is none of these peers; None while it is silent.

        After a restart with the run folder of another one, who takes a pair is not who has its orders.
        """
        if not holder or holder in {peer.micro for peer in peers}:
            return []
        known = self._view.micros().get(holder)
        if known is None:  # it has another name by now
            return []
        return (
            [known] if any(peer.instance == known.instance for peer in self._view.peers()) else None
        )

    def _wait(self, condition: Callable[[], object]) -> None:
        """Wait while the first connections may still come about."""
        until = time.monotonic() + self._settling()
        while not condition() and time.monotonic() < until:
            time.sleep(_CHECK_S)

    def _require_one(self, peers: Sequence[Peer], venue: str, symbol: str) -> None:
        names = sorted({peer.micro for peer in peers if peer.serves})
        if len(names) > 1:
            raise MicroUnavailable(
                f"{' and '.join(names)} both take orders on {venue} {symbol}, which would be worked twice; "
                "leave the pair to one of them"
            )

    def _require_all(self) -> None:
        silent = self.silent()
        if silent:
            raise MicroUnavailable(
                f"not every micro is connected ({', '.join(silent)}), and any of them may know it"
            )

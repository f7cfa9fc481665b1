"""Puts the private side of a market together: accounts, keys, limits, faults."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from citadel_micro.simulator.accounts import AccountConfig
from citadel_micro.simulator.fault_rules import FaultRules
from citadel_micro.simulator.keys import KeyRing
from citadel_micro.simulator.private.service import Service
from citadel_micro.simulator.private.venue import Venue
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.sim.exchange.exchange import Exchange
    from citadel_micro.sim.flow_feed import FeedEvent
    from citadel_micro.simulator.config import SimulatorConfig
    from citadel_micro.simulator.keys import Permission
    from citadel_micro.simulator.private.method import Method
    from citadel_micro.simulator.private.user_streams import UserStreams
    from citadel_micro.simulator.private.venue import OrderLimit
    from citadel_micro.simulator.weights import RequestWeights


@dataclass(slots=True)
class Membership:
    """Who may trade at a simulator, on all its markets: accounts, their keys, and the faults."""

    accounts: dict[str, AccountConfig]
    ring: KeyRing = field(default_factory=KeyRing)
    faults: FaultRules = field(default_factory=FaultRules)

    @classmethod
    def of(cls, config: SimulatorConfig) -> Membership:
        """Read a configuration.

        Raises:
            BadInput: for an account or a key that is there twice, and a fault that cannot be read.
        """
        members = cls({}, faults=FaultRules(seed=config.seed))
        for account in config.accounts:
            if account.name in members.accounts:
                raise BadInput(f"account {account.name!r} is there twice", where="accounts")
            members.accounts[account.name] = account
            for key in account.all_keys:
                members.ring.add(key)
        members.faults.extend(config.fault_rules)
        return members


class PrivateSide:
    """The private side of one market.

    ``catch_up`` moves the market to now and publishes what happens; ``publish`` sends public
    events.
    """

    def __init__(
        self,
        exchange: Exchange,
        members: Membership,
        weights: RequestWeights,
        streams: UserStreams,
        *,
        limits: tuple[OrderLimit, ...],
        permission: Permission,
        methods: Callable[[Venue], Mapping[str, Method]],
        clock_ns: Callable[[], int],
        catch_up: Callable[[], None],
        publish: Callable[[list[FeedEvent]], None],
    ) -> None:
        """Serve an exchange whose accounts are open."""
        self._exchange = exchange
        self._publish = publish
        self.accounts = members.accounts
        self.streams = streams
        self.venue = Venue(
            exchange=exchange,
            ring=members.ring,
            faults=members.faults,
            weights=weights,
            limits=limits,
            later=self._later,
            inject=streams.publish,
        )
        streams.venue = self.venue
        self.service = Service(
            self.venue,
            streams,
            clock_ns,
            catch_up,
            self.settle,
            methods=methods(self.venue),
            permission=permission,
        )

    def settle(self) -> None:
        """Publish what doors of the exchange made: trades to all, events to their accounts."""
        self._publish(self._exchange.take_public())
        for event in self._exchange.drain():
            self.streams.publish(event)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        def run() -> None:
            self.service.catch_up()
            act()
            self.settle()

        asyncio.get_running_loop().call_later(seconds, run)

"""Macro's end of both channels: what is opened for one connector, and closed with it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import zmq

from citadel_bridge.auth import KeyStore
from citadel_bridge.channels import Publisher
from citadel_bridge.interest import Interest
from citadel_bridge.interrupts import interrupts_held
from citadel_bridge.lane_ends import LaneEnds
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.zap import ZapGuard
from citadel_proto import topics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_bridge.config import ConnectorConfig
    from citadel_bridge.readers import Sink


class Channels:
    """The bound publisher of signals, and the reader of every micro.

    Args:
        config: settings of the connector.
        stamp: names the sender in every message.
        answers: topic of the answers to it.
        sink: receives the frames, in the reader's thread.

    Raises:
        BadInput, Refused, PortTaken: from the keys and the sockets; nothing is left open then.
    """

    def __init__(
        self, config: ConnectorConfig, stamp: Mapping[str, Any], answers: bytes, sink: Sink
    ) -> None:
        self._parts = ExitStack()
        try:
            with interrupts_held():
                self._open(config, stamp, answers, sink)
        except BaseException:
            self.close()
            raise

    def _open(
        self, config: ConnectorConfig, stamp: Mapping[str, Any], answers: bytes, sink: Sink
    ) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._parts.callback(context.term)
        self.zap: ZapGuard | None = None
        keys = None
        if config.keys is not None:
            keys = KeyStore(config.keys).server(config.role)
            self.zap = ZapGuard(context, keys.allow, keys.renew)
            self._parts.callback(self.zap.close)
        self.publisher = Publisher(context, config.signals, stamp=stamp, keys=keys)
        self._parts.callback(self.publisher.close)
        if self.zap is not None:
            self.publisher.watched_by(self.zap)
            self.zap.start()
        self.interest = Interest(
            self._subscribe,
            [
                topics.REPORTS,
                topics.exactly(answers),
                topics.RISK,
                topics.FEEDS,
                topics.exactly(topics.HEARTBEAT),
            ],
        )
        self.lanes = LaneEnds(config.lanes) if config.lanes else None
        if self.lanes is not None:
            self._parts.callback(self.lanes.close)
            self.publisher.beside = self.lanes.send
        self.reader = SubscriberThread(
            context, config.endpoints(), self.interest.current, sink, lanes=self.lanes
        )
        self._parts.callback(self.reader.close)

    def _subscribe(self, prefixes: frozenset[bytes]) -> None:
        self.reader.subscribe(prefixes)

    def close(self) -> None:
        """Close everything; the address is free afterwards. An interrupt waits until it is."""
        with interrupts_held():
            self._parts.close()

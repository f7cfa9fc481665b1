"""Query and Answer over two one-way channels: by correlation id, asked again until answered."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, TypedDict, Unpack

from citadel_bridge.errors import MicroUnavailable
from citadel_proto.messages import Answer, Query, QueryKind

if TYPE_CHECKING:
    from collections.abc import Callable


class Asked(TypedDict, total=False):
    """What a question may say beside its kind; see ``Query``."""

    signal_id: str
    venue: str
    symbol: str
    since_ns: int
    mine: bool
    working: bool
    cursor: str
    limit: int


class Questions:
    """The questions of one run of macro that somebody is waiting on.

    Args:
        instance: our name, for ids and as the address of the answers.
        epoch: of this run.
        post: publishes a question now, and again until ``withdraw`` or for so many seconds.
        withdraw: stops that.
    """

    def __init__(
        self,
        instance: str,
        epoch: int,
        post: Callable[[Query, float], None],
        withdraw: Callable[[Query], None],
    ) -> None:
        self._instance = instance
        self._epoch = epoch
        self._post = post
        self._withdraw = withdraw
        self._numbers = itertools.count(1)
        self._waiting: dict[str, _Wait] = {}

    def new(self, kind: QueryKind, **asked: Unpack[Asked]) -> Query:
        """Make a question with an id of its own."""
        return Query(
            query_id=f"{self._instance}-q{next(self._numbers)}",
            kind=kind,
            reply_to=self._instance,
            created_ns=time.time_ns(),
            epoch=self._epoch,
            seq=0,
            **asked,
        )

    def ask(self, query: Query, timeout: float, instance: str = "") -> Answer:
        """Publish a question and wait for its answer, of one micro or of any.

        Raises:
            MicroUnavailable: no answer within ``timeout`` s, or one that says it has none.
        """
        wait = self._waiting[query.query_id] = _Wait(instance)
        try:
            self._post(query, timeout)
            wait.event.wait(timeout)
        finally:
            del self._waiting[query.query_id]
            self._withdraw(query)
        if wait.answer is None:
            raise MicroUnavailable(
                f"micro did not answer ({query.kind} query) within {timeout:g} s"
            )
        if wait.answer.error:
            raise MicroUnavailable(
                f"micro could not answer ({query.kind} query): {wait.answer.error}"
            )
        return wait.answer

    def answered(self, answer: Answer) -> None:
        """Take an answer, in the receive thread."""
        wait = self._waiting.get(answer.query_id)
        if wait is not None and wait.instance in ("", answer.instance):
            wait.answer = answer
            wait.event.set()


class _Wait:
    __slots__ = ("answer", "event", "instance")

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self.event = threading.Event()
        self.answer: Answer | None = None

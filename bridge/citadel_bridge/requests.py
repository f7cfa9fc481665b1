"""Query and Answer over two one-way channels: matched by id, sent again until answered."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, TypedDict, Unpack

from citadel_bridge.errors import MicroUnavailable
from citadel_bridge.turns import Waiter
from citadel_proto.messages import Answer, Query, QueryKind

if TYPE_CHECKING:
    from collections.abc import Callable


class QueryFields(TypedDict, total=False):
    """Fields of a query beside its kind; see ``Query``."""

    signal_id: str
    venue: str
    symbol: str
    since_ns: int
    mine: bool
    working: bool
    cursor: str
    limit: int


class PendingQueries:
    """The pending queries of one run of macro.

    Args:
        instance: our name, for ids and as the address of the answers.
        epoch: of this run.
        post: publishes a query now, and again until ``withdraw`` or for so many seconds.
        withdraw: stops that.
        wait: waits for what an answer sets, at most for so many seconds.
    """

    def __init__(
        self,
        instance: str,
        epoch: int,
        post: Callable[[Query, float], None],
        withdraw: Callable[[Query], None],
        wait: Callable[[Waiter, float], object],
    ) -> None:
        self._instance = instance
        self._epoch = epoch
        self._post = post
        self._withdraw = withdraw
        self._wait = wait
        self._numbers = itertools.count(1)
        self._waiting: dict[str, _Wait] = {}

    def new(self, kind: QueryKind, **asked: Unpack[QueryFields]) -> Query:
        """Make a query with an id of its own."""
        return Query(
            query_id=f"{self._instance}-q{next(self._numbers)}",
            kind=kind,
            reply_to=self._instance,
            created_ns=time.time_ns(),
            epoch=self._epoch,
            seq=0,
            **asked,
        )

    def ask(
        self, query: Query, timeout: float, instances: frozenset[str] = frozenset()
    ) -> list[Answer]:
        """Publish a query and wait for the answers of these micros, or without any for the first that comes.

        One that knows the order that is asked about is enough: it is the only one.

        Raises:
            MicroUnavailable: an answer did not come within ``timeout`` s, or has an error.
        """
        wait = self._waiting[query.query_id] = _Wait(query, instances)
        try:
            self._post(query, timeout)
            self._wait(wait.waiter, timeout)
        finally:
            del self._waiting[query.query_id]
            self._withdraw(query)
        answers = [wait.answers[instance] for instance in sorted(wait.answers)]
        found = [answer for answer in answers if wait.is_enough(answer)]
        if found:
            return found
        missing = sorted(instances - wait.answers.keys())
        if missing or not answers:
            who = ", ".join(missing) if len(instances) > 1 else "micro"
            raise MicroUnavailable(
                f"{who} did not answer ({query.kind} query) within {timeout:g} s"
            )
        for answer in answers:
            if answer.error:
                raise MicroUnavailable(
                    f"micro could not answer ({query.kind} query): {answer.error}"
                )
        return answers

    def answered(self, answer: Answer) -> None:
        """Handle an answer, in the thread that reads."""
        wait = self._waiting.get(answer.query_id)
        if wait is not None:
            wait.take(answer)


class _Wait:
    __slots__ = ("_instances", "_query", "answers", "waiter")

    def __init__(self, query: Query, instances: frozenset[str]) -> None:
        self._query = query
        self._instances = instances
        self.waiter = Waiter()
        self.answers: dict[str, Answer] = {}
        """By who gave it."""

    def take(self, answer: Answer) -> None:
        if self._instances and answer.instance not in self._instances:
            return
        self.answers.setdefault(answer.instance, answer)
        if self.is_enough(answer) or self._instances <= self.answers.keys():
            self.waiter.set()

    def is_enough(self, answer: Answer) -> bool:
        return self._query.kind == "order" and answer.found and not answer.error

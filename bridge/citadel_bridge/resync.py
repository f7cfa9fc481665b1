"""Querying everything that may have been missed, in pages, from every micro that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from citadel_bridge.requests import PendingQueries
    from citadel_proto.messages import Answer, Query

PAGE: Final = 200
"""Orders in one page: 5 ms of micro's time, in which it handles nothing else."""


class Resync:
    """The queries of one resync: open orders, and orders changed since a time.

    Locked by its owner.

    Args:
        questions: makes the queries.
    """

    def __init__(self, questions: PendingQueries) -> None:
        self._questions = questions
        self._asked: dict[str, Query] = {}
        self._of: dict[str, str] = {}
        """Query id -> the only micro that it is for; without an entry it is for all."""
        self._followed: set[tuple[str, str]] = set()
        self._answered: dict[str, set[str]] = {}

    def begin(self, since_ns: int) -> tuple[list[str], list[Query]]:
        """Start a new resync; returns the queries that are dropped, and those to send."""
        given_up = list(self._asked)
        self._asked.clear()
        self._of.clear()
        self._followed.clear()
        self._answered.clear()
        new = self._questions.new
        queries = [
            new("orders", mine=True, working=True, limit=PAGE),
            new("orders", mine=True, since_ns=since_ns, limit=PAGE),
        ]
        for query in queries:
            self._asked[query.query_id] = query
        return given_up, queries

    def answered(self, answer: Answer) -> tuple[bool, Query | None]:
        """Handle an answer; returns whether it is one of this resync's, and the next page to query."""
        query = self._asked.get(answer.query_id)
        if query is None or self._of.get(answer.query_id, answer.instance) != answer.instance:
            return False, None
        self._answered.setdefault(answer.query_id, set()).add(answer.instance)
        key = (answer.query_id, answer.instance)
        if not answer.truncated or answer.cursor in ("", query.cursor) or key in self._followed:
            return True, None
        self._followed.add(key)
        page = self._questions.new(
            "orders",
            mine=query.mine,
            working=query.working,
            since_ns=query.since_ns,
            limit=query.limit,
            cursor=answer.cursor,
        )
        self._asked[page.query_id] = page
        self._of[page.query_id] = answer.instance
        return True, page

    def is_complete(self, query_id: str, micros: set[str]) -> bool:
        """Whether every one of these micros, or the one that it was for, has answered a query."""
        only = self._of.get(query_id)
        needed = micros if only is None else {only}
        return needed <= self._answered.get(query_id, set())

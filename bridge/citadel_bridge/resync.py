"""Asking micro for all that may have been missed, in pages, of every micro that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from citadel_bridge.requests import Questions
    from citadel_proto.messages import Answer, Query

PAGE: Final = 200
"""Orders in one page: 5 ms of micro's time, in which it does nothing else."""


class Resync:
    """The questions of one round: what works, and what has changed since a time.

    Locked by its owner.

    Args:
        questions: makes them.
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._asked: dict[str, Query] = {}
        self._of: dict[str, str] = {}
        """Query id -> the only micro that it means; without one it means all."""
        self._followed: set[tuple[str, str]] = set()

    def begin(self, since_ns: int) -> tuple[list[str], list[Query]]:
        """Begin a new round; returns the questions that are given up, and those to be asked."""
        given_up = list(self._asked)
        self._asked.clear()
        self._of.clear()
        self._followed.clear()
        new = self._questions.new
        queries = [
            new("orders", mine=True, working=True, limit=PAGE),
            new("orders", mine=True, since_ns=since_ns, limit=PAGE),
        ]
        for query in queries:
            self._asked[query.query_id] = query
        return given_up, queries

    def answered(self, answer: Answer) -> tuple[bool, Query | None]:
        """Take an answer; returns whether it is one of this round's, and the next page to ask for."""
        query = self._asked.get(answer.query_id)
        if query is None or self._of.get(answer.query_id, answer.instance) != answer.instance:
            return False, None
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

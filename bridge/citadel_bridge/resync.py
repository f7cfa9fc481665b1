"""Querying everything that may have been missed, in pages, from every micro that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_bridge.conclusions import LOCAL
from citadel_bridge.micro_state import micro_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from citadel_bridge.requests import PendingQueries
    from citadel_proto.messages import Answer, ExecutionReport, Query

PAGE: Final = 200
"""Orders in one page: 5 ms of micro's time, in which it handles nothing else."""
UNHEARD_NS: Final = 3_600_000_000_000
"""So far back it looks where no report of a micro is known."""
OVERLAP_NS: Final = 60_000_000_000
"""Before the last report that came: another one may have been lost shortly before it."""


def missed_since_ns(
    reports: Iterable[ExecutionReport], alive: Collection[str], wall_ns: int
) -> int:
    """From when on reports may be missing, of whichever micro has been silent for longest.

    Args:
        reports: that came.
        alive: names of the micros that are connected; those that are gone are not waited for, unless all are.
        wall_ns: our clock.
    """
    last: dict[str, int] = {}
    for report in reports:
        if (
            report.instance != LOCAL
        ):  # else it is a conclusion of ours, which says nothing of what was sent
            micro = micro_of(report.instance)
            last[micro] = max(last.get(micro, 0), report.updated_ns)
    unheard_ns = wall_ns - UNHEARD_NS
    times = [last.get(micro, unheard_ns) for micro in alive or last]
    return min(times, default=unheard_ns) - OVERLAP_NS


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

"""The board of one run, kept up to date while somebody looks, and the frames that viewers are sent.

Work is done in small turns: at most two sections of the page are read at a time, each at its own interval,
so that no turn holds up the loop, on which orders are sent, for long.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.shell.page import sections
from citadel_micro.shell.page.board import Board
from citadel_micro.shell.page.costs import Costs
from citadel_micro.shell.page.headroom import headroom
from citadel_micro.shell.page.history import course_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.shell.ops.health import Vitals
    from citadel_micro.shell.page.board import Row
    from citadel_micro.shell.page.history import History

TICK_S: Final = 0.1
"""A viewer is sent at most ten frames a second."""
BEAT_S: Final = 1.0
"""... and one when nothing has changed, so that a dead connection shows."""
TURNS: Final = 2
"""Sections read in one turn, besides the books that are on a screen."""
BOOKS_S: Final = 1.0
"""How often every book is read, whether or not it is on a screen ..."""
BOOKS_IN_TURN: Final = 60
"""... not more than these at a time."""
MOST_WATCHED: Final = 64
"""Books that one viewer may follow at the full rate."""
MOST_COURSES: Final = 8


@dataclass(slots=True, eq=False)
class Viewer:
    """What one browser has on its screen, and what it has been sent."""

    books: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset()
    """Those of them that came onto the screen since the last frame."""
    courses: dict[str, int] = field(default_factory=dict)
    """Order -> time in ms of the last point that was sent."""
    fills: dict[str, int] = field(default_factory=dict)
    version: int = -1
    """Of the board; -1: nothing was sent yet."""
    curve_ms: int = 0
    curve_thinned: int = -1
    number: int = 0
    sent_s: float = 0.0


class Live:
    """One run, for its viewers.

    Args:
        vitals: the run.
        history: its samples.
        time_s: monotonic, in seconds.
    """

    def __init__(self, vitals: Vitals, history: History, time_s: Callable[[], float]) -> None:
        self._vitals = vitals
        self._history = history
        self._time_s = time_s
        self.board = Board()
        self.viewers: list[Viewer] = []
        self._costs = Costs(vitals)
        self._ended: sections.Ended = {}
        self._turn_s = -1.0
        self._book_rows: dict[str, Row] = {}
        self._books_turn = 0
        self._due: dict[str, float] = {}
        self._sections: dict[str, tuple[float, Callable[[], dict[str, Row] | None]]] = {
            "run": (0.3, lambda: {"": sections.run_row(vitals)}),
            "orders": (0.2, lambda: sections.order_rows(vitals.engine, self._ended)),
            "trips": (0.3, lambda: sections.trip_rows(vitals.engine)),
            "positions": (0.5, lambda: sections.position_rows(vitals)),
            "books": (BOOKS_S, self._books),
            "limits": (1.0, lambda: sections.limit_rows(headroom(vitals.engine))),
            "ended": (1.0, lambda: sections.ended_rows(vitals.engine, self._ended)),
            "macros": (1.0, lambda: sections.macro_rows(vitals)),
            "feeds": (1.0, lambda: sections.feed_rows(vitals)),
            "costs": (2.0, self._cost_rows),
            "balances": (2.0, lambda: sections.balance_rows(vitals.engine)),
            "instruments": (30.0, lambda: sections.instrument_rows(vitals.engine)),
        }

    def refresh(self) -> None:
        """Read what is due, if that was not done within this tick already."""
        now_s = self._time_s()
        if now_s - self._turn_s < TICK_S * 0.9:
            return
        idle = now_s - self._turn_s > 10 * TICK_S  # nobody looked: everything is old
        self._turn_s = now_s
        due = [name for name in self._sections if self._due.get(name, 0.0) <= now_s]
        due.sort(key=lambda name: self._due.get(name, 0.0))
        for name in due if idle else due[:TURNS]:
            every_s, read = self._sections[name]
            self._due[name] = now_s + every_s
            rows = read()
            if rows is not None:
                self.board.put(name, rows)
        self.board.put("depth", self._watched())

    def hurry(self) -> None:
        """A command was executed: what it changes is read in the next turn."""
        for name in ("run", "trips", "orders"):
            self._due[name] = 0.0

    def frame(self, viewer: Viewer) -> dict[str, Any] | None:
        """What this viewer has not seen yet; None when that is nothing."""
        frame: dict[str, Any] = {}
        news = None if viewer.version < 0 else self.board.since(viewer.version)
        whole = news is None
        if news is None:
            news = self.board.since(0) or ({}, {})
            viewer.courses = dict.fromkeys(viewer.courses, 0)
            viewer.fills.clear()
        rows, gone = news
        depth = rows.get("depth", {})
        if viewer.wanted:  # they may stand still, and were not sent to this viewer before
            depth = self.board.rows("depth")
            viewer.wanted = frozenset()
        rows["depth"] = {key: row for key, row in depth.items() if key in viewer.books}
        rows = {name: each for name, each in rows.items() if each}
        if rows:
            frame["set"] = rows
        if gone and not whole:
            frame["gone"] = gone
        viewer.version = self.board.version
        self._add_curve(viewer, frame)
        self._add_courses(viewer, frame)
        now_s = self._time_s()
        if whole:
            frame["whole"] = True
        elif not frame and now_s - viewer.sent_s < BEAT_S:
            return None
        viewer.sent_s = now_s
        viewer.number += 1
        return {
            "n": viewer.number,
            "run": self._vitals.run_id,
            "now": self._vitals.clock.now() // 1_000_000,
            **frame,
        }

    def watch(self, viewer: Viewer, books: list[str] | None, orders: list[str] | None) -> None:
        """A viewer has scrolled, or opened an order."""
        if books is not None:
            shown = frozenset(books[:MOST_WATCHED])
            viewer.wanted = shown - viewer.books
            viewer.books = shown
        if orders is not None:
            viewer.courses = {name: viewer.courses.get(name, 0) for name in orders[:MOST_COURSES]}

    def _watched(self) -> dict[str, Row]:
        """Books that are on somebody's screen, with their depth."""
        rows: dict[str, Row] = {}
        engine = self._vitals.engine
        markets = engine.markets
        for key in {key: None for viewer in self.viewers for key in sorted(viewer.books)}:
            venue, _, symbol = key.partition(":")
            market = markets.get((venue, symbol))
            if market is not None:
                of = (venue, symbol)
                rows[key] = sections.book_row(engine, of, market, levels=sections.LEVELS)
        return rows

    def _books(self) -> dict[str, Row]:
        """All books, of many only some anew in one turn."""
        engine = self._vitals.engine
        keys = [key for key, _ in engine.followed()]
        turns = -(-len(keys) // BOOKS_IN_TURN) or 1
        self._due["books"] = self._turn_s + BOOKS_S / turns
        self._books_turn = (self._books_turn + 1) % turns
        old, self._book_rows = self._book_rows, {}
        for place, key in enumerate(keys):
            name = ":".join(key)
            if place % turns == self._books_turn or name not in old:
                row = sections.book_row(engine, key, engine.markets[key], levels=0)
            else:
                row = old[name]
            self._book_rows[name] = row
        return self._book_rows

    def _cost_rows(self) -> dict[str, Row] | None:
        if not self._costs.turn():
            return None
        return {f"{row['venue']}:{row['symbol']}:{row['algo']}": row for row in self._costs.rows()}

    def _add_curve(self, viewer: Viewer, frame: dict[str, Any]) -> None:
        curve = self._history.curve
        if viewer.curve_thinned != curve.thinned:
            viewer.curve_thinned = curve.thinned
            frame["curve"] = {"whole": True, "points": curve.points}
        elif curve.points and curve.points[-1][0] > viewer.curve_ms:
            points = []
            for point in reversed(curve.points):
                if point[0] <= viewer.curve_ms:
                    break
                points.append(point)
            frame["curve"] = {"points": points[::-1]}
        if curve.points:
            viewer.curve_ms = curve.points[-1][0]

    def _add_courses(self, viewer: Viewer, frame: dict[str, Any]) -> None:
        found: dict[str, Any] = {}
        for order, after_ms in viewer.courses.items():
            parent = self._vitals.engine.order_store.known.get(order)
            if parent is None:
                continue
            course = self._history.courses.get(order)
            fresh = course is not None and course.points and course.points[-1][0] > after_ms
            ended = 1 if parent.terminal else 0
            state = 2 * parent.fills + ended
            if not fresh and viewer.fills.get(order) == state:
                continue
            row = course_row(parent, course, after_ms)
            row["whole"] = not after_ms
            viewer.fills[order] = state
            if course is not None and course.points:
                viewer.courses[order] = course.points[-1][0]
            found[order] = row
        if found:
            frame["courses"] = found

"""The queue of one price level: clients' orders and anonymous size, first come first served."""

from __future__ import annotations

from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from citadel_micro.sim.flow_book import NOBODY, LevelBook, Resting


@settings(max_examples=examples(40, 300))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("put", "join", "leave", "reduce", "take")),
            st.integers(0, 40),
            st.integers(0, 3),
        ),
        max_size=60,
    )
)
def test_a_level_is_always_the_sum_of_its_queue(steps: list[tuple[str, int, int]]) -> None:
    """Against a list of (owner, lots), first come first served, kept by the simplest means."""
    book = LevelBook(0)
    out: dict[int, Resting] = {}
    model: list[list[int]] = []
    for number, (what, lots, which) in enumerate(steps, 1):
        if what == "put":
            _regroup(model, lots)
            book.put("bid", 7, lots)
        elif what == "join" and lots:
            out[number] = Resting(number, "bid", 7, lots)
            book.join(out[number])
            model.append([number, lots])
        elif what in {"leave", "reduce"} and out:
            order_id = sorted(out)[which % len(out)]
            left = 0 if what == "leave" else max(out[order_id].lots - lots, 1)
            next(piece for piece in model if piece[0] == order_id)[1] = left
            if left:
                book.reduce(out[order_id], left)
            else:
                book.leave(out.pop(order_id))
        elif what == "take":
            lots = min(lots, sum(n for _, n in model))  # noqa: PLW2901 - as much as there is
            expected = _taken(model, lots)
            if lots:
                hits = book.take("bid", 7, lots)
                assert _merged(hits) == _merged(expected)
            for owner, part in expected:
                if owner and part and not out[owner].lots:
                    del out[owner]
        model = [piece for piece in model if piece[1]]
        total = sum(n for _, n in model)
        assert book.bid_lots.get(7, 0) == total
        assert book.bids == ([7] if total else [])
        assert book.anonymous("bid", 7) == sum(n for owner, n in model if owner == NOBODY)


def _regroup(model: list[list[int]], lots: int) -> None:
    """What comes stands at the back, what goes is the newest."""
    change = lots - sum(n for owner, n in model if owner == NOBODY)
    if change > 0:
        model.append([NOBODY, change])
    for piece in reversed(model):
        if piece[0] == NOBODY and change < 0:
            gone = min(piece[1], -change)
            piece[1] -= gone
            change += gone


def _taken(model: list[list[int]], lots: int) -> list[tuple[int, int]]:
    hits: list[tuple[int, int]] = []
    for piece in model:
        part = min(piece[1], lots)
        piece[1] -= part
        lots -= part
        if part:
            hits.append((piece[0], part))
    return hits


def _merged(hits: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbouring anonymous pieces are one to everybody."""
    out: list[tuple[int, int]] = []
    for owner, lots in hits:
        if out and owner == NOBODY and out[-1][0] == NOBODY:
            out[-1] = (NOBODY, out[-1][1] + lots)
        else:
            out.append((owner, lots))
    return out

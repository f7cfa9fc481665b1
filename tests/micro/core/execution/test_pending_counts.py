"""What is pending on other instruments is counted again when it changes, and never before it is asked for."""

from __future__ import annotations

import ast
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from engine_kit import KEY, SECOND, VENUE, Rig, config, rules, signal
from hypothesis import given
from hypothesis import strategies as st

import citadel_micro.core
from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.events import OrderFilled
from citadel_micro.core.orders.children import Child
from citadel_micro.core.orders.order_states import ChildEvent, ParentEvent
from citadel_micro.core.orders.orders import Parent
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.model.events import Side
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.orders.instrument_state import InstrumentState

T = TypeVar("T")
SYMBOLS: Final = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
CORE: Final = Path(citadel_micro.core.__path__[0])
COUNTED: Final = {
    "amend_quantity_lots", "cumulative_lots", "filled", "phase", "pending_changes", "quantity_lots",
    "seen_lots", "state", "target", "unbooked", "verdict",
}  # fmt: skip
"""Fields that ``Parent.pending`` is made of, and where a change of them is noted."""
TELL: Final = {"children.py", "orders.py", "instrument_state.py", "order_records.py"}
"""The last one only fills in what was read, before an instrument has it."""


def counted_again(
    states: Mapping[tuple[str, str], InstrumentState], here: InstrumentState
) -> tuple[int, list[tuple[Instrument, int, int]]]:
    """The number of parents, and what is pending elsewhere, from every order."""
    count, rows = 0, []
    for inst in states.values():
        count += len(inst.parents)
        lots = {"buy": 0, "sell": 0}
        for parent in inst.parents:
            lots[parent.signal.side] += parent.pending
        if inst is not here and any(lots.values()):
            rows.append((inst.instrument, lots["buy"], lots["sell"]))
    return count, rows


class Lives:
    """Parents and children on three instruments, changed by whatever may change them."""

    def __init__(self) -> None:
        instruments = {
            (VENUE, symbol): replace(rules(), symbol=symbol, base=symbol[:3]) for symbol in SYMBOLS
        }
        engine = Engine(config(), instruments)
        self.view = engine.view
        self.states = engine.inst_states
        self.parents: list[Parent] = []
        self.fills = 0

    def open(self, symbol: str, side: Side, lots: int) -> None:
        inst = self.states[VENUE, symbol]
        made = signal(f"s{len(self.parents)}", symbol=symbol, side=side, quantity=Decimal(1))
        number = len(self.parents) + 1
        parent = Parent(
            signal=made, instrument=inst.instrument, number=number, own=False, created_ns=0
        )
        parent.retarget(lots)
        parent.step(ParentEvent.ADMIT)  # a parent that is still checked has nothing pending
        inst.admit(parent)
        self.parents.append(parent)
        if lots:
            self.place(parent, lots)

    def place(self, parent: Parent, lots: int) -> None:
        name = f"{parent.id}-{parent.placed}"
        parent.add(
            Child(
                client_id=name,
                price_ticks=600_000,
                quantity_lots=lots,
                post_only=True,
                ioc=False,
                reduce_only=False,
                placed_ns=0,
                expires_ns=0,
                book_seq=1,
                mid_half_ticks=1_200_001,
            )
        )

    def fill(self, child: Child, lots: int, total: int) -> None:
        self.fills += 1
        report = OrderFilled(
            venue=VENUE,
            symbol="",
            client_id=child.client_id,
            trade_id=str(self.fills),
            price_ticks=600_000,
            quantity_lots=lots,
            cumulative_lots=total,
            fee=Decimal(0),
            fee_currency="USDT",
            liquidity="maker",
            exchange_ns=0,
        )
        child.note_fill(report, 0, 1_200_001)

    def check(self) -> None:
        for key, inst in self.states.items():
            said = self.view.standing(*key, "buy", "")
            if said is not None:
                count, rows = counted_again(self.states, inst)
                assert said[3] == count
                assert sorted(said[4], key=str) == sorted(rows, key=str)


def live_once(lives: Lives, data: st.DataObject) -> None:
    """One change, of whatever kind."""
    lots = data.draw(st.integers(0, 120), label="lots")

    def one_of(*among: T) -> T:
        return data.draw(st.sampled_from(among))

    sides: tuple[Side, ...] = ("buy", "sell")
    parent = one_of(*lives.parents) if lives.parents else None
    if parent is None or not data.draw(st.integers(0, 12), label="another"):
        lives.open(one_of(*SYMBOLS), one_of(*sides), lots)
        return
    inst = lives.states[VENUE, parent.signal.symbol]
    changes: list[Callable[[], object]] = [
        lambda: lives.place(parent, lots),
        lambda: parent.step(one_of(*ParentEvent)),
        lambda: parent.rule(one_of(None, ParentEvent.CANCEL)),
        lambda: parent.retarget(lots),
        lambda: one_of(inst.admit, inst.release)(parent),
        parent.recount,
    ]
    if parent.children:
        child = one_of(*parent.children)
        changes += [
            lambda: child.step(one_of(*ChildEvent)),
            lambda: lives.fill(child, lots, one_of(-1, lots, 120)),
            lambda: child.note_total(lots),
            lambda: child.begin_amend(600_001, lots, 0),
            lambda: child.settle_amend(600_001, lots, 0),
            child.no_amend,
            lambda: child.resize(lots),
            lambda: parent.count(child),
        ]
    with suppress(InvariantError):  # it cannot happen to it as it is now, and nothing has changed
        one_of(*changes)()


@given(st.data())
def test_whatever_happens_to_orders_what_is_counted_is_what_counting_again_finds(
    data: st.DataObject,
) -> None:
    lives = Lives()
    for _ in range(data.draw(st.integers(1, 40), label="changes")):
        live_once(lives, data)
        lives.check()


def test_what_did_not_change_is_not_counted_again() -> None:
    lives = Lives()
    for symbol in SYMBOLS[:2]:
        lives.open(symbol, "buy", 10)
    btc, eth = (VENUE, SYMBOLS[0]), (VENUE, SYMBOLS[1])
    first = lives.view.standing(*btc, "buy", "")
    lives.parents[0].retarget(11)  # its own orders are no others'
    again = lives.view.standing(*btc, "buy", "")
    assert first is not None
    assert again is not None
    assert again[4] is first[4]
    assert lives.view.standing(*eth, "buy", "") is not None
    lives.parents[1].retarget(11)
    later = lives.view.standing(*btc, "buy", "")
    assert later is not None
    assert later[4] is not first[4]


def test_of_a_parent_that_is_ending_an_order_counts_until_it_has_ended() -> None:
    lives = Lives()
    for symbol in SYMBOLS[:2]:
        lives.open(symbol, "buy", 10)
    parent = lives.parents[1]
    parent.rule(ParentEvent.CANCEL)
    before = lives.view.standing(VENUE, SYMBOLS[0], "buy", "")
    parent.live[0].step(ChildEvent.REJECTED)
    after = lives.view.standing(VENUE, SYMBOLS[0], "buy", "")
    assert before is not None
    assert after is not None
    assert [row[1] for row in before[4]] == [10]
    assert after[4] == []


def changed_by_hand(path: Path) -> list[str]:
    """Where a module sets a counted field of something else than ``self``, in which the same word is another thing."""
    return [
        f"{path.name}, line {node.lineno}: {ast.unparse(target)}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for whole in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for target in (whole.elts if isinstance(whole, ast.Tuple) else [whole])
        if isinstance(target, ast.Attribute)
        and target.attr in COUNTED
        and not (isinstance(target.value, ast.Name) and target.value.id == "self")
    ]


def test_what_is_counted_changes_where_that_is_noted_alone() -> None:
    paths = sorted(path for path in CORE.rglob("*.py") if path.name not in TELL)
    found = [each for path in paths for each in changed_by_hand(path)]
    assert found == [], "use the methods of Parent and Child, which note it"
    assert changed_by_hand(CORE / "orders" / "order_records.py")  # it would be seen


def test_an_engine_with_orders_notes_their_ends() -> None:
    rig = Rig()
    before = rig.engine.view._open.changes
    rig.send(signal("a"))
    rig.run(SECOND)
    assert rig.engine.view._open.changes > before
    assert rig.engine.inst_states[KEY].pending_changes.count == rig.engine.view._open.changes

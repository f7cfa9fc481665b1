"""Both ways to read levels give the same, and refuse the same."""

from __future__ import annotations

import copy
import json
import math
import pickle
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from citadel_micro.core.marketdata import kernel
from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.journal import records
from citadel_micro.shell.marketdata.decode import DECODE_ERRORS
from citadel_micro.shell.marketdata.levels import PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable

if kernel.COMPILED:
    from citadel_micro.core.marketdata import _levels

    TWINS: list[dict[str, Any]] = [PYTHON, vars(_levels)]
else:
    TWINS = [PYTHON]

KEYS = (b"price", b"qty")
SIDED = {"side_key": b"side", "bid": b"bid", "ask": b"offer"}


def read(
    reader: Callable[..., Any], text: str, args: tuple[bytes, ...], options: dict[str, Any]
) -> tuple[str, Any]:
    """What came out: "ok" and plain lists, or "error"."""
    try:
        found = reader(msgspec.Raw(text.encode()), *args, **options)
    except DECODE_ERRORS:
        return "error", None
    if isinstance(found, tuple):
        return "ok", tuple(list(each) for each in found)
    return "ok", list(found)


def both(name: str, text: str, *args: bytes, **options: Any) -> tuple[str, Any]:  # noqa: ANN401
    """The answer of every twin, which must be one."""
    answers = [read(twin[name], text, args, options) for twin in TWINS]
    assert all(answer == answers[0] for answer in answers), (name, text, answers)
    return answers[0]


digits = st.text("0123456789", min_size=1, max_size=24)
plain = st.builds(
    lambda whole, part, sign: f"{sign}{whole.lstrip('0') or '0'}{'.' + part if part else ''}",
    digits,
    st.just("") | digits,
    st.sampled_from(["", "", "", "-"]),
)
exponents = st.builds(lambda number, e, power: f"{number}{e}{power}", plain,
                      st.sampled_from("eE"), st.integers(-340, 340))  # fmt: skip
numbers = plain | exponents
odd = st.sampled_from(
    [
        "",
        "nan",
        "inf",
        "-inf",
        "+1",
        "01",
        "1.",
        ".5",
        "1_0",
        " 1",
        "1 ",
        "0x1",
        "1e",
        "--1",
        "1e999",
    ]
)


@given(price=numbers | odd, size=numbers | odd, quoted=st.booleans())
@example(price="1000000000000000000", size="0", quoted=True)
@example(price="1000000000000000001", size="-0", quoted=True)
@example(price="9007199254740993", size="0.1000000000000000055511151231257827", quoted=True)
@example(price="0.0000000000000000000000012345678901234567", size="1e-7", quoted=False)
def test_a_number_is_the_float_nearest_to_its_digits(price: str, size: str, quoted: bool) -> None:
    mark = '"' if quoted else ""
    text = f"[[{mark}{price}{mark},{mark}{size}{mark}]]"
    try:
        json.loads(text)
    except ValueError:
        return  # no JSON: msgspec refuses it before anybody reads levels
    answer, found = both("pairs", text)
    if answer == "ok":
        assert found == [(float(price), float(size))]
        assert Decimal(price) > 0
        assert math.isfinite(found[0][1])


level = st.tuples(
    st.integers(1, 10**7).map(lambda ticks: f"{Decimal(ticks) / 100:f}"),
    st.integers(0, 10**9).map(lambda lots: f"{Decimal(lots) / 10**6:f}"),
)
rows = st.lists(level, max_size=40)
space = st.sampled_from([None, 1])


@given(rows=rows, indent=space, more=st.lists(st.sampled_from(["0", 5, None, [1, {"a": "]"}]])))
def test_lists_of_pairs(
    rows: list[tuple[str, str]], indent: int | None, more: list[object]
) -> None:
    exact = [(float(price), float(size)) for price, size in rows]
    text = json.dumps(rows, indent=indent)
    assert both("pairs", text) == ("ok", exact)
    assert both("text_pairs", text) == ("ok", (exact, rows))
    longer = json.dumps([[*row, *more] for row in rows], indent=indent)
    assert both("pairs", longer, more=True) == ("ok", exact)
    assert both("text_pairs", longer, more=True) == ("ok", (exact, rows))
    if more and rows:
        assert both("pairs", longer)[0] == "error"


@given(rows=rows, indent=space, order=st.booleans(), extra=st.booleans())
def test_lists_of_objects(
    rows: list[tuple[str, str]],
    indent: int | None,
    order: bool,
    extra: bool,
) -> None:
    exact = [(float(price), float(size)) for price, size in rows]
    objects: list[dict[str, Any]] = [{"price": price, "qty": size} for price, size in rows]
    if order:
        objects = [dict(reversed(each.items())) for each in objects]
    if extra:
        objects = [{"t": 'a "}', "n": {"x": [1, "]"]}, **each, "z": None} for each in objects]
    text = json.dumps(objects, indent=indent)
    assert both("objects", text, *KEYS) == ("ok", exact)
    sided = [{"side": ("bid", "offer")[at % 2], **each} for at, each in enumerate(objects)]
    text = json.dumps(sided, indent=indent)
    assert both("sides", text, *KEYS, **SIDED) == ("ok", (exact[::2], exact[1::2]))
    bare = ",".join(f'{{"price":{price},"qty": {size}}}' for price, size in rows)
    assert both("text_objects", f"[{bare}]", *KEYS) == ("ok", (exact, rows))


@pytest.mark.parametrize(
    "text",
    [
        "null", "{}", "1", '""', "[1]", "[[]]", "[[1]]", "[[1,2,3]]", '[["1"]]', "[[1,null]]",
        "[[true,1]]", '[["1","x"]]', '[["","1"]]', "[[1,[2]]]", '[{"1":"2"}]', "[[1,2],3]",
        "[[0,1]]", "[[-1,1]]", "[[1,-1]]", "[[1e19,1]]", "[[1,1e19]]", "[[1e400,1]]",
    ],
)  # fmt: skip
def test_what_is_no_list_of_levels_is_refused(text: str) -> None:
    assert both("pairs", text)[0] == "error"
    assert both("text_pairs", text)[0] == "error"


@pytest.mark.parametrize(
    "row",
    [
        '{"price":"1"}', '{"qty":"1"}', "{}", "[]", '{"price":"1","qty":"1","side":"ask"}',
        '{"price":"1","qty":"1"}', '{"price":null,"qty":"1","side":"bid"}',
        '{"price":"1","qty":"1","side":1}', '{"prices":"1","qty":"1","side":"bid"}',
    ],
)  # fmt: skip
def test_what_is_no_list_of_sided_levels_is_refused(row: str) -> None:
    assert both("sides", f"[{row}]", *KEYS, **SIDED)[0] == "error"


def test_digits_in_quotes_are_no_bare_numbers() -> None:
    assert both("text_objects", '[{"price":"1","qty":2}]', *KEYS)[0] == "error"
    assert both("text_objects", '[{"price":1.10,"qty":2}]', *KEYS) == (
        "ok",
        ([(1.1, 2.0)], [("1.10", "2")]),
    )


def test_too_many_digits_are_refused_where_they_are_kept() -> None:
    long = "0." + "1" * 30
    assert both("pairs", f'[["{long}","1"]]')[0] == "ok"
    assert both("text_pairs", f'[["{long}","1"]]')[0] == "error"


@given(cut=st.data())
def test_damaged_json_never_reads_beyond_its_end(cut: st.DataObject) -> None:
    """Only what passed a JSON parser gets here in a feed; anything else must still be safe."""
    text = '[["58000.10","0.500"],["58000.20","1.250"]]'
    at = cut.draw(st.integers(0, len(text)))
    damaged = text[:at] + cut.draw(st.text('[]{}",.:0123456789eE-\\ ', max_size=3)) + text[at + 1 :]
    for twin in TWINS:
        read(twin["pairs"], damaged, (), {})
        read(twin["text_pairs"], damaged, (), {"more": True})
        read(twin["text_objects"], damaged, KEYS, {})
        read(twin["sides"], damaged, KEYS, SIDED)


@pytest.mark.parametrize("twin", TWINS, ids=["python", "compiled"][: len(TWINS)])
def test_levels_are_equal_to_lists_and_journaled_as_such(twin: dict[str, Any]) -> None:
    raw = msgspec.Raw(b'[["1.50","2"],["1.40","0"]]')
    levels, texts = twin["text_pairs"](raw)
    assert levels == [(1.5, 2.0), (1.4, 0.0)]
    assert texts == [("1.50", "2"), ("1.40", "0")]
    assert levels != [(1.5, 2.0)]
    assert (len(levels), levels[0], levels[-1], levels[:1]) == (
        2, (1.5, 2.0), (1.4, 0.0), [(1.5, 2.0)]
    )  # fmt: skip
    assert (max(levels), bool(levels), bool(twin["pairs"](msgspec.Raw(b"[]")))) == (
        (1.5, 2.0), True, False
    )  # fmt: skip
    with pytest.raises(IndexError):
        levels[2]
    assert copy.deepcopy(levels) == levels
    assert pickle.loads(pickle.dumps(levels)) == levels  # noqa: S301 - our own bytes
    update = DepthUpdate("v", "A/B", False, 1, 1, 1, 7, levels, [], 0, 0, (texts, []))
    plain = update._replace(bids=list(levels), texts=(list(texts), []))
    assert records.encode(update) == records.encode(plain)
    assert records.decode_event(records.encode(update)) == update

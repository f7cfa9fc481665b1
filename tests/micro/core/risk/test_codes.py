"""The table of risk codes: complete, told once, and what the reference page says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from citadel_micro.core.risk.codes import CODES, TRAITS, TRIPS
from citadel_proto.reason_codes import RiskCode

REPOSITORY = Path(__file__).resolve().parents[4]
PAGE = (REPOSITORY / "docs" / "reference" / "risk-checks.md").read_text(encoding="utf-8")
SOURCES = [
    *REPOSITORY.glob("proto/citadel_proto/**/*.py"),
    *REPOSITORY.glob("bridge/citadel_bridge/**/*.py"),
    *REPOSITORY.glob("macro/citadel_macro/**/*.py"),
    *REPOSITORY.glob("micro/citadel_micro/**/*.py"),
]
STATES = {"KILLED", "HALTED"}
"""States of a scope are called so as well."""
OF_VENUES = {"paper_rules.py": {"BELOW_MIN"}, "refresher.py": {"BELOW_MIN"}}
"""What a venue answers in its own words, which happen to be ours ..."""
VENUE_ROOMS = {"adapters", "exchange", "simulator", "venue"}
"""... as the modules of these folders do."""


def test_every_code_has_its_traits_in_the_order_of_judgement() -> None:
    assert list(TRAITS) == list(RiskCode)
    assert all(traits.row or traits.trips for traits in TRAITS.values())
    rows = [row for row, _ in CODES]
    assert rows == sorted(rows)
    assert all((traits.trips is None) is (traits.reset is None) for traits in TRAITS.values())


def test_a_code_is_its_text() -> None:
    assert all(code == code.name and hash(code) == hash(code.name) for code in RiskCode)


def test_the_page_lists_every_check_with_its_row_and_marks() -> None:
    told = [
        (int(row), code, mark)
        for row, mark, codes in re.findall(
            r"^\| (\d+)([¹²]?) \| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE
        )
        for code in re.findall(r"`(\w+)`", codes)
    ]
    marks = {
        code: "¹" if TRAITS[code].exits_skip else "²" if TRAITS[code].sliced else ""
        for _, code in CODES
    }
    assert told == [(row, code, marks[code]) for row, code in CODES]


def test_the_page_lists_every_breaker_with_its_state_and_way_back() -> None:
    section = PAGE.split("## Circuit breakers")[1]
    told = {
        code: (state, way.startswith("by hand"))
        for codes, state, way in re.findall(
            r"^\| (`.*?`) \| [^|]+ \| ([A-Z]+) \| (.*) \|$", section, re.MULTILINE
        )
        for code in re.findall(r"`(\w+)`", codes)
    }
    assert told == {
        code: (state, TRAITS[RiskCode(code)].by_hand) for code, (state, _) in TRIPS.items()
    }


def test_no_code_is_written_as_text_elsewhere() -> None:
    again = []
    for path in SOURCES:
        if path.name == "reason_codes.py" or VENUE_ROOMS & set(path.parts):
            continue
        codes = set(RiskCode) - STATES - OF_VENUES.get(path.name, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
                if text in codes:
                    again.append(f"{path.name}:{node.lineno} {text}")
    assert again == []

"""Every public part of the core is reached by the program itself, not by its tests alone.

Safety that nothing calls is none: a breaker that nobody trips, a switch that nobody sets. A part
counts as reached when its name stands somewhere in micro outside of its own definition.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import citadel_micro
from citadel_micro.core.model import commands, events
from citadel_micro.core.model.risk_limits import RiskLimits
from citadel_micro.core.orders.order_states import ChildEvent, ParentEvent
from citadel_micro.core.risk.codes import CODES, TRIPS
from citadel_micro.core.risk.types import RiskRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ROOT: Final = Path(citadel_micro.__file__).parent


@cache
def sources() -> dict[Path, str]:
    """Of every module; not read when tests are collected, in every worker."""
    return {path: path.read_text() for path in sorted(ROOT.rglob("*.py"))}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(sources()[path])


def public_parts() -> Iterator[tuple[str, str]]:
    """(where, name) of every public class, function and method of the core."""
    for path in sources():
        if not path.is_relative_to(ROOT / "core"):
            continue
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ClassDef | ast.FunctionDef):
                continue
            if not node.name.startswith("_"):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.name


def mentions(names: Collection[str]) -> Counter[str]:
    """How often each of these is used: read, called, or given as text (``getattr``)."""
    found: Counter[str] = Counter()
    wanted = re.compile("|".join(map(re.escape, names)))
    for path in (path for path, text in sources().items() if wanted.search(text)):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Name):
                found[node.id] += 1
            elif isinstance(node, ast.Attribute):
                found[node.attr] += 1
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found[node.value] += 1
    return found


def made() -> set[str]:
    """What is called, in all but the modules that define events and commands."""
    own = {Path(events.__file__), Path(commands.__file__)}
    called = re.compile(r"\b(\w+)\(")
    return {
        name for path, text in sources().items() if path not in own for name in called.findall(text)
    }


def asked(name: str) -> bool:
    """Whether a field of a risk request is given by whoever makes one, and read by a check."""
    makers = "".join(
        sources()[ROOT / "core" / "execution" / file]
        for file in ("admission.py", "order_sender.py")
    )
    checks = "".join(text for path, text in sources().items() if path.parent.name == "risk")
    return f"{name}=" in makers and re.search(rf"request\.{name}\b", checks) is not None


@pytest.mark.campaign
def test_every_function_and_class_is_used() -> None:
    parts = list(public_parts())
    used = mentions({name for _, name in parts})
    assert [each for each in parts if not used[each[1]]] == []


def test_every_event_and_command_is_made_by_somebody() -> None:
    kinds = [
        name
        for module in (events, commands)
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]
    called = made()
    assert [name for name in kinds if name not in called] == []


def test_every_breaker_is_tripped_and_every_code_given() -> None:
    """Twice at least: once in its table, and once by whoever gives it."""
    codes = [*TRIPS, *(code for _, code in CODES)]
    used = mentions(codes)
    assert [code for code in codes if used[code] < 2] == []


def test_every_transition_is_taken() -> None:
    names = [member.name for kind in (ChildEvent, ParentEvent) for member in kind]
    table = sources()[ROOT / "core" / "orders" / "order_states.py"]
    elsewhere = "".join(text for text in sources().values() if text is not table)
    assert [name for name in names if not re.search(rf"\.{name}\b", elsewhere)] == []


def test_every_limit_is_compared_with_and_every_question_is_asked() -> None:
    limits = sources()[ROOT / "core" / "model" / "risk_limits.py"]
    elsewhere = "".join(text for text in sources().values() if text is not limits)
    unread = [
        name for name in RiskLimits.__dataclass_fields__ if not re.search(rf"\.{name}\b", elsewhere)
    ]
    assert unread == []
    assert [name for name in RiskRequest.__dataclass_fields__ if not asked(name)] == []

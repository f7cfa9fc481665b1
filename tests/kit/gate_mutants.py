"""Mutants of the gate: every comparison of every check turned round or moved to its boundary.

A mutant is one function of a check's module, compiled with one comparison changed and put in the
place of the original while it is judged by the scenes. One that no scene tells from the original
is a check, or a limit, that nothing proves.
"""

from __future__ import annotations

import ast
import inspect
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType, ModuleType

ROOM = "citadel_micro.core.risk"
MODULES = ("checks_market", "checks_exposure", "checks_margin", "checks_conduct", "budgets")
PLAIN = ("plain_orders", "plain_bounds", "plain_margin")
"""The orders that pass without the checks, with scenes of their own."""
SIZING = "sizing"
"""The step before the gate, with scenes of its own."""
_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_MOVED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}


@dataclass(frozen=True)
class Mutant:
    """One change: function, what was compared, and how it is compared instead."""

    module: str
    function: str
    text: str
    place: int
    """Number of the comparison in its module."""
    operator: int
    """Number of the operator in it: a chain has several."""
    moved: bool

    def __str__(self) -> str:
        return f"{self.function}: {self.text} {'moved' if self.moved else 'turned'}"


def mutants(modules: Sequence[str] = MODULES) -> list[Mutant]:
    """Every mutant of every check."""
    found: list[Mutant] = []
    for name in modules:
        for place, (function, node) in enumerate(_read(name)[1]):
            for number, operator in enumerate(node.ops):
                for moved, table in ((False, _TURNED), (True, _MOVED)):
                    if type(operator) in table:
                        found.append(
                            Mutant(name, function, ast.unparse(node), place, number, moved)
                        )
    return found


@contextmanager
def in_place(mutant: Mutant) -> Iterator[None]:
    """The gate with this mutant instead of the original."""
    module = import_module(f"{ROOM}.{mutant.module}")
    tree, comparisons = _read(mutant.module)
    operators = comparisons[mutant.place][1].ops
    before = operators[mutant.operator]
    operators[mutant.operator] = (_MOVED if mutant.moved else _TURNED)[type(before)]()
    try:
        code = compile(tree, module.__name__, "exec")
    finally:
        operators[mutant.operator] = before
    with _replaced(module, code):
        yield


@contextmanager
def without(code: str) -> Iterator[None]:
    """The gate, deaf to the failures of one code."""
    from citadel_micro.core.risk.check_context import Case  # noqa: PLC0415 - patched in here only

    names = ("failed", "failed_entry", "failed_size")
    originals = {name: getattr(Case, name) for name in names}

    def deaf(original: Any) -> Any:  # noqa: ANN401 - a method, whatever its arguments
        def method(self: Case, number: int, its: str, text: str, **more: Any) -> None:  # noqa: ANN401
            if its != code:
                original(self, number, its, text, **more)

        return method

    try:
        for name in names:
            setattr(Case, name, deaf(originals[name]))
        yield
    finally:
        for name in names:
            setattr(Case, name, originals[name])


@cache
def _read(name: str) -> tuple[ast.Module, list[tuple[str, ast.Compare]]]:
    """A module of the room, and its comparisons in order."""
    tree = ast.parse(inspect.getsource(import_module(f"{ROOM}.{name}")))
    return tree, list(_comparisons(tree))


def _comparisons(tree: ast.Module) -> Iterator[tuple[str, ast.Compare]]:
    """(function, comparison) of all that is compared in functions, in order."""
    for top in tree.body:
        bodies = top.body if isinstance(top, ast.ClassDef) else [top]
        for function in bodies:
            if isinstance(function, ast.FunctionDef):
                # Of a loop that would never end nothing is proven.
                loops = {
                    id(node.test) for node in ast.walk(function) if isinstance(node, ast.While)
                }
                for node in ast.walk(function):
                    if isinstance(node, ast.Compare) and id(node) not in loops:
                        yield function.name, node


@contextmanager
def _replaced(module: ModuleType, code: CodeType) -> Iterator[None]:
    """The functions and classes of a module, compiled anew, wherever the room uses them."""
    space: dict[str, Any] = {"__name__": module.__name__}
    exec(code, space)  # noqa: S102 - our own source
    rooms = [import_module(f"{ROOM}.{name}") for name in (*MODULES, "table", SIZING, *PLAIN)]
    olds: list[tuple[ModuleType, str, object]] = []
    try:
        for room in rooms:
            for name, value in list(vars(room).items()):
                new = space.get(name)
                made = inspect.isfunction(value) or inspect.isclass(value)
                if made and value.__module__ == module.__name__ and new:
                    olds.append((room, name, value))
                    setattr(room, name, new)
        yield
    finally:
        for room, name, value in olds:
            setattr(room, name, value)

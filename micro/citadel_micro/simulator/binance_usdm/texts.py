"""Numbers as Binance USD-M writes them: prices and sizes with the decimals of their steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.sim.flow_symbols import e8_text

if TYPE_CHECKING:
    from citadel_micro.sim.flow_symbols import SymbolSpec

_MOST: Final = 8


def decimals(step_e8: int) -> int:
    """Return how many decimals a step of 1e-8 has."""
    text = e8_text(step_e8).rstrip("0")
    return len(text.partition(".")[2])


def cut(value_e8: int, places: int) -> str:
    """Write an integer of 1e-8 with so many decimals, the rest cut off."""
    text = e8_text(value_e8)
    if places >= _MOST:
        return text
    return text[: len(text) - _MOST + places].rstrip(".")


def price(spec: SymbolSpec, ticks: int) -> str:
    """Write a price."""
    return cut(ticks * spec.tick_e8, decimals(spec.tick_e8))


def size(spec: SymbolSpec, lots: int) -> str:
    """Write a size."""
    return cut(lots * spec.lot_e8, decimals(spec.lot_e8))


def plain(value_e8: int) -> str:
    """Write a number without the zeros at its end: ``5``, ``0.2``."""
    text = e8_text(value_e8).rstrip("0").rstrip(".")
    return "0" if text == "-0" else text

"""OKX's names and texts: instruments, their numbers and units, decimals without trailing zeros."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.flow_symbols import E8, SymbolSpec, e8_text

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]
MS_NS: Final = 1_000_000


LOTS_PER_CONTRACT: Final = 1_000
"""Orders of a perpetual are counted in contracts, to the thousandth: of 0.01 BTC, of 100 XRP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapSpec(SymbolSpec):
    """Ticks and lots of a perpetual, whose sizes OKX gives in contracts."""

    @classmethod
    def of(cls, spec: SymbolSpec) -> SwapSpec:
        """Return the perpetual of a spot pair."""
        return cls(**{each.name: getattr(spec, each.name) for each in fields(SymbolSpec)})

    @property
    def contract_e8(self) -> int:
        """Return the coins of one contract (``ctVal``) in 1e-8."""
        return self.lot_e8 * LOTS_PER_CONTRACT


def pair(spec: SymbolSpec) -> str:
    """Return OKX's name of a spot pair, which is that of a perpetual's underlying too."""
    return f"{spec.base}-{spec.quote}"


def inst_id(spec: SymbolSpec) -> str:
    """Return OKX's name of an instrument: ``BTC-USDT``, ``BTC-USDT-SWAP``."""
    return f"{pair(spec)}-SWAP" if isinstance(spec, SwapSpec) else pair(spec)


def inst_type(spec: SymbolSpec) -> str:
    """Return the kind of an instrument."""
    return "SWAP" if isinstance(spec, SwapSpec) else "SPOT"


def size_e8(spec: SymbolSpec, lots: int) -> int:
    """Return a size in OKX's unit, in 1e-8: of coins, or of contracts."""
    return lots * (E8 // LOTS_PER_CONTRACT if isinstance(spec, SwapSpec) else spec.lot_e8)


def coins_e8(spec: SymbolSpec, given_e8: int) -> int:
    """Return the coins of a size in OKX's unit, both in 1e-8."""
    return given_e8 * spec.contract_e8 // E8 if isinstance(spec, SwapSpec) else given_e8


def size(spec: SymbolSpec, lots: int) -> str:
    """Write a size in OKX's unit."""
    return number(size_e8(spec, lots))


def inst_code(spec: SymbolSpec) -> int:
    """Return the number that the websocket calls it by, the same every time."""
    return 10_000 + zlib.crc32(inst_id(spec).encode()) % 1_000_000


class Names:
    """Finds symbols by OKX's names and numbers."""

    def __init__(self, specs: Iterable[SymbolSpec]) -> None:
        """Know ``specs``."""
        self._by_name: dict[str, str] = {}
        for spec in specs:
            self._by_name[inst_id(spec)] = spec.symbol
            self._by_name[str(inst_code(spec))] = spec.symbol

    def find(self, name: str) -> str | None:
        """Return the unified symbol, or None."""
        return self._by_name.get(name)


def number(value_e8: int) -> str:
    """Write an amount of 1e-8 as OKX does: ``0.5``, ``0``."""
    text = e8_text(value_e8)
    return text.rstrip("0").rstrip(".")


def stamp(time_ns: int) -> str:
    """Write a time in ms."""
    return str(time_ns // MS_NS)

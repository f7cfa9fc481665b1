"""Our own seeded random numbers, so that a seed means the same draws on every Python version.

The generator is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014). Independent streams are made by hashing a key (seed, symbol, purpose,
index) with the same finalizer; hence any piece of a series can be drawn without drawing what
comes before it.
"""

from __future__ import annotations

import math

_MASK = 0xFFFFFFFFFFFFFFFF
_GAMMA = 0x9E3779B97F4A7C15
_TO_UNIT = 1.0 / (1 << 53)
_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3


def mix64(value: int) -> int:
    """Return the SplitMix64 finalizer of a 64-bit integer: every input bit moves every output bit."""
    z = value & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def key_of(*parts: int | str) -> int:
    """Hash a key of integers and texts to 64 bits, the same in every process.

    Texts are folded with FNV-1a, because ``hash(str)`` differs between interpreter runs.
    """
    state = _GAMMA
    for part in parts:
        if isinstance(part, str):
            word = _FNV_OFFSET
            for byte in part.encode():
                word = ((word ^ byte) * _FNV_PRIME) & _MASK
        else:
            word = part & _MASK
        state = mix64((state ^ word) + _GAMMA)
    return state


def unit_of(key: int, index: int) -> float:
    """Return a uniform number in [0, 1) that depends on ``(key, index)`` only."""
    return (mix64(key + (index & _MASK) * _GAMMA) >> 11) * _TO_UNIT


class SplitMix64:
    """A sequential stream of draws from one 64-bit state."""

    __slots__ = ("_spare", "_state")

    def __init__(self, key: int) -> None:
        """Start a stream; equal keys give equal streams."""
        self._state = key & _MASK
        self._spare: float | None = None

    @property
    def state(self) -> int:
        """The whole state between two draws, to be stored; a spare normal number is not kept."""
        return self._state

    @state.setter
    def state(self, value: int) -> None:
        self._state = value & _MASK
        self._spare = None

    def uniform(self) -> float:
        """Return a uniform number in [0, 1) with 53 random bits."""
        state = (self._state + _GAMMA) & _MASK
        self._state = state
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((z ^ (z >> 31)) >> 11) * _TO_UNIT

    def below(self, bound: int) -> int:
        """Return an integer in [0, bound). The bias is below ``bound / 2**53``."""
        return int(self.uniform() * bound)

    def exponential(self) -> float:
        """Return an exponential waiting time of mean 1."""
        return -math.log(1.0 - self.uniform())

    def gauss(self) -> float:
        """Return a standard normal number (Box and Muller 1958)."""
        spare = self._spare
        if spare is not None:
            self._spare = None
            return spare
        radius = math.sqrt(-2.0 * math.log(1.0 - self.uniform()))
        angle = 2.0 * math.pi * self.uniform()
        self._spare = radius * math.sin(angle)
        return radius * math.cos(angle)

    def pareto(self, exponent: float) -> float:
        """Return a Lomax number ``U**(-1/exponent) - 1``: 0 or more, with a power-law tail."""
        return float((1.0 - self.uniform()) ** (-1.0 / exponent)) - 1.0

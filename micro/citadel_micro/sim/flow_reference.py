"""The reference price: what an informed trader of the synthetic market believes, at any time.

Random access is the point. The price at any minute of any day is a function of (seed, symbol,
minute) alone, so history can be served for days before the simulator was started, is the same in
every answer, and continues into the live market, whose order flow follows this price.

The log price of a symbol is ``ln(anchor) + common + own + transient``:

- *common* and *own* are Gaussian walks in stochastic time. Day nodes follow a slowly
  mean-reverting AR(1) (half-life 90 days, so that prices stay near their anchor over years);
  minutes are a Brownian bridge between the nodes. The variance of a minute is multiplied by a
  cascade of two-valued regimes at geometrically spaced time scales (Mandelbrot, Fisher and
  Calvet, "A multifractal model of asset returns", 1997; Calvet and Fisher, "How to forecast
  long-run volatility", 2004, here on a fixed grid): volatility clusters and tails are fat.
- *transient* is an AR(1) with a half-life of minutes (Summers, "Does the stock market rationally
  reflect fundamental values?", 1986): the one deliberate, weak predictability.

Minutes are whole minutes since 1970 UTC.
"""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict
from functools import lru_cache
from typing import TYPE_CHECKING

from citadel_micro.sim.rng import SplitMix64, key_of, unit_of

if TYPE_CHECKING:
    from citadel_micro.sim.flow_symbols import FlowParams

DAY_MINUTES = 1440
MINUTE_NS = 60_000_000_000
STEP_NS = 200_000_000
_STEPS = MINUTE_NS // STEP_NS
_FIRST_DAY = 18_262  # 2020-01-01: where the chain of day nodes begins
FIRST_MINUTE = _FIRST_DAY * DAY_MINUTES

_DAY_PHI = 0.5 ** (1.0 / 90.0)
_REGIME_HIGH = 1.42  # a regime multiplies variance by this or by 2 minus this, mean 1
_LONG_SCALES = (5760, 1440)  # minutes
_SHORT_SCALES = (360, 90, 24, 6)
_TRANSIENT_PHI = 0.5 ** (1.0 / 12.0)
_CHUNK = 360  # minutes of transient innovations drawn together; phi**360 is below 1e-9
_BLOCK = 256  # days whose nodes are drawn together; even, as normal numbers come in pairs
_KEPT_DAYS = 96


# What follows up to ``CommonFactor`` depends on its arguments alone, so that every market of one seed in a
# process shares it: a simulator of several venues, and each simulator after the first.


def _regimes(key: int, minute: int, scales: tuple[int, ...]) -> float:
    """Return the product of the variance regimes of a minute."""
    product = 1.0
    for scale in scales:
        high = unit_of(key + scale, minute // scale) < 0.5  # noqa: PLR2004 - a coin
        product *= _REGIME_HIGH if high else 2.0 - _REGIME_HIGH
    return product


@lru_cache(maxsize=2048)
def _nodes(key: int, daily_vol: float, block: int) -> tuple[array[float], int]:
    """Return the nodes of 256 days, and the generator's state behind them."""
    before, state = (
        _nodes(key, daily_vol, block - 1) if block else (array("d", [0.0]), key_of(key, "day"))
    )
    rng = SplitMix64(state)
    node = before[-1]
    nodes = array("d")
    first = _FIRST_DAY + block * _BLOCK
    for day in range(first, first + _BLOCK):
        spread = daily_vol * math.sqrt(_regimes(key, day * DAY_MINUTES, _LONG_SCALES))
        node = _DAY_PHI * node + spread * rng.gauss()
        nodes.append(node)
    return nodes, rng.state  # an even number of draws leaves none to spare


def _node(key: int, daily_vol: float, day: int) -> float:
    """Return a walk at 00:00 of a day."""
    drawn = day - _FIRST_DAY - 1
    if drawn < 0:
        return 0.0
    return _nodes(key, daily_vol, drawn // _BLOCK)[0][drawn % _BLOCK]


@lru_cache(maxsize=512)
def _walk(key: int, daily_vol: float, day: int) -> tuple[array[float], array[float]]:
    """Return a day of a Gaussian walk in stochastic time.

    These are its 1440 values (at the start of each minute), and the variance factors.
    """
    start = _node(key, daily_vol, day)
    gap = _node(key, daily_vol, day + 1) - start
    rng = SplitMix64(key_of(key, "minute", day))
    per_minute = daily_vol**2 / DAY_MINUTES
    factors = array("d", bytes(8 * DAY_MINUTES))
    path = array("d", bytes(8 * DAY_MINUTES))
    clock = array("d", bytes(8 * DAY_MINUTES))
    first = day * DAY_MINUTES
    finest = _SHORT_SCALES[-1]
    value = elapsed = factor = 0.0
    for i in range(DAY_MINUTES):
        if i % finest == 0:
            factor = _regimes(key, first + i, _LONG_SCALES + _SHORT_SCALES)
        factors[i] = factor
        path[i] = value
        clock[i] = elapsed
        value += math.sqrt(per_minute * factor) * rng.gauss()
        elapsed += factor
    pull = (gap - value) / elapsed
    for i in range(DAY_MINUTES):
        path[i] += start + clock[i] * pull
    return path, factors


@lru_cache(maxsize=256)
def _transient(key: int, vol: float, day: int) -> array[float]:
    """Return a day of the transient part of a symbol's log price."""
    path = array("d", bytes(8 * DAY_MINUTES))
    if not vol:
        return path
    kick = vol * math.sqrt(1.0 - _TRANSIENT_PHI**2)
    first_chunk = day * DAY_MINUTES // _CHUNK
    value = 0.0
    for chunk in range(first_chunk - 1, first_chunk + DAY_MINUTES // _CHUNK):
        rng = SplitMix64(key_of(key, "transient", chunk))
        offset = (chunk - first_chunk) * _CHUNK
        for i in range(offset, offset + _CHUNK):
            if i >= 0:
                path[i] = value
            value = _TRANSIENT_PHI * value + kick * rng.gauss()
    return path


class CommonFactor:
    """The walk that all symbols of one seed share (unit daily volatility)."""

    def __init__(self, seed: int) -> None:
        """Name the walk; days are drawn when first asked for."""
        self._key = key_of(seed, "common")

    def day(self, day: int) -> tuple[array[float], array[float]]:
        """Return the day's values at the start of each minute, and its variance factors."""
        return _walk(self._key, 1.0, day)


class ReferencePrice:
    """The reference price of one symbol, in quote units, at any time from 2020 on."""

    def __init__(self, seed: int, symbol: str, params: FlowParams, common: CommonFactor) -> None:
        """Bind the symbol's own walk to the shared one. ``common`` must come from equal seed."""
        self._key = key_of(seed, symbol)
        self._log_anchor = math.log(params.anchor)
        self._common = common
        self._common_scale = params.daily_vol * math.sqrt(params.common_share)
        self._own_key = key_of(self._key, "own")
        self._own_vol = params.daily_vol * math.sqrt(1.0 - params.common_share)
        self._own_share = 1.0 - params.common_share
        self._transient_vol = params.transient_vol
        self._minute_vol = params.daily_vol / math.sqrt(DAY_MINUTES)
        self._days: OrderedDict[int, tuple[array[float], array[float]]] = OrderedDict()
        self._steps: OrderedDict[int, array[float]] = OrderedDict()
        self._purposes: dict[str, int] = {}
        self._shift = 0.0

    def shift_to(self, minute: int, price: float) -> None:
        """Move the whole series by one factor, so that it passes through ``price`` at ``minute``.

        Used when a replayed capture, not this model, says what the price is.
        """
        self._shift += math.log(price) - self.log_price(minute)
        self._days.clear()
        self._steps.clear()

    def _day(self, day: int) -> tuple[array[float], array[float]]:
        cached = self._days.get(day)
        if cached is not None:
            return cached
        common, common_factors = self._common.day(day)
        own, own_factors = _walk(self._own_key, self._own_vol, day)
        transient = _transient(self._key, self._transient_vol, day)
        base = self._log_anchor + self._shift
        scale, own_share = self._common_scale, self._own_share
        path = array("d", bytes(8 * DAY_MINUTES))
        factors = array("d", bytes(8 * DAY_MINUTES))
        for i in range(DAY_MINUTES):
            path[i] = base + scale * common[i] + own[i] + transient[i]
            factors[i] = common_factors[i] * (1.0 - own_share) + own_factors[i] * own_share
        self._days[day] = (path, factors)
        if len(self._days) > _KEPT_DAYS:
            self._days.popitem(last=False)
        return path, factors

    def log_price(self, minute: int) -> float:
        """Return the log price at the start of a minute."""
        return self._day(minute // DAY_MINUTES)[0][minute % DAY_MINUTES]

    def variance_factor(self, minute: int) -> float:
        """Return the regime's variance multiple of a minute (long-run mean 1)."""
        return self._day(minute // DAY_MINUTES)[1][minute % DAY_MINUTES]

    def minute_vol(self, minute: int) -> float:
        """Return the standard deviation of that minute's log return."""
        return self._minute_vol * math.sqrt(self.variance_factor(minute))

    def stream(self, purpose: str, minute: int) -> SplitMix64:
        """Return the random stream of this symbol for one purpose in one minute."""
        key = self._purposes.get(purpose)
        if key is None:
            key = self._purposes[purpose] = key_of(self._key, purpose)
        return SplitMix64(key_of(key, minute))

    def price(self, time_ns: int) -> float:
        """Return the price at a time: a Brownian bridge inside the minute, in steps of 200 ms."""
        minute, within = divmod(time_ns, MINUTE_NS)
        steps = self._steps.get(minute)
        if steps is None:
            steps = self._fill(minute)
        return steps[within // STEP_NS]

    def _fill(self, minute: int) -> array[float]:
        start = self.log_price(minute)
        end = self.log_price(minute + 1)
        step_vol = self.minute_vol(minute) / math.sqrt(_STEPS)
        rng = self.stream("step", minute)
        walk = [0.0]
        for _ in range(_STEPS):
            walk.append(walk[-1] + step_vol * rng.gauss())
        pull = (end - start - walk[-1]) / _STEPS
        steps = array("d", [math.exp(start + walk[i] + i * pull) for i in range(_STEPS)])
        self._steps[minute] = steps
        if len(self._steps) > 4:  # noqa: PLR2004 - live use touches the current minute only
            self._steps.popitem(last=False)
        return steps

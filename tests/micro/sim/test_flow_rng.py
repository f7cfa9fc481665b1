"""Our own generator: known values, independence of keys, and the distributions it claims."""

from __future__ import annotations

import math
import statistics

from citadel_micro.sim.rng import SplitMix64, key_of, mix64, unit_of


def test_the_finaliser_agrees_with_the_published_generator() -> None:
    # First outputs of splitmix64 seeded with 1234567, as widely published for testing ports.
    state, out = 1234567, []
    for _ in range(3):
        state = (state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        out.append(mix64(state))
    assert out == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_uniform_is_the_published_generator_cut_to_53_bits() -> None:
    assert SplitMix64(1234567).uniform() == (6457827717110365317 >> 11) / 2**53


def test_keys_depend_on_every_part_and_on_order() -> None:
    keys = {
        key_of(1, "a", 2), key_of(1, "a", 3), key_of(2, "a", 2), key_of(1, "b", 2), key_of("a", 1, 2),
    }  # fmt: skip
    assert len(keys) == 5
    assert key_of(1, "a", 2) == key_of(1, "a", 2)


def test_draws_have_the_distributions_they_claim() -> None:
    rng = SplitMix64(7)
    count = 40_000
    normal = [rng.gauss() for _ in range(count)]
    assert abs(statistics.fmean(normal)) < 0.02
    assert abs(statistics.pstdev(normal) - 1.0) < 0.02
    waits = [rng.exponential() for _ in range(count)]
    assert min(waits) >= 0
    assert abs(statistics.fmean(waits) - 1.0) < 0.02
    tail = [rng.pareto(1.5) for _ in range(count)]
    assert min(tail) >= 0
    assert abs(sum(x > 3.0 for x in tail) / count - 4.0**-1.5) < 0.01
    assert {rng.below(3) for _ in range(100)} == {0, 1, 2}
    units = [unit_of(9, i) for i in range(count)]
    assert abs(statistics.fmean(units) - 0.5) < 0.01
    assert abs(statistics.pstdev(units) - math.sqrt(1 / 12)) < 0.01

"""Request weights: by whole minutes, 429 until the next, then bans that grow."""

from __future__ import annotations

from citadel_micro.simulator.public_weights import WEBSOCKET_NAMES, WEIGHTS
from citadel_micro.simulator.weights import FIRST_BAN_MS, LONGEST_BAN_MS, RequestWeights

MINUTE = 60_000
NOW = 28_000_000 * MINUTE


def test_weights_count_per_address_and_minute() -> None:
    weights = RequestWeights(100)
    assert weights.take("a", 60, NOW) is None
    assert weights.take("b", 100, NOW) is None
    assert weights.take("a", 40, NOW + 59_999) is None
    assert weights.used("a", NOW) == 100
    limited = weights.take("a", 1, NOW + 59_500)
    assert limited is not None
    assert (limited.status, limited.retry_at_ms) == (429, NOW + MINUTE)
    assert limited.retry_after_s(NOW + 59_500) == 1
    assert weights.take("a", 100, NOW + MINUTE) is None
    weights.give_back("a", 30, NOW + MINUTE)
    assert weights.used("a", NOW + MINUTE) == 70
    weights.give_back("a", 500, NOW + MINUTE)
    assert weights.used("a", NOW + MINUTE) == 0


def test_going_on_after_429_is_a_ban_and_each_is_longer() -> None:
    weights = RequestWeights(1)
    now, lengths = NOW, []
    for _ in range(15):
        statuses = []
        while True:
            limited = weights.take("a", 2, now)
            assert limited is not None
            statuses.append(limited.status)
            if limited.status == 418:
                break
        assert statuses == [429] * 10 + [418]
        lengths.append(limited.retry_at_ms - now)
        again = weights.take("a", 0, limited.retry_at_ms - 1)
        assert again is not None
        assert (again.status, again.retry_at_ms) == (418, limited.retry_at_ms)
        now = (limited.retry_at_ms // MINUTE + 1) * MINUTE
    assert lengths[:3] == [FIRST_BAN_MS, 2 * FIRST_BAN_MS, 4 * FIRST_BAN_MS]
    assert lengths[-1] == LONGEST_BAN_MS
    weights.pardon("a")
    assert weights.take("a", 1, now) is None


def test_the_answers_are_binances() -> None:
    weights = RequestWeights(6000)
    banned = weights.error(weights.ban("a", NOW))
    assert (banned.code, banned.status, banned.retry_at_ms) == (-1003, 418, NOW + FIRST_BAN_MS)
    assert f"IP banned until {NOW + FIRST_BAN_MS}." in banned.text
    limited = weights.take("b", 6001, NOW)
    assert limited is not None
    error = weights.error(limited)
    assert (error.code, error.status) == (-1003, 429)
    assert "current limit is 6000 request weight per 1 MINUTE." in error.text


def test_public_weights_are_the_documented_ones() -> None:
    depth = [WEIGHTS["depth"]({"limit": limit}) for limit in ("5", "100", "101", "1000", "1001")]
    assert depth == [5, 5, 25, 50, 250]
    assert WEIGHTS["depth"]({}) == 5
    day = WEIGHTS["ticker/24hr"]
    assert (day({"symbol": "A"}), day({})) == (2, 80)
    assert (day({"symbols": '["A","B"]'}), day({"symbols": ",".join("A" * 50)})) == (2, 40)
    assert (WEIGHTS["ticker/price"]({"symbol": "A"}), WEIGHTS["ticker/price"]({})) == (2, 4)
    assert set(WEBSOCKET_NAMES.values()) == set(WEIGHTS)

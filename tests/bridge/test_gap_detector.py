"""What a receiver concludes from sequences and clocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from citadel_bridge.gap_detector import MOST_SEQUENCES, Sequences, SkewMeter, Totals


def test_in_order_is_no_gap() -> None:
    seen = Sequences()
    assert [seen.observe("m", b"t", n) for n in (1, 2, 3)] == [0, 0, 0]
    assert (seen.gaps, seen.missing, seen.repeated) == (0, 0, 0)


def test_a_jump_says_how_many_are_missing() -> None:
    seen = Sequences()
    seen.observe("m", b"t", 1)
    assert seen.observe("m", b"t", 5) == 3
    assert (seen.gaps, seen.missing) == (1, 3)


def test_a_late_joiner_has_missed_nothing() -> None:
    assert Sequences().observe("m", b"t", 1000) == 0


def test_a_repeated_or_old_message_is_distinguished() -> None:
    seen = Sequences()
    seen.observe("m", b"t", 5)
    assert seen.observe("m", b"t", 5) == -1
    assert seen.observe("m", b"t", 4) == -1
    assert seen.observe("m", b"t", 6) == 0
    assert seen.repeated == 2


def test_topics_and_senders_are_counted_apart() -> None:
    seen = Sequences()
    seen.observe("m", b"t", 7)
    assert seen.observe("m", b"u", 1) == 0
    assert seen.observe("restarted", b"t", 1) == 0
    seen.forget("m")
    assert seen.observe("m", b"t", 1) == 0


@given(st.lists(st.integers(1, 30), min_size=1))
def test_missing_adds_up_to_what_was_not_seen(seqs: list[int]) -> None:
    seen = Sequences()
    for seq in seqs:
        seen.observe("m", b"t", seq)
    rising = [seq for n, seq in enumerate(seqs) if all(seq > old for old in seqs[:n])]
    assert seen.missing == rising[-1] - rising[0] + 1 - len(rising)
    assert seen.repeated == len(seqs) - len(rising)


@given(
    skew=st.integers(-(10**10), 10**10),
    delays=st.lists(st.integers(0, 10**9), min_size=1, max_size=29),
)
def test_delay_on_the_way_is_not_taken_for_skew(skew: int, delays: list[int]) -> None:
    """While a heartbeat that came straight through is among the last 30, delays are known."""
    meter = SkewMeter()
    mono_offset = 12345
    now = 10**18
    for delay in [0, *delays]:
        now += 10**9
        sent_wall, sent_mono = now + skew, now + mono_offset
        measured = meter.update(sent_wall, sent_mono, now + delay, now + delay)
    assert measured == skew


def test_a_step_of_the_clock_shows_at_once() -> None:
    meter = SkewMeter()
    for n in range(10):
        meter.update(n, n, n, n)
    assert meter.update(10 + 2_000_000_000, 10, 10, 10) == 2_000_000_000


def test_what_is_followed_is_bounded() -> None:
    seen = Sequences()
    for sender in range(MOST_SEQUENCES + 1):
        assert seen.observe(sender, b"t", 1) == 0
    assert seen.observe(MOST_SEQUENCES, b"t", 3) == 1
    assert seen.observe(0, b"t", 9) == 0, "the longest known was dropped and begins anew"


def test_what_is_lost_is_told_once_by_how_many_were_sent() -> None:
    totals = Totals()
    totals.received("m")
    assert totals.said("m", 41) == 0  # 40 of them before this reader came
    assert totals.said("m", 41) == 0
    totals.received("m")
    assert totals.said("m", 44) == 2
    assert totals.said("m", 44) == 0
    totals.received("m")
    totals.received("m")
    assert totals.said("m", 47) == 1
    assert totals.said("other", 9) == 0
    totals.forget("m")
    assert totals.said("m", 3) == 0


def test_a_total_that_is_behind_what_has_come_is_no_loss_later() -> None:
    totals = Totals()
    assert totals.said("m", 10) == 0
    totals.received("m")
    assert totals.said("m", 10) == 0
    assert totals.said("m", 11) == 0
    assert totals.said("m", 12) == 1

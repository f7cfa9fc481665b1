"""What is done about silent symbols, and how soon."""

from __future__ import annotations

from itertools import pairwise

from citadel_micro.shell.marketdata.quiet_symbols import (
    MUTE_NS,
    MUTES,
    POLL_NS,
    QUIET_CAP,
    QuietSymbols,
)

S = 1_000_000_000
QUIET_S = 60.0


def play(quiet: QuietSymbols, seconds: int, *, answers: bool) -> list[tuple[int, str]]:
    """(second, what was due) of one symbol that never speaks; polls are answered at once or never."""
    done: list[tuple[int, str]] = []
    for second in range(seconds):
        for symbol, what, _ in quiet.due(second * S, ()):
            done.append((second, what))
            if what == "poll" and answers:
                quiet.proven(symbol, second * S)
    return done


def watched(*, polls: bool) -> QuietSymbols:
    quiet = QuietSymbols(QUIET_S, polls=polls)
    quiet.updated_ns["A/B"] = 0
    return quiet


def test_polls_come_more_seldom_and_spare_the_subscription() -> None:
    done = play(watched(polls=True), 3_600, answers=True)
    assert [what for _, what in done] == ["poll"] * len(done)
    times = [second for second, _ in done]
    assert times[:5] == [6, 18, 54, 102, 150]
    assert POLL_NS == 5 * S


def test_without_polls_it_is_subscribed_anew_with_growing_patience() -> None:
    done = play(watched(polls=False), 4_000, answers=False)
    assert {what for _, what in done} == {"resubscribe"}
    times = [0, *(second for second, _ in done)]
    waits = [b - a for a, b in pairwise(times)]
    assert waits[:4] == [61, 121, 241, 481]
    assert max(waits) <= QUIET_S * QUIET_CAP + 1


def test_a_poll_that_waits_for_its_turn_is_waited_for_but_not_for_ever() -> None:
    done = play(watched(polls=True), 400, answers=False)
    again = [second for second, what in done if what == "resubscribe"]
    assert again == [301]


def test_a_symbol_that_falls_mute_a_third_time_within_minutes_is_given_up() -> None:
    quiet = watched(polls=True)
    assert [quiet.on_mute("A/B", n * S) for n in range(MUTES + 1)] == [True] * MUTES + [False]
    assert quiet.on_mute("A/B", MUTE_NS + 10 * S), "later it may help again"


def test_what_is_refused_is_left_alone_and_a_pause_is_no_silence() -> None:
    quiet = watched(polls=True)
    assert quiet.due(1_000 * S, {"A/B"}) == []
    quiet.pause(1_000 * S)
    assert quiet.due(1_001 * S, ()) == []

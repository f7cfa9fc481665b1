"""How long micro has been silent."""

from __future__ import annotations

from citadel_micro.watchdog.silence import MOST_A_QUESTION_S, Silence


def test_it_lasts_as_long_as_the_questions_without_an_answer() -> None:
    silence = Silence(10)
    for _ in range(9):
        silence.unanswered(1.0)
    seen = [silence.expired]
    silence.unanswered(1.0)
    seen.append(silence.expired)
    silence.answered()
    seen.append(silence.expired)
    assert seen == [False, True, False]
    assert silence.lasted_s == 0


def test_a_watchdog_that_was_stopped_or_asleep_does_not_take_its_own_pause_for_micros() -> None:
    silence = Silence(10)
    silence.unanswered(86_400.0)
    assert silence.lasted_s == MOST_A_QUESTION_S
    assert not silence.expired


def test_a_clock_that_goes_back_changes_nothing() -> None:
    silence = Silence(10)
    silence.unanswered(-5.0)
    assert silence.lasted_s == 0

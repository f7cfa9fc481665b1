"""Runs of ``live_chaos`` by name: how one is repeated, and the smallest that still fails."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
from live_chaos import LiveRun
from virtual_others import Market

if TYPE_CHECKING:
    from collections.abc import Iterator


SHRUNK_BY: Final = 40
"""Most runs spent on making a failure smaller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One run."""

    seed: int
    market: Market = "spot"
    rules: tuple[str, ...] | None = None
    kills: bool = True
    lies: bool = False
    seconds: int = 15

    def again(self) -> str:
        """The arguments that repeat it."""
        parts = [f"--first {self.seed} --runs 1 --seconds {self.seconds}"]
        if self.market != "spot":
            parts.append(f"--market {self.market}")
        if self.lies:
            parts.append("--lies always")
        if not self.kills:
            parts.append("--no-kills")
        if self.rules is not None:
            parts += [f"--fault {rule}" for rule in self.rules] or ["--fault none"]
        return " ".join(parts)

    def play(self) -> tuple[dict[str, int], tuple[str, ...], str]:
        """What it counted, its rules, and what did not hold (empty if all did)."""
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        run = LiveRun(
            self.seed,
            market=self.market,
            rules=self.rules,
            kills=self.kills,
            lies=self.lies,
            seconds=self.seconds,
        )
        try:
            run.play()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            where = traceback.extract_tb(error.__traceback__)[-1]
            name = f"{Path(where.filename).name}:{where.lineno}"
            return {}, run.rules, f"{type(error).__name__} at {name}: {str(error)[:600]}"
        return run.counts, run.rules, ""


def smaller(play: Play, rules: tuple[str, ...]) -> Iterator[Play]:
    """Runs with one thing less."""
    if play.kills:
        yield replace(play, kills=False, rules=rules)
    for seconds in (play.seconds // 2, play.seconds * 3 // 4):
        if seconds >= 1:
            yield replace(play, seconds=seconds, rules=rules)
    for left_out in range(len(rules)):
        yield replace(play, rules=rules[:left_out] + rules[left_out + 1 :])


def shrunk(play: Play, rules: tuple[str, ...]) -> tuple[Play, str]:
    """The smallest run found that still fails, and how."""
    text, left = "", SHRUNK_BY
    found = True
    while found and left:
        found = False
        for each in smaller(play, rules):
            if not left:
                break
            left -= 1
            _, _, what = each.play()
            if what:
                play, rules, text, found = each, each.rules or (), what, True
                break
    return play, text


def played(play: Play) -> tuple[dict[str, int], Play, str]:
    """One run; of one that fails the smallest that does."""
    counts, rules, what = play.play()
    if not what:
        return counts, play, ""
    least, text = shrunk(play, rules)
    return counts, least, f"{what}\n  smallest: {least.again()}\n  {text or what}"

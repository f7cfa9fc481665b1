"""An account, a key or a configuration that is not in order: what is said, where, how to mend it, and no order.

Each trouble at each live venue that has it, through `citadel live check` and `citadel micro`. That no order was
sent is read in the exchange's own records.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from effort import chosen
from quick_start import run
from refusal_kit import MAY_TRADE, VENUES, Stand, stand

from citadel_bridge.exit_codes import Exit
from citadel_micro.simulator.keys import Permission

if TYPE_CHECKING:
    from pathlib import Path

CHECK: Final = ("live", "check")
MICRO: Final = ("micro",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is not in order, and what is said of it."""

    code: Exit
    words: tuple[str, ...]
    """What, where and how to mend it; ``{venue}``, ``{symbol}`` and ``{folder}`` are filled in."""
    venues: tuple[str, ...] = tuple(VENUES)
    """Where there is such a thing."""
    faults: tuple[str, ...] = ()
    permissions: frozenset[Permission] = MAY_TRADE
    key: str = "good"
    at_venue: Callable[[Stand], None] | None = None
    written: Callable[[str], str] | None = None
    """How the configuration is spoiled."""
    of_files: Callable[[Stand], None] | None = None


def put(name: str, value: str) -> Callable[[str], str]:
    """Change one setting."""
    return lambda text: re.sub(rf"(?m)^{name} = .*$", f"{name} = {value}", text)


def halted(at: Stand) -> None:
    async def halt() -> None:
        at.side.exchange.set_status(at.at.flow, "BREAK")

    at.there(halt())


def hedged(at: Stand) -> None:
    if at.name == "binance-usdm":
        at.set_mode("/fapi/v1/positionSide/dual", dualSidePosition="true")
    else:
        at.side.records.hedge("demo")


def of_several_assets(at: Stand) -> None:
    if at.name == "binance-usdm":
        at.set_mode("/fapi/v1/multiAssetsMargin", multiAssetsMargin="true")
    else:
        at.side.records.level = "3"


def shared(at: Stand) -> None:
    (at.folder / "keys" / "key.toml").chmod(0o644)


TROUBLES: Final = {
    "wrong key": Trouble(
        code=Exit.BAD_INPUT,
        words=("the venue does not", "keys/key.toml", "fix: "),
        key="wrong",
    ),
    "wrong clock": Trouble(
        code=Exit.REFUSED,
        words=(
            "clock",
            "from this machine's",
            "at most 1000 ms",
            "set this machine's clock by NTP",
        ),
        faults=("clock-skew=always,for=60",),
    ),
    "no permission to trade": Trouble(
        code=Exit.REFUSED,
        words=("permission to trade", "the key may not trade", "enable trading, and nothing else"),
        permissions=frozenset(),
        # An API wallet of Hyperliquid may always trade.
        venues=tuple(name for name in VENUES if name != "hyperliquid"),
    ),
    "permission to withdraw": Trouble(
        code=Exit.REFUSED,
        words=("the key may make withdrawals", "remove that permission from the key at the venue"),
        permissions=MAY_TRADE | {Permission.WITHDRAW},
        key="master",
    ),
    "no such symbol": Trouble(
        code=Exit.BAD_INPUT,
        words=("{venue} has no 'ABCD/", "where: venues.{venue}.symbols", "did you mean {symbol}?"),
        written=lambda text: text.replace("['BTC/", "['ABCD/"),
    ),
    "a symbol that is halted": Trouble(
        code=Exit.BAD_INPUT,
        words=("{symbol} cannot be traded", "where: venues.{venue}.symbols", "fix: choose another"),
        at_venue=halted,
    ),
    "hedge mode": Trouble(
        code=Exit.REFUSED,
        words=(
            "hedge mode",
            "micro counts positions in one-way mode",
            "set one-way mode at the venue",
        ),
        venues=("binance-usdm", "okx-swap"),
        at_venue=hedged,
    ),
    "multi-asset mode": Trouble(
        code=Exit.REFUSED,
        words=("multi-asset mode", "in single-asset mode", "set single-asset mode at the venue"),
        venues=("binance-usdm", "okx-swap"),
        at_venue=of_several_assets,
    ),
    "an unknown venue": Trouble(
        code=Exit.BAD_INPUT,
        words=("nonsense", "where: ", "{venue}", "fix: "),
        written=lambda text: text.replace("[venues.", "[venues.nonsense-"),
    ),
    "live without the account": Trouble(
        code=Exit.BAD_INPUT,
        words=("a second time", "where: ", "live_account", "fix: "),
        written=lambda text: re.sub("(?m)^live_account = .*$", "", text),
    ),
    "a key file that others can read": Trouble(
        code=Exit.BAD_INPUT,
        words=("can be used by others (mode 0644)", "keys/key.toml", "fix: chmod 600"),
        of_files=shared,
    ),
    "orders over plain http": Trouble(
        code=Exit.BAD_INPUT,
        words=(
            "venues.{venue}.private_rest_url is 'http://192.0.2.1:80'",
            "where: ",
            "https:// where it is not loopback: orders would travel unencrypted",
        ),
        written=put("private_rest_url", "'http://192.0.2.1:80'"),
    ),
}
CASES: Final = [(what, venue) for what, each in TROUBLES.items() for venue in each.venues]
SUITE: Final = [
    ("wrong key", "binance-spot"),
    ("wrong clock", "binance-usdm"),
    ("no permission to trade", "binance-spot"),
    ("permission to withdraw", "binance-usdm"),
    ("a symbol that is halted", "binance-spot"),
    ("hedge mode", "binance-usdm"),
    ("multi-asset mode", "binance-usdm"),
]
"""One at least that reads the account, the key and the modes; what needs no venue has tests of its own."""


@pytest.mark.parametrize(("what", "venue"), chosen(CASES, suite=SUITE))
def test_what_is_said_and_that_no_order_was_sent(tmp_path: Path, what: str, venue: str) -> None:
    trouble = TROUBLES[what]
    key = trouble.key if trouble.key != "master" or venue == "hyperliquid" else "good"
    with stand(tmp_path, venue, *trouble.faults, permissions=trouble.permissions) as at:
        path = at.configure(key)
        if trouble.at_venue is not None:
            trouble.at_venue(at)
        if trouble.written is not None:
            path.write_text(trouble.written(path.read_text()))
        if trouble.of_files is not None:
            trouble.of_files(at)
        for command in (CHECK, MICRO):
            done = run(*command, "--config", str(path))
            said = done.stdout + done.stderr
            assert done.returncode == trouble.code, said
            for words in trouble.words:
                assert words.format(venue=at.venue, symbol=at.at.symbol) in said, said
            if trouble.code is Exit.REFUSED and command is MICRO:
                assert f"{at.venue} is not clear to trade; no order was sent" in said
                assert "fix: " in said
            assert "Traceback" not in said
        assert at.orders() == []


@pytest.mark.parametrize("venue", chosen(VENUES, suite=["binance-usdm"]))
def test_an_order_would_be_seen(tmp_path: Path, venue: str) -> None:
    with stand(tmp_path, venue) as at:
        done = run(*CHECK, "--config", str(at.configure()), "--place-test-order")
        assert done.returncode == Exit.OK, done.stdout + done.stderr
        assert at.orders()

"""Each thing that a venue can say of an account, and what is made of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from preflight_kit import FACTS, RIGHTS, SYMBOL, expected

from citadel_micro.preflight.checks import CLOCK_MOST_NS, ON_DEMAND, judge
from citadel_micro.shell.account_facts import RateLimit

if TYPE_CHECKING:
    from citadel_micro.preflight.checks import Check

MS = 1_000_000


def check(name: str, **changes: Any) -> Check:  # noqa: ANN401 - of any field
    (found,) = (each for each in judge(replace(FACTS, **changes), expected()) if each.name == name)
    return found


def test_a_good_account_is_clear() -> None:
    verdicts = {each.name: each.verdict for each in judge(FACTS, expected())}
    assert verdicts.pop("venue timer") == "warn"  # Binance spot has none
    assert set(verdicts.values()) == {"ok"}


def test_whatever_is_not_ok_says_how_to_mend_it() -> None:
    worst = replace(
        FACTS,
        account="1",
        clock_offset_ns=10**10,
        may_trade=False,
        rights=replace(RIGHTS, trade=False, withdraw=True, transfer=True, bound_to_addresses=False),
        symbols={},
        balances={},
        open_orders=3,
        hedge_mode=True,
        multi_asset_mode=True,
    )
    found = [each for each in judge(worst, expected()) if each.verdict != "ok"]
    assert all(each.mend for each in found)
    assert {each.name for each in found if each.verdict == "refused"} == {
        *("account", "clock", "trading", "permission to trade", "withdrawals", "transfers"),
        *("hedge mode", "multi-asset mode", "BTC/USDT"),
    }


@pytest.mark.parametrize(
    ("account", "verdict"), [("354937868", "ok"), ("354937869", "refused"), ("", "warn")]
)
def test_the_account_is_the_one_that_was_typed(account: str, verdict: str) -> None:
    assert check("account", account=account).verdict == verdict


@pytest.mark.parametrize(
    ("offset_ns", "error_ns", "verdict"),
    [
        (0, 0, "ok"),
        (250 * MS, 0, "ok"),
        (-251 * MS, 0, "warn"),
        (0, 251 * MS, "warn"),
        (CLOCK_MOST_NS, 0, "warn"),
        (CLOCK_MOST_NS + 1, 0, "refused"),
        (-CLOCK_MOST_NS - 1, 0, "refused"),
        # A slow answer proves nothing of the clock: it may be right.
        (CLOCK_MOST_NS + 1, 1, "warn"),
    ],
)
def test_the_clock(offset_ns: int, error_ns: int, verdict: str) -> None:
    assert check("clock", clock_offset_ns=offset_ns, clock_error_ns=error_ns).verdict == verdict


@pytest.mark.parametrize("right", ["withdraw", "transfer"])
@pytest.mark.parametrize(("may", "verdict"), [(True, "refused"), (False, "ok"), (None, "warn")])
def test_no_key_may_move_money(right: str, *, may: bool | None, verdict: str) -> None:
    changes: dict[str, Any] = {right: may, "not_told": "the testnet does not say"}
    rights = replace(RIGHTS, **changes)
    name = {"withdraw": "withdrawals", "transfer": "transfers"}[right]
    assert check(name, rights=rights).verdict == verdict


def test_rights_that_could_not_be_read_are_no_rights() -> None:
    assert check("permissions", rights=replace(RIGHTS, failed="500")).verdict == "refused"


@pytest.mark.parametrize(("bound", "verdict"), [(True, "ok"), (False, "warn"), (None, "warn")])
def test_any_address(*, bound: bool | None, verdict: str) -> None:
    assert (
        check("IP addresses", rights=replace(RIGHTS, bound_to_addresses=bound)).verdict == verdict
    )


def test_a_symbol_that_cannot_be_traded() -> None:
    halted = replace(SYMBOL, tradable=False, status="BREAK")
    found = check("BTC/USDT", symbols={"BTC/USDT": halted})
    assert found.verdict == "refused"
    assert "BREAK" in found.text
    # A run that resumes another holds the stops of the others.
    again = replace(expected(), resumed=frozenset({"BTC/USDT"}))
    for symbols in ({"BTC/USDT": halted}, {}):
        checks = judge(replace(FACTS, symbols=symbols), again)
        assert next(each for each in checks if each.name == "BTC/USDT").verdict == "warn"


@pytest.mark.parametrize(
    "change", [{"tick": Decimal("0.1")}, {"lot": Decimal(1)}, {"min_notional": Decimal(10)}]
)
def test_orders_are_made_by_the_venues_rules(change: dict[str, Any]) -> None:
    found = check("BTC/USDT", symbols={"BTC/USDT": replace(SYMBOL, **change)})
    assert found.verdict == "refused"
    assert "--refresh" in found.mend
    same = replace(SYMBOL, tick=Decimal("0.010"))
    assert check("BTC/USDT", symbols={"BTC/USDT": same}).verdict == "ok"


def test_fees_above_those_that_are_reckoned_with() -> None:
    dear = replace(SYMBOL, taker_fee=Decimal("0.002"))
    assert check("BTC/USDT fees", symbols={"BTC/USDT": dear}).verdict == "warn"
    cheap = replace(SYMBOL, maker_fee=Decimal(0), taker_fee=Decimal("0.0005"))
    assert check("BTC/USDT fees", symbols={"BTC/USDT": cheap}).verdict == "ok"


def test_a_crowded_limit() -> None:
    crowded = (RateLimit(name="weight", limit=6000, used=3001),)
    assert check("limit of weight", rate_limits=crowded).verdict == "warn"
    calm = (RateLimit(name="weight", limit=6000, used=3000),)
    assert check("limit of weight", rate_limits=calm).verdict == "ok"


@pytest.mark.parametrize(("on", "verdict"), [(True, "refused"), (False, "ok")])
def test_positions_are_counted_one_way(*, on: bool, verdict: str) -> None:
    assert check("hedge mode", hedge_mode=on).verdict == verdict
    assert check("multi-asset mode", multi_asset_mode=on).verdict == verdict


@pytest.mark.parametrize(
    ("change", "verdict", "text"),
    [
        ({}, "ok", "all 7 may be traded"),
        ({"tradable": False}, "warn", "7 of 7 cannot be traded now: A0/USDT"),
        ({"tick": Decimal("0.1")}, "refused", "A0/USDT: tick is 0.1, stored 0.01"),
    ],
)
def test_pairs_on_demand_are_checked_all_at_once(
    change: dict[str, Any], verdict: str, text: str
) -> None:
    wanted, names = expected(), [f"A{number}/USDT" for number in range(7)]
    rules = dict(wanted.instruments)
    (usual,) = rules.values()
    told = replace(
        FACTS, symbols={**FACTS.symbols, **{name: replace(SYMBOL, **change) for name in names}}
    )
    rules |= {name: replace(usual, symbol=name) for name in names}
    found = judge(told, replace(wanted, instruments=rules))
    (line,) = [each for each in found if each.name == ON_DEMAND]
    assert line.verdict == verdict
    assert text in line.text
    if change:
        assert line.text.endswith("and 2 more"), "one line, however many"
    assert len(found) == len(judge(FACTS, wanted)) + 1

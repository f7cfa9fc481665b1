"""The cap of a first run: small, durable, of one account, and lifted by a person alone."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from live_kit import live_file

from citadel_micro.preflight.first_run import FILE, capped_venues, lift, limits_in_effect
from citadel_micro.shell.config.config import load
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.shell.config.config import MicroConfig


def config(folder: Path, *, network: str = "mainnet", top: str = "") -> MicroConfig:
    path = live_file(folder)
    text = path.read_text().replace("network = 'testnet'", f"network = '{network}'")
    path.write_text(text + top)
    return load(path)


def test_on_a_mainnet_every_size_is_capped(tmp_path: Path) -> None:
    limits = limits_in_effect(config(tmp_path))
    assert limits.max_order_notional == Decimal(50)
    for most in (
        limits.max_position_notional,
        limits.max_gross_exposure,
        limits.max_net_exposure,
        limits.max_venue_exposure["*"],
    ):
        assert most == Decimal(200)


def test_what_is_smaller_already_stays(tmp_path: Path) -> None:
    top = "[live]\nfirst_run_cap = 1000\nfirst_run_total = 5000\n"
    its = config(tmp_path, top=top)
    assert limits_in_effect(its) == its.limits()


@pytest.mark.parametrize("network", ["testnet", "demo"])
def test_money_of_no_worth_is_not_capped(tmp_path: Path, network: str) -> None:
    its = config(tmp_path, network=network)
    assert capped_venues(its) == []
    assert limits_in_effect(its) == its.limits()


def test_paper_is_not_capped(tmp_path: Path) -> None:
    its = load(live_file(tmp_path), overrides={"mode": "paper"})
    assert limits_in_effect(its) == its.limits()


def test_it_is_lifted_for_good_and_for_that_account_only(tmp_path: Path) -> None:
    its = config(tmp_path)
    assert lift(its, "twenty orders compared", 5) == ["binance-spot:mainnet:354937868"]
    assert limits_in_effect(its) == its.limits()
    assert b"twenty orders compared" in (its.run_dir / FILE).read_bytes()
    assert (its.run_dir / FILE).stat().st_mode & 0o077 == 0
    other = its.model_copy(update={"live_account": "2"})
    assert capped_venues(other) == ["binance-spot"]
    assert lift(its, "again", 6) == []
    assert b"again" not in (its.run_dir / FILE).read_bytes()
    lift(other, "this one too", 7)
    assert capped_venues(its) == capped_venues(other) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"ts_ns": "x"}}'])
def test_a_damaged_file_lifts_nothing(tmp_path: Path, text: str) -> None:
    its = config(tmp_path)
    its.run_dir.mkdir(parents=True)
    (its.run_dir / FILE).write_text(text)
    with pytest.raises(BadInput, match="then the cap holds again"):
        limits_in_effect(its)


def test_what_a_run_was_started_with_decides_whether_it_is_capped(tmp_path: Path) -> None:
    its = config(tmp_path)
    # The file has been changed meanwhile, to paper and to larger limits.
    fresh = load(
        tmp_path / "micro.toml",
        overrides={"mode": "paper", "risk": {"max_order_notional": 90}},
    )
    assert limits_in_effect(its, fresh).max_order_notional == Decimal(50)
    lift(its, "enough seen", 5)
    assert limits_in_effect(its, fresh).max_order_notional == Decimal(90)


def generic(folder: Path, top: str = "", **risk: object) -> MicroConfig:
    path = live_file(folder)
    text = path.read_text().replace("venues.binance-spot", "venues.ccxt-kucoin")
    path.write_text(text + top)
    return load(path, overrides={"risk": risk})


def test_where_execution_is_unverified_limits_are_a_tenth(tmp_path: Path) -> None:
    its = generic(tmp_path)
    limits = limits_in_effect(its)
    assert limits.order_notional("ccxt-kucoin") == its.limits().max_order_notional / 10
    assert limits.max_venue_exposure["ccxt-kucoin"] == its.limits().max_venue_exposure["*"] / 10
    # Those of other venues are what they were.
    assert limits.order_notional("binance-spot") == its.limits().max_order_notional
    assert limits.max_venue_exposure["*"] == its.limits().max_venue_exposure["*"]


def test_what_is_said_of_an_unverified_venue_by_its_name_holds(tmp_path: Path) -> None:
    its = generic(
        tmp_path,
        max_venue_order_notional={"ccxt-kucoin": 70},
        max_venue_exposure={"*": 200, "ccxt-kucoin": 150},
    )
    limits = limits_in_effect(its)
    assert limits.order_notional("ccxt-kucoin") == Decimal(70)
    assert limits.max_venue_exposure["ccxt-kucoin"] == Decimal(150)


def test_the_share_of_unverified_venues_can_be_chosen_and_paper_has_none(tmp_path: Path) -> None:
    its = generic(tmp_path, top="[live]\nunverified_share = 0.5\n")
    assert limits_in_effect(its).order_notional("ccxt-kucoin") == Decimal(50)
    paper = load(tmp_path / "micro.toml", overrides={"mode": "paper"})
    assert limits_in_effect(paper) == paper.limits()

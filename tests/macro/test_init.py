"""``citadel init``: micro's configuration for one of Freqtrade."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
from citadel_bridge.cli import main
from citadel_macro.init_config import _round
from citadel_micro.shell.config.config import load

if TYPE_CHECKING:
    from pathlib import Path


def freqtrade(folder: Path, **over: Any) -> Path:  # noqa: ANN401 - parts of a configuration
    """As ``freqtrade new-config`` writes it, with comments."""
    config = {
        "max_open_trades": 3,
        "stake_currency": "USDT",
        "stake_amount": 200,
        "tradable_balance_ratio": 0.99,
        "dry_run": True,
        "dry_run_wallet": 1_000,
        "trading_mode": "spot",
        "exchange": {
            "name": "binance",
            "key": "a-key-of-nobody",
            "secret": "a-secret-of-nobody",
            "pair_whitelist": ["BTC/USDT", "ETH/USDT"],
        },
        "pairlists": [{"method": "StaticPairList"}],
        **over,
    }
    path = folder / "config.json"
    path.write_text("// mine\n" + json.dumps(config, indent=1))
    return path


def risk_of(path: Path) -> Any:  # noqa: ANN401 - a section made at run time
    return load(path).risk


def test_what_it_writes_runs_and_what_it_says_is_to_be_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "micro.toml"
    assert main(["init", "-c", str(freqtrade(tmp_path)), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert 'set "dry_run": false' in said
    assert "remove exchange.key, exchange.secret" in said
    assert "a-secret-of-nobody" not in said + out.read_text()
    assert "stoploss_on_exchange" in said
    config = load(out)
    assert config.mode == "paper"
    assert list(config.venues) == ["binance-spot"]
    assert config.venues["binance-spot"].symbols == ["BTC/USDT", "ETH/USDT"]
    assert risk_of(out).max_order_notional == Decimal(250)
    assert risk_of(out).max_gross_exposure == Decimal(1300)
    assert risk_of(out).max_daily_loss == Decimal(30)
    assert risk_of(out).max_drawdown == Decimal(80)
    assert (risk_of(out).max_identical_orders, risk_of(out).max_repeated_entries) == (5, 30)


def test_an_existing_file_is_kept_unless_asked_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "micro.toml"
    out.write_text("mine")
    words = ["init", "-c", str(freqtrade(tmp_path)), "--out", str(out)]
    assert main(words) == 3
    assert out.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert main([*words, "--force", "--json"]) == 0
    assert out.read_text() != "mine"
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == str(out)
    assert any("dry_run" in text for text in told["advice"])
    assert told["then"][0] == f"citadel micro --config {out}"


def test_an_unlimited_stake_is_shared_by_the_trades(tmp_path: Path) -> None:
    out = tmp_path / "micro.toml"
    path = freqtrade(tmp_path, stake_amount="unlimited", max_open_trades=4)
    assert main(["init", "-c", str(path), "--capital", "10000", "--out", str(out)]) == 0
    assert risk_of(out).max_order_notional == Decimal(3100)
    futures = freqtrade(tmp_path, trading_mode="futures", position_adjustment_enable=True)
    assert main(["init", "-c", str(futures), "--out", str(out), "--force"]) == 0
    config = load(out)
    assert list(config.venues) == ["binance-usdm"]
    assert risk_of(out).max_position_notional == Decimal(5000)


def test_later_files_are_over_earlier_ones(tmp_path: Path) -> None:
    more = tmp_path / "more.json"
    more.write_text(
        '{"exchange": {"name": "kraken", "pair_whitelist": ["BTC/EUR"]}, "stake_currency": "EUR"}'
    )
    out = tmp_path / "micro.toml"
    path = freqtrade(tmp_path, dry_run=False, order_types={"stoploss_on_exchange": True})
    assert main(["init", "-c", str(path), "-c", str(more), "--out", str(out)]) == 0
    config = load(out)
    assert list(config.venues) == ["kraken-spot"]
    assert risk_of(out).reporting_currency == "EUR"
    assert config.paper.balances == {"EUR": 1_000}, "else nothing could be bought on paper"


@pytest.mark.parametrize(
    ("over", "words", "opening"),
    [
        ({}, [], 1_000),
        (
            {"dry_run_wallet": 0},
            [],
            750,
        ),  # three of 200, with room for fees and what Freqtrade keeps
        ({"stake_amount": "unlimited"}, ["--capital", "900"], 900),
        ({"stake_amount": "unlimited"}, [], 1_000),
    ],
)
def test_the_paper_account_holds_what_freqtrade_counts_on(
    tmp_path: Path, over: dict[str, Any], words: list[str], opening: int
) -> None:
    """An unlimited stake is shared out of the wallet: of more, each order would be beyond its limit."""
    out = tmp_path / "micro.toml"
    assert main(["init", "-c", str(freqtrade(tmp_path, **over)), *words, "--out", str(out)]) == 0
    assert load(out).paper.balances == {"USDT": opening}
    stake = opening * Decimal("0.99") / 3 if "stake_amount" in over else Decimal(200)
    assert risk_of(out).max_order_notional >= stake


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({"exchange": {"pair_whitelist": ["BTC/USDT"]}}, "exchange.name is missing"),
        ({"exchange": {"name": "binance", "pair_whitelist": [".*/USDT"]}}, "names no pair"),
        ({"stake_amount": "unlimited", "dry_run_wallet": 0}, "--capital"),
        ({"stake_amount": "lots"}, "stake_amount is 'lots'"),
        ({"max_open_trades": "many"}, "max_open_trades is 'many'"),
        ({"exchange": "binance"}, "exchange.name is missing"),
        (
            {"exchange": {"name": "binnance", "pair_whitelist": ["BTC/USDT"]}},
            "did you mean binance",
        ),
        ({"exchange": {"name": "binance", "pair_whitelist": "BTC/USDT"}}, "is 'BTC/USDT'"),
    ],
)
def test_what_it_cannot_know_it_asks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], over: dict[str, Any], text: str
) -> None:
    out = tmp_path / "micro.toml"
    assert main(["init", "-c", str(freqtrade(tmp_path, **over)), "--out", str(out)]) == 2
    assert text in capsys.readouterr().err
    assert not out.exists()


def test_bad_files_and_amounts_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert main(["init", "-c", str(broken), "--out", str(tmp_path / "x")]) == 2
    assert main(["init", "-c", str(tmp_path / "none.json"), "--out", str(tmp_path / "x")]) == 2
    assert "not found" in capsys.readouterr().err
    words = ["init", "-c", str(freqtrade(tmp_path)), "--out", str(tmp_path / "none" / "x")]
    assert main(words) == 2
    assert "fix: name another with --out" in capsys.readouterr().err
    for amount in ("much", "-1", "nan", "0"):
        words = ["init", "-c", str(freqtrade(tmp_path)), "--out", str(tmp_path / "x")]
        assert main([*words, "--capital", amount]) == 2
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["demo-config", "--user-dir", "FILE/ud"],
        ["demo-config", "--user-dir", "FREE", "--out", "FILE/x.json"],
        ["trade", "--simulator", "http://127.0.0.1:1", "--userdir", "FILE/ud"],
    ],
)
def test_what_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (tmp_path / "file").touch()
    here = {"FILE": str(tmp_path / "file"), "FREE": str(tmp_path / "free")}
    for name, path in here.items():
        words = [word.replace(name, path) for word in words]
    sim = [] if "trade" in words else ["--sim", "http://127.0.0.1:1"]
    assert main(["macro", *words, *sim]) == 2
    said = capsys.readouterr().err
    assert "cannot be written" in said
    assert str(tmp_path / "file") in said
    assert "fix: name " in said


def test_pairs_that_are_not_fixed_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = freqtrade(tmp_path, pairlists=[{"method": "VolumePairList"}])
    assert main(["init", "-c", str(path), "--out", str(tmp_path / "x")]) == 0
    assert "VolumePairList" in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["spot", "futures"])
def test_a_shadow_is_given_an_account_in_which_nothing_runs_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    pair = "1000PEPE/USDT:USDT" if mode == "futures" else "PEPE/USDT"
    exchange = {"name": "binance", "key": "a", "secret": "b", "pair_whitelist": [pair, "BTC/USDT"]}
    # A stake that says nothing and a live Freqtrade are fine: neither its money nor its keys are asked for.
    path = freqtrade(
        tmp_path, trading_mode=mode, dry_run=False, stake_amount="unlimited", exchange=exchange
    )
    out = tmp_path / "micro.toml"
    assert main(["init", "--shadow", "-c", str(path), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "citadel macro trade --shadow" in said
    assert "in Freqtrade's configuration" not in said  # nothing is to be changed there
    config = load(out)
    assert config.mode == "paper"
    (venue,) = config.venues.values()
    assert venue.symbols == [pair, "BTC/USDT"]
    assert set(config.paper.balances) == {"USDT", "BTC", pair.partition("/")[0]}
    assert min(config.paper.balances.values()) == 10**12
    limits = config.limits()
    assert limits.max_position_notional == limits.max_drawdown == limits.max_daily_loss == 10**12
    # What looks at the market stays.
    assert (limits.price_collar_bps, limits.max_spread_bps) == (100.0, 30.0)


@given(st.decimals("0.01", "10000000", places=2))
def test_a_rounded_limit_is_never_below_and_at_most_a_tenth_above(value: Decimal) -> None:
    rounded = Decimal(_round(value))
    assert value <= rounded <= value * Decimal("1.1")

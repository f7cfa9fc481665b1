from __future__ import annotations

from pathlib import Path
from typing import Any

import ccxt.pro
import freqtrade.exchange
import pytest
from freqtrade.enums import TradingMode
from freqtrade.exchange.common import MAP_EXCHANGE_CHILDCLASS, SUPPORTED_EXCHANGES

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
from citadel_macro.config import BridgeSettings, settings_of
from citadel_macro.demo import demo_config
from citadel_macro.venues import venue_of, why_not_served
from citadel_micro.adapters.ccxt.venues import SOURCES
from citadel_micro.shell.marketdata.generic import integrity_of
from citadel_proto.errors import BadInput


def config(**section: object) -> dict[str, Any]:
    return {"exchange": {"name": "binance"}, "citadel": section}


def test_defaults_are_the_loopback_endpoints_and_the_venue_of_the_exchange() -> None:
    settings = settings_of({"exchange": {"name": "binance"}})
    assert settings.signals == "tcp://127.0.0.1:5555"
    assert settings.market == ("tcp://127.0.0.1:5556",)
    assert settings.lanes == ()
    assert settings.venue == "binance-spot"
    assert settings.intents_path(Path("ud")) == Path("ud/citadel-intents.sqlite")


def test_lanes_are_a_list_or_a_text_with_commas() -> None:
    for lanes in ("/a/lane, /b/lane", ["/a/lane", "/b/lane"]):
        found = settings_of({"exchange": {"name": "binance"}, "citadel": {"lanes": lanes}})
        assert found.lanes == (Path("/a/lane"), Path("/b/lane"))


@pytest.mark.parametrize(
    ("name", "mode", "venue"),
    [
        ("binance", "spot", "binance-spot"),
        ("binance", TradingMode.FUTURES, "binance-usdm"),
        ("binanceusdm", "futures", "binance-usdm"),
        ("kraken", "spot", "kraken-spot"),
        ("krakenfutures", "futures", "kraken-futures"),
        ("okx", "spot", "okx"),
        ("okx", "futures", "okx"),
        ("gate", "spot", "gate-spot"),
        ("gateio", "spot", "gate-spot"),
        ("gateio", "futures", "gate-usdm"),
        ("bybit", "spot", "bybit-spot"),
        ("bybit", "futures", "bybit-linear"),
        ("bitget", "spot", "bitget-spot"),
        ("bitget", "futures", "ccxt-bitget"),
        ("kucoin", "spot", "kucoin-spot"),
        ("coinbase", "spot", "coinbase-advanced"),
        ("hyperliquid", "spot", "hyperliquid"),
        ("hyperliquid", "futures", "hyperliquid"),
        ("htx", "spot", "ccxt-htx"),
        ("binanceus", "spot", "ccxt-binanceus"),
        ("myokx", "spot", "ccxt-myokx"),
    ],
)
def test_venue_follows_exchange_and_mode(name: str, mode: object, venue: str) -> None:
    assert venue_of({"exchange": {"name": name}, "trading_mode": mode}) == venue


def _modes(name: str) -> set[str]:
    title = MAP_EXCHANGE_CHILDCLASS.get(name, name).title()
    real = getattr(freqtrade.exchange, title, freqtrade.exchange.Exchange)
    found = {str(mode.value) for mode, _ in real._supported_trading_mode_margin_pairs}
    return found | {"spot"}


@pytest.mark.parametrize(
    "name",
    [*SUPPORTED_EXCHANGES, *MAP_EXCHANGE_CHILDCLASS, "kucoin", "coinbase", "coinbaseexchange"],
)
def test_micro_has_a_venue_for_every_exchange_of_freqtrades(name: str) -> None:
    """Each id is one that micro itself takes, and its rules are those of the exchange named."""
    if name == "kucoineu" and name not in ccxt.pro.exchanges:
        pytest.skip("ccxt itself has none")
    for mode in _modes(name):
        venue = venue_of({"exchange": {"name": name}, "trading_mode": mode})
        assert integrity_of(venue), "raises for an id that micro does not know"
        source = SOURCES.get(venue)
        if source is None:
            continue
        kinds = {"spot"} if mode == "spot" else {"linear"}
        only_futures = name in {"binanceusdm", "krakenfutures"}
        assert only_futures or kinds & set(source.kinds), f"{venue} has no {mode} markets"
        assert source.exchange.startswith(name.removesuffix("io").removesuffix("usdm")[:4])


def test_a_venue_that_micro_does_not_have_is_named_with_those_that_it_has() -> None:
    text = why_not_served("okx-futures", {"okx", "kraken-spot"})
    assert "no venue 'okx-futures', only kraken-spot, okx" in text
    assert "citadel.venue = 'okx'" in text
    assert "reported no venue yet" in why_not_served("okx", set())


def test_a_misspelt_key_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(BadInput) as caught:
        settings_of(config(signal="tcp://127.0.0.1:1"))
    assert caught.value.what == "unknown setting 'signal'"
    assert caught.value.mend == "did you mean 'signals'?"
    assert "orphan_policy" in (caught.value.allowed or "")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"market": "127.0.0.1:5556"}, "endpoints look like tcp://"),
        ({"orphan_policy": "ignore"}, "'adopt' or 'flatten'"),
        ({"lock_minutes": 0}, "greater than 0"),
        ({"retry_s": "soon"}, "retry_s = 'soon'"),
    ],
)
def test_a_bad_value_says_what_and_where(section: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match="section 'citadel'") as caught:
        settings_of(config(**section))
    assert words in str(caught.value)


def test_a_section_that_is_no_object_is_refused() -> None:
    with pytest.raises(BadInput, match="'citadel' is list"):
        settings_of({"exchange": {"name": "binance"}, "citadel": []})


def test_every_setting_is_in_the_reference() -> None:
    page = Path(__file__).parents[2] / "docs/reference/macro-configuration.md"
    text = page.read_text("utf-8")
    missing = [name for name in BridgeSettings.model_fields if f"`{name}`" not in text]
    assert missing == []


def test_the_demo_configuration_reaches_nothing_but_the_simulator(tmp_path: Path) -> None:
    made = demo_config(
        "http://127.0.0.1:1",
        "ws://127.0.0.1:1",
        signals="tcp://127.0.0.1:2",
        market="tcp://127.0.0.1:3",
        user_dir=tmp_path / "user",
        ml=True,
    )
    api = made["exchange"]["ccxt_config"]["urls"]["api"]
    urls = [url for name, url in api.items() if name != "ws"] + list(api["ws"].values())
    assert all("//127.0.0.1:1/" in url for url in urls)
    assert made["exchange"]["only_from_ccxt"] is True
    assert made["citadel"]["market"] == "tcp://127.0.0.1:3"
    assert made["strategy"] == "CitadelML"
    assert made["freqai"]["train_period_days"] == 1
    assert made["freqai"]["live_retrain_hours"] == 1, "from config-ml.json"
    assert Path(made["user_data_dir"]).is_dir()


def test_the_demo_configuration_wants_urls(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no address of a simulator"):
        demo_config("127.0.0.1:1", "ws://x:1", signals="", market="", user_dir=tmp_path)

"""LightGBM inside FreqAI: trains on the simulator, refuses what it does not know, sends confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.freqai.data_kitchen import FreqaiDataKitchen
from freqtrade_kit import running

from citadel_macro.demo import demo_config
from citadel_macro.features import KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from freqtrade_kit import Rig, Simulator

pytest.importorskip("lightgbm", reason="needs the extra [ml]")
pytestmark = [
    # FreqAI's; pandas blames the frame above it.
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),
]
PAIRS = ["BTC/USDT", "ETH/USDT"]


@pytest.fixture(scope="module")
def rig(
    simulator: Simulator, tmp_path_factory: pytest.TempPathFactory, signals_port: int
) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("ml")
    wanted = demo_config(
        simulator.rest, simulator.ws, signals="", market="", user_dir=folder, pairs=PAIRS, ml=True
    )
    over = {
        name: wanted[name]
        for name in ("strategy", "strategy_path", "freqaimodel", "freqaimodel_path", "freqai")
    }
    exchange = wanted["exchange"]
    over |= {"exchange": exchange, "citadel_ml": {"rank": 0.0, "hold_s": 600, "cost_bps": 5}}
    with running(simulator, folder, signals_port, **over) as rig:
        yield rig


def trained(rig: Rig) -> bool:
    return all(rig.strategy.freqai.dd.pair_dict[p]["model_filename"] for p in PAIRS)


def candles(rig: Rig, pair: str) -> Any:  # noqa: ANN401 - a frame with the model's columns
    return rig.bot.dataprovider.get_analyzed_dataframe(pair, "1m")[0]


def test_it_trains_within_half_a_minute_and_sends_its_confidence(rig: Rig) -> None:
    rig.until(lambda: trained(rig))
    trade = rig.until(lambda: next((rig.trade(p) for p in PAIRS if rig.trade(p)), None))
    sent = rig.micro.signals_of(trade.pair, "buy")[0]
    # A candle may have ended since: the one it was sent for is the last but one then.
    latest = candles(rig, trade.pair).iloc[-2:]
    (of_it,) = (row for _, row in latest.iterrows() if row["up"] == pytest.approx(sent.confidence))
    assert of_it["do_predict"] == 1
    assert of_it["fresh"] == 1
    assert 0 <= float(str(sent.confidence)) <= 1
    assert sent.model_id == "citadel-demo-ml"
    assert trade.enter_tag == "model"


def test_order_flow_is_watched_for_the_next_training(rig: Rig) -> None:
    store = rig.strategy.flow
    assert set(store._open) == set(PAIRS)
    assert store._open["BTC/USDT"].count > 0
    dates = candles(rig, "BTC/USDT")["date"]
    assert store.joined("BTC/USDT", dates)[KNOWN].sum() <= 2, "nothing is invented for the past"


def kitchen(rig: Rig, pair: str) -> Any:  # noqa: ANN401 - FreqAI's
    made = FreqaiDataKitchen(rig.bot.config, True, pair)
    made.set_paths(pair)
    return made


def test_a_row_with_a_missing_feature_is_not_predicted_from(rig: Rig) -> None:
    """Stock FreqAI fills it with 0 and reports ``do_predict`` 1."""
    pair, model = "BTC/USDT", rig.strategy.freqai
    dk = kitchen(rig, pair)
    model.model = model.dd.load_data(pair, dk)
    frame = candles(rig, pair)[["date", "open", "high", "low", "close", "volume"]].tail(200)
    full = dk.use_strategy_to_populate_indicators(
        rig.strategy, prediction_dataframe=frame.reset_index(drop=True), pair=pair
    )
    full = dk.remove_special_chars_from_feature_names(full)
    features = [name for name in full.columns if name.startswith("%")]
    tail = full.tail(50).reset_index(drop=True)
    assert tail[features].notna().all().all()
    _, known = model.predict(tail.copy(), dk)
    assert known.tolist() == [1] * 50
    holes = tail.copy()
    holes.loc[7, features[0]] = np.nan
    holes.loc[9, features[1]] = np.inf
    _, masked = model.predict(holes, dk)
    assert [n for n, value in enumerate(masked) if not value] == [7, 9]


def test_the_label_is_unknown_where_the_future_is(rig: Rig) -> None:
    horizon = rig.strategy.freqai_info["feature_parameters"]["label_period_candles"]
    close = pd.Series(np.linspace(100, 101, 50))
    frame = pd.DataFrame({"close": close})
    labels = rig.strategy.set_freqai_targets(frame, {"pair": "BTC/USDT"})["&s-move"]
    assert labels.tail(horizon).isna().all()
    assert set(labels.head(50 - horizon)) == {"up"}

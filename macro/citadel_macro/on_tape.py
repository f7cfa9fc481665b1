"""A Freqtrade strategy on the market of a recorded tape: candles, and what the strategy says of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd
from freqtrade.enums import CandleType, RunMode
from freqtrade.exchange import timeframe_to_seconds
from freqtrade.resolvers import StrategyResolver

from citadel_proto import topics
from citadel_proto.codec import decode_market
from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.messages import Trades
from citadel_proto.tape import MARKET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_proto.tape import Record

_COLUMNS: Final = ["date", "open", "high", "low", "close", "volume"]


def candles_of(records: Sequence[Record], venue: str, symbol: str, timeframe: str) -> pd.DataFrame:
    """Candles of the public trades on a tape, as Freqtrade has them.

    A candle without a trade repeats the close before it, with no volume. The last one may be unfinished.

    Raises:
        BadInput: the tape has no trades of this symbol.
    """
    rows: list[tuple[int, float, float]] = []
    for record in records:
        if record.direction != MARKET:
            continue
        try:
            message = decode_market(topics.split(record.frame)[1])
        except DecodeError:
            continue  # a tape keeps every frame
        if isinstance(message, Trades) and (message.venue, message.symbol) == (venue, symbol):
            rows += [
                (each.exchange_ns or record.recv_ns, each.price, each.quantity)
                for each in message.trades
            ]
    if not rows:
        raise BadInput(f"no trades of {venue} {symbol} are on the tape", where="candles_of")
    trades = pd.DataFrame(rows, columns=["date", "price", "quantity"])
    trades["date"] = pd.to_datetime(trades["date"], unit="ns", utc=True)
    groups = trades.set_index("date").resample(f"{timeframe_to_seconds(timeframe)}s")
    candles = groups["price"].ohlc()
    candles["volume"] = groups["quantity"].sum()
    candles["close"] = candles["close"].ffill()
    for name in ("open", "high", "low"):
        candles[name] = candles[name].fillna(candles["close"])
    return candles.reset_index()[_COLUMNS]


def analysed(
    strategy: str | Path, candles: pd.DataFrame, pair: str, timeframe: str, folder: Path
) -> pd.DataFrame:
    """Candles with the indicators and the entry and exit columns of a strategy.

    Args:
        strategy: its file; its class has the file's name.
        candles: as ``candles_of`` gives them.
        pair: Freqtrade's name of the symbol.
        timeframe: ``1m``, ``5m`` …
        folder: Freqtrade's user folder, for what the strategy may write.

    Raises:
        BadInput: there is no such file.
    """
    path = Path(strategy)
    if not path.is_file():
        raise BadInput(f"no strategy is at {path}", where="freqtrade_strategy_on_tape")
    stake = pair.partition(":")[0].partition("/")[2]
    loaded = StrategyResolver.load_strategy(
        {
            "strategy": path.stem,
            "strategy_path": str(path.parent),
            "user_data_dir": folder,
            "runmode": RunMode.BACKTEST,
            "dry_run": True,
            "stake_currency": stake,
            "timeframe": timeframe,
            "candle_type_def": CandleType.FUTURES if ":" in pair else CandleType.SPOT,
            "trading_mode": "futures" if ":" in pair else "spot",
            "exchange": {"name": "binance", "pair_whitelist": [pair]},
        }
    )
    loaded.ft_bot_start()
    about = {"pair": pair}
    frame = loaded.advise_indicators(candles.copy(), about)
    frame = loaded.advise_entry(frame, about)
    return loaded.advise_exit(frame, about)

"""micro's clock stands still while its machine is suspended, and Freqtrade's dates go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from freqtrade.persistence import Order, Trade

from citadel_macro import closed_by_others

PAIR = "BTC/USDT"
SECOND = 10**9


@pytest.mark.parametrize("after_s", [-5, 5], ids=["before the entry", "after it"])
@pytest.mark.parametrize("behind_s", [-3_600, 0, 3_600], ids=["ahead", "equal", "behind"])
def test_what_closed_a_trade_is_told_by_the_order_of_micros_own_stamps(
    monkeypatch: pytest.MonkeyPatch, behind_s: int, after_s: int
) -> None:
    """A flattening five seconds after the entry, stamped an hour before Freqtrade's date of it."""
    opened = datetime.now(UTC) - timedelta(minutes=1)
    entry_ns = (int(opened.timestamp()) - behind_s) * SECOND
    order = SimpleNamespace(order_id="entry", ft_order_side="buy")
    trade: Any = SimpleNamespace(
        pair=PAIR, entry_side="buy", exit_side="sell", open_date_utc=opened, orders=[order]
    )
    known: dict[str, Any] = {"entry": SimpleNamespace(created_ns=entry_ns)}
    exchange: Any = SimpleNamespace(link=SimpleNamespace(report=known.get))
    sale: Any = SimpleNamespace(
        signal_id="sale", symbol=PAIR, side="sell", updated_ns=entry_ns + after_s * SECOND
    )
    monkeypatch.setattr(Trade, "get_open_trades", lambda: [trade])
    monkeypatch.setattr(Order, "order_by_id", lambda *_: None)
    found: Any = closed_by_others._closed_by(exchange, sale)
    assert found is (trade if after_s > 0 else None)
    known.clear()  # of an entry that is not known any more, by Freqtrade's date
    found = closed_by_others._closed_by(exchange, sale)
    assert found is (trade if after_s > behind_s else None)

"""Which symbol somebody may have meant."""

from __future__ import annotations

import pytest

from citadel_micro.shell.marketdata.naming import nearest

KNOWN = ["BTG/USDT", "BCH/USDT", "BTC/USDC", "BTC/USDT:USDT", "BTC/EUR", "ETH/USDT", "XRP/USDT"]


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("BTC/USDT", ["BTC/USDT:USDT", "BTC/USDC", "BTC/EUR"]),
        ("btc/eur", ["BTC/EUR"]),
        ("BTC/USD", ["BTC/USDC"]),
        ("ETHUSDT", ["ETH/USDT"]),
        ("eth-usdt", ["ETH/USDT"]),
        ("BTCUSDC", ["BTC/USDC"]),
    ],
)
def test_the_same_coin_comes_first(asked: str, first: list[str]) -> None:
    assert nearest(asked, KNOWN)[: len(first)] == first


def test_another_coin_is_no_suggestion() -> None:
    assert nearest("SOL/USDT", KNOWN) == []
    assert nearest("XPR/USDT", KNOWN) == ["XRP/USDT"], "but a slip of the hand is"

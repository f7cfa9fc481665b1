"""An exchange of futures whose flow can be kept still, and what never changes there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from exchange_kit import BTC, Floor, synthetic

from citadel_micro.sim.exchange.accounts import FeePlan
from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
from citadel_micro.sim.exchange.rules import SymbolRules
from citadel_micro.sim.flow_symbols import E8

FREE = FeePlan(maker_e8=0, taker_e8=0)


class Pit(Floor):
    """A floor for futures. Accounts have ``money`` whole USDT and trade without fees."""

    exchange: FuturesExchange

    def __init__(self, *, money: int = 10**6, fees: FeePlan = FREE, **more: Any) -> None:  # noqa: ANN401 - as Floor
        feed = more.pop("feed", None) or synthetic()
        rules = {
            symbol: replace(SymbolRules.linear(spec), min_notional_e8=0, max_notional_e8=10**20)
            for symbol, spec in feed.specs.items()
        }
        super().__init__(feed=feed, rules=rules, kind=FuturesExchange, accounts=(), **more)
        self.accounts = ("ann", "bob")
        for account in self.accounts:
            self.exchange.open_account(
                account, {"USDT": money * E8}, fees=fees,
                permissions=frozenset({"read", "futures"}),
            )  # fmt: skip

    def wallet(self, account: str = "ann") -> int:
        return sum(self.exchange.balances(account)["USDT"])

    def lots(self, account: str = "ann") -> int:
        return self.exchange.position(account, BTC).lots


def sum_of_all(pit: Pit, accounts: tuple[str, ...]) -> int:
    """Wallets less signed costs, fees, insurance and flow: what never changes."""
    futures = pit.exchange._futures
    total = sum(book.get("USDT", 0) for book in (futures.fee_box, futures.insurance, futures.flow))
    for account in accounts:
        total += pit.wallet(account)
        for position in futures.positions.get(account, {}).values():
            total -= position.sign * position.cost_e8
    return total

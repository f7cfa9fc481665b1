"""Whether all books agree once ``hands_kit`` has played: Freqtrade's database, micro's journal, the exchange's ledger."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from hands_kit import ACCOUNT

from citadel_micro.demo.audit import compare, read_deleted, read_freqtrade, read_owners
from citadel_micro.demo.journals import read_micro

if TYPE_CHECKING:
    from hands_kit import Hands


def audit(hands: Hands) -> list[str]:
    """End micro, and compare all books; differences in words."""
    database = hands.folder / "trades.sqlite"
    fills = hands.exchange.ledger(ACCOUNT)["fills"]
    assert hands.micro.process is not None
    hands.micro.process.terminate()
    ended = hands.micro.process.wait(30)
    reports = read_micro(hands.folder / "run")
    orders, trades = read_freqtrade(database)
    audit = compare(orders, trades, reports, read_owners(database), read_deleted(database))
    found = list(audit.differences)
    if ended:
        found.append(f"micro ended with {ended}")
    ours = {
        (view.trade_id, view.child_id): (view.price, view.quantity, view.fee)
        for report in reports.values()
        for view in report.fills
    }
    theirs = {
        (str(fill["tradeId"]), fill["clientOrderId"]): tuple(
            Decimal(fill[name]) for name in ("price", "quantity", "fee")
        )
        for fill in fills
    }
    found += [
        f"fill {name}: {ours.get(name)} in micro, {theirs.get(name)} at the exchange"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]
    return found

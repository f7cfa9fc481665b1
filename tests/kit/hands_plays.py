"""What people do beside Freqtrade, at random: for ``make campaign-hands`` and its short leg in the suite."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from hands_kit import PAIRS, Hands

if TYPE_CHECKING:
    from collections import defaultdict
    from collections.abc import Callable

ACTIONS: Final = (
    *("enter", "enter", "enter far", "leave", "leave part", "delete", "reload", "flatten", "stop"),
    *("command sells all", "command sells part", "command sells more", "command buys"),
    *("exchange sells all", "exchange sells part", "exchange sells more", "exchange buys"),
    *("stop and start", "reload from exchange"),
)
STEP: Final = Decimal("0.0001")


def actions(seed: int, count: int) -> list[tuple[str, str, float]]:
    """What is done in a run: action, pair, and a fraction."""
    rng = random.Random(seed)
    return [(rng.choice(ACTIONS), rng.choice(PAIRS), rng.uniform(0.2, 0.8)) for _ in range(count)]


def act(hands: Hands, action: str, pair: str, part: float) -> bool:
    """Do one thing, where it can be done; whether it was."""
    trade = hands.rig.trade(pair)
    open_order = trade is not None and any(
        order.ft_is_open and order.ft_order_side != "stoploss" for order in trade.orders
    )
    held = Decimal(0) if trade is None else hands.traded(pair)
    who, _, what = action.partition(" ")
    if who in {"command", "exchange"}:
        order: Callable[[str, str, Decimal], object] = (
            hands.by_command if who == "command" else hands.at_exchange
        )
        if what == "buys":
            order(pair, "buy", (Decimal(500) / hands.price(pair)).quantize(STEP))
            return True
        if held <= 0 or open_order:
            return False
        stock = max(Decimal(0), hands.stock[pair])
        size = {
            "sells all": held,
            "sells part": held * Decimal(str(part)),
            "sells more": held + stock,
        }
        quantity = size[what] // STEP * STEP
        if quantity * hands.price(pair) < 20:
            return False
        order(pair, "sell", quantity)
        return True
    if action == "enter":
        return trade is None and not hands.enter(pair)
    if action == "enter far":
        if trade is not None or hands.enter(pair, float(hands.price(pair)) * 0.98):
            return False
        hands.agree()
        if hands.rig.trade(pair) is not None:
            hands.cancel(pair)
        return True
    of_the_bot: dict[str, Callable[[], object]] = {
        "reload": hands.reload,
        "flatten": hands.flatten,
        "stop and start": hands.stop_and_start,
    }
    if action in of_the_bot:
        of_the_bot[action]()
        return True
    if action == "reload from exchange":
        return trade is not None and not hands.look_at_exchange(pair)
    if held <= 0 or open_order:
        return False
    if action == "leave":
        return not hands.leave(pair)
    if action == "leave part":
        return not hands.leave(pair, part)
    if action == "delete":
        return not hands.delete(pair)
    hands.stop(pair)
    return True


def play(hands: Hands, seed: int, count: int, took_s: defaultdict[str, list[float]]) -> list[str]:
    """One sequence on a system that is up; what is wrong, in words.

    ``took_s`` gets how long each action took until everything agreed.
    """
    told: list[str] = []
    for action, pair, part in actions(seed, count):
        if not act(hands, action, pair, part):
            continue
        told.append(f"{action} {pair}")
        try:
            took_s[action].append(hands.agree())
            hands.quiet()
            hands.agree()
        except AssertionError as error:
            return [f"after {', '.join(told)}:", *str(error).splitlines()]
    return []

"""How soon after a hand's action all books agree, at Freqtrade's own pace: ``make pace-hands``.

Freqtrade turns its loop as often as it is configured to, every five seconds by default, and a person acts
from another thread. Timed is from the moment in which the action is accepted until Freqtrade's open trades and
wallet are what micro and the exchange say. At the end the books are compared to the last fill.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import threading
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kit"))

from freqtrade.persistence import PairLocks, Trade
from freqtrade.rpc.rpc import RPC, RPCException
from hands_audit import audit
from hands_kit import PATIENCE_S, VENUE, Hands

from citadel_bridge.config import NewSignal
from citadel_micro.shell.ops.control import Request
from citadel_micro.shell.ops.control import ask as operate

if TYPE_CHECKING:
    from collections.abc import Callable

    from freqtrade.worker import Worker

say = sys.stdout.write
PAIR: Final = "BTC/USDT"
STEP: Final = Decimal("0.00001")
LOOK_S: Final = 0.02


class Person:
    """Acts on a system whose loop another thread turns, and takes the time.

    Args:
        hands: the system.
    """

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self.took_s: defaultdict[str, list[float]] = defaultdict(list)
        self._turned: tuple[object, str] = (None, "")

    @property
    def _rpc(self) -> RPC:
        """A reload makes another bot."""
        return RPC(self._hands.rig.bot)

    def round(self) -> None:
        """Every action once."""
        self._enter()
        self._reload()
        self._timed("/stop", self._rpc._rpc_stop, lambda: self._turns("_process_stopped"))
        self._timed("/start", self._rpc._rpc_start, lambda: self._turns("_process_running"))
        number, amount = self._trade()
        self._timed(
            "/forceexit of a part",
            lambda: self._rpc._rpc_force_exit(str(number), None, amount=amount / 2),
            lambda: self._settled() and self._trade()[1] < amount * 0.7,
        )
        self._timed("/forceexit", lambda: self._rpc._rpc_force_exit(str(number), None))
        self._cancel()
        self._enter()
        number, _ = self._trade()
        self._timed("a trade deleted", lambda: self._rpc._rpc_delete(number))
        self._timed("its coins sold", lambda: self._trade_coins("sell"))
        for name, act in (
            ("sold by the command line", self._by_command),
            ("sold at the exchange", self._at_exchange),
            ("a stop", lambda: self._hands.stop(PAIR)),
        ):
            self._enter()
            self._timed(name, act)
        self._timed("bought at the exchange", lambda: self._trade_coins("buy"))
        self._timed("sold again", lambda: self._trade_coins("sell"))
        self._enter()
        trips: list[str] = []
        self._timed("flatten", lambda: trips.extend(self._flatten()))
        for each in trips:
            self._operator(Request("reset", trip_id=each, reason="go on"))

    def _timed(
        self, name: str, act: Callable[[], object], when: Callable[[], bool] | None = None
    ) -> None:
        """Take the time until all agree and ``when`` is true; without it, until there is no trade."""
        act()
        Trade.session.remove()
        began_s = time.monotonic()
        wrong: list[str] = ["not looked at"]
        while wrong:
            if time.monotonic() - began_s > PATIENCE_S:
                raise AssertionError(f"{name}: {wrong}")
            time.sleep(LOOK_S)
            if when() if when else not self._trades():
                if not when:  # what the steps of the pair have left of a trade is nobody's
                    self._hands.stock[PAIR] = self._hands.coins("BTC")
                wrong = self._hands.wrong()
            Trade.session.remove()
        self.took_s[name].append(time.monotonic() - began_s)

    def _enter(self, price: float | None = None) -> None:
        refused = True
        while refused:
            PairLocks.unlock_pair(PAIR)
            try:
                self._rpc._rpc_force_entry(PAIR, price)
                refused = False
            except RPCException:  # on a busy machine a book may be late
                time.sleep(1)
        if price is None:
            self._timed("/forceenter", lambda: None, self._settled)

    def _cancel(self) -> None:
        self._enter(float(self._hands.price(PAIR)) * 0.98)
        number, _ = self._trade()
        self._timed("an entry canceled", lambda: self._rpc._rpc_cancel_open_order(number))

    def _reload(self) -> None:
        before = self._hands.rig.bot
        self._timed(
            "/reload_config",
            self._rpc._rpc_reload_config,
            lambda: (
                self._hands.rig.bot is not before
                and self._turns("_process_running")
                and self._settled()
            ),
        )

    def watch(self, worker: Worker) -> None:
        """Note what its loop turns, as soon as it does."""
        throttle = worker._throttle

        def noted(func: Callable[[], object], **kwargs: Any) -> object:  # noqa: ANN401 - Freqtrade's
            self._turned = (self._hands.rig.bot, func.__name__)
            return throttle(func, **kwargs)

        worker._throttle = noted  # type: ignore[assignment,method-assign]

    def _turns(self, wanted: str) -> bool:
        """Whether Freqtrade's loop has taken note of the state that a person asked for."""
        return self._turned == (self._hands.rig.bot, wanted)

    def _trades(self) -> list[Trade]:
        return [each for each in Trade.get_open_trades() if each.pair == PAIR]

    def _trade(self) -> tuple[int, float]:
        """Number and amount of the open trade."""
        (trade,) = self._trades()
        found = trade.id, trade.amount
        Trade.session.remove()
        return found

    def _settled(self) -> bool:
        """Whether there is a trade whose orders are all closed but its stop."""
        return any(
            each.has_open_position
            and not any(o.ft_is_open and o.ft_order_side != "stoploss" for o in each.orders)
            for each in self._trades()
        )

    def _held(self) -> Decimal:
        """All that is there: of less, coins that are no trade's would go first."""
        return self._hands.coins("BTC") // STEP * STEP

    def _by_command(self) -> None:
        """Until it is sold: on a busy machine a book may be late for an order."""
        cli, left = self._hands.cli, self._held()
        while left > 0:
            signal = NewSignal(
                venue=VENUE,
                symbol=PAIR,
                side="sell",
                quantity=f"{left:f}",
                order_type="market",
                time_in_force="IOC",
                algo="marketable_limit",
                ttl=20.0,
            )
            name = cli.submit(signal).signal.signal_id
            while (report := self._hands._ended(name)) is None:
                time.sleep(LOOK_S)
            left -= Decimal(report.filled)

    def _at_exchange(self) -> None:
        self._hands.at_exchange(PAIR, "sell", self._held())

    def _trade_coins(self, side: str) -> None:
        """Coins that are no trade's."""
        self._hands.at_exchange(PAIR, side, Decimal("0.01") if side == "buy" else self._held())

    def _flatten(self) -> list[str]:
        answer = self._operator(Request("flatten", reason="by hand"))
        return [x["trip_id"] for x in answer["trips"] if x["code"] == "OPERATOR_PAUSE"]

    def _operator(self, request: Request) -> dict[str, Any]:
        answer = operate(self._hands.folder / "run", request)
        assert answer["ok"], answer
        return answer


def main() -> int:
    """Take the time of the rounds that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10, help="of every action")
    parser.add_argument("--throttle", type=float, default=5.0, help="process_throttle_secs")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="pace-"))
    failed: list[BaseException] = []
    with Hands(folder) as hands:
        hands.agree()
        hands.rig.worker._throttle_secs = given.throttle
        person, over = Person(hands), threading.Event()
        person.watch(hands.rig.worker)

        def act() -> None:
            try:
                for _ in range(given.rounds):
                    person.round()
            except BaseException as error:  # noqa: BLE001 - it is raised in the main thread
                failed.append(error)
            finally:
                Trade.session.remove()
                over.set()

        thread = threading.Thread(target=act)
        thread.start()
        while not over.is_set():
            hands.rig.step()
        thread.join()
        if failed:
            raise failed[0]
        differences = audit(hands)
    shutil.rmtree(folder)
    for name, took_s in person.took_s.items():
        say(f"{name:26} {len(took_s):4} {median(took_s):6.2f} s, {max(took_s):.2f} s at most\n")
    say("".join(f"{each}\n" for each in differences) or "all books agree\n")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())

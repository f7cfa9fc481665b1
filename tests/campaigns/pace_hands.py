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
from hands_kit import PATIENCE_S, VENUE, Hands

from citadel_bridge.config import NewSignal
from citadel_micro.shell.ops.control import Request
from citadel_micro.shell.ops.control import ask as operate

if TYPE_CHECKING:
    from collections.abc import Callable

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
        self._rpc = RPC(hands.rig.bot)
        self.took_s: defaultdict[str, list[float]] = defaultdict(list)

    def round(self) -> None:
        """Every action once."""
        self._enter()
        number = str(Trade.get_open_trades()[0].id)
        Trade.session.remove()
        self._timed("/forceexit", lambda: self._rpc._rpc_force_exit(number, None))
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

    def _timed(self, name: str, act: Callable[[], object], *, opens: bool = False) -> None:
        act()
        Trade.session.remove()
        began_s = time.monotonic()
        wrong: list[str] = ["not looked at"]
        while wrong:
            if time.monotonic() - began_s > PATIENCE_S:
                raise AssertionError(f"{name}: {wrong}")
            time.sleep(LOOK_S)
            if self._is(opened=opens):
                if not opens:  # what the steps of the pair have left of a trade is nobody's
                    self._hands.stock[PAIR] = self._hands.coins("BTC")
                wrong = self._hands.wrong()
            Trade.session.remove()
        self.took_s[name].append(time.monotonic() - began_s)

    def _enter(self) -> None:
        refused = True
        while refused:
            PairLocks.unlock_pair(PAIR)
            try:
                self._rpc._rpc_force_entry(PAIR, None)
                refused = False
            except RPCException:  # on a busy machine a book may be late
                time.sleep(1)
        self._timed("/forceenter", lambda: None, opens=True)

    def _is(self, *, opened: bool) -> bool:
        """Whether there is a trade whose orders are all over but its stop; or none."""
        trades = [each for each in Trade.get_open_trades() if each.pair == PAIR]
        if not opened:
            return not trades
        return any(
            each.has_open_position
            and not any(o.ft_is_open and o.ft_order_side != "stoploss" for o in each.orders)
            for each in trades
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
        differences = hands.audit()
    shutil.rmtree(folder)
    for name, took_s in person.took_s.items():
        say(f"{name:26} {len(took_s):4} {median(took_s):6.2f} s, {max(took_s):.2f} s at most\n")
    say("".join(f"{each}\n" for each in differences) or "all books agree\n")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())

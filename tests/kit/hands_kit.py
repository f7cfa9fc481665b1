"""Freqtrade, a live micro and an exchange, with every way that a person can reach into them.

Freqtrade runs in this process, on its own worker loop; micro and the exchange are processes. A person
acts from a thread of her own, as Freqtrade's REST server and Telegram do.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from freqtrade.enums import State
from freqtrade.exceptions import FreqtradeException
from freqtrade.persistence import PairLocks, Trade
from freqtrade.rpc.rpc import RPC, RPCException
from freqtrade_kit import Rig, Simulator, running
from key_kit import write_key
from ports import free_port
from process_kit import Program
from stock_exchange import Exchange

from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector
from citadel_macro.closed_by_others import _expected
from citadel_macro.demo import ccxt_config
from citadel_micro.shell.ops.control import Request
from citadel_micro.shell.ops.control import ask as operate
from citadel_micro.simulator.binance_spot.records import account_uid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ACCOUNT: Final = "trader"
VENUE: Final = "binance-spot"
PAIRS: Final = ("BTC/USDT", "ETH/USDT")
OPENING: Final = 1_000_000
PATIENCE_S: Final = 100.0
"""A wait of a test, on a machine that does much else; nothing here takes a second of its own."""
_ZERO: Final = Decimal(0)
LIMITS: Final = """
[risk]
lease_required = false
max_order_notional = 100000
max_position_notional = 100000
max_gross_exposure = 200000
max_net_exposure = 200000
max_open_orders = 50
max_daily_loss = 100000
max_rolling_loss = 100000
max_drawdown = 100000
max_order_quantity = {"*" = 1000}
max_position_quantity = {"*" = 1000}
max_venue_exposure = {"*" = 200000}
"""
MOST_FEES: Final = Decimal(5)
"""USDT: where the wallet holds other coins too, Freqtrade takes the fee of an entry out of those."""
MOST_DUST: Final = Decimal(12)
"""USDT: less than this of a coin may be left of several trades, each too small to sell."""


@dataclass(frozen=True, slots=True)
class MicroAt:
    """What the rig needs of a micro that runs already."""

    address: str


class Hands:
    """The whole system, and the hands.

    Args:
        folder: for everything that it writes.
        seed: of the market.
    """

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.folder = folder
        self._seed = seed
        self._stack = ExitStack()
        self.exchange: Exchange
        self.micro: Program
        self.rig: Rig
        self.cli: HybridConnector
        self.stock = dict.fromkeys(PAIRS, _ZERO)
        """Coins of the account that are no trade's, as what was done to them says."""
        self.slowest_s = 0.0
        self.most_turns = 0
        """Of Freqtrade's loop, until everything agreed."""
        self.refused: list[str] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        sim = Program(
            self.folder,
            "sim",
            *("sim", "--port", "0", "--symbols", ",".join(PAIRS), "--history-days", "1"),
            *("--seed", str(self._seed), "--no-futures", "--account", f"{ACCOUNT}=USDT:{OPENING}"),
        )
        self._stack.callback(sim.close)
        self.exchange = Exchange(sim.start())
        ports = {name: free_port() for name in ("signals", "cli", "market")}
        at = {name: f"tcp://127.0.0.1:{port}" for name, port in ports.items()}
        self.micro = Program(
            self.folder, "micro", "micro", "--config", str(self._toml(self.folder, at))
        )
        self._stack.callback(self.micro.close)
        self.micro.start()
        self.cli = HybridConnector(
            ConnectorConfig(
                signals=at["cli"],
                market=(at["market"],),
                strategy="cli",
                role="cli",
                ready_timeout=20.0,
                ack_timeout=5.0,
            )
        )
        self._stack.callback(self.cli.close)
        self.cli.start()
        assert self.cli.wait_ready()
        rest, ws = self.exchange.ready["rest"], self.exchange.ready["ws"]
        self.rig = self._stack.enter_context(
            running(
                Simulator(rest, ws),
                self.folder,
                ports["signals"],
                micro=MicroAt(at["market"]),  # type: ignore[arg-type]
                quotes={},
                exchange={
                    "name": "binance",
                    "enable_ws": False,
                    "only_from_ccxt": True,
                    "pair_whitelist": list(PAIRS),
                    "pair_blacklist": [],
                    "ccxt_config": ccxt_config(rest, ws),
                },
                order_types={
                    "entry": "limit",
                    "exit": "limit",
                    "stoploss": "market",
                    "stoploss_on_exchange": True,
                    "stoploss_on_exchange_interval": 1,
                },
                force_entry_enable=True,
                max_open_trades=len(PAIRS),
                stake_amount=2_000,
            )
        )
        self.rig.until(lambda: self.rig.bot.state == State.RUNNING)

    def _toml(self, folder: Path, at: dict[str, str]) -> Path:
        key_id, secret = self.exchange.key(ACCOUNT)
        account = account_uid(ACCOUNT)
        key = write_key(
            folder / "keys",
            f"venue = '{VENUE}'\naccount = '{account}'\nnetwork = 'testnet'\n"
            f"id = '{key_id}'\nsecret = '{secret}'\n",
        )
        ready = self.exchange.ready
        path = folder / "micro.toml"
        path.write_text(
            f"mode = 'live'\nlive_account = '{account}'\nrun_dir = '{folder}/run'\n"
            f"[bridge]\nmarket = '{at['market']}'\nmacros = ['{at['signals']}']\n"
            f"command_lines = ['{at['cli']}']\n"
            "[http]\nenabled = false\n[journal]\nfsync = false\n"
            f"[venues.{VENUE}]\nnetwork = 'testnet'\nsymbols = {list(PAIRS)}\nkey_file = '{key}'\n"
            f"rest_url = '{ready['rest']}'\nws_url = '{ready['ws']}'\n"
            f"private_rest_url = '{ready['rest']}'\nws_api_url = '{ready['ws']}/ws-api/v3'\n{LIMITS}"
        )
        return path

    # --- what is so ------------------------------------------------------------------------------

    def coins(self, asset: str) -> Decimal:
        """What the account holds, as the exchange's ledger has it."""
        return Decimal(self.exchange.ledger(ACCOUNT)["balances"].get(asset, 0))

    def traded(self, pair: str) -> Decimal:
        """What Freqtrade's open trade of a pair holds, with the fills of its open orders."""
        trade = self.rig.trade(pair)
        return _ZERO if trade is None else _expected(self.rig.exchange, trade)

    def price(self, pair: str) -> Decimal:
        """The bid."""
        return Decimal(str(self.exchange.touch(pair.replace("/", ""))[0]))

    def wrong(self) -> list[str]:
        """Where Freqtrade, micro and the exchange do not say the same."""
        Trade.session.expire_all()
        found = []
        for asset in (*(pair.partition("/")[0] for pair in PAIRS), "USDT"):
            there = self.coins(asset)
            balance = self.rig.exchange.link.balance(asset)
            micro = _ZERO if balance is None else Decimal(balance.total)
            wallet = self.rig.bot.wallets.get_total(asset)
            if there != micro:
                found.append(f"{asset}: {micro} at micro, {there} at the exchange")
            if wallet != float(there):
                found.append(f"{asset}: {wallet} in Freqtrade's wallet, {there} at the exchange")
        for pair in PAIRS:
            rest = self.coins(pair.partition("/")[0]) - self.traded(pair)
            off = (rest - self.stock[pair]) * self.price(pair)
            if not -MOST_FEES <= off <= MOST_DUST:
                found.append(
                    f"{pair}: {rest} is no trade's, {self.stock[pair]} should be ({off:.2f} USDT)"
                )
        return found

    def agree(self) -> float:
        """Turn Freqtrade's loop until everything agrees; the seconds that took."""
        began_s = time.monotonic()
        wrong: list[str] = ["not looked at"]
        turns = 0
        while wrong:
            assert time.monotonic() - began_s < PATIENCE_S, "\n".join(wrong)
            agreed_s = self._turn()
            turns += 1
            wrong = self.wrong()
        took_s = agreed_s - began_s
        self.most_turns = max(self.most_turns, turns)
        self.slowest_s = max(self.slowest_s, took_s)
        for pair in PAIRS:  # dust that trades have left is nobody's from now on
            self.stock[pair] = self.coins(pair.partition("/")[0]) - self.traded(pair)
        return took_s

    def _turn(self) -> float:
        """Turn Freqtrade's loop once; since when everything agrees, if it does.

        What agrees before the pause at the end of the turn does not take as long as that pause, which is
        a second where a new candle is near.
        """
        worker, agreed_s = self.rig.worker, 0.0

        def look(seconds: float) -> None:
            nonlocal agreed_s
            agreed_s = 0.0 if self.wrong() else time.monotonic()
            pause(seconds)

        pause = worker._sleep
        worker._sleep = look  # type: ignore[assignment,method-assign]
        try:
            self.rig.step()
        finally:
            del worker._sleep
        return agreed_s or time.monotonic()

    def quiet(self) -> None:
        """Turn until no order of Freqtrade is open but stops."""

        def over() -> bool:
            return not any(
                order.ft_is_open and order.ft_order_side != "stoploss"
                for trade in Trade.get_open_trades()
                for order in trade.orders
            )

        self.rig.until(over, PATIENCE_S)

    # --- hands -----------------------------------------------------------------------------------

    def person(self, act: Callable[[RPC], object]) -> str:
        """Ask Freqtrade something from another thread, while its loop turns; the refusal, if any."""
        answers: list[str] = []

        def ask_it() -> None:
            try:
                act(RPC(self.rig.bot))
                answers.append("")
            except (RPCException, FreqtradeException) as error:
                answers.append(str(error))
            finally:
                Trade.session.remove()

        thread = threading.Thread(target=ask_it)
        thread.start()
        while thread.is_alive():
            self.rig.step()
        thread.join()
        if not answers:
            raise AssertionError(
                "the person was answered with an error that is none of Freqtrade's"
            )
        if answers[0]:
            self.refused.append(answers[0])
        return answers[0]

    def enter(self, pair: str, price: float | None = None) -> str:
        """Force an entry, at the market or at a price."""
        PairLocks.unlock_pair(pair)
        return self.person(lambda rpc: rpc._rpc_force_entry(pair, price))

    def enter_surely(self, pair: str) -> None:
        """Enter, and again while micro refuses: on a busy machine a book may be late."""
        self.rig.until(lambda: not self.enter(pair) and self._filled(pair), PATIENCE_S)

    def _filled(self, pair: str) -> bool:
        self.quiet()
        trade = self.rig.trade(pair)
        return trade is not None and bool(trade.has_open_position)

    def leave(self, pair: str, part: float | None = None) -> str:
        """Force an exit, of all or of a part."""
        trade = self.rig.trade(pair)
        amount = None if part is None else trade.amount * part
        number = str(trade.id)
        return self.person(lambda rpc: rpc._rpc_force_exit(number, None, amount=amount))

    def cancel(self, pair: str) -> str:
        """Cancel the open order of a trade."""
        number = self.rig.trade(pair).id
        return self.person(lambda rpc: rpc._rpc_cancel_open_order(number))

    def delete(self, pair: str) -> str:
        """Delete a trade: its coins are nobody's from now on."""
        trade = self.rig.trade(pair)
        number, held = trade.id, self.traded(pair)
        refused = self.person(lambda rpc: rpc._rpc_delete(number))
        if not refused:
            self.stock[pair] += held
        return refused

    def reload(self) -> None:
        """``/reload_config``."""
        self.person(lambda rpc: rpc._rpc_reload_config())
        self.rig.until(lambda: self.rig.bot.state == State.RUNNING)

    def stop_and_start(self) -> None:
        """``/stop``, and ``/start`` once the loop has stopped."""
        self.person(lambda rpc: rpc._rpc_stop())
        self.rig.until(lambda: self.rig.state == State.STOPPED)
        self.person(lambda rpc: rpc._rpc_start())
        self.rig.until(lambda: self.rig.state == State.RUNNING)

    def look_at_exchange(self, pair: str) -> str:
        """FreqUI's reload of a trade from the exchange."""
        number = self.rig.trade(pair).id
        return self.person(lambda rpc: rpc._rpc_reload_trade_from_exchange(number))

    def flatten(self) -> None:
        """The operator sells everything, and lets trading go on afterwards."""
        self.rig.until(self._positions_are_covered, PATIENCE_S)
        # What is in no position of micro it does not sell, though a trade may be backed by it.
        left = {
            pair: max(_ZERO, self.traded(pair) - max(_ZERO, self.position(pair))) for pair in PAIRS
        }
        answer = operate(self.folder / "run", Request("flatten", reason="by hand"))
        assert answer["ok"], answer
        self.rig.until(lambda: not self._flattening(), PATIENCE_S)
        for pair in PAIRS:
            self.stock[pair] = self.coins(pair.partition("/")[0]) - left[pair]
        for trip in answer["trips"]:
            if trip["code"] != "OPERATOR_PAUSE":
                continue  # of a feed that was late on a busy machine: it ends by itself
            reset = operate(
                self.folder / "run", Request("reset", trip_id=trip["trip_id"], reason="go on")
            )
            assert reset["ok"], reset

    def _positions_are_covered(self) -> bool:
        """Whether micro has taken note of what others have sold."""
        return all(
            (self.position(pair) - self.coins(pair.partition("/")[0])) * self.price(pair) < 1
            for pair in PAIRS
        )

    def position(self, pair: str) -> Decimal:
        """Micro's own."""
        rows = self.cli.query_positions(VENUE, 5.0)
        return sum((Decimal(row.quantity) for row in rows if row.symbol == pair), _ZERO)

    def _flattening(self) -> bool:
        reports = self.cli.query_orders(VENUE, timeout=5.0, working=True)
        return any(report.tag == "flatten" for report in reports) or any(
            self.position(pair) * self.price(pair) > MOST_DUST for pair in PAIRS
        )

    def by_command(self, pair: str, side: str, quantity: Decimal) -> None:
        """Orders from the command line until it is done: on a busy machine a book may be late for one."""
        until_s = time.monotonic() + PATIENCE_S
        while quantity > 0:
            assert time.monotonic() < until_s, f"{quantity} {pair} is left"
            sent = self.cli.submit(
                NewSignal(
                    venue=VENUE,
                    symbol=pair,
                    side=side,  # type: ignore[arg-type]
                    quantity=f"{quantity:f}",
                    order_type="market",
                    time_in_force="IOC",
                    algo="marketable_limit",
                    ttl=20.0,
                )
            )
            report = self.rig.until(partial(self._ended, sent.signal.signal_id), PATIENCE_S)
            self._count(pair, side, Decimal(report.filled), self._fee(pair, report.fills))
            quantity -= Decimal(report.filled)

    def _ended(self, signal_id: str) -> Any:  # noqa: ANN401 - a report, or None
        report = self.cli.report(signal_id)
        closed = report is not None and report.status not in {"accepted", "working", "paused"}
        return report if closed else None

    def at_exchange(self, pair: str, side: str, quantity: Decimal) -> None:
        """An order at the exchange itself, with the account's own key."""
        answer = self.exchange.order(ACCOUNT, pair.replace("/", ""), side.upper(), f"{quantity:f}")
        base = pair.partition("/")[0]
        fees = sum(
            (Decimal(f["commission"]) for f in answer["fills"] if f["commissionAsset"] == base),
            _ZERO,
        )
        self._count(pair, side, Decimal(answer["executedQty"]), fees)

    def stop(self, pair: str) -> None:
        """Move the trade's stop to where micro triggers it at once."""
        trade = self.rig.trade(pair)
        bot = self.rig.bot
        with bot._exit_lock:
            if trade.open_sl_orders:
                bot.cancel_stoploss_on_exchange(trade)
            bot.create_stoploss_order(trade, float(self.price(pair)) * 1.0005)
            Trade.commit()  # type: ignore[no-untyped-call]

    def _fee(self, pair: str, fills: Any) -> Decimal:  # noqa: ANN401 - of a report
        base = pair.partition("/")[0]
        return sum((Decimal(f.fee) for f in fills if f.fee_currency == base), _ZERO)

    def _count(self, pair: str, side: str, quantity: Decimal, fee: Decimal) -> None:
        """What a trade by others does to coins that are nobody's: they go first."""
        if side == "buy":
            self.stock[pair] += quantity - fee
        else:
            self.stock[pair] = max(_ZERO, self.stock[pair] - quantity)

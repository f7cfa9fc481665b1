"""Manual requests to Freqtrade (REST, FreqUI, Telegram), answered with micro's reason.

Freqtrade returns a readable error to a remote call only for its ``RPCException``; an exception of its
exchange becomes a server error, and nothing at all in Telegram. So a reject is raised as such an
exception here.
"""

from __future__ import annotations

import html
import logging
import re
from typing import TYPE_CHECKING, Any

from freqtrade.exceptions import FreqtradeException
from freqtrade.persistence import Trade
from freqtrade.rpc.rpc import RPC, RPCException

from citadel_macro.exchange import BridgeMixin

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_MARKDOWN = re.compile(r"([_*`\[])")


class Answered(RPCException):
    """A reject with its reason: ``message`` as it is, ``str()`` as Telegram can show it.

    Telegram drops a whole message for one unpaired underscore in a reason code. Freqtrade sends a
    rejected entry as HTML and everything else as Markdown.
    """

    def __init__(self, message: str, shown: str) -> None:
        """Keep both forms."""
        super().__init__(message)
        self._shown = shown

    def __str__(self) -> str:
        """For Telegram."""
        return self._shown


def at_once(original: Callable[..., Any], _: object) -> object:
    """A request for another state of the bot (/stop, /reload_config …), and the end of the pause it is in.

    Freqtrade looks at its state only when a pause is over, which is five seconds by default.
    """

    def request(rpc: RPC) -> object:
        exchange = rpc._freqtrade.exchange  # noqa: SLF001 - as its own class does
        answer = original(rpc)
        if isinstance(exchange, BridgeMixin):
            exchange.request()
        return answer

    return request


def force_entry(original: Callable[..., Any], _: object) -> object:
    """``RPC._rpc_force_entry`` with the reason of every reject."""

    def _rpc_force_entry(rpc: RPC, *args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - Freqtrade's
        exchange = rpc._freqtrade.exchange  # noqa: SLF001 - as its own class does
        if not isinstance(exchange, BridgeMixin):
            return original(rpc, *args, **kwargs)
        exchange.pace.forget(str(args[0] if args else kwargs.get("pair")))
        try:
            # Freqtrade looks for a trade of the pair before it takes the lock: two people who enter at
            # once, or one who presses twice, would open two.
            with rpc._freqtrade._exit_lock:  # noqa: SLF001 - as its own class does
                return original(rpc, *args, **kwargs)
        except FreqtradeException as error:
            message = str(error)
            raise Answered(message, html.escape(message, quote=False)) from error

    return _rpc_force_entry


def force_exit(original: Callable[..., Any], _: object) -> object:
    """``RPC._rpc_force_exit`` with the reason of every reject; one reject does not stop the others."""

    def _rpc_force_exit(
        rpc: RPC,
        trade_id: str,
        ordertype: str | None = None,
        **kwargs: Any,  # noqa: ANN401 - Freqtrade's
    ) -> object:
        exchange = rpc._freqtrade.exchange  # noqa: SLF001 - as its own class does
        if not isinstance(exchange, BridgeMixin):
            return original(rpc, trade_id, ordertype, **kwargs)
        if trade_id != "all":
            try:
                return _exit(original, exchange, rpc, trade_id, ordertype, **kwargs)
            except FreqtradeException as error:
                raise _refusal(str(error)) from error
        trades = [(trade.id, trade.pair) for trade in Trade.get_open_trades()]
        if not trades:
            return original(rpc, trade_id, ordertype)
        refused = []
        for number, pair in trades:
            try:
                _exit(original, exchange, rpc, str(number), ordertype)
            except (FreqtradeException, RPCException) as error:
                text = error.message if isinstance(error, RPCException) else str(error)
                if Trade.get_trades([Trade.id == number, Trade.is_open.is_(True)]).first():
                    logger.warning("Trade %s (%s) was not exited: %s", number, pair, text)
                    refused.append(f"trade {number} ({pair}): {text}")
        if refused:
            raise _refusal(f"{len(refused)} of {len(trades)} not exited: {'; '.join(refused)}")
        return {"result": "Created exit orders for all open trades."}

    return _rpc_force_exit


def _exit(
    original: Callable[..., Any],
    exchange: BridgeMixin,
    rpc: RPC,
    trade_id: str,
    ordertype: str | None,
    **kwargs: Any,  # noqa: ANN401 - Freqtrade's
) -> object:
    """One exit. Freqtrade hides a lack of funds and would report an order that does not exist."""
    if trade_id.isdigit():
        for trade in Trade.get_trades([Trade.id == int(trade_id)]).all():
            exchange.pace.forget(trade.pair)
    exchange.refusal()
    answer = original(rpc, trade_id, ordertype, **kwargs)
    refusal = exchange.refusal()
    if refusal:
        raise _refusal(refusal)
    return answer


def _refusal(message: str) -> Answered:
    return Answered(message, _MARKDOWN.sub(r"\\\1", message))

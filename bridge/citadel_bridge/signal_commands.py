"""``citadel signal``: one parent order from the command line, followed until it is closed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citadel_bridge.durations import seconds_of
from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json  # noqa: TC001 - typer reads the annotations
from citadel_bridge.params import read_param
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_bridge.config import NewSignal
    from citadel_bridge.connector import HybridConnector
    from citadel_proto.messages import ExecutionReport, Side

Symbol = Annotated[str, typer.Argument(help="BTC/USDT; perpetuals BTC/USDT:USDT.")]
Quantity = Annotated[str, typer.Argument(help="In base units, e.g. 0.5.")]
Venue = Annotated[str, typer.Option(help="Venue id.")]
Algo = Annotated[str, typer.Option(help="Execution algorithm.")]
Params = Annotated[
    list[str] | None, typer.Option("--param", help="NAME=VALUE of the algorithm; repeatable.")
]
Price = Annotated[str | None, typer.Option(help="Worst acceptable price.")]
StopPrice = Annotated[
    str | None, typer.Option(help="Hold the order until this price trades: a stop.")
]
Force = Annotated[str, typer.Option("--time-in-force", help="GTC, IOC, FOK or PO (post-only).")]
ReduceOnly = Annotated[bool, typer.Option("--reduce-only", help="Never open a position.")]
Leverage = Annotated[str, typer.Option(help="For perpetuals.")]
Ttl = Annotated[
    str, typer.Option(help="Not accepted after this; a limit order ends then (10s, 5m …).")
]
Wait = Annotated[bool, typer.Option(help="Follow the order until it is closed.")]
Connect = Annotated[str | None, typer.Option(help="Where micro publishes. Default: port 5556.")]
Bind = Annotated[str | None, typer.Option(help="Where to publish the signal. Default: port 5557.")]
Keys = Annotated[Path | None, typer.Option(help="Key folder, for CURVE.")]
Timeout = Annotated[str, typer.Option(help="How long to wait for micro.")]

_POLL_S = 0.5


def register(app: typer.Typer) -> None:
    """Add these commands to the root command."""
    group = typer.Typer(no_args_is_help=True, help="Send an order to a running micro by hand.")
    group.command("buy")(buy)
    group.command("sell")(sell)
    group.command("cancel")(cancel)
    app.add_typer(group, name="signal")


def buy(
    symbol: Symbol,
    quantity: Quantity,
    *,
    venue: Venue = "binance-spot",
    algo: Algo = "chase_limit",
    param: Params = None,
    limit_price: Price = None,
    stop_price: StopPrice = None,
    time_in_force: Force = "GTC",
    reduce_only: ReduceOnly = False,
    leverage: Leverage = "1",
    ttl: Ttl = "60s",
    wait: Wait = True,
    connect: Connect = None,
    bind: Bind = None,
    keys: Keys = None,
    timeout: Timeout = "5s",
    json: Json = False,
) -> Exit:
    """Buy, and follow the order until it is closed.

    Ends 0 when it is filled, 1 when it closed with an unfilled rest, 3 when it was rejected.
    """
    return _order(**locals(), side="buy")


def sell(
    symbol: Symbol,
    quantity: Quantity,
    *,
    venue: Venue = "binance-spot",
    algo: Algo = "chase_limit",
    param: Params = None,
    limit_price: Price = None,
    stop_price: StopPrice = None,
    time_in_force: Force = "GTC",
    reduce_only: ReduceOnly = False,
    leverage: Leverage = "1",
    ttl: Ttl = "60s",
    wait: Wait = True,
    connect: Connect = None,
    bind: Bind = None,
    keys: Keys = None,
    timeout: Timeout = "5s",
    json: Json = False,
) -> Exit:
    """Sell, and follow the order until it is closed.

    Ends 0 when it is filled, 1 when it closed with an unfilled rest, 3 when it was rejected.
    """
    return _order(**locals(), side="sell")


def cancel(
    signal_id: Annotated[str, typer.Argument(help="As printed when the order was sent.")],
    *,
    connect: Connect = None,
    bind: Bind = None,
    keys: Keys = None,
    timeout: Timeout = "5s",
    json: Json = False,
) -> Exit:
    """Cancel the unfilled rest of an order, whoever sent it.

    Ends 0 when the order is closed, 4 when micro has not confirmed the cancel in time.
    """
    import time  # noqa: PLC0415 - commands import what they need when invoked

    from citadel_bridge.order_printer import show  # noqa: PLC0415
    from citadel_proto.messages import TERMINAL_STATUSES  # noqa: PLC0415

    seconds = seconds_of(timeout, "--timeout")
    connector = _connect(connect, bind, keys, seconds)
    try:
        # Queried first: a cancel for an unknown order would be repeated in vain.
        if connector.query_order(signal_id, seconds) is None:
            raise BadInput(
                f"micro knows no order {signal_id!r}",
                where="citadel signal cancel",
                mend="copy the id that citadel signal printed",
            )
        deadline = time.monotonic() + seconds
        report = connector.cancel(signal_id, "command line", seconds)
        while report is not None and report.status not in TERMINAL_STATUSES:
            if time.monotonic() >= deadline:
                break
            report = connector.cancel(signal_id, "command line", _POLL_S)
    finally:
        connector.close()
    if report is None:
        return Exit.UNAVAILABLE
    show(report, json=json)
    return Exit.OK if report.status in TERMINAL_STATUSES else Exit.UNAVAILABLE


def _order(
    *,
    side: Side,
    symbol: str,
    quantity: str,
    ttl: str,
    param: list[str] | None,
    stop_price: str | None,
    wait: bool,
    connect: str | None,
    bind: str | None,
    keys: Path | None,
    timeout: str,
    json: bool,
    **fields: Any,  # noqa: ANN401 - passed on to NewSignal, which checks them
) -> Exit:
    from citadel_bridge.config import NewSignal  # noqa: PLC0415

    if fields["time_in_force"] not in {"GTC", "IOC", "FOK", "PO"}:
        raise BadInput(
            f"time in force {fields['time_in_force']!r}",
            where="--time-in-force",
            allowed="GTC, IOC, FOK, PO",
        )
    new = NewSignal(
        side=side,
        symbol=symbol,
        quantity=quantity,
        stop_price=stop_price,
        kind="order" if stop_price is None else "stop",
        ttl=seconds_of(ttl, "--ttl"),
        params=dict(read_param(text, "--param") for text in param or ()),
        **fields,
    )
    connector = _connect(connect, bind, keys, seconds_of(timeout, "--timeout"))
    try:
        return _send(connector, new, wait=wait, json=json)
    finally:
        connector.close()


def _send(connector: HybridConnector, new: NewSignal, *, wait: bool, json: bool) -> Exit:
    import time  # noqa: PLC0415

    from citadel_bridge.errors import MicroUnavailable  # noqa: PLC0415
    from citadel_bridge.order_printer import OrderPrinter, show  # noqa: PLC0415
    from citadel_proto.messages import TERMINAL_STATUSES  # noqa: PLC0415

    sent = connector.submit(new)
    signal_id, report = sent.signal_id, sent.report
    follower = OrderPrinter(signal_id, silent=json)
    # Micro may be restarting: the signal is published again until it is acknowledged or expired.
    deadline = time.monotonic() + new.ttl + 2 * connector.config.dead_after
    try:
        while report is None or (wait and report.status not in TERMINAL_STATUSES):
            connector.wake.wait(_POLL_S)
            connector.wake.clear()
            connector.check()
            report = connector.report(signal_id)
            if report is not None:
                follower.update(report)
            if time.monotonic() > deadline and not connector.micro_alive():
                break
    except KeyboardInterrupt:
        typer.echo(
            f"the order stays open; cancel it with: citadel signal cancel {signal_id}", err=True
        )
        raise
    if report is None:
        raise MicroUnavailable(f"micro has not acknowledged signal {signal_id}, which has expired")
    show(report, json=json)
    return _exit_of(report, wait=wait)


def _exit_of(report: ExecutionReport, *, wait: bool) -> Exit:
    if report.status == "rejected":
        return Exit.REFUSED
    if report.status in {"filled", "done_dust"} or not wait:
        return Exit.OK
    return Exit.DIFFERENCE


def _connect(
    connect: str | None, bind: str | None, keys: Path | None, timeout: float
) -> HybridConnector:
    from citadel_bridge import addresses, config  # noqa: PLC0415
    from citadel_bridge.connector import HybridConnector  # noqa: PLC0415
    from citadel_bridge.errors import MicroUnavailable  # noqa: PLC0415

    settings = config.ConnectorConfig(
        signals=bind or addresses.DEFAULT_COMMAND_SIGNALS,
        market=(connect or addresses.DEFAULT_MARKET,),
        strategy="cli",
        role="cli",
        keys=keys,
        ready_timeout=timeout,
    )
    connector = HybridConnector(settings)
    try:
        connector.start()
        if connector.wait_ready():
            return connector
        if connector.peers():
            raise MicroUnavailable(  # noqa: TRY301 - the connector is closed below
                f"micro at {settings.market[0]} is running but does not listen to "
                f"{connector.address}; add that address to its command-line signals"
            )
        raise MicroUnavailable(  # noqa: TRY301
            f"no heartbeat of micro at {settings.market[0]} within {timeout:g} s; is it running? "
            "citadel micro --mode paper"
        )
    except BaseException:
        connector.close()
        raise

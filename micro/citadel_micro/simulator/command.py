"""``citadel sim``: the simulator as a program of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from citadel_bridge.exit_codes import Exit
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.simulator.accounts import AccountConfig
    from citadel_micro.simulator.config import Faults, SimulatorConfig
    from citadel_micro.simulator.server import SimulatorServer

DEFAULT_PORT = 8180
_FAULTS = "drop-depth=SHARE (0 to 1), disconnect-every=SECONDS"
_PUBLIC_FAULTS = ("drop-depth", "disconnect-every")
_FAULT_HELP = (
    f"A fault on purpose, repeatable: {_FAULTS}, or [KEY:]NAME=WHEN[,on=WHAT][,for=SECONDS] of the "
    "reference page."
)


def sim(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes any free one.")] = DEFAULT_PORT,
    allow_remote: Annotated[
        bool,
        typer.Option("--allow-remote", help="Permit a --host that other machines can reach."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Same seed: same history, same order flow.")] = 1,
    symbols: Annotated[
        str | None,
        typer.Option(help="Comma-separated, e.g. BTC/USDT,ETH/USDT. Default: six."),
    ] = None,
    history_days: Annotated[int, typer.Option(help="Days of candles before the start.")] = 60,
    deep_levels: Annotated[
        int,
        typer.Option(help="Levels a side behind the some 300 that are busy: 5000 as at Binance."),
    ] = 0,
    replay: Annotated[
        Path | None,
        typer.Option(help="Replay this Binance spot capture (.jsonl.gz), re-stamped to now."),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="End when the replay ends, instead of starting over."),
    ] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(help=_FAULT_HELP),
    ] = None,
    account: Annotated[
        list[str] | None,
        typer.Option(
            help="An account, repeatable: NAME or NAME=ASSET:AMOUNT,ASSET:AMOUNT. Default: demo.",
        ),
    ] = None,
    accounts: Annotated[
        Path | None,
        typer.Option(help="Accounts with their keys from this TOML file."),
    ] = None,
    weight_limit: Annotated[
        int, typer.Option(help="Request weight that an address has in a minute.")
    ] = 6000,
    order_limit: Annotated[
        int, typer.Option(help="Unfilled orders that an account may place in 10 seconds.")
    ] = 100,
    futures: Annotated[
        bool | None,
        typer.Option(
            "--futures/--no-futures",
            help="Serve Binance USD-M too. Default: yes, but not with --replay.",
        ),
    ] = None,
    venues: Annotated[
        str | None,
        typer.Option(help="Comma-separated venues to serve beside Binance, e.g. kraken."),
    ] = None,
    funding_interval: Annotated[
        int, typer.Option(help="Seconds between two exchanges of funding.")
    ] = 28_800,
    ready_file: Annotated[
        Path | None,
        typer.Option(help="Write the addresses here as JSON when ready."),
    ] = None,
) -> Exit:
    """Simulate an exchange, offline: Binance spot and USD-M with REST, streams, websocket API, user stream.

    Clients trade there with the accounts and keys that are given. Prints one JSON line with its
    addresses and keys when it is ready, and runs until SIGINT or SIGTERM.
    """
    if replay is not None and symbols is not None:
        raise BadInput(
            "--symbols and --replay exclude each other",
            where="citadel sim",
            mend="leave --symbols out: the capture says what is traded",
        )
    if once and replay is None:
        raise BadInput("--once needs --replay", where="citadel sim", mend="add --replay FILE")
    import asyncio  # noqa: PLC0415 - commands import what they need when invoked

    from citadel_micro.shell.quick_loop import loop_factory  # noqa: PLC0415 - when invoked
    from citadel_micro.sim.flow_symbols import DEFAULT_SYMBOLS  # noqa: PLC0415
    from citadel_micro.simulator.config import SimulatorConfig  # noqa: PLC0415

    chosen = DEFAULT_SYMBOLS
    if symbols is not None:
        chosen = tuple(name.upper() for name in _names(symbols))
    rules = fault or []
    public = [text for text in rules if text.partition("=")[0] in _PUBLIC_FAULTS]
    _check_names([text for text in rules if text not in public])
    config = SimulatorConfig(
        host=host,
        port=port,
        allow_remote=allow_remote,
        seed=seed,
        symbols=chosen,
        history_days=history_days,
        deep_levels=deep_levels,
        replay=replay,
        replay_loop=not once,
        faults=parse_faults(public),
        fault_rules=tuple(text for text in rules if text not in public),
        accounts=_accounts(account or [], accounts),
        weight_limit=weight_limit,
        orders_10s=order_limit,
        futures=replay is None if futures is None else futures,
        venues=_names(venues or ""),
        funding_s=funding_interval,
    )
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_run(config, ready_file))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _check_names(rules: list[str]) -> None:
    """Refuse faults that do not exist, naming those of the public side too."""
    from citadel_micro.simulator.knobs import KNOBS  # noqa: PLC0415

    for text in rules:
        name = text.partition("=")[0].rpartition(":")[2]
        if name not in KNOBS:
            allowed = f"{_FAULTS}, {', '.join(sorted(KNOBS))}"
            raise BadInput(f"no fault is called {name!r}", where="--fault", allowed=allowed)


def _accounts(named: list[str], path: Path | None) -> tuple[AccountConfig, ...]:
    from citadel_micro.simulator.accounts import (  # noqa: PLC0415
        DEFAULT_ACCOUNTS,
        load_accounts,
        parse_account,
    )

    found = tuple(parse_account(text) for text in named)
    if path is not None:
        found += load_accounts(path)
    return found or DEFAULT_ACCOUNTS


def parse_faults(texts: list[str]) -> Faults:
    """Read ``drop-depth=0.01`` and ``disconnect-every=30`` (or ``30s``).

    Raises:
        BadInput: for an unknown name, a value that is no number or out of range.
    """
    from citadel_micro.simulator.config import Faults  # noqa: PLC0415

    values = dict.fromkeys(_PUBLIC_FAULTS, 0.0)
    for text in texts:
        name, _, value = text.partition("=")
        if name not in values:
            raise BadInput(f"no fault is called {name!r}", where="--fault", allowed=_FAULTS)
        try:
            values[name] = float(value.removesuffix("s"))
        except ValueError as error:
            raise BadInput(f"cannot read {text!r}", where="--fault", allowed=_FAULTS) from error
    return Faults(drop_depth=values["drop-depth"], disconnect_every_s=values["disconnect-every"])


def _write_ready(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text + "\n")
        partial.replace(path)
    except OSError as error:
        raise BadInput(
            f"cannot be written ({error.strerror})", where=f"--ready-file {path}"
        ) from error


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _run(config: SimulatorConfig, ready_file: Path | None) -> Exit:
    import asyncio  # noqa: PLC0415
    import signal  # noqa: PLC0415

    from citadel_micro.simulator.server import SimulatorServer  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with SimulatorServer(config) as server:
        ready = _ready(config, server)
        if ready_file is not None:
            _write_ready(ready_file, ready)
        typer.echo(ready)
        stopped = asyncio.create_task(stop.wait())
        over = asyncio.create_task(server.wait())
        try:
            await asyncio.wait((stopped, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopped, over):
                task.cancel()
            await asyncio.gather(stopped, over, return_exceptions=True)
            if ready_file is not None:
                _remove(ready_file)
    return Exit.OK


def _usdm(config: SimulatorConfig, server: SimulatorServer) -> dict[str, str] | None:
    """Return the addresses of the futures market: the same port, paths of its own."""
    if not config.futures:
        return None
    return {
        "rest": server.rest_url,
        "ws": f"{server.ws_url}/fstream",
        "ws_api": server.ws_url,
    }


def _ready(config: SimulatorConfig, server: SimulatorServer) -> str:
    body = {
        "rest": server.rest_url,
        "ws": server.ws_url,
        "pid": os.getpid(),
        "seed": config.seed,
        "symbols": list(server.feed.specs),
        "source": "synthetic" if config.replay is None else str(config.replay),
        "accounts": {
            account.name: [
                {
                    "kind": key.kind.value,
                    "key": key.key_id,
                    "secret": key.secret,
                    **({"passphrase": key.passphrase} if key.passphrase else {}),
                }
                for key in account.all_keys
            ]
            for account in config.accounts
        },
        "usdm": _usdm(config, server),
        "venues": {
            name: side.addresses(server.rest_url, server.ws_url)
            for name, side in server.venues.items()
        },
        "control": {"url": f"{server.rest_url}/sim/v1", "token": server.control_token},
    }
    return json.dumps(body)

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
    from citadel_micro.simulator.config import Faults, SimulatorConfig
    from citadel_micro.simulator.server import SimulatorServer

DEFAULT_PORT = 8180
_FAULTS = "drop-depth=SHARE (0 to 1), disconnect-every=SECONDS"


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
        typer.Option(help=f"A fault on purpose, repeatable: {_FAULTS}."),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(help="Write the addresses here as JSON when ready."),
    ] = None,
) -> Exit:
    """Simulate an exchange: Binance spot's public REST and websocket protocol, offline.

    Prints one JSON line with its addresses when it is ready, and runs until SIGINT or SIGTERM.
    """
    if replay is not None and symbols is not None:
        raise BadInput(
            "--symbols and --replay exclude each other",
            where="citadel sim",
            mend="leave --symbols out: the capture says what is traded",
        )
    if once and replay is None:
        raise BadInput("--once needs --replay", where="citadel sim", mend="add --replay FILE")
    import uvloop  # noqa: PLC0415 - commands import what they need when invoked

    from citadel_micro.sim.flow_symbols import DEFAULT_SYMBOLS  # noqa: PLC0415
    from citadel_micro.simulator.config import SimulatorConfig  # noqa: PLC0415

    chosen = DEFAULT_SYMBOLS
    if symbols is not None:
        chosen = tuple(name.strip().upper() for name in symbols.split(",") if name.strip())
    config = SimulatorConfig(
        host=host,
        port=port,
        allow_remote=allow_remote,
        seed=seed,
        symbols=chosen,
        history_days=history_days,
        replay=replay,
        replay_loop=not once,
        faults=parse_faults(fault or []),
    )
    return uvloop.run(_run(config, ready_file))


def parse_faults(texts: list[str]) -> Faults:
    """Read ``drop-depth=0.01`` and ``disconnect-every=30`` (or ``30s``).

    Raises:
        BadInput: for an unknown name, a value that is no number or out of range.
    """
    from citadel_micro.simulator.config import Faults  # noqa: PLC0415

    values = {"drop-depth": 0.0, "disconnect-every": 0.0}
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


def _ready(config: SimulatorConfig, server: SimulatorServer) -> str:
    body = {
        "rest": server.rest_url,
        "ws": server.ws_url,
        "pid": os.getpid(),
        "seed": config.seed,
        "symbols": list(server.feed.specs),
        "source": "synthetic" if config.replay is None else str(config.replay),
    }
    return json.dumps(body)

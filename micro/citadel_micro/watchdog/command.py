"""``citadel watchdog``: cancel micro's orders when micro falls silent."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from citadel_bridge.exit_codes import Exit

if TYPE_CHECKING:
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.keys.api_key import ApiKey


def watchdog(
    config: Annotated[Path, typer.Option(help="micro's TOML file, with `watchdog_key_file`.")],
    *,
    live_account: Annotated[
        str | None,
        typer.Option(help="The venue's id of the account, if the file does not have it."),
    ] = None,
    testnet: Annotated[bool, typer.Option("--testnet", help="On the venue's testnet.")] = False,
    port: Annotated[
        int | None, typer.Option(help="Port of /healthz on 127.0.0.1; 0 takes a free one.")
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write the address of /healthz here as JSON.")
    ] = None,
) -> Exit:
    """Watch micro, and cancel its open orders when it falls silent.

    It runs beside micro, on the same machine and as the same user, with a key of its own. Silent means:
    no answer in micro's run folder, or no order connection, for `watchdog.silence_s`. It cancels until
    the venue shows none, goes on watching, and leaves everything to a micro that comes back. It never
    places an order, and never cancels while micro answers.

    Ctrl-C and SIGTERM end it with 0, and leave orders alone. It ends 2 for a wrong key or configuration,
    3 where its key may withdraw or may not trade, 4 where its port is in use.
    """
    import asyncio  # noqa: PLC0415 - commands import what they need when invoked

    from citadel_micro.preflight.boot import read_watchdog_keys  # noqa: PLC0415
    from citadel_micro.preflight.command import load_live  # noqa: PLC0415
    from citadel_micro.shell import logs  # noqa: PLC0415
    from citadel_micro.shell.keys.process_guard import guard_process  # noqa: PLC0415
    from citadel_micro.shell.networks import with_hosts  # noqa: PLC0415

    given = load_live(config, live_account, testnet=testnet)
    if port is not None:
        section = given.watchdog.model_copy(update={"port": port})
        given = given.model_copy(update={"watchdog": section})
    logs.configure(given.log.level, given.log.format, instance=f"{given.instance}-watchdog")
    guard_process()
    loaded = with_hosts(given)
    try:
        asyncio.run(_watch(loaded, read_watchdog_keys(loaded), ready_file))
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)
    return Exit.OK


async def _watch(config: MicroConfig, keys: dict[str, ApiKey], ready_file: Path | None) -> None:
    import asyncio  # noqa: PLC0415 - commands import what they need when invoked
    import os  # noqa: PLC0415
    import signal  # noqa: PLC0415
    import time  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from citadel_micro.adapters.live import cancel_desk  # noqa: PLC0415
    from citadel_micro.adapters.orders import orders_of  # noqa: PLC0415
    from citadel_micro.preflight.boot import check_watchdog  # noqa: PLC0415
    from citadel_micro.shell.journal.run_index import replace_whole  # noqa: PLC0415
    from citadel_micro.watchdog.watch import Watchdog  # noqa: PLC0415

    makers = orders_of(config.mode)

    async def permit(venue: str) -> None:
        inspector = makers.inspector(venue)
        if inspector is not None:
            await check_watchdog(inspector, config, keys[venue], time.time_ns)

    dog = Watchdog(
        config,
        keys,
        cancel_desk,
        permit,
        {venue: makers.abilities(venue).client_id_form for venue in keys},
    )
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    try:
        await dog.start()
        if ready_file is not None:
            row = {"pid": os.getpid(), "http": dog.http_url}
            replace_whole(ready_file, msgspec.json.encode(row))
        running = asyncio.create_task(dog.run())
        waiting = asyncio.create_task(asked.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if running.done():
            running.result()
        running.cancel()
        await asyncio.wait({running})
    finally:
        await dog.close()

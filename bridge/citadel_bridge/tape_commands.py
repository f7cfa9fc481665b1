"""``citadel record``, ``citadel tape`` and ``citadel replay``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citadel_bridge import tape_edit_commands
from citadel_bridge.durations import seconds_of
from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, print_json
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_bridge.sockets import Endpoint

TapeFile = Annotated[Path, typer.Argument(help="The tape, or a journal of micro.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the root command."""
    app.command("record")(record)
    app.command("replay")(replay)
    inspect = typer.Typer(no_args_is_help=True, help="Inspect recorded traffic.")
    inspect.command("info")(tape_info)
    inspect.command("dump")(tape_dump)
    inspect.command("verify")(tape_verify)
    tape_edit_commands.register(inspect)
    app.add_typer(inspect, name="tape")


def record(
    *,
    out: Annotated[Path, typer.Option(help="The tape to write; it must not exist.")],
    signals: Annotated[
        list[str] | None,
        typer.Option(help="Where a macro publishes signals; repeatable. Default: port 5555."),
    ] = None,
    command_signals: Annotated[
        list[str] | None,
        typer.Option(help="Where the command line publishes; repeatable. Default: port 5557."),
    ] = None,
    market: Annotated[
        list[str] | None,
        typer.Option(help="Where a micro publishes; repeatable. Default: port 5556."),
    ] = None,
    duration: Annotated[
        str | None, typer.Option(help="Stop after this long (90, 90s, 15m, 2h). Default: Ctrl-C.")
    ] = None,
    rotate: Annotated[
        str | None, typer.Option(help="Start a new file after this long: 1h, 1d.")
    ] = None,
    rotate_mb: Annotated[
        float, typer.Option(min=0, max=1e9, help="Start a new file after this many MB.")
    ] = 0.0,
    keep: Annotated[
        int, typer.Option(min=0, help="Files that stay; the oldest are deleted. 0: all.")
    ] = 0,
    compress: Annotated[bool, typer.Option("--compress", help="Compress with zstd.")] = False,
    keys: Annotated[Path | None, typer.Option(help="Key folder, for CURVE.")] = None,
    json: Json = False,
) -> Exit:
    """Record the traffic of both channels, until Ctrl-C or for a fixed time.

    A recorder only listens: it cannot slow down or change the traffic. With a rotation, the tape
    a.tape becomes a-0001.tape, a-0002.tape …, each complete by itself.
    """
    import signal  # noqa: PLC0415 - commands import what they need when invoked
    import threading  # noqa: PLC0415

    from citadel_bridge import addresses  # noqa: PLC0415
    from citadel_bridge.recorder import Recorder  # noqa: PLC0415
    from citadel_bridge.tape_parts import Rotation  # noqa: PLC0415
    from citadel_proto import tape  # noqa: PLC0415

    seconds = None if duration is None else seconds_of(duration, "--duration")
    rotation = Rotation(
        octets=round(rotate_mb * 1_000_000),
        ns=0 if rotate is None else round(seconds_of(rotate, "--rotate") * 1e9),
        keep=keep,
    )
    if out.exists():
        raise BadInput("the file exists", where=f"--out {out}", mend="choose another name")
    recorder = Recorder(
        [
            *_endpoints(signals or [addresses.DEFAULT_SIGNALS], keys, "macro"),
            *_endpoints(command_signals or [addresses.DEFAULT_COMMAND_SIGNALS], keys, "cli"),
        ],
        _endpoints(market or [addresses.DEFAULT_MARKET], keys, "micro"),
        out,
        rotation=rotation,
        compress=compress,
    )
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    recorder.run(stopped.is_set, seconds)
    counts = recorder.counts
    if json:
        print_json(
            {
                "signals": counts[tape.SIGNALS],
                "market": counts[tape.MARKET],
                "files": [str(path) for path in recorder.paths],
                "instances": recorder.instances,
            }
        )
        return Exit.OK
    heard = ", ".join(recorder.instances) or "nobody"
    typer.echo(
        f"{counts[tape.SIGNALS]} frames of signals and {counts[tape.MARKET]} of the market in "
        f"{', '.join(str(path) for path in recorder.paths)}; received at the start: {heard}"
    )
    return Exit.OK


def tape_info(file: TapeFile, *, json: Json = False) -> Exit:
    """Show what a tape holds: who, when, how many of what, and whether it is complete."""
    from citadel_bridge import tape_inspect as inspection  # noqa: PLC0415
    from citadel_bridge.progress import watched  # noqa: PLC0415
    from citadel_proto.tape import TapeReader  # noqa: PLC0415

    with TapeReader.open(file) as reader:
        facts = inspection.info(reader, watched(reader, file, "reading"))
    if json:
        print_json(facts)
        return Exit.OK
    header = facts["header"]
    typer.echo(f"{header['kind']}, format {header['format']}, schema {header['schema']}")
    for name in ("endpoints", "instances", "meta"):
        if header[name]:
            typer.echo(f"{name}: {_json(header[name])}")
    typer.echo(
        f"{facts['records']} records in {facts['blocks']} blocks over {facts['seconds']} s, "
        f"{facts['frame_bytes']} bytes of frames"
    )
    for name, count in facts["counts"].items():
        typer.echo(f"  {name:<24}{count:>10}")
    _say_tail(facts["tail"])
    return Exit.OK


def tape_dump(
    file: TapeFile,
    *,
    limit: Annotated[int | None, typer.Option(help="Print only the first N.")] = None,
) -> Exit:
    """Print one JSON object per record, whatever the schema it was recorded with."""
    from itertools import islice  # noqa: PLC0415

    from citadel_bridge import tape_inspect as inspection  # noqa: PLC0415
    from citadel_proto.tape import TapeReader  # noqa: PLC0415

    with TapeReader.open(file) as reader:
        for row in islice(inspection.dump(reader), limit):
            typer.echo(_json(row))
        _say_tail(inspection.tail_of(reader))
    return Exit.OK


def tape_verify(file: TapeFile, *, json: Json = False) -> Exit:
    """Check every checksum; ends 1 and names the position, if something is missing or damaged."""
    from citadel_bridge import tape_inspect as inspection  # noqa: PLC0415
    from citadel_bridge.progress import watched  # noqa: PLC0415
    from citadel_proto.tape import TapeReader  # noqa: PLC0415

    with TapeReader.open(file) as reader:
        count = sum(1 for _ in watched(reader, file, "checking"))
        tail = inspection.tail_of(reader)
    if json:
        print_json({"records": count, "blocks": reader.blocks, "tail": tail})
        return Exit.DIFFERENCE if tail else Exit.OK
    typer.echo(f"{count} records in {reader.blocks} blocks are intact")
    _say_tail(tail)
    return Exit.DIFFERENCE if tail else Exit.OK


def replay(
    file: TapeFile,
    *,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Recompute a journal of micro instead of playing it."),
    ] = False,
    until: Annotated[
        str | None,
        typer.Option(
            help="With a journal: stop after this event and print the state. 1200 (a record), "
            "OrderFilled:3, a time, or ~TEXT that it holds."
        ),
    ] = None,
    signals: Annotated[
        str | None, typer.Option(help="Publish the recorded signals here, e.g. tcp://127.0.0.1:0.")
    ] = None,
    market: Annotated[
        str | None, typer.Option(help="Publish the recorded market channel here.")
    ] = None,
    speed: Annotated[float, typer.Option(help="Multiple of the recorded speed.")] = 1.0,
    flat_out: Annotated[
        bool, typer.Option("--flat-out", help="As fast as the subscribers read.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, max=86_400, help="Seconds to wait for subscribers.")
    ] = 10.0,
    json: Json = False,
) -> Exit:
    """Play a tape into sockets, byte for byte; or recompute a journal with --verify.

    Recorded signals have expired: a micro that receives them rejects them. --verify prints the
    first difference, field by field, and ends 1, or prints how many commands agreed.
    """
    from citadel_bridge import replay as player  # noqa: PLC0415
    from citadel_bridge import tape_inspect as inspection  # noqa: PLC0415
    from citadel_proto import tape  # noqa: PLC0415

    if until == "":
        raise BadInput("no event is named", where="--until", allowed="1200, OrderFilled:3, ~TEXT …")
    if verify or until:
        return Exit(player.verify(file, until or "", as_json=json))
    addresses = {tape.SIGNALS: signals, tape.MARKET: market}
    chosen = {direction: address for direction, address in addresses.items() if address is not None}
    if not chosen:
        raise BadInput(
            "no address to play to",
            where="citadel replay",
            mend="give --market ADDRESS, --signals ADDRESS or both; for a journal, --verify",
        )
    if not speed > 0:
        raise BadInput(f"speed {speed}", where="--speed", allowed="more than 0")
    with tape.TapeReader.open(file) as reader:
        if reader.header.kind != "recording":
            raise BadInput(
                f"a {reader.header.kind} holds no frames to play",
                where=str(file),
                mend="add --verify to recompute it",
            )
        play = player.Player(chosen)
        try:
            for direction, address in play.bound.items():
                typer.echo(f"{inspection.name_of(direction)} at {address}", err=True)
            play.wait_for_subscribers(wait)
            play.play(reader, speed=None if flat_out else speed)
        finally:
            play.close()
        tail = inspection.tail_of(reader)
    sent = {inspection.name_of(direction): count for direction, count in play.sent.items()}
    if json:
        print_json({"sent": sent, "tail": tail})
        return Exit.DIFFERENCE if tail else Exit.OK
    typer.echo(", ".join(f"{count} frames of {name}" for name, count in sent.items()))
    _say_tail(tail)
    return Exit.DIFFERENCE if tail else Exit.OK


def _endpoints(addresses: Iterable[str], keys: Path | None, server: str) -> list[Endpoint]:
    from citadel_bridge.auth import KeyStore  # noqa: PLC0415
    from citadel_bridge.sockets import Endpoint  # noqa: PLC0415

    pair = None if keys is None else KeyStore(keys).client("recorder", server)
    return [Endpoint(address, pair) for address in addresses]


def _say_tail(tail: dict[str, Any] | None) -> None:
    if tail is not None:
        typer.echo(
            f"{tail['reason']}: {tail['lost_bytes']} bytes from offset {tail['offset']} on are "
            "not usable; everything before is",
            err=True,
        )


def _json(value: Any) -> str:  # noqa: ANN401 - plain data of any shape
    from json import dumps  # noqa: PLC0415

    return dumps(value, ensure_ascii=False, allow_nan=False)

"""``citadel incident``: what is needed to look into something, in one file, and again anywhere."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, print_json
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.journal.incident import Manifest
    from citadel_proto.tape import TornTail

incident = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Pack what happened into one file, and replay it anywhere.",
)


@incident.command("pack")
def pack(
    *,
    out: Annotated[Path, typer.Option(help="The file to write: NAME.tar.zst.")],
    config: Annotated[Path | None, typer.Option(help="TOML file of micro.")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Run folder, instead of its.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Journals of this many last runs.")] = 1,
    tape: Annotated[list[Path] | None, typer.Option(help="A recording; repeatable.")] = None,
    log: Annotated[list[Path] | None, typer.Option(help="A log; repeatable.")] = None,
    json: Json = False,
) -> Exit:
    """Pack journals, recordings, configuration, logs and versions; micro may be running.

    No secret is in it: no key, no file of addresses, and log lines without what looks like one. It does
    hold your orders, positions and balances.
    """
    import os  # noqa: PLC0415 - commands import what they need when invoked

    from citadel_micro.shell.config.config import load  # noqa: PLC0415
    from citadel_micro.shell.config.text import to_toml  # noqa: PLC0415
    from citadel_micro.shell.journal import incident as packing  # noqa: PLC0415
    from citadel_micro.shell.journal.parts import files_of, runs_of  # noqa: PLC0415
    from citadel_micro.shell.journal.run_index import NAME  # noqa: PLC0415
    from citadel_micro.shell.keys.redaction import REDACTOR  # noqa: PLC0415

    loaded = load(config, environment=dict(os.environ))
    folder = run_dir or loaded.run_dir
    journals = [file for each in runs_of(folder)[-runs:] for file in files_of(each)]
    if not journals:
        raise BadInput(
            "no journal to pack", where=str(folder), mend="name the folder of micro with --run-dir"
        )
    if log:
        _know_secrets(loaded)
    texts = {"configuration.toml": to_toml(loaded)}
    if (folder / NAME).is_file():
        texts[NAME] = (folder / NAME).read_text("utf-8", "replace")
    manifest = packing.pack(
        out,
        journals=journals,
        tapes=tape or [],
        logs=log or [],
        texts=texts,
        redact=REDACTOR.text,
    )
    size = out.stat().st_size
    if json:
        print_json({"file": str(out), "bytes": size, "holds": manifest.files})
        return Exit.OK
    _list(manifest)
    typer.echo(f"{out}: {size / 1e6:.1f} MB")
    return Exit.OK


@incident.command("replay")
def replay(
    file: Annotated[Path, typer.Argument(help="What citadel incident pack wrote.")],
    *,
    to: Annotated[
        Path | None, typer.Option(help="Folder to unpack into; it must not exist. Default: NAME.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="Stop after this event of the newest journal; see citadel replay."),
    ] = None,
    json: Json = False,
) -> Exit:
    """Unpack an incident, check every file, and recompute every decision in its journals.

    Ends 1 at the first command that this release computes differently.
    """
    from citadel_micro.shell.journal import incident as packing  # noqa: PLC0415 - imported when invoked
    from citadel_micro.shell.journal.parts import is_earlier  # noqa: PLC0415
    from citadel_micro.shell.journal.verify import verify_journal  # noqa: PLC0415

    folder = to or file.with_name(file.name.partition(".")[0])
    manifest = packing.unpack(file, folder)
    if not json:
        _list(manifest)
    here = packing.versions()
    for name, version in manifest.versions.items():
        if here.get(name) != version:
            typer.echo(f"note: {name} was {version}, here {here.get(name, 'unknown')}", err=True)
    journals = [
        each.name
        for each in manifest.files
        if each.what == "journal" and not is_earlier(folder / each.name)
    ]
    if until is not None:
        newest = folder / max(journals)
        return Exit(verify_journal(newest, typer.echo, until=until, as_json=json))
    tapes = [each.name for each in manifest.files if each.what == "tape"]
    return (_recomputed_json if json else _recomputed)(folder, journals, tapes, manifest)


def _recomputed(folder: Path, journals: list[str], tapes: list[str], _: Manifest) -> Exit:
    """Recompute the journals and read the tapes, and say what was found."""
    from citadel_micro.shell.journal.verify import verify_journal  # noqa: PLC0415 - when invoked

    ended = Exit.OK
    for name in journals:
        typer.echo(f"{name}:")
        ended = max(ended, Exit(verify_journal(folder / name, typer.echo)))
    for name in tapes:
        count, tail = _frames(folder / name)
        typer.echo(f"{name}: {count} frames; play it with: citadel replay {folder / name}")
        if tail is not None:
            typer.echo(f"note: {tail.reason} at byte {tail.offset}", err=True)
    return ended


def _recomputed_json(
    folder: Path, journals: list[str], tapes: list[str], manifest: Manifest
) -> Exit:
    """The same as one JSON object."""
    from citadel_micro.shell.journal.verify import as_plain, verify  # noqa: PLC0415 - when invoked

    found = {name: verify(folder / name) for name in journals}
    print_json(
        {
            "folder": str(folder),
            "holds": manifest.files,
            "journals": {name: as_plain(each) for name, each in found.items()},
            "tapes": {name: _frames(folder / name)[0] for name in tapes},
        }
    )
    return max((each.exit for each in found.values()), default=Exit.OK)


def _frames(path: Path) -> tuple[int, TornTail | None]:
    from citadel_bridge.progress import watched  # noqa: PLC0415 - imported when invoked
    from citadel_proto.tape import TapeReader  # noqa: PLC0415

    with TapeReader.open(path) as reader:
        return sum(1 for _ in watched(reader, path, "checking")), reader.tail


def _list(manifest: Manifest) -> None:
    for each in manifest.files:
        typer.echo(f"  {each.what:<14}{each.size:>14,}  {each.name}")


def _know_secrets(loaded: MicroConfig) -> None:
    """Read the configured keys, so that they are found in logs by their value."""
    from citadel_micro.shell.keys.key_file import read_key_file  # noqa: PLC0415

    for venue in loaded.venues.values():
        for path in (venue.key_file, venue.watchdog_key_file):
            if path is not None:
                read_key_file(path)

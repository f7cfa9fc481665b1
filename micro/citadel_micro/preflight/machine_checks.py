"""Checks of the machine and of a configuration, before micro is started: ``citadel doctor``.

Nothing is sent to a venue but a request for a connection, and nothing is changed but a file of the
run folder that is written, timed and removed.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
import time
from contextlib import suppress
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from citadel_bridge.versions import DISTRIBUTION, installed
from citadel_micro.core.marketdata import kernel
from citadel_micro.preflight.checks import Check
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_micro.shell.ops.control import SOCKET, Request, ask
from citadel_proto.disk import sync_data
from citadel_proto.errors import CitadelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from citadel_micro.shell.config.config import MicroConfig

SYNCS: Final = 20
SYNC_WARN_S: Final = 0.010
"""An order waits for one such write: ten milliseconds is the whole budget of a fast one."""
SYNC_BYTES: Final = 4_096
DISK_WARN: Final = 10e9
DISK_LEAST: Final = 1e9
"""Bytes free. A busy symbol's journal grows by some gigabytes a day."""
CONNECT_S: Final = 5.0


async def machine_checks(config: MicroConfig) -> list[Check]:
    """Every check, in the order in which a person would fix them."""
    return [
        _versions(),
        _kernel(),
        *_disk(config.run_dir),
        *_running(config),
        *[await _reach(name, url) for name, url in _roots(config)],
    ]


def _versions() -> Check:
    found = [f"{DISTRIBUTION} {version(DISTRIBUTION)}"]
    found += [f"{name} {number}" for name, number in installed().items()]
    return Check(
        name="versions",
        verdict="ok",
        text=f"Python {platform.python_version()}, {', '.join(found)}",
    )


def _kernel() -> Check:
    if kernel.COMPILED:
        return Check(name="books", verdict="ok", text="the compiled kernel")
    return Check(
        name="books",
        verdict="warn",
        text="the Python kernel: the same books, several times slower",
        mend="install a C compiler and install again",
    )


def _disk(folder: Path) -> Iterator[Check]:
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB free at {folder}"
    if free < DISK_LEAST:
        yield Check(
            name="disk",
            verdict="refused",
            text=text,
            mend="micro halts when it cannot write: make room",
        )
    elif free < DISK_WARN:
        yield Check(
            name="disk",
            verdict="warn",
            text=text,
            mend="the journal of a busy symbol takes some a day",
        )
    else:
        yield Check(name="disk", verdict="ok", text=text)
    try:
        took_s = _sync_s(there)
    except OSError as error:
        yield Check(
            name="journal",
            verdict="refused",
            text=f"{there} cannot be written: {error.strerror}",
            mend="give the folder to the user who runs micro, or set another run_dir",
        )
        return
    text = f"a write reaches the disk in {took_s * 1e3:.2f} ms (median of {SYNCS})"
    slow = took_s > SYNC_WARN_S
    mend = "every order waits for one: put run_dir on a local SSD" if slow else ""
    yield Check(name="journal", verdict="warn" if slow else "ok", text=text, mend=mend)


def _sync_s(folder: Path) -> float:
    path = folder / f".doctor-{os.getpid()}"
    took = []
    try:
        with path.open("xb", buffering=0) as file:
            for _ in range(SYNCS):
                started = time.perf_counter()
                file.write(b"\0" * SYNC_BYTES)
                sync_data(file.fileno())
                took.append(time.perf_counter() - started)
    finally:
        path.unlink(missing_ok=True)
    return median(took)


def _running(config: MicroConfig) -> Iterator[Check]:
    """A micro that runs there, or whether its addresses are free."""
    if (config.run_dir / SOCKET).exists():
        with suppress(CitadelError):
            answer = ask(config.run_dir, Request("status"))
            yield Check(
                name="running",
                verdict="warn" if answer["reasons"] else "ok",
                text=f"micro runs in {config.run_dir}: {answer['risk']}"
                + "".join(f"; {why}" for why in answer["reasons"]),
                mend="citadel status" if answer["reasons"] else "",
            )
            return
    wanted = [("market", config.bridge.market)]
    if config.http.enabled:
        wanted.append(("http", f"tcp://{config.http.host}:{config.http.port}"))
    for name, address in wanted:
        found = urlsplit(address)
        if found.scheme != "tcp" or not found.port or not found.hostname:
            continue
        host = "0.0.0.0" if found.hostname == "*" else found.hostname  # noqa: S104 - asked, not bound for long
        try:
            with socket.create_server((host, found.port)):
                pass
        except OSError as error:
            yield Check(
                name=f"{name} address",
                verdict="refused",
                text=f"{address}: {error.strerror}",
                mend=f"stop what listens there, or set another {'bridge.market' if name == 'market' else 'http.port'}",
            )
        else:
            yield Check(name=f"{name} address", verdict="ok", text=f"{address} is free")


def _roots(config: MicroConfig) -> Iterator[tuple[str, str]]:
    """Where each venue's websocket is."""
    for name, section in config.venues.items():
        with suppress(CitadelError):
            yield name, section.ws_url or venue_spec(name).websocket_url


async def _reach(name: str, url: str) -> Check:
    found = urlsplit(url)
    port = found.port or (443 if found.scheme in ("wss", "https") else 80)
    started = time.perf_counter()
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(found.hostname, port), CONNECT_S)
    except (OSError, TimeoutError) as error:
        return Check(
            name=name,
            verdict="refused",
            text=f"{found.hostname}:{port} cannot be reached: {error.strerror or 'no answer'}",
            mend="check network, name server and firewall, or the url of the venue's section",
        )
    took_s = time.perf_counter() - started
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return Check(
        name=name, verdict="ok", text=f"{found.hostname}:{port} answers in {took_s * 1e3:.1f} ms"
    )

"""Everything about an incident in one file: journals, recordings, configuration, logs, versions.

The file is a tar, compressed with zstd. Its first member, ``manifest.json``, names the others with
size and SHA-256; nothing else is ever unpacked. Secrets are left out: the configuration has none,
the run folder's own secret is not packed, and log lines pass the redactor.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import tarfile
import time
from contextlib import ExitStack
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import msgspec
import zstandard

from citadel_proto.errors import BadInput, DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import IO

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}", re.ASCII)
_MOST_MANIFEST: Final = 1024 * 1024
_CHUNK: Final = 1024 * 1024
_PACKAGES: Final = ("stoic-citadel", "msgspec", "numpy", "pyzmq", "zstandard")


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an incident."""

    name: str
    what: str
    """``journal``, ``tape``, ``log``, ``configuration`` or ``runs``."""
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an incident holds, and what it happened on."""

    incident: int = FORMAT
    created_ns: int
    versions: dict[str, str]
    files: tuple[Packed, ...]


def pack(
    out: Path,
    *,
    journals: Sequence[Path],
    tapes: Sequence[Path],
    logs: Sequence[Path],
    texts: dict[str, str],
    redact: Callable[[str], str],
) -> Manifest:
    """Write an incident. Files may still be growing: they are packed as they are now.

    Args:
        out: a new file; only its owner can read it.
        journals: packed as they are.
        tapes: likewise.
        logs: text, which passes ``redact`` line by line.
        texts: further files, by name, already fit to be shown.
        redact: removes secrets from a line.

    Raises:
        BadInput: the file exists, or one cannot be read or written; two have the same name.
    """
    sources = [("journal", path) for path in journals]
    sources += [("tape", path) for path in tapes]
    names = [path.name for _, path in sources] + [path.name for path in logs] + list(texts)
    for name in names:
        if not _NAME.fullmatch(name) or name == MANIFEST or names.count(name) > 1:
            raise BadInput(
                f"a file called {name!r} cannot be packed",
                where="citadel incident pack",
                allowed="letters, digits, dots and dashes, each name once",
            )
    plain = {name: text.encode() for name, text in texts.items()}
    for path in logs:
        lines = _bytes_of(path).decode("utf-8", "replace").splitlines(keepends=True)
        plain[path.name] = "".join(map(redact, lines)).encode()
    with ExitStack() as opened:
        return _write(out, sources, plain, texts, opened)


def _write(
    out: Path,
    sources: Sequence[tuple[str, Path]],
    plain: dict[str, bytes],
    texts: dict[str, str],
    opened: ExitStack,
) -> Manifest:
    # Opened once: a journal that is written in parts gives its name to another file meanwhile.
    by_name = {path.name: opened.enter_context(_opened(path)) for _, path in sources}
    files = [_described(what, path, by_name[path.name]) for what, path in sources]
    files += [
        Packed(
            name=name,
            what="log"
            if name not in texts
            else "runs"
            if name.endswith(".index")
            else "configuration",
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        for name, data in plain.items()
    ]
    manifest = Manifest(created_ns=time.time_ns(), versions=versions(), files=tuple(files))
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with (
            os.fdopen(descriptor, "wb") as file,
            zstandard.ZstdCompressor(level=6).stream_writer(file) as packed,
            tarfile.open(fileobj=packed, mode="w|") as tar,
        ):
            head = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
            _add(tar, MANIFEST, len(head), io.BytesIO(head))
            for each in files:
                source = by_name.get(each.name)
                if source is None:
                    _add(tar, each.name, each.size, io.BytesIO(plain[each.name]))
                else:
                    source.seek(0)
                    _add(tar, each.name, each.size, source)
    except FileExistsError as error:
        raise BadInput(
            "the file exists", where=f"--out {out}", mend="choose another name"
        ) from error
    except OSError as error:
        out.unlink(missing_ok=True)
        raise BadInput(
            f"cannot be packed: {error.strerror}", where=str(error.filename or out)
        ) from error
    return manifest


def unpack(path: Path, folder: Path) -> Manifest:
    """Unpack an incident into a new folder, and check every file.

    Raises:
        BadInput: the file cannot be read, or the folder exists.
        DecodeError: it is no incident, or is damaged.
    """
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError as error:
        raise BadInput(
            "the folder exists", where=str(folder), mend="choose another one with --to"
        ) from error
    except OSError as error:
        raise BadInput(f"cannot be created: {error.strerror}", where=str(folder)) from error
    try:
        with (
            path.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file) as plain,
            tarfile.open(fileobj=plain, mode="r|") as tar,
        ):
            return _extract(tar, folder)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise BadInput(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise DecodeError(f"{path} is no incident, or is damaged: {error}") from error
    except DecodeError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise DecodeError(f"{path}: {error}") from error


def versions() -> dict[str, str]:
    """What this runs on."""
    found = {"python": platform.python_version(), "machine": platform.platform()}
    return found | {name: metadata.version(name) for name in _PACKAGES}


def _extract(tar: tarfile.TarFile, folder: Path) -> Manifest:
    manifest: Manifest | None = None
    left: dict[str, Packed] = {}
    for member in tar:
        opened = tar.extractfile(member) if member.isfile() else None
        if opened is None:
            raise DecodeError(f"it holds {member.name!r}, which is no file")
        if manifest is None:
            manifest = _manifest(member, opened)
            left = {each.name: each for each in manifest.files}
            (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
            continue
        wanted = left.pop(member.name, None)
        if wanted is None or not _NAME.fullmatch(member.name) or member.size != wanted.size:
            raise DecodeError(f"it holds {member.name!r}, which its manifest does not name so")
        digest = hashlib.sha256()
        with (folder / wanted.name).open("xb") as file:
            for chunk in _chunks(opened):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != wanted.sha256:
            raise DecodeError(f"{wanted.name} is damaged: its SHA-256 is not the manifest's")
    if manifest is None:
        raise DecodeError("it is empty")
    if left:
        raise DecodeError(f"{', '.join(left)} is missing from it")
    return manifest


def _manifest(member: tarfile.TarInfo, opened: IO[bytes]) -> Manifest:
    if member.name != MANIFEST or member.size > _MOST_MANIFEST:
        raise DecodeError(f"its first file is {member.name!r} instead of {MANIFEST}")
    raw: Any
    try:
        raw = json.loads(opened.read())
        manifest = msgspec.convert(raw, Manifest)
    except (ValueError, msgspec.MsgspecError) as error:
        raise DecodeError(f"its manifest cannot be read: {error}") from error
    if manifest.incident != FORMAT:
        raise DecodeError(f"an incident of format {manifest.incident}; this release reads {FORMAT}")
    return manifest


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(path)) from error


def _described(what: str, path: Path, file: IO[bytes]) -> Packed:
    digest = hashlib.sha256()
    size = 0
    try:
        for chunk in _chunks(file):
            digest.update(chunk)
            size += len(chunk)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(path)) from error
    return Packed(name=path.name, what=what, size=size, sha256=digest.hexdigest())


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(path)) from error


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _add(tar: tarfile.TarFile, name: str, size: int, file: IO[bytes]) -> None:
    """Add so many octets; a file that has grown since is packed up to there."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    tar.addfile(entry, file)

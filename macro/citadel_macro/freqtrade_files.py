"""Freqtrade's configuration files and its trade database: what is wrong with them, in words.

Freqtrade itself answers a file that is missing, or that is no JSON. A folder, bytes, a list, a database that
is locked, full or of something else end it with a traceback.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import freqtrade.configuration.load_config as loading
import freqtrade.freqtradebot as bot
from freqtrade.exceptions import OperationalException
from freqtrade.worker import Worker
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from citadel_proto.errors import BadInput, CitadelError, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CONFIG: Final = "name Freqtrade's config.json"
SETTING: Final = "db_url"
_BUSY: Final = {
    "locked": "end what else has it open: a second Freqtrade, a viewer of databases",
    "is full": "make room on its disk, then start Freqtrade again; micro's orders live on meanwhile",
    "disk i/o": "check its disk, then start Freqtrade again; micro's orders live on meanwhile",
}
"""By part of what SQLite says: the trouble may end."""
_WRONG: Final = {
    "unable to open": "name a file in a folder that is there and may be written",
    "not a database": "name another file, or restore this one",
    "malformed": "restore it from a copy",
    "readonly": "let this user write the file and its folder",
    "no such": "it is of another program or another Freqtrade: name another file",
}


def read(paths: Sequence[str]) -> dict[str, Any]:
    """A configuration as ``freqtrade --config`` reads it.

    Raises:
        BadInput: a file is missing, cannot be read, or does not hold a configuration.
    """
    found: list[CitadelError] = []
    try:
        with said(found.append):
            config: dict[str, Any] = loading.load_from_files(list(paths))
    except OperationalException as error:
        if found:
            raise found[0] from error
        first, _, _ = str(error).partition("\n")
        raise BadInput(first, where=", ".join(paths), mend=CONFIG) from error
    return config


@contextlib.contextmanager
def said(on_error: Callable[[CitadelError], object]) -> Iterator[None]:
    """Have Freqtrade end for its own errors, with words, where it would end with a traceback.

    Args:
        on_error: gets what is wrong.
    """

    def end(error: CitadelError) -> OperationalException:
        on_error(error)
        return OperationalException(str(error))

    load, open_db, run = loading.load_config_file, bot.init_db, Worker.run

    def load_config_file(path: str) -> dict[str, Any]:
        try:
            config: Any = load(path)
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise end(BadInput(f"cannot be read: {why}", where=path, mend=CONFIG)) from error
        if not isinstance(config, dict):
            kind = type(config).__name__
            raise end(
                BadInput(
                    f"holds a {kind} and no settings", where=path, allowed="{ … }", mend=CONFIG
                )
            )
        return config

    def init_db(db_url: str) -> None:
        try:
            open_db(db_url)
        except ArgumentError as error:
            text = f"{db_url!r} is no address of a database"
            example = "sqlite:///tradesv3.sqlite"
            raise end(BadInput(text, where=SETTING, allowed=example)) from error
        except ModuleNotFoundError as error:
            text = f"its driver is not installed: {error.name}"
            mend = f"pip install {error.name}"
            raise end(BadInput(text, where=_shown(db_url), mend=mend)) from error
        except DBAPIError as error:
            raise end(_of(error, db_url)) from error

    def work(worker: Worker) -> None:
        try:
            run(worker)
        except DBAPIError as error:
            config = worker.freqtrade.config
            raise end(_of(error, str(config[SETTING]))) from error

    loading.load_config_file = load_config_file
    bot.init_db = init_db
    Worker.run = work  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        loading.load_config_file, bot.init_db = load, open_db
        Worker.run = run  # type: ignore[method-assign]


def _of(error: DBAPIError, db_url: str) -> CitadelError:
    """What the database has said, as an error of ours."""
    reason, where = str(error.orig), _shown(db_url)
    text = f"Freqtrade's trade database: {reason}"
    for part, mend in _BUSY.items():
        if part in reason.lower():
            return PeerUnavailable(f"{where}: {text}; {mend}")
    mends = (mend for part, mend in _WRONG.items() if part in reason.lower())
    return BadInput(text, where=where, mend=f"{next(mends, 'name another one')} ({SETTING})")


def _shown(db_url: str) -> str:
    """An address without its password."""
    return make_url(db_url).render_as_string(hide_password=True)

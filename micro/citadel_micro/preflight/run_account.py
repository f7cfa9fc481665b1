"""A run folder belongs to one account for good: it must not resume positions and orders of another.

A folder without the file is of paper, as every folder was before there was live trading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.shell.journal.run_index import replace_whole
from citadel_proto.disk import writing
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from citadel_micro.shell.keys.api_key import ApiKey

FILE: Final = "account.json"
"""In the run folder."""


def account_of(key: ApiKey) -> str:
    """The account that orders are marked with: ids of accounts are unique within a network only."""
    return f"{key.network}:{key.account}"


def check_account(folder: Path, keys: Mapping[str, ApiKey], *, used: bool) -> None:
    """Refuse a folder of another account. The caller holds its lock.

    Args:
        folder: the run folder.
        keys: of the run by venue; none on paper.
        used: a run before this one has left a journal.

    Raises:
        BadInput: the folder is of another account, or of paper, or its file cannot be read.
    """
    held = _read(folder / FILE)
    wanted = {venue: account_of(key) for venue, key in keys.items()}
    if held == wanted or (held is None and (not wanted or not used)):
        return
    raise BadInput(
        f"the run folder is of {_named(held)}, and this run is of {_named(wanted)}",
        where=str(folder),
        allowed="one account a folder",
        mend="give this run a folder of its own (run_dir, --run-dir)",
    )


def claim(folder: Path, keys: Mapping[str, ApiKey]) -> None:
    """Record that the folder belongs to these accounts.

    Raises:
        BadInput: the file cannot be written.
    """
    if not keys or _read(folder / FILE) is not None:
        return
    row = {venue: account_of(key) for venue, key in keys.items()}
    with writing(folder / FILE):
        replace_whole(folder / FILE, msgspec.json.encode(row), durable=True)


def _named(accounts: Mapping[str, str] | None) -> str:
    if not accounts:
        return "paper"
    return ", ".join(f"account {account} on {venue}" for venue, account in accounts.items())


def _read(path: Path) -> dict[str, str] | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise BadInput(
            f"cannot be read: {error}",
            where=str(path),
            allowed="what micro wrote: the account by venue",
            mend="bring the file back, or begin another run folder",
        ) from error

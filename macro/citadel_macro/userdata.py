"""Where the shipped Freqtrade user folder is: in a checkout beside the package, else inside it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from citadel_proto.errors import BadInput, InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterator


def user_data() -> Path:
    """Folder with the sample strategies, models and configurations; read-only when installed.

    Raises:
        InvariantError: the installation lacks the folder.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "user_data", package.parent / "user_data"):
        if folder.is_dir():
            return folder
    raise InvariantError(f"no user_data in or beside {package}; the installation is incomplete")


@contextlib.contextmanager
def writing(path: Path, mend: str = "name one in a writable place") -> Iterator[None]:
    """Say what cannot be written, and how to go on.

    Raises:
        BadInput: the block could not write ``path``.
    """
    try:
        yield
    except OSError as error:
        text = f"cannot be written: {error.strerror}"
        raise BadInput(text, where=str(path), mend=mend) from error

"""Where the shipped Freqtrade user folder is: in a checkout beside the package, else inside it."""

from __future__ import annotations

from pathlib import Path

from citadel_proto.errors import InvariantError


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

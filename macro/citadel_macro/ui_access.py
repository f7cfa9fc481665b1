"""Who may use FreqUI and Freqtrade's REST interface: a password of this installation, made at its first start.

Shipped configurations turn the interface on and name no secret, because a password that everybody has
read is none. What ``api_server`` lacks is made once, kept in a private file of the user folder, and
merged into the configuration whenever Freqtrade reads it. What the configuration names is left alone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import freqtrade.rpc.api_server
from freqtrade.enums import RunMode

from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import MutableMapping

logger = logging.getLogger(__name__)

FILE: Final = "citadel-api.json"
SECTION: Final = "api_server"
USER: Final = "citadel"
SERVING: Final = (RunMode.LIVE, RunMode.DRY_RUN, RunMode.WEBSERVER)


def prepare(config: MutableMapping[str, Any]) -> None:
    """Complete ``api_server`` of a configuration that is about to serve it, and say where it is.

    Raises:
        BadInput: its port is taken, or the file of its password is not private or not readable.
    """
    section = config.get(SECTION)
    if not isinstance(section, dict) or not section.get("enabled"):
        return
    if config.get("runmode") not in SERVING:
        return
    host, port = str(section.get("listen_ip_address", "")), section.get("listen_port")
    if isinstance(port, int):
        _require_free(host, port)
    lacking = [name for name in _made() if not section.get(name)]
    if not lacking:
        return
    path = Path(config["user_data_dir"]) / FILE
    kept = _kept(path)
    for name in lacking:
        section[name] = kept[name]
    if "password" in lacking:
        shown = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - compared, not bound
        ui = Path(freqtrade.rpc.api_server.__file__).with_name("ui") / "installed" / "index.html"
        logger.info(
            "FreqUI is at http://%s:%s for user %s; its password is in %s.%s",
            shown,
            port,
            section["username"],
            path,
            "" if ui.is_file() else " Its pages are not installed: citadel macro install-ui",
        )


def _made() -> dict[str, str]:
    """New credentials."""
    return {
        "username": USER,
        "password": secrets.token_urlsafe(18),
        "jwt_secret_key": secrets.token_hex(32),
        "ws_token": secrets.token_urlsafe(25),
    }


def _kept(path: Path) -> dict[str, str]:
    """Credentials of a file, which is made when it is missing. In Freqtrade's own form: it is a ``--config``."""
    try:
        if not path.exists():
            _write(path, json.dumps({SECTION: _made()}, indent=4) + "\n")
        # Windows has no such bits.
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise BadInput(
                "others can read the password of FreqUI",
                where=str(path),
                mend=f"chmod 600 {path}, and delete it if it may have been read: a new one is made",
            )
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadInput(
            f"the password of FreqUI cannot be kept: {error.strerror}",
            where=str(path),
            mend="let Freqtrade write to its user folder, or set api_server.password",
        ) from error
    except ValueError:
        content = None
    found = content.get(SECTION) if isinstance(content, dict) else None
    if not isinstance(found, dict) or not all(
        isinstance(found.get(name), str) and found[name] for name in _made()
    ):
        raise BadInput(
            f"it lacks {', '.join(_made())}",
            where=str(path),
            mend="delete it: a new one is made at the next start",
        )
    return found


def _write(path: Path, text: str) -> None:
    """Complete or not at all, and never over another's: two bots may start at once in one folder."""
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
    finally:
        Path(partial).unlink()


def _require_free(host: str, port: int) -> None:
    """Freqtrade itself would wait for ever for a server that could not bind its port."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BadInput(
                f"FreqUI cannot listen on {host}:{port}: {error.strerror}",
                where="api_server.listen_ip_address and listen_port of the Freqtrade configuration",
                mend="choose another port, also as FREQTRADE__API_SERVER__LISTEN_PORT=8081, or set "
                "api_server.enabled to false",
            ) from error

"""Sending alerts with Apprise, which reaches about a hundred services (https://appriseit.com)."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.shell.keys.private_file import read_private
from citadel_micro.shell.keys.redaction import LEAST, REDACTOR
from citadel_micro.shell.keys.secret import Secret
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.shell.alerts.rules import Alert

_TYPES: Final = {"info": "info", "warning": "warning", "critical": "failure"}


class Sender:
    """The services of one file.

    Args:
        path: a file that only its owner can read, with one Apprise URL per line; lines that begin
            with # are comments. The URLs hold tokens and are kept out of every log.

    Raises:
        BadInput: Apprise is not installed, or the file cannot be read, is not private, is empty, or a line is no such URL.
    """

    def __init__(self, path: Path) -> None:
        try:
            import apprise  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise BadInput(
                "alerts need the package apprise, which is not installed",
                where="alerts.urls_file",
                mend='pip install "stoic-citadel[alerts]", or remove the setting',
            ) from error
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines hold the URLs
        self._services: Any = apprise.Apprise()
        text = read_private(path, what="file of URLs", page="docs/howto/be-warned.md")
        lines = text.splitlines()
        for number, line in enumerate(lines, 1):
            url = line.strip()
            if not url or url.startswith("#"):
                continue
            if len(url) >= LEAST:
                REDACTOR.add(Secret(url))
            with warnings.catch_warnings():
                # Of what Apprise itself imports.
                warnings.simplefilter("ignore", DeprecationWarning)
                known = self._services.add(url)
            if not known:
                raise BadInput(
                    f"line {number} is no Apprise URL",
                    where=str(path),
                    allowed="one URL a line, as tgram://TOKEN/CHAT; see https://appriseit.com/services",
                )
        if not len(self._services):
            raise BadInput(
                "it names no service", where=str(path), mend="write one Apprise URL a line"
            )

    def __len__(self) -> int:
        """How many services."""
        return len(self._services)

    def send(self, alert: Alert) -> list[str]:
        """Send one message; blocks. Returns the kinds of the services that did not take it."""
        failed = []
        for service in self._services:
            taken = service.notify(
                body=alert.body, title=alert.title, notify_type=_TYPES[alert.severity]
            )
            if not taken:
                failed.append(str(service.service_name))
        return failed

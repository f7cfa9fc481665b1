"""Alerts of a run, where its configuration asks for any."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from citadel_micro.shell.alerts.watch import AlertWatch
    from citadel_micro.shell.config.model import AlertsSection
    from citadel_micro.shell.ops.health import Vitals


def started_watch(
    section: AlertsSection, vitals: Vitals, parts: AsyncExitStack
) -> AlertWatch | None:
    """The watch that a configuration asks for, started; None where it asks for none.

    Args:
        section: of the configuration.
        vitals: the run.
        parts: closes it with the run.

    Raises:
        BadInput: see ``Sender``.
    """
    if section.urls_file is None:
        return None
    from citadel_micro.shell.alerts.sender import Sender  # noqa: PLC0415 - most have none
    from citadel_micro.shell.alerts.watch import AlertWatch  # noqa: PLC0415

    watch = AlertWatch(vitals, section, Sender(section.urls_file))
    watch.start()
    parts.push_async_callback(watch.close)
    return watch

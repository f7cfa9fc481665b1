"""Structured log lines on standard error: JSON for machines, text for people on a terminal."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from citadel_micro.shell.keys.redaction import REDACTOR

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from typing import TextIO

    from citadel_micro.core.model.commands import Note

_UNUSED: Final = ("rich", "better_exceptions", *(() if sys.platform == "win32" else ("colorama",)))
"""What structlog imports where it is installed, and nothing here shows with: 5 MB of every process."""


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """As if these modules were not installed; those that are imported already stay."""
    hidden = [name for name in names if name not in sys.modules]
    modules = cast("dict[str, object]", sys.modules)
    modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del modules[name]


with _without(_UNUSED):
    import structlog

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_HIDDEN: Final = ("secret", "password", "passphrase", "api_key", "apikey", "token", "signature")
"""Parts of field names whose values never reach a log."""


class Steadfast:
    """A stream that loses what cannot be written, and counts it.

    Standard error may be closed, its reader may have gone, its disk may be full. None of that may
    keep a fill from being booked or an order from being canceled: what happened is in the journal.
    """

    lost = 0
    """Writes of this process that failed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or count as lost."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: it is closed
            Steadfast.lost += 1
            return len(text)

    def flush(self) -> None:
        """Flush, or count as lost."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            Steadfast.lost += 1


def configure(
    level: str = "info",
    style: Literal["auto", "json", "console"] = "auto",
    *,
    stream: TextIO | None = None,
    **bound: str,
) -> None:
    """Configure the process's logging, this project's and that of its libraries.

    Args:
        level: least level that is written.
        style: ``auto`` is ``console`` when the stream is a terminal, ``json`` otherwise.
        stream: where to; standard error by default.
        bound: fields that every line carries.
    """
    target = stream or sys.stderr
    colored = target.isatty()
    out = cast("TextIO", Steadfast(target))
    console = style == "console" or (style == "auto" and colored)
    renderer: Any = _redacting(
        structlog.dev.ConsoleRenderer(
            colors=colored,
            # The default shows the local variables of every frame.
            exception_formatter=structlog.dev.plain_traceback,
        )
        if console
        else structlog.processors.JSONRenderer(sort_keys=False)
    )
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide,
    ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *shared,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(**bound)
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    # Libraries log much below warning, and none of it is about trading.
    root.setLevel(max(_LEVELS[level], logging.WARNING))
    logging.getLogger("citadel_bridge").setLevel(_LEVELS[level])
    logging.getLogger("citadel_micro").setLevel(_LEVELS[level])


def note(command: Note) -> None:
    """One log line for a Note of the engine."""
    log = structlog.get_logger("engine")
    log.log(_LEVELS[command.level], command.event, **dict(command.fields))


def _hide(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in event:
        lowered = key.lower()
        if any(part in lowered for part in _HIDDEN):
            event[key] = "…"
    return event


def _redacting(render: Any) -> Any:  # noqa: ANN401 - structlog's renderers
    def line(logger: object, name: str, event: MutableMapping[str, Any]) -> str:
        return REDACTOR.text(render(logger, name, event))

    return line

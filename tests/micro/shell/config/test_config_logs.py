from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Literal

import pytest
import structlog

from citadel_micro.core.model.commands import Note
from citadel_micro.shell import logs
from citadel_micro.shell.keys.redaction import REDACTOR
from citadel_micro.shell.keys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_note_is_one_line_of_json() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream=stream, instance="micro")
    logs.note(Note(level="warning", event="gap", fields=(("symbol", "A/B"), ("missing", 3))))
    logs.note(Note(level="debug", event="too quiet", fields=()))
    (line,) = lines(stream)
    assert line["event"] == "gap"
    assert (line["level"], line["symbol"], line["missing"]) == ("warning", "A/B", 3)
    assert line["instance"] == "micro"
    assert str(line["timestamp"]).endswith("Z")


def test_libraries_write_the_same_way_but_only_when_something_is_wrong() -> None:
    stream = io.StringIO()
    logs.configure("debug", "json", stream=stream)
    logging.getLogger("aiohttp").info("chatter")
    logging.getLogger("aiohttp").error("broken %s", "pipe")
    logging.getLogger("citadel_bridge.channels").info("ours")
    assert [line["event"] for line in lines(stream)] == ["broken pipe", "ours"]


def test_secrets_are_never_written() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream=stream)
    structlog.get_logger().info("x", api_key="abc", venueSecret="def", symbol="A/B")
    assert "abc" not in stream.getvalue()
    assert "def" not in stream.getvalue()
    assert lines(stream)[0]["symbol"] == "A/B"


@pytest.mark.parametrize("style", ["json", "console"])
def test_what_was_loaded_as_a_secret_is_never_written(style: Literal["json", "console"]) -> None:
    planted = "planted-in-a-log-0123456789"
    REDACTOR.add(Secret(planted))
    stream = io.StringIO()
    logs.configure("debug", style, stream=stream)
    log = structlog.get_logger()
    log.info(
        "GET", path=f"/order?apiKey={planted}", harmless=[planted], url=f"x?signature={'0f' * 32}"
    )
    logging.getLogger("aiohttp").error("sent %s", {"X-MBX-APIKEY": planted})
    for write in (log.exception, logging.getLogger("asyncio").exception):
        try:
            _fails_with_locals(planted)
        except ValueError:
            write("failed")
    text = stream.getvalue()
    assert planted not in text
    assert "0f0f" not in text
    assert text.count("of ***") == 2


def _fails_with_locals(given: str) -> None:
    local = given[::-1]
    raise ValueError(f"of {given}", len(local))


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_no_locals(style: Literal["json", "console"]) -> None:
    stream = io.StringIO()
    logs.configure("debug", style, stream=stream)
    for write in (structlog.get_logger().exception, logging.getLogger("asyncio").exception):
        try:
            _fails_with_locals("never-loaded")
        except ValueError:
            write("failed")
    assert stream.getvalue().count("of never-loaded") == 2
    assert "dedaol-reven" not in stream.getvalue()


def test_people_get_text() -> None:
    stream = io.StringIO()
    logs.configure("info", "console", stream=stream)
    structlog.get_logger().info("micro is up", port=5)
    assert "micro is up" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_auto_writes_json_where_nobody_looks() -> None:
    stream = io.StringIO()
    logs.configure("info", "auto", stream=stream)
    structlog.get_logger().info("x")
    assert lines(stream)[0]["event"] == "x"

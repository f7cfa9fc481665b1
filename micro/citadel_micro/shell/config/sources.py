"""Where settings come from, and how to say what is wrong with one."""

from __future__ import annotations

import json
import re
import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import BaseModel

from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from pydantic import ValidationError

Location = tuple[str, ...]

ENV_PREFIX: Final = "CITADEL_"
_NESTED: Final = "__"
_VARIABLE: Final = "environment variable"
_TABLE: Final = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?$")
_KEY: Final = re.compile(r"""^\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_.-])+)\s*=""")


def from_file(path: Path) -> dict[str, Any]:
    """A TOML file's content. Raises BadInput when it cannot be read or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(
            f"not valid TOML: {error}", where=str(path), mend="see docs/reference/configuration.md"
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput("not UTF-8 text", where=str(path), mend="save it as UTF-8") from error
    except OSError as error:
        raise BadInput(
            f"cannot be read: {error.strerror}",
            where=str(path),
            mend="name a file of settings of micro (TOML)",
        ) from error


def from_environment(
    environment: Mapping[str, str], *, scalars: AbstractSet[str], sections: AbstractSet[str]
) -> dict[Location, str]:
    """Settings among environment variables, by location.

    ``CITADEL_RUN_DIR`` names a top-level value, ``CITADEL_HTTP__PORT`` one in a table. Other
    variables of the prefix without a double underscore belong to other programs; with one, they
    are taken as settings, so that a misspelt table is noticed.
    """
    found: dict[Location, str] = {}
    for name in sorted(environment):
        if not name.startswith(ENV_PREFIX) or not environment[name]:
            continue  # empty is how containers and shells say "not set"
        location = tuple(name.removeprefix(ENV_PREFIX).lower().split(_NESTED))
        if len(location) > 1 or location[0] in scalars | sections:
            # Currencies are upper case wherever else they are written.
            if location[:2] == ("paper", "balances") and len(location) > 2:  # noqa: PLR2004 - the currency
                location = (*location[:2], location[2].upper())
            found[location] = environment[name]
    return found


class Origins:
    """Remembers where each value came from while the sources are merged."""

    def __init__(self) -> None:
        self._of: dict[Location, str] = {}
        self._file: Path | None = None
        self._lines: dict[Location, int] = {}

    def add_file(self, path: Path, values: dict[str, Any], merged: dict[str, Any]) -> None:
        """Take over a file's values."""
        self._file = path
        self._lines = _line_numbers(path.read_text(encoding="utf-8"))
        merged.update(values)

    def add_environment(self, values: Mapping[Location, str], merged: dict[str, Any]) -> None:
        """Put environment variables over what is there. Text that is JSON counts as such."""
        for location, text in values.items():
            name = ENV_PREFIX + _NESTED.join(location).upper()
            self._put(merged, location, _from_text(text), f"{_VARIABLE} {name}")

    def add_overrides(self, values: Mapping[str, Any], merged: dict[str, Any]) -> None:
        """Put the command line's values over what is there."""
        for location, value in _leaves(values):
            self._put(merged, location, value, "command line")

    def where(self, location: Location) -> str:
        """Where a value was given, for an error: the most exact place that is known."""
        for length in range(len(location), 0, -1):
            prefix = location[:length]
            for key in (prefix, tuple(part.replace("-", "_") for part in prefix)):
                if key in self._of:
                    return self._of[key]
            if prefix in self._lines and self._file is not None:
                return f"{self._file}:{self._lines[prefix]}"
            # A table that only a variable or an option sets.
            for key, origin in self._of.items():
                if key[:length] == prefix:
                    return origin
        return str(self._file) if self._file is not None else "configuration"

    def in_environment(self, location: Location) -> bool:
        """Whether an environment variable has the last word on a value."""
        return self._of.get(location, "").startswith(_VARIABLE)

    def _put(self, merged: dict[str, Any], location: Location, value: Any, origin: str) -> None:  # noqa: ANN401 - any setting
        table = merged
        for part in location[:-1]:
            inner = table.get(part)
            if not isinstance(inner, dict):
                inner = table.get(part.replace("_", "-"))
            if not isinstance(inner, dict):
                inner = table[part] = {}
            table = inner
        table[location[-1]] = value
        self._of[location] = origin


def _leaves(values: Mapping[str, Any]) -> list[tuple[Location, Any]]:
    found: list[tuple[Location, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            found += [((name, *rest), leaf) for rest, leaf in _leaves(value)]
        else:
            found.append(((name,), value))
    return found


def _from_text(text: str) -> Any:  # noqa: ANN401 - any setting
    if text[:1] in {"[", "{"}:
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _line_numbers(text: str) -> dict[Location, int]:
    """Line of each table and key of a TOML text. Good enough to point at; not a parser."""
    found: dict[Location, int] = {}
    table: Location = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = _parts(header.group(1))
            for length in range(1, len(table) + 1):
                found.setdefault(table[:length], number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *_parts(key.group(1))), number)
    return found


def _parts(dotted: str) -> Location:
    return tuple(
        part.strip().strip("\"'") for part in re.findall(r""""[^"]*"|'[^']*'|[^.\s]+""", dotted)
    )


# --- what is wrong ------------------------------------------------------------------------------


def explain(error: ValidationError, model: type[BaseModel], origins: Origins) -> BadInput:
    """All that a validation found, as one error for a person."""
    problems = [_problem(dict(each), model, origins) for each in error.errors(include_url=False)]
    if len(problems) == 1:
        return problems[0]
    lines = [f"{len(problems)} settings are wrong", *(f"  - {problem}" for problem in problems)]
    return BadInput("\n".join(lines))


def _problem(each: dict[str, Any], model: type[BaseModel], origins: Origins) -> BadInput:
    location = tuple(str(part) for part in each["loc"])
    name = ".".join(location)
    where = origins.where(location)
    if each["type"] == "extra_forbidden":
        known = _names_at(model, location[:-1])
        close = get_close_matches(location[-1], known, n=1, cutoff=0.5)
        table = ".".join(location[:-1])
        return BadInput(
            f"unknown setting {name}",
            where=where,
            allowed=None if close else ", ".join(known),
            mend=f"did you mean {table + '.' if table else ''}{close[0]}?"
            if close
            else "remove it",
        )
    given = each["input"]
    # What was given for a key file's path may be the key.
    hidden = isinstance(given, dict | list) or location[-1].endswith("key_file")
    shown = "" if hidden else f" is {given!r}"
    return BadInput(
        f"{name}{shown}",
        where=where,
        allowed=_allowed(each),
        mend=f"change {name}",
    )


def _allowed(each: dict[str, Any]) -> str:
    """What was expected, in pydantic's words without their lead-in."""
    text = str(each["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return text.removeprefix("must be ")


def _names_at(model: type[BaseModel], location: Location) -> list[str]:
    """Names of the settings in the table at a location."""
    current: type[BaseModel] = model
    for part in location:
        annotation = current.model_fields[part].annotation if part in current.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            current = annotation
            continue
        inner = [
            a for a in get_args(annotation) if isinstance(a, type) and issubclass(a, BaseModel)
        ]
        if inner:  # a table of tables: the next part is a name of the user's
            current = inner[0]
    return sorted(current.model_fields)

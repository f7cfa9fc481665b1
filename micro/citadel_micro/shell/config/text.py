"""The effective configuration as TOML, as ``citadel micro --print-config`` shows it."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import BaseModel, SecretStr

if TYPE_CHECKING:
    from collections.abc import Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def to_toml(config: BaseModel) -> str:
    """Every setting with its value; secrets as ``"…"``. Reading it back gives an equal value.

    A setting without a value (TOML has no null) is a comment.
    """
    return "\n".join(_table((), _fields(config))).strip() + "\n"


def _fields(model: BaseModel) -> dict[str, Any]:
    return {name: getattr(model, name) for name in type(model).model_fields}


def _table(path: tuple[str, ...], values: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    tables: list[tuple[str, Mapping[str, Any]]] = []
    for name, value in values.items():
        if isinstance(value, BaseModel):
            tables.append((name, _fields(value)))
        elif isinstance(value, dict):
            tables.append((name, value))
        elif value is None:
            lines.append(f"# {_key(name)} =")
        else:
            lines.append(f"{_key(name)} = {_value(value)}")
    if path and (lines or not tables):
        lines = ["", f"[{'.'.join(_key(part) for part in path)}]", *lines]
    for name, inner in tables:
        lines += _table((*path, name), inner)
    return lines


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, SecretStr):
        return _quoted("…")
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, Decimal):
        return _quoted(format(value, "f"))
    if isinstance(value, int | float):
        return repr(value)
    return _quoted(
        value if isinstance(value, str) else str(value) if isinstance(value, Path) else repr(value)
    )


def _quoted(text: str) -> str:
    """A basic string; JSON's escapes are TOML's."""
    return msgspec.json.encode(text).decode()

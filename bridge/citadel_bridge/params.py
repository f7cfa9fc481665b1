"""Parameters of algorithms as they are written on a command line."""

from __future__ import annotations

from citadel_proto.errors import BadInput

Value = str | int | float | bool


def read_param(text: str, where: str) -> tuple[str, Value]:
    """``name=value``: true, false, a whole number, a number, or else text.

    Raises:
        BadInput: it has no name or no value; ``where`` is the option that it was given by.
    """
    name, found, value = text.partition("=")
    if not found or not name:
        raise BadInput(f"{text!r}", where=where, allowed="NAME=VALUE")
    if value in {"true", "false"}:
        return name, value == "true"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value

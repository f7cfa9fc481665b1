"""The ``[risk]`` table: one key per field of ``RiskLimits``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from pydantic import Field, create_model

from citadel_micro.core.model.risk_limits import RiskLimits, paper_defaults
from citadel_micro.shell.config.section import Names, Section

if TYPE_CHECKING:
    from pydantic import BaseModel

_MILLION: Final = 1_000_000


def _risk_section() -> type[Section]:
    """A table with one key per field of ``RiskLimits``; durations in milliseconds."""
    hints = get_type_hints(RiskLimits)
    defaults = paper_defaults()
    table: dict[str, Any] = {}
    for each in dataclasses.fields(RiskLimits):
        value = getattr(defaults, each.name)
        if each.name.endswith("_ns"):
            table[each.name.removesuffix("_ns") + "_ms"] = (
                int,
                Field(default=value // _MILLION, ge=0, le=2**40),
            )
        elif isinstance(value, tuple):
            table[each.name] = (Names, Field(default=list(value)))
        else:
            table[each.name] = (hints[each.name], Field(default=value))
    # A paper run must trade without a macro: its default lease is off, the command line suffices.
    table["lease_required"] = (bool, Field(default=False))
    model: type[Section] = create_model("RiskSection", __base__=Section, **table)
    model.__doc__ = "Limits of the risk gate; what is not named keeps its documented paper figure."
    return model


RiskSection: Final = _risk_section()


def risk_limits(section: BaseModel) -> RiskLimits:
    """The limits that a ``[risk]`` table names. Raises BadInput for a number that cannot be one."""
    changes: dict[str, object] = {}
    for each in dataclasses.fields(RiskLimits):
        if each.name.endswith("_ns"):
            changes[each.name] = getattr(section, each.name.removesuffix("_ns") + "_ms") * _MILLION
        else:
            value = getattr(section, each.name)
            changes[each.name] = tuple(value) if isinstance(value, list) else value
    return paper_defaults(**changes)

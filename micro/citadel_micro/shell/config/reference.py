"""The reference page of micro's configuration, made from the models that read it."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic_core import PydanticUndefined

from citadel_micro.core.algos import ALGORITHMS
from citadel_micro.core.model.risk_limits import RiskLimits
from citadel_micro.shell.config.model import MicroConfig, ReferenceSection, VenueSection
from citadel_micro.shell.config.risk_section import RiskSection

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from citadel_micro.core.algos.base import Param

_PRACTICALLY_ANY: Final = 2**40
_INTRO: Final = """\
# Configuration of micro

`citadel micro --config FILE` reads one TOML file. Every key has a default, so the smallest file is
an empty one, and no file at all paper-trades on Binance's public data. `citadel micro
--print-config` prints what is in effect; what it prints can be read again.

Later wins: default, file, environment, command line.

- An environment variable is `CITADEL_` and the key in capitals, `__` for each dot:
  `CITADEL_HTTP__PORT=9000`, `CITADEL_PAPER__BALANCES__USDT=5000`. A venue's `-` is written `_`:
  `CITADEL_VENUES__BINANCE_SPOT__WS_URL`. Lists are comma-separated. An empty variable counts as not
  set.
- An unknown key, in the file or in a variable with `__`, is refused with the nearest known one.
- Durations and sizes have their unit in their name. Money is a number or, to be exact to the last
  digit, text: `max_order_notional = "0.1"`.
- There are no secrets in it: `bridge.keys` names a folder (`citadel keys make DIR`).
"""

_SELF_EVIDENT: Final = {
    "max_order_notional": "The largest single order, in money.",
    "max_gross_exposure": "Sum of all positions' sizes in money, pending orders counted as filled.",
    "max_net_exposure": "Longs less shorts in money, pending orders counted as filled.",
    "lease_soft_ms": "Silence of a macro after which no new parent order of its own is taken.",
    "lease_hard_ms": "Silence of a macro after which its working entries are canceled; exits stay.",
    "lease_dead_ms": "Silence of every macro after which `lease_dead_action` is taken.",
    "lease_dead_action": "`hold` keeps positions, their exits and stops; `flatten` closes positions.",
    "signal_ttl_ms": "Age at which a signal is too old, whatever its own expiry.",
    "allowed_venues": "Venue ids, or `*`. Empty allows nothing.",
    "stale_ms": "Age of a book's last proof (an update, or any message of its connection) from which "
    "nothing is priced.",
    "mark_stale_ms": "Age up to which a STALE book still values a position; a book in any other "
    "state but LIVE values none, and then no new risk is taken.",
    "max_skew_ms": "Difference of a macro's clock and ours beyond which its entries are rejected.",
    "ref_divergence_bps": "Largest distance of the venue's mid from the consolidated one.",
    "max_spread_bps": "Widest spread to enter in.",
    "max_held_orders": "Stops waiting for their trigger, all venues.",
    "max_open_orders_per_venue": "Working parent orders of one venue.",
    "reporting_currency": "Currency of every limit in money.",
    "rolling_window_ms": "Window of `max_rolling_loss`.",
    "warn_fraction": "Share of a loss limit at which a warning is published.",
    "probation_fraction": "Share of every size limit that applies during probation.",
    "probation_parents": "Clean parents that end a probation.",
    "reject_window_ms": "Window of `reject_burst`.",
    "identical_window_ms": "Window of `max_identical_orders`.",
    "venue_rejects_window_ms": "Window of `max_venue_rejects`.",
    "unfilled_window_ms": "Window of `max_unfilled_messages`.",
    "repeated_window_ms": "Window of `max_repeated_entries`.",
    "flash_window_ms": "Window of `flash_move_bps`.",
    "slow_acks": "Acknowledgments in a row, each above `max_ack_ms`, that trip the breaker.",
}
"""Fields whose names are clear to an expert; the page explains them to others."""

_TABLES: Final[dict[str, str]] = {
    "bridge": "",
    "venues": "One table per venue: `[venues.binance-spot]`.",
    "reference": "One table per venue that provides reference books only: `[reference.okx]`. They are "
    "published, consolidated with those of other venues, and compared with before an order is sent "
    "where `risk.reference_symbols` says so. No order goes there, and an outage of it stops nothing.",
    "instruments": "",
    "paper": "",
    "live": "",
    "risk": "Limits of the gate, and of its circuit breakers. Limits that are not named keep their figures "
    "for paper money. A limit of 0 permits nothing; there is no way to say unlimited. Tables by "
    "symbol look for `venue:symbol`, then the symbol, then `*`.",
    "reconcile": "",
    "algorithms": "One table per algorithm, with the values of parameters that a signal does not "
    "name: `[algorithms.chase_limit]` and `max_chase_bps = 20`.",
    "watchdog": "",
    "http": "",
    "alerts": "",
    "journal": "",
    "log": "",
}


def page() -> str:
    """The whole page, as Markdown."""
    top = _table(_scalars(MicroConfig), _said_under_fields(MicroConfig))
    parts = [_INTRO, "\n## Top level\n\n", top]
    for name, text in _TABLES.items():
        model: type[BaseModel] | None
        if name == "venues":
            model, title = VenueSection, "[venues.NAME]"
        elif name == "reference":
            model, title = ReferenceSection, "[reference.NAME]"
        elif name == "algorithms":
            model, title = None, "[algorithms.NAME]"
        else:
            model = _model_of(name)
            title = f"[{name}]"
        parts.append(f"\n## `{title}`\n\n")
        text = text or inspect.cleandoc((model.__doc__ if model else "") or "")  # noqa: PLW2901
        parts.append(textwrap.fill(text, 100) + "\n")
        if model is not None:
            docs = _limit_docs() if name == "risk" else _said_under_fields(model)
            parts.append("\n" + _table(model.model_fields, docs))
        elif name == "algorithms":
            parts += [_algorithm(each, kind.params) for each, kind in ALGORITHMS.items()]
    return "".join(parts)


def _algorithm(name: str, params: tuple[Param, ...]) -> str:
    lines = ["| parameter | values | default | meaning |", "| --- | --- | --- | --- |"]
    for each in params:
        default = f"`{_plain(each.default)}`" if each.default != "" else "none"
        text = f"{each.text} ({each.source})" if each.source else each.text
        row = (f"`{each.name}`", each.allowed, default, text)
        lines.append("| " + " | ".join(row) + " |")
    return f"\n### `{name}`\n\n" + "\n".join(lines) + "\n"


def _model_of(name: str) -> type[BaseModel]:
    annotation = MicroConfig.model_fields[name].annotation
    return annotation if isinstance(annotation, type) else RiskSection


def _scalars(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {name: field for name, field in model.model_fields.items() if name not in _TABLES}


def _table(rows: dict[str, FieldInfo], docs: dict[str, str]) -> str:
    lines = ["| key | values | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in rows.items():
        meaning = " ".join((field.description or docs.get(name, "")).split()).replace("|", "\\|")
        lines.append(f"| `{name}` | {_values(field)} | {_default(field)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _values(field: FieldInfo) -> str:
    kind = _kind(field.annotation)
    bounds = []
    for each in field.metadata:
        if isinstance(each, Ge):
            bounds.append(f"from {each.ge}")
        elif isinstance(each, Gt):
            bounds.append(f"above {each.gt}")
        elif isinstance(each, Le):
            bounds.append("" if each.le == _PRACTICALLY_ANY else f"to {each.le}")
        elif isinstance(each, Lt):
            bounds.append(f"below {each.lt}" if each.lt != 2**63 else "below 2^63")
        elif isinstance(each, MinLen) and each.min_length:
            bounds.append(f"at least {each.min_length}")
        elif isinstance(each, MaxLen):
            bounds.append(f"at most {each.max_length}")
    return " ".join([kind, *(bound for bound in bounds if bound)])


def _kind(annotation: Any) -> str:  # noqa: ANN401 - whatever a field is annotated with
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin is list:
        return "list of text"
    if origin is tuple:
        return "list of text"
    if origin is dict:
        return f"table of {_kind(inner[1])}s" if inner[1] is Decimal else "table"
    if inner and type(None) in inner:
        return _kind(next(each for each in inner if each is not type(None)))
    if hasattr(annotation, "__metadata__"):
        return _kind(inner[0])
    names = {bool: "true, false", int: "whole number", float: "number", Decimal: "number"}
    return names.get(annotation, "text")


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined or value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"`{key} = {_plain(each)}`" for key, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(f"`{each}`" for each in value) or "none"
    return f"`{_plain(value)}`"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _said_under_fields(of: type) -> dict[str, str]:
    """The text under each field of a class. Read from its source: pydantic would, at each start of micro."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(of)))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    return {
        node.target.id: inspect.cleandoc(ast.literal_eval(after.value))
        for node, after in pairwise(body)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(after, ast.Expr)
    }


def _limit_docs() -> dict[str, str]:
    """What ``RiskLimits`` says under each field, by the key of the ``[risk]`` table."""
    names = {field.name for field in dataclasses.fields(RiskLimits)}
    said = _said_under_fields(RiskLimits)
    found = {name: text for name, text in said.items() if name in names}
    renamed = {name: name.removesuffix("_ns") + "_ms" for name in names if name.endswith("_ns")}
    plain = {renamed.get(name, name): text.replace("``", "`") for name, text in found.items()}
    for old, new in renamed.items():
        plain = {name: text.replace(f"`{old}`", f"`{new}`") for name, text in plain.items()}
    return _SELF_EVIDENT | plain

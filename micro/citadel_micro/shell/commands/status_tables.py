"""Tables of ``citadel status`` and ``citadel top``: what matters first, readable at 80 columns."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

_SIDE: Final = {"buy": "green", "sell": "red"}
_STATE: Final = {
    "ACTIVE": "green",
    "LIVE": "green",
    "ok": "green",
    "PROBATION": "yellow",
    "REDUCING": "yellow",
    "SYNCING": "yellow",
}
_FOLDED: Final = ("symbol", "status", "scope", "reason", "id", "strategy")
"""Columns that take a second line where there is no room; numbers never do."""
_CENT: Final = Decimal("0.01")
_SECOND_MS: Final = 1_000
_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400


def picture(run: Mapping[str, Any], *, wide: bool = False) -> RenderableType:
    """The whole of one micro, from an overview (``shell.ops.overview``)."""
    parts = [
        _head(run),
        _table(_RISK, run["trips"], "trips"),
        _table(_LOSSES, [_loss(each) for each in run["losses"]], "losses and their limits"),
        _table(_POSITIONS + (_POSITIONS_WIDE if wide else ()), run["positions"], "positions"),
        _table(_ORDERS + (_ORDERS_WIDE if wide else ()), run["orders"], "open orders"),
        _table(_ENDED + (_ORDERS_WIDE if wide else ()), run["ended"], "last orders that traded"),
        _table(_BOOKS, run["books"], "books"),
    ]
    return Group(*(part for part in parts if part is not None))


def _head(run: Mapping[str, Any]) -> RenderableType:
    account = run["account"]
    line = Text()
    line.append(f"{run['instance']} {run['run']}  ", style="bold")
    line.append(f"{run['mode']}  {run['state']}  risk ")
    risk = str(run["risk"]).upper()
    line.append(risk, style=_STATE.get(risk, "bold red"))
    money = f"equity {_money(account['equity'])} {account['currency']}"
    money += f"   profit {_money(account['profit'], signed=True)}"
    money += f"   open orders {run['open_parents']}"
    beat = run["macro_age_ms"]
    money += f"   macro {'never seen' if beat is None else 'seen ' + _age(beat) + ' ago'}"
    page = [Text(f"page {run['page']}   (to act on it: citadel page)")] if run.get("page") else []
    reasons = [Text(f"unhealthy: {why}", style="red") for why in run["reasons"]]
    return Group(line, Text(money), *page, *reasons)


def _loss(row: Mapping[str, Any]) -> dict[str, Any]:
    loss, most = Decimal(row["loss"]), Decimal(row["limit"])
    used = max(loss, Decimal(0)) / most if most > 0 else Decimal(0)
    return {**row, "used": f"{used:.0%}"}


def _table(
    columns: Sequence[_Column], rows: Sequence[Mapping[str, Any]], title: str
) -> Table | None:
    """None where there is nothing to show."""
    if not rows:
        return None
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    for name, justify, _ in columns:
        folded = name in _FOLDED
        table.add_column(
            name, justify=justify, no_wrap=not folded, overflow="fold" if folded else "ellipsis"
        )
    for row in rows:
        table.add_row(*(cell(row) for _, _, cell in columns))
    return table


def _money(text: str | None, *, signed: bool = False) -> str:
    if text is None:
        return "unknown"
    return f"{Decimal(text).quantize(_CENT):{'+' if signed else ''},f}"


def _number(text: str | None) -> str:
    """Exact, without trailing zeros."""
    if text is None:
        return "-"
    value = Decimal(text)
    return f"{value.normalize():f}" if value else "0"


def _price(text: str | None) -> str:
    """At most nine digits: an average may have 28."""
    return "-" if text is None else f"{Decimal(text):.9g}" if len(text) > 10 else text  # noqa: PLR2004 - a column's width


def _age(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "-"
    seconds = milliseconds / _SECOND_MS
    if seconds < _MINUTE_S:
        return f"{seconds:.1f}s"
    for unit, size in (("m", _MINUTE_S), ("h", _HOUR_S), ("d", _DAY_S)):
        if seconds < size * 60 or unit == "d":
            return f"{seconds / size:.0f}{unit}"
    return "-"


def _state(text: str) -> Text:
    return Text(text, style=_STATE.get(text, "red"))


def _side(row: Mapping[str, Any]) -> Text:
    return Text(row["side"], style=_SIDE[row["side"]])


def _at(row: Mapping[str, Any]) -> str:
    """Where its orders are: one price, and how many more there are."""
    working = row["working"]
    if not working:
        return "-"
    more = f" +{len(working) - 1}" if len(working) > 1 else ""
    return f"{working[0]['price']}{more}"


def _touch(row: Mapping[str, Any]) -> str:
    """The side's own best price, which a chase follows."""
    touch = row["touch"]
    return "-" if touch is None else str(touch[0 if row["side"] == "buy" else 1])


def _status(row: Mapping[str, Any]) -> str:
    return f"{row['status']} {row['reason_code']}".rstrip()


def _bps(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


_Column = tuple[str, Any, Any]

_RISK: Final[tuple[_Column, ...]] = (
    ("trip", "left", lambda row: row["trip_id"]),
    ("state", "left", lambda row: _state(row["state"])),
    ("scope", "left", lambda row: row["scope"]),
    ("code", "left", lambda row: row["code"]),
    ("reason", "left", lambda row: Text(f"{row['reason']} (reset: {row['reset']})")),
)
_LOSSES: Final[tuple[_Column, ...]] = (
    ("over", "left", lambda row: row["name"]),
    ("loss", "right", lambda row: _money(row["loss"])),
    ("limit", "right", lambda row: _money(row["limit"])),
    ("used", "right", lambda row: row["used"]),
)
_POSITIONS: Final[tuple[_Column, ...]] = (
    ("symbol", "left", lambda row: row["symbol"]),
    ("quantity", "right", lambda row: _number(row["quantity"])),
    ("entry", "right", lambda row: _price(row["entry"])),
    ("mark", "right", lambda row: _price(row["mark"])),
    ("open profit", "right", lambda row: _money(row["unrealised"], signed=True)),
    ("realized", "right", lambda row: _money(row["realised"], signed=True)),
)
_POSITIONS_WIDE: Final[tuple[_Column, ...]] = (
    ("fees", "right", lambda row: _money(row["fees"])),
    ("funding", "right", lambda row: _money(row["funding"], signed=True)),
    ("liquidation", "right", lambda row: _price(row["liquidation"])),
    ("venue", "left", lambda row: row["venue"]),
)
_ORDERS: Final[tuple[_Column, ...]] = (
    ("symbol", "left", lambda row: row["symbol"]),
    ("side", "left", _side),
    ("filled", "right", lambda row: f"{_number(row['filled'])}/{_number(row['quantity'])}"),
    ("at", "right", _at),
    ("touch", "right", _touch),
    ("moves", "right", lambda row: str(row["reprices"])),
    ("age", "right", lambda row: _age(row["age_ms"])),
    ("status", "left", _status),
)
_ENDED: Final[tuple[_Column, ...]] = (
    ("symbol", "left", lambda row: row["symbol"]),
    ("side", "left", _side),
    ("filled", "right", lambda row: f"{_number(row['filled'])}/{_number(row['quantity'])}"),
    ("average", "right", lambda row: _price(row["average"])),
    ("cost bps", "right", lambda row: _bps(row["cost_bps"])),
    ("maker", "right", lambda row: _share(row["maker"])),
    ("ago", "right", lambda row: _age(row["ended_ms"])),
    ("status", "left", _status),
)
_ORDERS_WIDE: Final[tuple[_Column, ...]] = (
    ("algo", "left", lambda row: row["algo"]),
    ("strategy", "left", lambda row: row["strategy"]),
    ("id", "left", lambda row: row["id"]),
    ("reason", "left", lambda row: Text(row["reason"])),
)
_BOOKS: Final[tuple[_Column, ...]] = (
    ("venue", "left", lambda row: row["venue"]),
    ("symbol", "left", lambda row: row["symbol"]),
    ("state", "left", lambda row: _state(row["state"])),
    ("bid", "right", lambda row: "-" if row["bid"] is None else f"{row['bid']:.9g}"),
    ("ask", "right", lambda row: "-" if row["ask"] is None else f"{row['ask']:.9g}"),
    ("spread bps", "right", lambda row: _bps(row["spread_bps"]).lstrip("+")),
    ("age", "right", lambda row: _age(row["age_ms"])),
)

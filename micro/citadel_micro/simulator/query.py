"""Query parameters by Binance spot's rules, and its errors for invalid ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

_SYMBOL = r"^[A-Z0-9-_.]{1,20}$"
_INTEGER = r"^[0-9]{1,20}$"
_PERMISSION = r"^[A-Z0-9_]{1,20}$"
_ZONE = r"^[+-]?[0-9]{1,2}(:[0-5][0-9])?$"
_FIRST_ZONE, _LAST_ZONE = -12 * 60, 14 * 60
_STATUSES = frozenset({"TRADING", "HALT", "BREAK"})
_MOST_SYMBOLS = 100


class ApiError(Exception):
    """An answer of the form ``{"code": …, "msg": …}`` with its HTTP status.

    ``data`` is sent with it; ``retry_at_ms`` is when a limited client may retry.
    """

    def __init__(
        self,
        code: int,
        text: str,
        *,
        status: int = 400,
        data: dict[str, Any] | None = None,
        retry_at_ms: int = 0,
    ) -> None:
        """Keep the parts."""
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status
        self.data = data
        self.retry_at_ms = retry_at_ms

    @property
    def body(self) -> dict[str, Any]:
        """Return the JSON answer."""
        body: dict[str, Any] = {"code": self.code, "msg": self.text}
        if self.data is not None:
            body["data"] = self.data
        return body


def illegal(name: str, legal: str) -> ApiError:
    """Return the error for a value that is not of its form."""
    text = f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    return ApiError(-1100, text)


def zone_minutes(text: str) -> int | None:
    """Return how many minutes a time zone is ahead of UTC; None for what is none."""
    if not re.fullmatch(_ZONE, text):
        return None
    hours, _, minutes = text.lstrip("+-").partition(":")
    ahead = int(hours) * 60 + int(minutes or 0)
    ahead = -ahead if text.startswith("-") else ahead
    return ahead if _FIRST_ZONE <= ahead <= _LAST_ZONE else None


class Query:
    """The parameters of one request. ``symbols`` maps Binance's names to unified ones."""

    def __init__(self, values: Mapping[str, str], symbols: Mapping[str, str]) -> None:
        """Wrap the decoded query string."""
        self.values = values
        self._symbols = symbols

    def like(self, values: Mapping[str, str]) -> Query:
        """Return a query of other parameters about the same symbols."""
        return type(self)(values, self._symbols)

    def only(self, *names: str) -> None:
        """Refuse parameters that the endpoint does not know.

        Raises:
            ApiError: -1101 where none is allowed, else -1104.
        """
        sent = len(self.values)
        read = sum(name in names for name in self.values)
        if sent == read:
            return
        if not names:
            raise ApiError(-1101, f"Too many parameters; expected '0' and received '{sent}'.")
        text = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent"
        raise ApiError(-1104, f"{text} '{sent}'.")

    def optional(self, name: str) -> str | None:
        """Return a parameter or None.

        Raises:
            ApiError: -1105 when it is there but empty.
        """
        value = self.values.get(name)
        if value == "":
            raise ApiError(-1105, f"Parameter '{name}' was empty.")
        return value

    def text(self, name: str) -> str:
        """Return a mandatory parameter.

        Raises:
            ApiError: -1102 when it was not sent.
        """
        value = self.optional(name)
        if value is None:
            text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
            raise ApiError(-1102, text)
        return value

    def integer(self, name: str) -> int | None:
        """Return a whole number or None.

        Raises:
            ApiError: -1100 when it is not one.
        """
        value = self.optional(name)
        if value is None:
            return None
        if not re.fullmatch(_INTEGER, value):
            raise illegal(name, _INTEGER)
        return int(value)

    def limit(self, default: int, largest: int) -> int:
        """Return ``limit``; above the largest, the largest, as Binance answers.

        Raises:
            ApiError: -1100 when it is not a number, -1130 when it is 0.
        """
        value = self.integer("limit")
        if value == 0:
            raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
        return default if value is None else min(value, largest)

    def _unified(self, name: str) -> str:
        if not re.fullmatch(_SYMBOL, name):
            raise illegal("symbol", _SYMBOL)
        unified = self._symbols.get(name)
        if unified is None:
            raise ApiError(-1121, "Invalid symbol.")
        return unified

    def symbol(self) -> str:
        """Return the mandatory ``symbol`` as a unified name.

        Raises:
            ApiError: -1102, -1100 or -1121.
        """
        return self._unified(self.text("symbol"))

    def symbols(self) -> list[str]:
        """Return what ``symbol`` or ``symbols`` (a JSON list) chose, or all, as unified names.

        Raises:
            ApiError: -1128 for both at once, -1100 and -1121 for what is no symbol.
        """
        one = self.optional("symbol")
        many = self.optional("symbols")
        if one is not None and many is not None:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        if one is not None:
            return [self._unified(one)]
        if many is None:
            return list(self._symbols.values())
        try:
            names = msgspec.json.decode(many, type=list[str])
        except msgspec.DecodeError as error:
            raise illegal(
                "symbols", r'^\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\]$'
            ) from error
        if len(set(names)) < len(names):
            raise ApiError(-1151, "Symbol is present multiple times in the list.")
        return [self._unified(name) for name in names]

    def some_symbols(self) -> list[str]:
        """Return what ``symbol`` or ``symbols`` chose, one of which must be there.

        Raises:
            ApiError: -1102 for none of them and for more than 100; see ``symbols``.
        """
        if self.optional("symbol") is None and self.optional("symbols") is None:
            text = "Param 'symbol' or 'symbols' must be sent, but both were empty/null!"
            raise ApiError(-1102, text)
        names = self.symbols()
        if len(names) > _MOST_SYMBOLS:
            text = f"'symbols' contains unexpected value. Cannot be greater than {_MOST_SYMBOLS}."
            raise ApiError(-1102, text)
        return names

    def status(self) -> str | None:
        """Return ``symbolStatus`` or None.

        Raises:
            ApiError: -1122 when there is no such status.
        """
        value = self.optional("symbolStatus")
        if value is not None and value not in _STATUSES:
            raise ApiError(-1122, "Invalid symbolStatus.")
        return value

    def permissions(self) -> set[str] | None:
        """Return ``permissions``, one or a JSON list of them, or None.

        Raises:
            ApiError: -1100 when they are not of their form.
        """
        value = self.optional("permissions")
        if value is None:
            return None
        names = [value]
        if value.startswith("["):
            try:
                names = msgspec.json.decode(value, type=list[str])
            except msgspec.DecodeError as error:
                raise illegal("permissions", _PERMISSION) from error
        if not all(re.fullmatch(_PERMISSION, name) for name in names):
            raise illegal("permissions", _PERMISSION)
        return set(names)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a parameter that is true or false.

        Raises:
            ApiError: -1100 when it is neither.
        """
        value = self.optional(name)
        if value is None:
            return default
        if value.lower() not in {"true", "false"}:
            raise illegal(name, "true|false")
        return value.lower() == "true"

    def time_zone(self) -> int:
        """Return ``timeZone`` in minutes ahead of UTC: ``8``, ``-1:00``, ``05:45``.

        Raises:
            ApiError: -1100 when it is not of that form or beyond -12:00 to +14:00.
        """
        value = self.optional("timeZone")
        minutes = 0 if value is None else zone_minutes(value)
        if minutes is None:
            raise illegal("timeZone", _ZONE)
        return minutes

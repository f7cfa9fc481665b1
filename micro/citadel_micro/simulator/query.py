"""Query parameters by Binance spot's rules, and the errors it answers broken ones with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

_SYMBOL = r"^[A-Z0-9-_.]{1,20}$"
_INTEGER = r"^[0-9]{1,20}$"


class ApiError(Exception):
    """An answer of the form ``{"code": …, "msg": …}`` with its HTTP status."""

    def __init__(self, code: int, text: str, *, status: int = 400) -> None:
        """Keep the parts."""
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status


def _illegal(name: str, legal: str) -> ApiError:
    text = f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    return ApiError(-1100, text)


class Query:
    """The parameters of one request. ``symbols`` maps Binance's names to unified ones."""

    def __init__(self, values: Mapping[str, str], symbols: Mapping[str, str]) -> None:
        """Wrap the decoded query string."""
        self._values = values
        self._symbols = symbols

    def only(self, *names: str) -> None:
        """Refuse parameters that the endpoint does not know.

        Raises:
            ApiError: -1101 where none is allowed, else -1104.
        """
        sent = len(self._values)
        read = sum(name in names for name in self._values)
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
        value = self._values.get(name)
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
            raise _illegal(name, _INTEGER)
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
            raise _illegal("symbol", _SYMBOL)
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
            raise _illegal(
                "symbols", r'^\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\]$'
            ) from error
        return [self._unified(name) for name in dict.fromkeys(names)]

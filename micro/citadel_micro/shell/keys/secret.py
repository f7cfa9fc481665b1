"""A text that is never shown: anything that prints, logs, formats or stores it gets ``***``."""

from __future__ import annotations

import hmac
from typing import Final, NoReturn, Self

SHOWN: Final = "***"


class Secret:
    """Holds a key, a passphrase or a token.

    ``reveal`` is the only access to the text; search for it to find every use. A pickle and a JSON
    text made with ``default=str`` hold ``***``, so a secret is never sent to another process.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for signing and for a request's header."""
        return self._text

    def __repr__(self) -> str:
        return SHOWN

    def __format__(self, _spec: str) -> str:
        return SHOWN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment]  # a key of a dict is shown wherever the dict is

    def __bool__(self) -> bool:
        return bool(self._text)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return (str, (SHOWN,))

    def __iter__(self) -> NoReturn:
        raise TypeError("a secret is not iterated; reveal() gives its text")

"""Whether the scope of an operator's command exists, and which one may be meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from citadel_micro.core.risk.circuit_breakers import GLOBAL, check_scope
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SHOWN: Final = 10
"""Names that one message lists."""


def known_scope(
    scope: str, instruments: Mapping[tuple[str, str], str], strategies: Iterable[str]
) -> str:
    """Return the scope as ``check_scope``, when it exists.

    A command for an unknown scope would seem to succeed, while the intended one stays unchanged.

    Args:
        scope: as requested.
        instruments: (venue, symbol) of everything traded -> the venue's own name of it.
        strategies: all known ones.

    Raises:
        BadInput: there is no such scope; it names the nearest, and all where they are few.
    """
    kind, _, rest = scope.partition(":")
    known = {
        GLOBAL: [""],
        "venue": list(dict.fromkeys(venue for venue, _ in instruments)),
        "symbol": [":".join(key) for key in instruments],
        "strategy": list(dict.fromkeys(strategies)),
    }
    near = _nearest(scope, known, instruments)
    mend = f"did you mean {near}?" if near else "see `citadel operator status`"
    try:
        scope = check_scope(scope)
    except BadInput as error:
        raise BadInput(error.what, allowed=error.allowed, mend=mend) from error
    if rest in known[kind or GLOBAL]:
        return scope
    few = ", ".join(f"{kind}:{each}" for each in known[kind][:_SHOWN])
    more = f" and {len(known[kind]) - _SHOWN} more" if len(known[kind]) > _SHOWN else ""
    raise BadInput(
        f"there is no {kind} {rest!r} here, and nothing was done",
        where=f"scope {scope}",
        allowed=f"{few}{more}" or f"no {kind} was heard of yet",
        mend=mend,
    )


def _nearest(
    scope: str, known: Mapping[str, Sequence[str]], instruments: Mapping[tuple[str, str], str]
) -> str:
    """The existing scope most similar to this one; empty for none."""
    kind, _, rest = scope.partition(":")
    plain = _plain(rest if kind in known else scope)
    for (venue, symbol), name in instruments.items():
        of = {_plain(text) for each in (symbol, name) for text in (each, venue + each)}
        if plain in of and kind not in ("venue", "strategy"):
            return f"symbol:{venue}:{symbol}"
    kinds = [kind] if kind in known else list(known)
    full = {name: f"{each}:{name}" for each in kinds for name in known[each] if name}
    for found in difflib.get_close_matches(rest or scope, full, n=1, cutoff=0.5):
        return full[found]
    return next(iter(difflib.get_close_matches(scope, full.values(), n=1, cutoff=0.5)), "")


def _plain(name: str) -> str:
    """A name without its separators and its case."""
    return "".join(letter for letter in name.lower() if letter.isalnum())

"""Our client order ids in the form that a venue accepts, derived from ours and back.

Ours are ``sc<mark><run>-<parent>-<child>``: up to 36 letters, digits and hyphens. The form that a
venue gets is derived from that alone, so it is the same after a restart and in every later version.
An id that is not one of ours stays as it is in both directions.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Literal

from citadel_proto.errors import BadInput

ClientIdForm = Literal["ours", "letters", "uuid", "hex"]
"""``ours``: as they are (Binance, Bybit: 36 of ``A-Za-z0-9-_``). ``letters``: up to 32 letters and
digits (OKX). ``uuid``: a UUID (Kraken; its other form has 18 characters). ``hex``: 128 bits in
hexadecimal digits (Hyperliquid)."""

CLIENT_ID_LENGTH: Final = 36
"""Longest client order id that an engine makes."""
LETTERS_LENGTH: Final = 32
_OURS: Final = re.compile(r"(sc[A-Za-z0-9]+)-([0-9a-z]+)-([0-9a-z]+)")
_LETTERS: Final = re.compile(r"(sc[A-Za-z0-9]+)Z([0-9a-z]+)Z([0-9a-z]+)")
"""Greedy: the last two Z part it, since counts have small letters only."""
_UUID: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})")
_HEX: Final = re.compile(r"0x([0-9a-f]{32})")
_STAND_IN: Final = re.compile(r"sc[a-z0-9]{6}x([0-9a-f]{24})")
_MARK: Final = slice(2, 8)


@dataclass(frozen=True, slots=True)
class ClientIds:
    """Both directions for one venue.

    ``uuid`` and ``hex`` begin with 32 bits of the mark, the rest is a digest of our id: 90 and 96
    bits, so that a billion orders of one mark share one with a chance of 1 in two billion and less.
    A digest cannot be undone: who has placed the order remembers which it is (``shell.venue.order_ids``).
    One that is not remembered is still known by its mark, and gets a name of its own in its place.
    """

    form: ClientIdForm = "ours"
    mark: str = ""
    """Of this micro on this account: six small letters and digits, which digests need."""

    @property
    def digests(self) -> bool:
        """Whether a name of ours cannot be read from the venue's form of it."""
        return self.form in {"uuid", "hex"}

    def theirs(self, ours: str) -> str:
        """The venue's form of our id. Raises BadInput for one that is too long for it."""
        if self.form == "ours":
            return ours
        found = _OURS.fullmatch(ours)
        if self.form == "letters":
            theirs = ours if found is None else "Z".join(found.groups())
            if len(theirs) > LETTERS_LENGTH:
                raise BadInput(
                    f"client order id {ours} has more than {LETTERS_LENGTH} letters and digits",
                    where="client order ids",
                    allowed=f"up to {LETTERS_LENGTH} on this venue",
                    mend="choose a shorter run id",
                )
            return theirs
        if found is not None:
            digest = hashlib.blake2b(ours.encode(), digest_size=12).hexdigest()
            return self._digits(_mark_bits(ours[_MARK]) + digest)
        stands = _STAND_IN.fullmatch(ours)
        return ours if stands is None else self._digits(_mark_bits(ours[_MARK]) + stands.group(1))

    def ours(self, theirs: str) -> str:
        """Our id of the venue's form; of a digest a name that leads back to it (see the class)."""
        if self.form == "ours":
            return theirs
        if self.form == "letters":
            parts = _LETTERS.fullmatch(theirs)
            return theirs if parts is None else "-".join(parts.groups())
        found = (_UUID if self.form == "uuid" else _HEX).fullmatch(theirs)
        digits = "" if found is None else "".join(found.groups())
        if not self.mark or not digits.startswith(_mark_bits(self.mark)):
            return theirs
        return f"sc{self.mark}x{digits[8:]}"

    def _digits(self, digits: str) -> str:
        if self.form == "hex":
            return f"0x{digits}"
        # RFC 9562, version 8: of a form of one's own; variant 10.
        variant = "89ab"[int(digits[16], 16) & 3]
        digits = f"{digits[:12]}8{digits[13:16]}{variant}{digits[17:]}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _mark_bits(mark: str) -> str:
    return hashlib.blake2b(mark.encode(), digest_size=4).hexdigest()

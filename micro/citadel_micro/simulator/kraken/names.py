"""Kraken's names and forms: assets and pairs, ids of orders and trades, times, and numbers in JSON."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.sim.flow_symbols import E8

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import SymbolStatus
    from citadel_micro.sim.flow_symbols import SymbolSpec

_ASSETS: Final = {
    "BTC": ("XXBT", "XBT"),
    "ETH": ("XETH", "ETH"),
    "XRP": ("XXRP", "XRP"),
    "DOGE": ("XXDG", "XDG"),
    "LTC": ("XLTC", "LTC"),
}
"""Coin -> (id in REST, its short name); others are called alike everywhere."""
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BITS: Final = 80
_MIX: Final = 0x5DEECE66D_1F123BB5
"""Odd, so that ids look drawn and still lead back."""
_UNMIX: Final = pow(_MIX, -1, 1 << _BITS)
_ID: Final = re.compile(r"([OTLA])([A-Z2-7]{5})-([A-Z2-7]{5})-([A-Z2-7]{6})")
_SECOND_NS: Final = 1_000_000_000


def asset_id(coin: str) -> str:
    """Return the id in REST: ``XXBT``."""
    return _ASSETS.get(coin, (coin, coin))[0]


def short_name(coin: str) -> str:
    """Return the name in pairs: ``XBT``."""
    return _ASSETS.get(coin, (coin, coin))[1]


def pair_id(spec: SymbolSpec) -> str:
    """Return the pair's name in REST: ``XBTUSDT``."""
    return short_name(spec.base) + short_name(spec.quote)


def pair_status(status: SymbolStatus) -> str:
    """Return what a pair is said to be: orders are taken when it is ``online``."""
    return "online" if status == "TRADING" else "cancel_only"


def make_id(letter: str, number: int) -> str:
    """Return an id of Kraken's form, such as ``OQCLML-BW3P3-BUCMWZ``, that stands for a number."""
    mixed = number * _MIX % (1 << _BITS)
    text = "".join(_ALPHABET[mixed >> shift & 31] for shift in range(_BITS - 5, -5, -5))
    return f"{letter}{text[:5]}-{text[5:10]}-{text[10:]}"


def number_of(name: str, letter: str) -> int:
    """Return the number that an id stands for; 0 for what is none of this kind."""
    found = _ID.fullmatch(name)
    if found is None or found[1] != letter:
        return 0
    mixed = 0
    for each in found[2] + found[3] + found[4]:
        mixed = mixed << 5 | _ALPHABET.index(each)
    return mixed * _UNMIX % (1 << _BITS)


def order_name(order_id: int) -> str:
    """Return the id of an order."""
    return make_id("O", order_id)


def trade_name(trade_id: int, *, maker: bool) -> str:
    """Return the id of an execution: either side of a trade has its own."""
    return make_id("T", trade_id * 2 + maker)


def stamp(time_ns: int) -> str:
    """Return a time as RFC 3339 with microseconds."""
    whole, rest = divmod(time_ns, _SECOND_NS)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def seconds(time_ns: int) -> msgspec.Raw:
    """Return a time as REST has it: seconds with decimals."""
    return raw(f"{time_ns // _SECOND_NS}.{time_ns % _SECOND_NS // 1000:06d}")


def raw(text: str) -> msgspec.Raw:
    """Return the text of a number as a number of JSON."""
    return msgspec.Raw(text.encode())


def decimals(step_e8: int) -> int:
    """Return how many decimals the multiples of a step have."""
    text = f"{step_e8 / E8:.8f}".rstrip("0")
    return len(text.partition(".")[2])


def fixed(value_e8: int, places: int) -> str:
    """Write an amount with so many decimals, none of which is cut off that is not 0."""
    sign, value = ("-", -value_e8) if value_e8 < 0 else ("", value_e8)
    text = f"{value % E8:08d}"[:places]
    return f"{sign}{value // E8}.{text}" if places else f"{sign}{value // E8}"


def number(value_e8: int) -> msgspec.Raw:
    """Return an amount as a number of JSON, without trailing zeros."""
    text = fixed(value_e8, 8).rstrip("0")
    return raw(text + "0" if text.endswith(".") else text)

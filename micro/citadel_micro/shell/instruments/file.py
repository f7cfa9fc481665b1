"""Trading rules from a hand-written file."""

from __future__ import annotations

import difflib
import json
import tomllib
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.shell.instruments.rules import FEES, Instruments, Kind, kind_of, make_instrument
from citadel_micro.shell.marketdata.generic import is_generic
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from citadel_micro.core.model.instrument import Instrument

_REQUIRED: Final = ("venue", "symbol", "tick", "lot")
_DECIMALS: Final = (
    *("tick", "lot", "min_quantity", "min_notional", "contract_size"),
    *("maker_fee", "taker_fee"),
)
_EXEMPT: Final = "reduce_only_exempt_min_notional"
_KEYS: Final = (*_REQUIRED, "venue_symbol", "kind", *_DECIMALS[2:], _EXEMPT)
_KINDS: Final[Mapping[str, Kind]] = {"spot": "spot", "linear": "linear", "inverse": "inverse"}


def read_instruments(path: Path) -> Instruments:
    """Instruments of a TOML or JSON file: a list of tables under ``instrument``.

    ::

        [[instrument]]
        venue = "binance-usdm"
        symbol = "BTC/USDT:USDT"
        tick = "0.1"              # decimals as text, so that they are exact
        lot = "0.001"
        min_quantity = "0.001"    # this and all below may be left out
        min_notional = "100"
        contract_size = "1"
        maker_fee = "0.0002"
        taker_fee = "0.0005"
        kind = "linear"           # spot, linear, inverse
        venue_symbol = "BTCUSDT"
        reduce_only_exempt_min_notional = true

    Raises BadInput with the entry and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise BadInput(f"cannot read it: {error.strerror}", where=str(path)) from None
    except ValueError as error:  # TOML, JSON and UTF-8 errors alike
        form = "JSON" if path.suffix == ".json" else "TOML"
        raise BadInput(f"not a {form} file: {error}", where=str(path)) from None
    entries = data.get("instrument") if isinstance(data, dict) else None
    if not isinstance(entries, list) or set(data) != {"instrument"}:
        raise BadInput("it has no list of instruments", where=str(path), allowed="[[instrument]]")
    found: Instruments = {}
    for number, entry in enumerate(entries, 1):
        instrument = _entry(entry, f"{path}, instrument {number}")
        found[instrument.venue, instrument.symbol] = instrument
    return found


def _entry(entry: object, where: str) -> Instrument:
    if not isinstance(entry, dict):
        raise BadInput("not a table", where=where)
    for key in entry:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            mend = f"did you mean {near[0]}?" if near else None
            raise BadInput(f"unknown key {key!r}", where=where, allowed=", ".join(_KEYS), mend=mend)
    for key in _REQUIRED:
        if key not in entry:
            raise BadInput(f"{key} is missing", where=where)
    numbers = {key: _decimal(entry[key], f"{where}, {key}") for key in _DECIMALS if key in entry}
    venue, symbol = str(entry["venue"]), str(entry["symbol"])
    named = str(entry.get("venue_symbol", ""))
    if not is_generic(venue):
        named = named or venue_spec(venue).native(symbol)
    elif not named:
        raise BadInput(
            f"venue_symbol is missing: nobody knows how {venue} writes {symbol}", where=where
        )
    kind_name = str(entry.get("kind", kind_of(symbol)))
    kind = _KINDS.get(kind_name)
    if kind is None:
        raise BadInput(f"kind is {kind_name!r}", where=where, allowed=", ".join(_KINDS))
    maker, taker = FEES[kind]
    exempt = entry.get(_EXEMPT)
    if exempt is not None and not isinstance(exempt, bool):
        raise BadInput(f"{_EXEMPT} is {exempt!r}", where=where, allowed="true or false")
    return make_instrument(
        venue=venue,
        symbol=symbol,
        native=named,
        kind=kind,
        tick=numbers["tick"],
        lot=numbers["lot"],
        min_quantity=numbers.get("min_quantity", numbers["lot"]),
        min_notional=numbers.get("min_notional", Decimal(0)),
        contract_size=numbers.get("contract_size", Decimal(1)),
        fees=(numbers.get("maker_fee", maker), numbers.get("taker_fee", taker)),
        reduce_only_exempt_min_notional=exempt,
    )


def _decimal(value: Any, where: str) -> Decimal:  # noqa: ANN401 - whatever a file holds
    if isinstance(value, float):
        raise BadInput(f"{value} is not exact", where=where, mend="write it as text, in quotes")
    try:
        number = Decimal(value)
    except (ArithmeticError, TypeError, ValueError):
        raise BadInput(f"{value!r} is not a number", where=where) from None
    if not number.is_finite():
        raise BadInput(f"{value} is not finite", where=where)
    return number

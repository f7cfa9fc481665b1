"""Where exact trading rules come from: the venue's own list, a file, or a capture's decimals.

Whichever it was is said in words beside the instruments, because a rule that was inferred is a
guess: it is good enough for paper, and for nothing else.
"""

from __future__ import annotations

import difflib
import json
import math
import tomllib
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

import aiohttp
import msgspec

from citadel_micro.core.events import DepthUpdate
from citadel_micro.core.instrument import Instrument
from citadel_micro.shell.feeds.offline import CaptureDecoder
from citadel_micro.shell.feeds.spec import venue_spec
from citadel_proto.errors import BadInput, PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

Instruments = dict[tuple[str, str], Instrument]
"""By (venue, unified symbol)."""

REQUEST_TIMEOUT_S: Final = 20.0
SAMPLE_UPDATES: Final = 500
"""Updates of one book that are looked at to infer its grid."""
_SCALE: Final = 12
"""Inferred steps are never finer than 1e-12; no venue's are."""
_OK: Final = 200

Kind = Literal["spot", "linear", "inverse"]

# Fees of an account without volume, as fractions: (maker, taker).
_FEES: Final[Mapping[Kind, tuple[Decimal, Decimal]]] = {
    "spot": (Decimal("0.001"), Decimal("0.001")),
    "linear": (Decimal("0.0002"), Decimal("0.0005")),
    "inverse": (Decimal("0.0001"), Decimal("0.0005")),
}

# --- the venue's own list -----------------------------------------------------------------------

_INFO_PATHS: Final = {
    "binance-spot": "/api/v3/exchangeInfo",
    "binance-usdm": "/fapi/v1/exchangeInfo",
    "binance-coinm": "/dapi/v1/exchangeInfo",
}


class _Filter(msgspec.Struct):
    filterType: str  # noqa: N815 - the venue's names
    tickSize: Decimal = Decimal(0)  # noqa: N815
    stepSize: Decimal = Decimal(0)  # noqa: N815
    minQty: Decimal = Decimal(0)  # noqa: N815
    minNotional: Decimal = Decimal(0)  # noqa: N815
    notional: Decimal = Decimal(0)


class _Symbol(msgspec.Struct):
    symbol: str
    baseAsset: str  # noqa: N815
    quoteAsset: str  # noqa: N815
    filters: list[_Filter]
    status: str = ""
    contractStatus: str = ""  # noqa: N815
    contractType: str = ""  # noqa: N815
    marginAsset: str = ""  # noqa: N815
    contractSize: Decimal = Decimal(1)  # noqa: N815


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]


_exchange_info: Final = msgspec.json.Decoder(_ExchangeInfo)


def binance_instruments(venue: str, body: bytes) -> list[Instrument]:
    """Instruments of a Binance ``exchangeInfo`` answer that can be traded now.

    Raises VenueViolation for anything that is not one.
    """
    try:
        symbols = _exchange_info.decode(body).symbols
    except (msgspec.MsgspecError, ValueError) as error:
        raise VenueViolation(f"{venue}: exchangeInfo is not as documented: {error}") from None
    return [
        _binance_instrument(venue, each)
        for each in symbols
        if "TRADING" in (each.status, each.contractStatus)
    ]


def _binance_instrument(venue: str, each: _Symbol) -> Instrument:
    filters = {entry.filterType: entry for entry in each.filters}
    try:
        tick, lot = filters["PRICE_FILTER"].tickSize, filters["LOT_SIZE"]
    except KeyError as error:
        raise VenueViolation(f"{venue}: {each.symbol} has no {error.args[0]} filter") from None
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL")
    kind: Kind = "spot"
    symbol, settle = f"{each.baseAsset}/{each.quoteAsset}", each.quoteAsset
    if venue != "binance-spot":
        settle = each.marginAsset or each.quoteAsset
        kind = "inverse" if settle == each.baseAsset else "linear"
        expiry = each.symbol.partition("_")[2]
        symbol += f":{settle}" + (f"-{expiry}" if expiry not in ("", "PERP") else "")
    return _instrument(
        venue=venue,
        symbol=symbol,
        native=each.symbol,
        kind=kind,
        tick=tick,
        lot=lot.stepSize,
        min_quantity=lot.minQty,
        min_notional=max(notional.minNotional, notional.notional) if notional else Decimal(0),
        contract_size=each.contractSize if kind == "inverse" else Decimal(1),
    )


def _instrument(
    *,
    venue: str,
    symbol: str,
    native: str,
    kind: Kind,
    tick: Decimal,
    lot: Decimal,
    min_quantity: Decimal,
    min_notional: Decimal = Decimal(0),
    contract_size: Decimal = Decimal(1),
    fees: tuple[Decimal, Decimal] | None = None,
) -> Instrument:
    """Fill in what follows from the rest."""
    pair, _, settle = symbol.partition(":")
    base, _, quote = pair.partition("/")
    maker, taker = fees or _FEES[kind]
    tick, lot = _plain(tick), _plain(lot)
    return Instrument(
        venue=venue,
        symbol=symbol,
        venue_symbol=native,
        base=base,
        quote=quote or base,
        settle=settle.partition("-")[0] or quote or base,
        kind=kind,
        tick=tick,
        lot=lot,
        min_lots=max(1, math.ceil(min_quantity / lot)) if lot > 0 else 1,
        min_notional=min_notional,
        contract_size=contract_size,
        maker_fee=maker,
        taker_fee=taker,
        fee_side="received" if kind == "spot" else "quote",
    )


def _plain(value: Decimal) -> Decimal:
    """The same number with no trailing zeros and no exponent: 0.01000000 -> 0.01, 1E+1 -> 10."""
    return Decimal(format(value.normalize(), "f"))


async def load_instruments(
    venue: str, symbols: Sequence[str], *, rest_url: str = "", file: Path | None = None
) -> Instruments:
    """Rules of these unified symbols, from ``file`` where it has them, else from the venue.

    Args:
        venue: venue id.
        symbols: unified symbols.
        rest_url: instead of the venue's own, for a simulator.
        file: an instruments file, see ``read_instruments``.

    Raises:
        BadInput: unknown venue or symbol, with the nearest names.
        PeerUnavailable: the venue does not answer; trying again may help.
        VenueViolation: the venue answered with something else.
    """
    spec = venue_spec(venue)
    found: Instruments = {} if file is None else read_instruments(file)
    missing = [symbol for symbol in symbols if (venue, symbol) not in found]
    if missing:
        path = _INFO_PATHS.get(venue)
        if path is None:
            raise BadInput(
                f"no rules for {', '.join(missing)} on {venue}",
                where=str(file or "instruments"),
                mend="give an instruments file that has them",
            )
        body = await _get((rest_url or spec.rest_url).rstrip("/") + path)
        found.update({(venue, each.symbol): each for each in binance_instruments(venue, body)})
    return {(venue, symbol): pick(found, venue, symbol) for symbol in symbols}


async def _get(url: str) -> bytes:
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            body = await response.read()
            status = response.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise PeerUnavailable(f"cannot fetch {url}: {str(error) or type(error).__name__}") from None
    if status != _OK:
        words = body[:300].decode("utf-8", "replace")
        raise PeerUnavailable(f"{url} answered {status}: {words}")
    return body


def pick(instruments: Mapping[tuple[str, str], Instrument], venue: str, symbol: str) -> Instrument:
    """This instrument. Raises BadInput with the nearest symbols of the venue."""
    found = instruments.get((venue, symbol))
    if found is None:
        known = [name for owner, name in instruments if owner == venue]
        raise unknown_symbol(venue, symbol, known)
    return found


def unknown_symbol(venue: str, symbol: str, known: Collection[str]) -> BadInput:
    """The error for a symbol that is not among the known ones, with the nearest of them."""
    near = difflib.get_close_matches(symbol, known, n=3, cutoff=0.5)
    return BadInput(
        f"{venue} has no {symbol!r}",
        where="symbol",
        allowed=", ".join(near or sorted(known)[:10]) or "none are known",
        mend=f"did you mean {' or '.join(near)}?" if near else None,
    )


# --- a file -------------------------------------------------------------------------------------

_REQUIRED: Final = ("venue", "symbol", "tick", "lot")
_DECIMALS: Final = (
    *("tick", "lot", "min_quantity", "min_notional", "contract_size"),
    *("maker_fee", "taker_fee"),
)
_KEYS: Final = (*_REQUIRED, "venue_symbol", "kind", *_DECIMALS[2:])
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

    Raises BadInput with the entry and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise BadInput(f"cannot read it: {error.strerror}", where=str(path)) from None
    except ValueError as error:  # TOML, JSON and UTF-8 errors alike
        raise BadInput(f"not a {path.suffix or 'TOML'} file: {error}", where=str(path)) from None
    entries = data.get("instrument") if isinstance(data, dict) else None
    if not isinstance(entries, list) or set(data) != {"instrument"}:
        raise BadInput("it holds no list of instruments", where=str(path), allowed="[[instrument]]")
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
    spec = venue_spec(venue)
    kind_name = str(entry.get("kind", kind_of(symbol)))
    kind = _KINDS.get(kind_name)
    if kind is None:
        raise BadInput(f"kind is {kind_name!r}", where=where, allowed=", ".join(_KINDS))
    maker, taker = _FEES[kind]
    return _instrument(
        venue=venue,
        symbol=symbol,
        native=str(entry.get("venue_symbol", "")) or spec.native(symbol),
        kind=kind,
        tick=numbers["tick"],
        lot=numbers["lot"],
        min_quantity=numbers.get("min_quantity", numbers["lot"]),
        min_notional=numbers.get("min_notional", Decimal(0)),
        contract_size=numbers.get("contract_size", Decimal(1)),
        fees=(numbers.get("maker_fee", maker), numbers.get("taker_fee", taker)),
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


def kind_of(symbol: str) -> Kind:
    """Spot ``A/B``, linear ``A/B:B``, inverse ``A/B:A``, from a unified symbol alone."""
    pair, _, settle = symbol.partition(":")
    if not settle:
        return "spot"
    return "inverse" if settle.partition("-")[0] == pair.partition("/")[0] else "linear"


# --- a capture ----------------------------------------------------------------------------------


def infer_instruments(capture: Path, venue: str, symbols: Collection[str] = ()) -> Instruments:
    """Rules of the symbols in a capture (these, or all), from the grid its levels lie on.

    Tick and lot are the greatest common divisor of the prices and sizes of the first updates. The
    least quantity is one lot and there is no least notional, because a capture does not hold them.
    Raises BadInput for an unknown venue, a file that is no capture of it, or a symbol it has not.
    """
    spec = venue_spec(venue)
    decoder = CaptureDecoder(spec)
    grids: dict[str, _Grid] = {}
    wanted = set(symbols)
    for decoded in decoder.decode(capture):
        for event in decoded.events:
            if type(event) is DepthUpdate and (not wanted or event.symbol in wanted):
                grids.setdefault(event.symbol, _Grid()).add(event)
        if wanted and len(grids) == len(wanted) and all(grid.enough for grid in grids.values()):
            break
    natives = {unified: native for native, unified in decoder.symbols.items()}
    for symbol in symbols:
        if symbol not in grids:
            raise unknown_symbol(f"{capture.name} ({venue})", symbol, list(natives))
    found: Instruments = {}
    for symbol in sorted(grids):
        tick, lot = grids[symbol].steps()
        found[venue, symbol] = _instrument(
            venue=venue,
            symbol=symbol,
            native=natives[symbol],
            kind=kind_of(symbol),
            tick=tick,
            lot=lot,
            min_quantity=lot,
        )
    return found


class _Steps:
    """The grid that numbers lie on: their greatest common divisor, by number of decimals.

    Binance spot's books hold a few old sizes that are finer than the lot, so a small share may be
    left out; ``share`` is what must lie on the grid.
    """

    __slots__ = ("_counts", "_divisors", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._counts = [0] * (_SCALE + 1)
        self._divisors = [0] * (_SCALE + 1)

    def add(self, values: Iterable[float]) -> None:
        counts, divisors = self._counts, self._divisors
        for value in values:
            # The shortest decimal that means the same float is what the venue wrote, but for zeros.
            whole, _, part = format(Decimal(repr(value)), "f").partition(".")
            part = part.rstrip("0")[:_SCALE]
            places = len(part)
            counts[places] += 1
            divisors[places] = math.gcd(divisors[places], int(whole + part.ljust(_SCALE, "0")))

    def step(self) -> Decimal:
        """The coarsest step on which the share lies; 1 when nothing was added."""
        needed = self._share * sum(self._counts)
        seen, divisor = 0, 0
        for count, part in zip(self._counts, self._divisors, strict=True):
            seen += count
            divisor = math.gcd(divisor, part)
            if seen >= needed and divisor:
                return divisor * Decimal(1).scaleb(-_SCALE)
        return Decimal(1)


class _Grid:
    """Tick and lot of one book."""

    __slots__ = ("_lots", "_ticks", "_updates")

    def __init__(self) -> None:
        self._ticks = _Steps(1.0)
        self._lots = _Steps(0.995)
        self._updates = 0

    @property
    def enough(self) -> bool:
        return self._updates >= SAMPLE_UPDATES

    def add(self, update: DepthUpdate) -> None:
        if not self.enough:
            self._updates += 1
            for levels in (update.bids, update.asks):
                self._ticks.add(price for price, _ in levels)
                self._lots.add(size for _, size in levels)

    def steps(self) -> tuple[Decimal, Decimal]:
        return self._ticks.step(), self._lots.step()


def instruments_for_capture(
    capture: Path, venue: str, symbol: str, file: Path | None = None
) -> tuple[Instrument, str]:
    """(rules, where they come from) of one symbol of a capture; a file goes before inference."""
    if file is not None:
        from_file = read_instruments(file)
        if (venue, symbol) in from_file:
            return from_file[venue, symbol], f"file {file.name}"
    inferred = infer_instruments(capture, venue, (symbol,))
    return inferred[venue, symbol], "inferred from the capture's decimals"

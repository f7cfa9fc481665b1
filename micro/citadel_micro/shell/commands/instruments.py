"""``citadel instruments``: a venue's trading rules, as orders use them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.shell.instruments.load import Listing
    from citadel_micro.shell.instruments.markets import Market


def instruments(
    venue: Annotated[str, typer.Argument(help="Venue id: okx, kraken-spot, ccxt-mexc ...")],
    *,
    symbols: Annotated[
        str | None, typer.Option(help="Unified symbols, comma-separated; all by default.")
    ] = None,
    refresh: Annotated[
        bool,
        typer.Option("--refresh", help="Fetch from the venue, even if a fresh list is stored."),
    ] = False,
    as_json: Json = False,
    cache_dir: Annotated[
        Path, typer.Option(help="Folder of the stored lists; micro's own by default.")
    ] = Path("runs/micro/instruments"),
    fresh_h: Annotated[
        float,
        typer.Option(min=0, max=1_000_000, help="Maximum age in hours of a stored list."),
    ] = 24.0,
    rest_url: Annotated[
        str | None, typer.Option(help="REST root instead of the venue's: http://HOST:PORT.")
    ] = None,
) -> Exit:
    """Print the ticks, lots, minimums and fees of a venue, and what has changed in them.

    They come from the stored list, while it is fresh, else from the venue, and are then
    stored. Where the venue does not answer, an old list is printed with a warning.
    """
    import asyncio  # noqa: PLC0415 - commands import when invoked

    from citadel_micro.shell import logs  # noqa: PLC0415
    from citadel_micro.shell.config.urls import HTTP, checked_url  # noqa: PLC0415
    from citadel_micro.shell.instruments.cache import Cache  # noqa: PLC0415
    from citadel_micro.shell.instruments.load import Lists  # noqa: PLC0415

    root = "" if rest_url is None else checked_url(rest_url, HTTP, "--rest-url")
    logs.configure("error")
    wanted = [name.strip() for name in (symbols or "").split(",") if name.strip()]
    lists = Lists(Cache(cache_dir), fresh_ns=int(fresh_h * 3_600_000_000_000))
    listing = asyncio.run(lists.listing(venue, wanted, rest_url=root, refresh=refresh))
    now_ns = lists.now()
    for symbol in wanted:
        if symbol not in listing.markets.markets:
            listing.markets.instrument(symbol, now_ns)  # raises with the reason
    age = listing.markets.age(now_ns)
    if listing.problem:
        typer.echo(f"warning: this list is {age} old: {listing.problem}", err=True)
    if as_json:
        typer.echo(json.dumps(_object(listing, wanted, now_ns), indent=1))
    else:
        _print(listing, wanted, age)
    return Exit.OK


def _chosen(listing: Listing, wanted: Sequence[str]) -> dict[str, Market]:
    markets = listing.markets.markets
    return {symbol: markets[symbol] for symbol in wanted or sorted(markets)}


def _object(listing: Listing, wanted: Sequence[str], now_ns: int) -> dict[str, Any]:
    found = listing.markets
    return {
        "venue": found.venue,
        "reader": found.reader,
        "source": found.source or None,
        "fetched_ns": found.fetched_ns,
        "age_s": max(0, now_ns - found.fetched_ns) // 1_000_000_000,
        "from": "venue" if listing.fetched else "disk",
        "problem": listing.problem or None,
        "instruments": [_row(market) for market in _chosen(listing, wanted).values()],
        "changes": {symbol: list(told) for symbol, told in listing.changes.items()},
        "left_out": {} if wanted else dict(found.left_out),
    }


def _row(market: Market) -> dict[str, Any]:
    """Exact numbers are text."""
    from citadel_micro.shell.instruments.rules import plain  # noqa: PLC0415

    rules = market.rules
    decimals = {
        "tick": rules.tick,
        "lot": rules.lot,
        "min_quantity": rules.lot * rules.min_lots,
        "min_notional": rules.min_notional,
        "contract_size": rules.contract_size,
        "maker_fee": rules.maker_fee,
        "taker_fee": rules.taker_fee,
    }
    return {
        "symbol": rules.symbol,
        "venue_symbol": rules.venue_symbol,
        "kind": rules.kind,
        "base": rules.base,
        "quote": rules.quote,
        "settle": rules.settle,
        **{name: format(plain(value), "f") for name, value in decimals.items()},
        "fee_side": rules.fee_side,
        "reduce_only_exempt_min_notional": rules.reduce_only_exempt_min_notional,
        "active": market.active,
    }


_COLUMNS = (
    *("symbol", "venue_symbol", "kind", "tick", "lot", "min_quantity", "min_notional"),
    *("contract_size", "maker_fee", "taker_fee", "open"),
)
_TEXTS = 3
"""Number of text columns, which are left-aligned."""


def _print(listing: Listing, wanted: Sequence[str], age: str) -> None:
    """Plain columns, however wide: a truncated number is another number."""
    found = listing.markets
    source = f"{found.reader}{f' at {found.source}' if found.source else ''}"
    typer.echo(f"{found.venue}, from {source}, {age} ago\n")
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for market in _chosen(listing, wanted).values():
        cells = {**_row(market), "open": "yes" if market.active else "no"}
        rows.append(tuple(cells[name] for name in _COLUMNS))
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    for row in rows:
        line = [
            text.ljust(width) if at < _TEXTS else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        typer.echo("  ".join(line).rstrip())
    for symbol, told in listing.changes.items():
        typer.echo(f"changed: {symbol}: {'; '.join(told)}")
    if found.left_out and not wanted:
        typer.echo(f"{len(found.left_out)} more cannot be traded; --json gives the reasons")

"""Market rules from a JSON file, so that backtesting needs no network at all.

Freqtrade loads the venue's markets before any backtest. With a cache file they are read from it;
without the file they are loaded from the venue once and written to it.
"""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

from freqtrade.exchange import Exchange

from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

FORMAT = "citadel-markets-1"


@contextlib.contextmanager
def used(path: Path) -> Iterator[None]:
    """Serve ``Exchange._load_async_markets`` from ``path`` for the duration of a ``with`` block."""
    original = Exchange.__dict__["_load_async_markets"]

    def _load_async_markets(exchange: Exchange, reload: bool = False) -> None:  # noqa: FBT001, FBT002 - as Freqtrade calls it
        if path.exists():
            _read(path, exchange)
            return
        original(exchange, reload=reload)
        _write(path, exchange)

    Exchange._load_async_markets = _load_async_markets  # type: ignore[method-assign,assignment]  # noqa: SLF001
    try:
        yield
    finally:
        Exchange._load_async_markets = original  # type: ignore[method-assign]  # noqa: SLF001


def _read(path: Path, exchange: Exchange) -> None:
    where = f"markets cache {path}"
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(str(error), where=where, mend="delete the file to load it again") from None
    api = exchange._api_async  # noqa: SLF001 - as Freqtrade's own method does
    if content.get("format") != FORMAT or content.get("exchange") != api.id:
        raise BadInput(
            f"holds {content.get('exchange')!r} in format {content.get('format')!r}",
            where=where,
            allowed=f"{api.id!r} in format {FORMAT!r}",
            mend="delete the file to load it again",
        )
    api.set_markets(content["markets"], content["currencies"])
    logger.info("Loaded %d markets from %s.", len(content["markets"]), path)


def _write(path: Path, exchange: Exchange) -> None:
    api = exchange._api_async  # noqa: SLF001 - as Freqtrade's own method does
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "format": FORMAT,
        "exchange": api.id,
        "markets": list(api.markets.values()),
        "currencies": api.currencies,
    }
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content), "utf-8")
    part.replace(path)
    logger.info("Wrote %d markets to %s.", len(api.markets), path)

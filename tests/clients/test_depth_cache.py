"""unicorn-binance-local-depth-cache follows the book: it starts only where weights are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from process_kit import until
from unicorn_binance_local_depth_cache import BinanceLocalDepthCacheManager
from unicorn_binance_rest_api import BinanceRestApiManager
from unicorn_binance_websocket_api.connection_settings import CONNECTION_SETTINGS

if TYPE_CHECKING:
    import pytest
    from stock_exchange import Exchange

SYMBOL = "BTCUSDT"


def test_its_book_is_the_exchanges(
    exchange: Exchange, left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "binance.com"
    limits, _, *more = CONNECTION_SETTINGS[name]
    settings = [limits, f"{exchange.ready['ws']}/", *more]
    monkeypatch.setitem(CONNECTION_SETTINGS, name, settings)

    class Rest(BinanceRestApiManager):  # type: ignore[misc]
        """It asks for the time while it is made; its address can only be set before that."""

        def get_server_time(self) -> Any:  # noqa: ANN401 - JSON
            self.API_URL = f"{exchange.ready['rest']}/api"
            return super().get_server_time()

    rest = Rest(exchange=name, disable_colorama=True, warn_on_update=False)
    manager = BinanceLocalDepthCacheManager(
        exchange=name,
        ubra_manager=rest,
        init_interval=0.1,
        disable_colorama=True,
        warn_on_update=False,
    )
    try:
        manager.create_depthcache(markets=[SYMBOL])
        until(lambda: manager.is_depth_cache_synchronized(market=SYMBOL), 30)

        def agrees() -> bool:
            """Nothing moved between the two looks at the exchange, and the cache has it too."""
            before = exchange.touch(SYMBOL)
            bids, asks = manager.get_bids(market=SYMBOL), manager.get_asks(market=SYMBOL)
            return (bids[0][0], asks[0][0]) == before == exchange.touch(SYMBOL)

        until(agrees, 30)
        assert len(manager.get_bids(market=SYMBOL)) > 50
        assert manager.get_restart_count(market=SYMBOL) == 0
    finally:
        manager.stop_manager()
    assert left == []

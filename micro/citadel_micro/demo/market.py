"""What a demo trades: spot, or USD-M futures long and short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

_COINS: Final = ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoMarket:
    """One market of the simulated exchange, and the parts that its symbols have in the story."""

    venue: str
    """At micro."""
    name: Literal["spot", "usdm"]
    """At the exchange's operator."""
    settle: str = ""
    """Behind the unified symbol of a perpetual: ``:USDT``."""
    permission: Literal["trade", "futures"]
    """Of the run's key."""
    hope: float
    """Stake of an order of ``hopeful``, in USDT: with leverage worth the most that one may be at the exchange,
    within the limits of ``settings``, and more than is traded in the seconds that it lives. It draws about
    350,000 ADA a second from the simulated market, whose price is the seed's: 0.5 to 1.6 USDT in the seeds
    that were tried."""
    strategy: str
    shorts: tuple[str, ...] = ()
    """Coins that are sold short, the others being bought."""

    def of(self, coin: str) -> str:
        """Unified symbol of a coin."""
        return f"{coin}/USDT{self.settle}"

    @property
    def pairs(self) -> tuple[str, ...]:
        """Everything that is traded."""
        return tuple(self.of(coin) for coin in _COINS)

    @property
    def listed(self) -> tuple[str, ...]:
        """The same as the simulator is told."""
        return tuple(f"{coin}/USDT" for coin in _COINS)

    @property
    def hopeful(self) -> str:
        """Its orders ask for more than is offered, and are canceled after a partial fill."""
        return self.of("ADA")

    @property
    def rejected(self) -> str:
        """The limits of micro permit next to nothing of it."""
        return self.of("DOGE")

    @property
    def futures(self) -> bool:
        """Whether positions are held, and funding is paid."""
        return self.name == "usdm"


LEVERAGE: Final = 3
"""Of every futures position: the account's setting, and what the strategy asks for."""
SPOT: Final = DemoMarket(
    venue="binance-spot",
    name="spot",
    permission="trade",
    hope=9_000_000.0,
    strategy="CitadelDemo",
)
FUTURES: Final = DemoMarket(
    venue="binance-usdm",
    name="usdm",
    settle=":USDT",
    permission="futures",
    hope=9_000_000.0 / LEVERAGE,
    strategy="CitadelDemoFutures",
    shorts=("ETH", "XRP"),
)
MARKETS: Final[dict[str, DemoMarket]] = {each.name: each for each in (SPOT, FUTURES)}
"""By the name that a ledger of the exchange tells."""

"""A pytest fixture that lets micro's engine work orders on a recorded tape, in virtual time.

::

    def test_my_order_is_filled(tape, engine):
        played = tape("recordings/monday.tape")
        micro = engine({"BTC/USDT": ("0.01", "0.00001")})      # tick and lot
        order = micro.order(10, "buy", "BTC/USDT", "0.5", algo="chase_limit")
        micro.play(played.records, signals=False)
        assert micro.reports[order].status == "filled"

Every pytest run where the package is installed loads it, so it imports nothing until it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal
    from pathlib import Path

    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.offline.on_tape import EngineOnTape


class MakeEngine(Protocol):
    """What the fixture ``engine`` is."""

    def __call__(
        self,
        rules: Mapping[str, tuple[str, str]] | Path,
        *,
        venue: str = "binance-spot",
        limits: RiskLimits | None = None,
        balances: Mapping[str, Decimal] | None = None,
        seed: int = 1,
    ) -> EngineOnTape:
        """Make an engine with a paper account.

        Args:
            rules: tick and lot by symbol; or a file of instruments, as ``instruments_file`` takes it.
            venue: of these symbols.
            limits: ``citadel_micro.offline.on_tape.open_limits()`` by default.
            balances: by currency; plenty by default.
            seed: of the paper venue's latencies.
        """


@pytest.fixture
def engine() -> MakeEngine:
    """Make engines that trade on a tape."""

    def make(
        rules: Mapping[str, tuple[str, str]] | Path,
        *,
        venue: str = "binance-spot",
        limits: RiskLimits | None = None,
        balances: Mapping[str, Decimal] | None = None,
        seed: int = 1,
    ) -> EngineOnTape:
        from decimal import Decimal  # noqa: PLC0415 - see the module's text
        from pathlib import Path  # noqa: PLC0415

        import citadel_micro.adapters  # noqa: F401, PLC0415 - tells the shell which venues there are
        from citadel_micro.offline.on_tape import EngineOnTape  # noqa: PLC0415
        from citadel_micro.shell.instruments.file import read_instruments  # noqa: PLC0415
        from citadel_micro.shell.instruments.rules import kind_of, make_instrument  # noqa: PLC0415

        if isinstance(rules, Path):
            instruments = dict(read_instruments(rules))
        else:
            instruments = {
                (venue, symbol): make_instrument(
                    venue=venue,
                    symbol=symbol,
                    native=symbol.partition(":")[0].replace("/", ""),
                    kind=kind_of(symbol),
                    tick=Decimal(tick),
                    lot=Decimal(lot),
                    min_quantity=Decimal(lot),
                )
                for symbol, (tick, lot) in rules.items()
            }
        return EngineOnTape(instruments, limits=limits, balances=balances, seed=seed)

    return make

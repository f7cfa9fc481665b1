"""The sample strategy with the demo's faults: what ``citadel demo`` runs in Freqtrade.

Beyond ``CitadelSample``, by the section ``citadel_demo`` of the configuration:

- on ``hopeful_pairs`` it asks for far more than trades there, at no worse price than the best ask,
  and does not chase: the order fills in part, and Freqtrade's own time limit cancels the rest;
- once the file ``stop_file`` exists there are no new entries, so that the run can end flat.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from CitadelSample import CitadelSample

SECTION = "citadel_demo"


class CitadelDemo(CitadelSample):
    """Enter and exit quickly, oversize entries on some pairs, stop when a file says so."""

    hopeful_pairs: tuple[str, ...] = ()
    """Pairs on which an entry stakes ``hope``."""
    hope: float = 0.0
    """In the stake currency."""
    stop_file: str = ""
    """No entries once this file exists."""

    def bot_start(self, **kwargs: Any) -> None:
        """Take parameters from the configuration, this strategy's and the sample's."""
        super().bot_start(**kwargs)
        section = self.config.get(SECTION, {})
        self.hopeful_pairs = tuple(section.get("hopeful_pairs", ()))
        self.hope = float(section.get("hope", self.hope))
        self.stop_file = str(section.get("stop_file", ""))

    def custom_stake_amount(self, pair: str, proposed_stake: float, **kwargs: Any) -> float:
        """On a hopeful pair, more than there will be at the best ask."""
        stake: float = super().custom_stake_amount(pair, proposed_stake, **kwargs)
        return max(stake, self.hope) if pair in self.hopeful_pairs else stake

    def custom_entry_price(self, pair: str, proposed_rate: float, **kwargs: Any) -> float:
        """On a hopeful pair, the best ask and no more."""
        book = self.micro.book(pair)
        if pair in self.hopeful_pairs and book is not None and book.fresh:
            return book.best_ask
        return super().custom_entry_price(pair, proposed_rate, **kwargs)

    def confirm_trade_entry(self, pair: str, **kwargs: Any) -> bool:
        """No entry once the run is ending; a plain resting limit order on a hopeful pair."""
        if self.stop_file and Path(self.stop_file).exists():
            return False
        if pair not in self.hopeful_pairs:
            return super().confirm_trade_entry(pair, **kwargs)
        self.micro.execution(pair, algo="limit", tag="hopeful")
        return True

"""The LightGBM strategy as ``citadel demo --ml`` runs it: no entries once the run is to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from CitadelML import CitadelML


class CitadelDemoML(CitadelML):
    """``CitadelML`` that stops entering when ``citadel_demo.stop_file`` exists."""

    def confirm_trade_entry(self, pair: str, **kwargs: Any) -> bool:
        """No entry once the run is ending."""
        stop_file = self.config.get("citadel_demo", {}).get("stop_file", "")
        if stop_file and Path(stop_file).exists():
            return False
        return super().confirm_trade_entry(pair, **kwargs)

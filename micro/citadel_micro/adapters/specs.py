"""Finds the venues: a package here that has a ``market_data`` with ``SPECS`` is one."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from citadel_micro.shell.marketdata.spec import broken_venue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from citadel_micro.shell.marketdata.spec import VenueSpec


_PACKAGE: Final = __name__.rpartition(".")[0]


class AdapterSpecs:
    """Searches the folder: every package with SPECS is a venue, without a list of them."""

    def specs(self) -> Mapping[str, VenueSpec]:
        """``SPECS`` of every adapter's ``market_data``. Raises BadInput for a broken file."""
        found: dict[str, VenueSpec] = {}
        folders = [str(folder) for folder in self.folders()]
        for adapter in pkgutil.iter_modules(folders, f"{_PACKAGE}."):
            if adapter.ispkg:
                found.update(_specs_in(adapter.name))
        return found

    def spec(self, venue: str) -> VenueSpec | None:
        """As ``shell.marketdata.spec.SpecFinder``: binance-usdm is in ``binance``, kraken-futures in ``kraken_futures``."""
        words = venue.split("-")
        for count in range(len(words), 0, -1):
            name = "_".join(words[:count])
            module = importlib.util.find_spec(f"{_PACKAGE}.{name}") if name.isidentifier() else None
            if module is not None and module.submodule_search_locations is not None:
                found = _specs_in(module.name).get(venue)
                if found is not None:
                    return found
        return None

    def folders(self) -> Sequence[Path]:
        """The folder of this package."""
        package = importlib.import_module(_PACKAGE)
        return [Path(folder) for folder in package.__path__]


def _specs_in(adapter: str) -> Mapping[str, VenueSpec]:
    """``SPECS`` of one package; empty where it follows nothing. Raises BadInput."""
    try:
        name = f"{adapter}.market_data"
        if importlib.util.find_spec(name) is None:
            return {}
        specs: Mapping[str, VenueSpec] = importlib.import_module(name).SPECS
    except Exception as error:
        # Anybody may add such a file: its author can fix whatever is wrong in it.
        raise broken_venue(adapter, error) from error
    return specs

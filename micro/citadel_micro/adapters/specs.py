"""Finds the venues: a package here that has a ``market_data`` with ``SPECS`` is one."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

from citadel_micro.shell.marketdata.spec import broken_venue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from citadel_micro.shell.marketdata.spec import VenueSpec


class AdapterSpecs:
    """Searches the folder: every package with SPECS is a venue, without a list of them."""

    def specs(self) -> Mapping[str, VenueSpec]:
        """``SPECS`` of every adapter's ``market_data``. Raises BadInput for a broken file."""
        found: dict[str, VenueSpec] = {}
        package = __name__.rpartition(".")[0]
        folders = [str(folder) for folder in self.folders()]
        for adapter in pkgutil.iter_modules(folders, f"{package}."):
            try:
                name = f"{adapter.name}.market_data"
                if adapter.ispkg and importlib.util.find_spec(name) is not None:
                    found.update(importlib.import_module(name).SPECS)
            except Exception as error:
                # Anybody may add such a file: its author can fix whatever is wrong in it.
                raise broken_venue(adapter.name, error) from error
        return found

    def folders(self) -> Sequence[Path]:
        """The folder of this package."""
        package = importlib.import_module(__name__.rpartition(".")[0])
        return [Path(folder) for folder in package.__path__]

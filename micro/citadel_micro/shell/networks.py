"""Which hosts a venue has on its mainnet, its testnet and its demo, and which of them a run uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from citadel_bridge.auth import is_local
from citadel_micro.shell.slot import Slot
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from citadel_micro.shell.config.config import MicroConfig, VenueSection
    from citadel_micro.shell.keys.api_key import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Of one venue on one network."""

    rest_url: str
    """Public data."""
    ws_url: str
    """Public streams, with the path that ``VenueSpec.websocket_url`` has."""
    private_rest_url: str
    ws_api_url: str
    private_ws_url: str = ""
    """Root of the account's stream, where that is no part of ``ws_api_url``."""


class HostFinder(Protocol):
    """Knows the hosts of venues."""

    def hosts(self, venue: str) -> Mapping[Network, Hosts]:
        """By network; empty for a venue of which none are known."""


HOSTS: Final[Slot[HostFinder]] = Slot("hosts of venues")


def with_hosts(config: MicroConfig) -> MicroConfig:
    """The configuration with the addresses of each venue's network, where none are given.

    Public data comes from the same network as the orders go to. On the mainnet its addresses stay
    those of the venue's spec; on paper without a network of its own nothing changes.

    Raises:
        BadInput: no hosts are known of that network, and the addresses are not all given.
    """
    venues = {
        venue: _with_hosts(venue, section, live=config.mode == "live")
        for venue, section in config.venues.items()
    }
    return config if venues == config.venues else config.model_copy(update={"venues": venues})


def _with_hosts(venue: str, section: VenueSection, *, live: bool) -> VenueSection:
    known = HOSTS.get().hosts(venue)
    private = ["private_rest_url", "ws_api_url"]
    if any(each.private_ws_url for each in known.values()):
        private.append("private_ws_url")
    wanted: list[str] = []
    if section.network != "mainnet":
        wanted += ["rest_url", "ws_url"]
    if live:
        wanted += private
    absent = [name for name in wanted if getattr(section, name) is None]
    if live:
        _one_side(venue, section, ("rest_url", "ws_url", *private))
    if not absent:
        return section
    hosts = known.get(section.network)
    if hosts is None:
        raise BadInput(
            f"no {section.network} of {venue} is known",
            where=f"venues.{venue}.network",
            allowed=", ".join(known)
            or f"mainnet, or the addresses themselves: {', '.join(absent)}",
            mend=f"choose another network, or give {', '.join(absent)}",
        )
    if any(getattr(section, name) is not None for name in wanted):
        # Half of one network and half of another would price orders by a foreign book.
        raise BadInput(
            f"{', '.join(absent)} of {venue} would be the {section.network}'s, beside other "
            "addresses that are given",
            where=f"venues.{venue}",
            allowed=f"all of {', '.join(wanted)}, or none",
            mend=f"give {', '.join(absent)} as well",
        )
    return section.model_copy(update={name: getattr(hosts, name) for name in absent})


def _one_side(venue: str, section: VenueSection, names: Sequence[str]) -> None:
    """Prices of a simulator must not make orders for an exchange, nor the other way round."""
    here = [name for name in names if (url := getattr(section, name)) is not None and is_local(url)]
    elsewhere = [name for name in names if name not in here]
    if here and elsewhere:
        raise BadInput(
            f"{', '.join(here)} of {venue} is on this machine, and {', '.join(elsewhere)} is not",
            where=f"venues.{venue}",
            allowed="a simulator for all of them, or for none",
            mend=f"give {', '.join(elsewhere)} as well, or remove {', '.join(here)}",
        )

"""The API key of an adapter: there is one, and it is of the venue that is traded on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_proto.errors import BadInput, InvariantError

if TYPE_CHECKING:
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.order_adapter import AdapterSetup


def key_of(setup: AdapterSetup) -> ApiKey:
    """The key that an adapter is set up with: no live venue comes without."""
    if setup.key is None:
        raise InvariantError(f"{setup.venue}: a live venue without its key")
    return setup.key


def require_key_of(venue: str, key: ApiKey) -> None:
    """Raise BadInput where the key is another venue's."""
    if key.venue != venue:
        raise BadInput(
            f"this key is of {key.venue}, and {venue} is to be traded on",
            where=key.file,
            mend="name the key file of this venue",
        )

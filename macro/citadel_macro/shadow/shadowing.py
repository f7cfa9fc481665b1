"""The shadow of one bot: its way to micro, its table and its thread."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from citadel_macro import pricing
from citadel_macro.config import SHADOW_INTENTS_FILE
from citadel_macro.micro_client import MicroLink
from citadel_macro.shadow.desk import ShadowDesk
from citadel_macro.shadow.table import ShadowTable
from citadel_proto.errors import BadInput
from citadel_proto.shadow import SHADOW_OWNER, is_shadow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from freqtrade.exchange.exchange import Exchange

    from citadel_macro.config import BridgeSettings

logger = logging.getLogger(__name__)


class Shadowing:
    """Opens everything a shadow needs, before Freqtrade trades; afterwards Freqtrade never waits for it.

    Args:
        settings: of the bridge.
        config: Freqtrade's.

    Raises:
        BadInput, Refused, PeerUnavailable: of the table and the connector, each with how to fix it.
    """

    def __init__(self, settings: BridgeSettings, config: Mapping[str, Any]) -> None:
        folder = Path(config["user_data_dir"])
        path = settings.shadow_path(folder)
        # Its own log beside its table: no order of a bridged bot is in it, and none of its orders in theirs.
        intents = (
            path.with_name(f"{path.stem}-intents.sqlite")
            if settings.shadow_db
            else (folder / SHADOW_INTENTS_FILE)
        )
        owner = "" if intents.exists() else f"{SHADOW_OWNER}{secrets.token_hex(12)}"
        own = settings.model_copy(update={"intents_db": str(intents), "owner": owner})
        table = ShadowTable(path)
        try:
            self._link = MicroLink.open(own, config)
        except BaseException:
            table.close()
            raise
        found = self._link.connector.owner
        if not is_shadow(found):
            table.close()
            self._link.close()
            raise BadInput(
                f"the intent log is that of owner {found}, whose orders are not a shadow's",
                where=str(intents),
                allowed=f"an owner that begins with {SHADOW_OWNER}",
                mend="move the file away; a new one is made",
            )
        self._desk = ShadowDesk(self._link, table, settings, config)
        logger.info(
            "Shadow: Freqtrade trades by itself, with %s. Each of its orders on %s is also worked by micro "
            "on paper; %s keeps what both paid (citadel shadow report --db %s).",
            "simulated fills of its own (dry_run)" if config.get("dry_run") else "its own keys",
            settings.venue,
            path,
            path,
        )
        logger.info("Micro's side. %s", pricing.in_words(config, settings))

    def watch(self, exchange: Exchange) -> None:
        """Watch the exchange object that the bot uses from now on."""
        self._desk.watch(exchange)

    def close(self) -> None:
        """Work what has been noted, and close everything."""
        self._desk.close()
        self._link.close()

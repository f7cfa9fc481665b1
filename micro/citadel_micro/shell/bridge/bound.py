"""Micro's end of the bridge as it is configured: addresses, keys, and who is let in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq

from citadel_bridge.auth import KeyStore
from citadel_bridge.sockets import Endpoint
from citadel_micro.shell.bridge.uplink import Uplink, UplinkConfig

if TYPE_CHECKING:
    import asyncio
    from contextlib import AsyncExitStack

    from citadel_bridge.channels import Context
    from citadel_bridge.zap import ZapGuard
    from citadel_micro.shell.clock import Clock
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.stats import Stats


def bind_uplink(
    loop: asyncio.AbstractEventLoop,
    config: MicroConfig,
    clock: Clock,
    run_id: str,
    *,
    stats: Stats,
    parts: AsyncExitStack,
) -> Uplink:
    """Bind both channels; what has to be closed is added to ``parts``.

    Raises:
        PortTaken, Refused, BadInput: as ``Uplink``.
    """
    bridge = config.bridge
    context: Context = zmq.Context()
    parts.callback(context.term)
    store = None if bridge.keys is None else KeyStore(bridge.keys)
    server = None if store is None else store.server("micro")
    guard: ZapGuard | None = None
    if server is not None:
        from citadel_bridge.zap import ZapGuard  # noqa: PLC0415 - with keys only

        guard = ZapGuard(context, server.allow, server.renew)
        guard.start()
        parts.callback(guard.close)
    signals, operators = (
        tuple(
            Endpoint(address, None if store is None else store.client("micro", role))
            for address in addresses
        )
        for role, addresses in (("macro", bridge.macros), ("cli", bridge.command_lines))
    )
    uplink = Uplink(
        loop,
        context,
        UplinkConfig(
            instance=f"{config.instance}-{run_id}",
            mode=config.mode,
            market=bridge.market,
            market_keys=server,
            signals=signals,
            operators=operators,
            book_levels=bridge.book_levels,
            started_ns=clock.now(),
            lane=bridge.lane,
        ),
        clock=clock,
        stats=stats,
    )
    parts.callback(uplink.close)
    if guard is not None:
        guard.on_removed.append(uplink.disconnect_subscribers)
    return uplink

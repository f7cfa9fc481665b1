"""The watchdog: asks micro, and has each venue's guard act when it does not answer."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import structlog

from citadel_micro.core.model.client_ids import ClientIds
from citadel_micro.preflight.run_account import account_of
from citadel_micro.shell.journal.account_mark import mark_of, read_secret
from citadel_micro.shell.ops.http import HttpServer
from citadel_micro.shell.ops.watchdog_server import Question
from citadel_micro.shell.venue.cancel_desk import CancelAccount
from citadel_micro.shell.venue.unreadable import GARBLED, cut
from citadel_micro.watchdog.guard import Guard
from citadel_micro.watchdog.micro_line import ask
from citadel_micro.watchdog.silence import Silence
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from citadel_micro.core.model.client_ids import ClientIdForm
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.venue.cancel_desk import CancelDesk, RestingOrder

log: Final = structlog.get_logger("watchdog")

ASK_EVERY_S: Final = 1.0
CHECK_AGAIN_S: Final = 5.0


class Watchdog:
    """One watchdog of one run folder. ``start``, then ``run`` until it is canceled, and ``close``.

    Args:
        config: micro's own, with its hosts.
        keys: the watchdog's, by venue.
        desks: makes what cancels at a venue.
        permit: checks a venue's key; raises as ``AccountInspector.facts`` and ``require_clear``.
        forms: of client order ids, by venue.
    """

    def __init__(
        self,
        config: MicroConfig,
        keys: Mapping[str, ApiKey],
        desks: Callable[[CancelAccount], CancelDesk],
        permit: Callable[[str], Awaitable[None]],
        forms: Mapping[str, ClientIdForm],
    ) -> None:
        self._permit = permit
        self._config = config
        self._folder = config.run_dir
        self._name = secrets.token_hex(4)
        self._parts = AsyncExitStack()
        self._guards = [
            Guard(
                venue,
                desks(CancelAccount(key=key, section=config.venues[venue], now=time.time_ns)),
                Silence(config.watchdog.silence_s),
                self._chooser(key, forms[venue]),
                time.monotonic,
            )
            for venue, key in keys.items()
        ]
        self._why = "micro has never answered"
        self._http = HttpServer("127.0.0.1", config.watchdog.port, self.health)

    @property
    def http_url(self) -> str:
        """Of /healthz."""
        return self._http.url

    async def start(self) -> None:
        """Serve health. Raises PeerUnavailable where the port is in use."""
        for guard in self._guards:
            self._parts.push_async_callback(guard.close)
        await self._http.start()
        self._parts.push_async_callback(self._http.close)
        log.info(
            "watching",
            watchdog=self._name,
            run_dir=str(self._folder),
            venues=[guard.venue for guard in self._guards],
            silence_s=self._config.watchdog.silence_s,
            orders=self._config.watchdog.orders,
            http=self.http_url,
        )

    async def run(self) -> None:
        """Until canceled. Raises Refused or BadInput where a key must not be used."""
        tasks = [
            asyncio.ensure_future(each)
            for each in (
                self._listen(),
                *(guard.run() for guard in self._guards),
                *(self._check(guard) for guard in self._guards),
            )
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Free everything. Orders stay as they are."""
        await self._parts.aclose()

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether it stands by at every venue: (healthy, body)."""
        reasons = [self._why] if self._why else []
        for guard in self._guards:
            if not guard.able:
                why = guard.trouble or "it has not been asked yet"
                reasons.append(f"could not cancel at {guard.venue}: {why}")
            if guard.canceling:
                reasons.append(f"canceling at {guard.venue}: micro is silent")
        return not reasons, {
            "status": "unhealthy" if reasons else "ok",
            "reasons": reasons,
            "watchdog": self._name,
            "venues": {
                guard.venue: {
                    "standing_by": guard.standing_by,
                    "canceling": guard.canceling,
                    "micro_silent_s": round(guard.silence.lasted_s, 1),
                    "canceled": guard.canceled,
                    "trouble": guard.trouble,
                }
                for guard in self._guards
            },
        }

    # inside

    async def _check(self, guard: Guard) -> None:
        """That the key may trade, and not withdraw; asked until the venue answers."""
        why = ""
        while True:
            try:
                await self._permit(guard.venue)
            except (PeerUnavailable, *GARBLED) as error:
                if cut(error) != why:
                    log.warning("permissions not checked yet", venue=guard.venue, why=cut(error))
                why = cut(error)
                await asyncio.sleep(CHECK_AGAIN_S)
            else:
                guard.permitted = True
                return

    async def _listen(self) -> None:
        last_s = time.monotonic()
        while True:
            began_s = time.monotonic()
            question = Question(
                watchdog=self._name,
                standing_by=tuple(each.venue for each in self._guards if each.standing_by),
                canceling=tuple(each.venue for each in self._guards if each.canceling),
            )
            in_command: tuple[str, ...] = ()
            try:
                in_command = (await ask(self._folder, question)).in_command
                why = ""
            except (PeerUnavailable, BadInput) as error:
                why = str(error)
            now_s = time.monotonic()
            for guard in self._guards:
                before = guard.silence.expired
                if guard.venue in in_command:
                    guard.silence.answered()
                else:
                    why = why or f"micro has no order connection to {guard.venue}"
                    guard.silence.unanswered(now_s - last_s)
                if guard.silence.expired is not before:
                    guard.wake()
            last_s = now_s
            self._said(why)
            await asyncio.sleep(max(ASK_EVERY_S - (time.monotonic() - began_s), 0.0))

    def _said(self, why: str) -> None:
        if bool(why) is not bool(self._why):
            if why:
                log.warning("micro does not answer", why=why)
            else:
                log.info("micro answers")
        self._why = why

    def _chooser(
        self, key: ApiKey, form: ClientIdForm
    ) -> Callable[[], Callable[[RestingOrder], bool] | None]:
        """Which orders to cancel, from what micro has left in its folder."""

        def choose() -> Callable[[RestingOrder], bool] | None:
            secret = read_secret(self._folder)
            if not secret:
                return None
            if self._config.watchdog.orders == "all":
                return lambda _order: True
            mark = mark_of(secret, key.venue, account_of(key))
            names = ClientIds(form, mark)
            return lambda order: names.ours(order.client_id).startswith(f"sc{mark}")

        return choose

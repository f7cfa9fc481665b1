"""Where both ways in meet: a signed request in, its answer's body out. REST and websocket alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.simulator.okx.auth import OkxQuery, OkxTimes
from citadel_micro.simulator.okx.errors import OkxError, parameter, translated
from citadel_micro.simulator.okx.methods import MOST_IN_BATCH
from citadel_micro.simulator.private.venue import Call
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from citadel_micro.simulator.keys import ApiKey
    from citadel_micro.simulator.okx.limits import RateLimits
    from citadel_micro.simulator.okx.names import Json, Names
    from citadel_micro.simulator.private.service import Service

CHANGES: Final = ("order.place", "order.cancel", "order.modify")
"""Their errors are rows."""


class Desk:
    """Makes calls of requests, and answers of what comes of them."""

    def __init__(self, service: Service, names: Names, limits: RateLimits) -> None:
        """Pass requests on to ``service``."""
        self.service = service
        self._names = names
        self._limits = limits

    async def one(
        self, method: str, key: ApiKey, params: Json, address: str, times: OkxTimes
    ) -> Json:
        """Return the answer to one request.

        Raises:
            OkxError: one that is not about one order.
            Dropped, Unavailable: as the service.
        """
        if method not in CHANGES:
            return {
                "code": "0",
                "msg": "",
                "data": await self._do(method, key, params, address, times),
            }
        return await self.batch(method, key, [params], address, times)

    async def batch(
        self, method: str, key: ApiKey, every: list[Json], address: str, times: OkxTimes
    ) -> Json:
        """Return the answer to requests about one order each.

        Raises:
            OkxError: as ``one``; where there are none, or too many.
        """
        if not 1 <= len(every) <= MOST_IN_BATCH:
            raise parameter("args", row=False)
        rows: list[Json] = []
        done = 0
        for params in every:
            try:
                rows += await self._do(method, key, params, address, times)
                done += 1
            except OkxError as error:
                if not error.row:
                    raise
                rows.append(self._failed(params, error))
        if done == len(every):
            return {"code": "0", "msg": "", "data": rows}
        if done:
            return {"code": "2", "msg": "Bulk operation partially succeeded.", "data": rows}
        return {"code": "1", "msg": "All operations failed", "data": rows}

    def _failed(self, params: Json, error: OkxError) -> Json:
        return {
            "clOrdId": str(params.get("clOrdId", "")),
            "ordId": str(params.get("ordId", "")),
            "sCode": str(error.code),
            "sMsg": error.text,
            "tag": str(params.get("tag", "")),
            "ts": str(self.service.venue.now_ms),
        }

    async def _do(
        self, method: str, key: ApiKey, params: Json, address: str, times: OkxTimes
    ) -> list[Json]:
        service = self.service
        query = OkxQuery(texts(params), self._names)
        who = (key.key_id, key.account)
        instrument = query.get("instId") or query.get("instIdCode")
        self._limits.take(method, key.account, instrument, service.venue.now_ms)
        try:
            times.check(service.server_time_ns(who, method))
            call = Call(method=method, key=key, query=query, address=address, times=times)
            answer: Any = await service.perform(call)
        except ApiError as error:
            raise translated(error) from error
        return answer if isinstance(answer, list) else [answer]


def texts(params: Json) -> dict[str, str]:
    """Return a request's parameters as texts; what has parts of its own is not understood here.

    Raises:
        OkxError: 51000 for a parameter that is not plain.
    """
    values: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, bool):
            values[name] = "true" if value else "false"
        elif isinstance(value, str | int | float):
            values[name] = str(value)
        elif value is not None:
            raise parameter(name)
    return values

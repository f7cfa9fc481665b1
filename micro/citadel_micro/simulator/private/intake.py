"""From the text of a request to a call: parameters, key, signature, clock. REST and websocket alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from citadel_micro.simulator.private.signed import (
    NO_TIMES,
    check_signature,
    find_key,
    malformed,
    read_times,
    session_payload,
    split_signature,
)
from citadel_micro.simulator.private.venue import Call
from citadel_micro.simulator.query import ApiError, Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.simulator.keys import ApiKey
    from citadel_micro.simulator.private.service import Service


def parse_form(text: str) -> dict[str, str]:
    """Return the parameters of an encoded query or form.

    Raises:
        ApiError: -1101 for one that is there twice.
    """
    values: dict[str, str] = {}
    for pair in text.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        name = unquote_plus(name)
        if name in values:
            raise ApiError(-1101, "Duplicate values for a parameter detected.")
        values[name] = unquote_plus(value)
    return values


class Intake:
    """Makes calls of requests, or says why not."""

    def __init__(
        self, service: Service, symbols: Mapping[str, str], *, strict: bool = True
    ) -> None:
        """Let requests in to ``service``. ``symbols`` maps Binance's names to unified ones.

        ``strict``: over REST, parameters that a method does not know are refused.
        """
        self._strict = strict
        self._service = service
        self.symbols = symbols

    def rest(self, method: str, query: str, body: str, key_id: str | None, address: str) -> Call:
        """Read a REST request: its encoded query and form as they came over the wire.

        A parameter that is in both counts as the query has it; the signature may be in either and
        is over the query and the form, joined by nothing.

        Raises:
            ApiError: for whatever is wrong with it.
        """
        service = self._service
        key = find_key(service.venue.ring, key_id, address)
        kept_query, from_query = split_signature(query)
        kept_body, from_body = split_signature(body)
        params = {**parse_form(kept_body), **parse_form(kept_query)}
        if service.methods[method].unsigned:
            return self._unsigned(method, key, params, address)
        times = read_times(params)
        signature = from_query if from_query is not None else from_body
        payload = kept_query + kept_body
        check_signature(service.venue.ring, key, payload, _unquote_base64(signature or ""))
        times.check(service.server_time_ns((key.key_id, key.account), method))
        return Call(
            method=method,
            key=key,
            query=Query(params, self.symbols),
            address=address,
            times=times,
            strict=self._strict,
        )

    def _unsigned(self, method: str, key: ApiKey, params: dict[str, str], address: str) -> Call:
        """Let in a request that needs a key and no signature."""
        return Call(
            method=method,
            key=key,
            query=Query(params, self.symbols),
            address=address,
            times=NO_TIMES,
            strict=False,
        )

    def websocket(
        self, method: str, params: dict[str, str], session_key: ApiKey | None, address: str
    ) -> Call:
        """Read a websocket request. With a key that logged on, it need not be signed.

        Raises:
            ApiError: for whatever is wrong with it.
        """
        service = self._service
        key = session_key
        known = service.methods.get(method)
        if known is not None and known.unsigned:
            given = params.get("apiKey") or (None if key is None else key.key_id)
            if given is None:
                raise malformed("apiKey")
            key = find_key(service.venue.ring, given, address)
            return self._unsigned(method, key, params, address)
        if "apiKey" in params or session_key is None:
            if "apiKey" not in params:
                raise malformed("apiKey")
            key = find_key(service.venue.ring, params["apiKey"], address)
            times = read_times(params)
            payload = session_payload(params)
            check_signature(service.venue.ring, key, payload, params.get("signature"))
        else:
            key = find_key(service.venue.ring, session_key.key_id, address)
            times = read_times(params)
        times.check(service.server_time_ns((key.key_id, key.account), method))
        return Call(
            method=method,
            key=key,
            query=Query(params, self.symbols),
            address=address,
            times=times,
            strict=False,
        )


def _unquote_base64(text: str) -> str:
    """Undo percent-encoding; a plus that was not encoded is a plus, as base64 has it."""
    return unquote_plus(text.replace("+", "%2B"))


def texts(params: Any) -> dict[str, str]:  # noqa: ANN401 - any JSON value
    """Return a websocket request's parameters as texts, as they are signed.

    Raises:
        ApiError: -1135 where they are no object, or one of them is no plain value.
    """
    if not isinstance(params, dict):
        raise ApiError(-1135, "Invalid JSON Request")
    values: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, bool):
            values[name] = "true" if value else "false"
        elif isinstance(value, str):  # numbers are kept as the texts that they were
            values[name] = value
        elif isinstance(value, list):  # ``symbols``
            values[name] = json.dumps(value, separators=(",", ":"))
        elif value is not None:
            raise ApiError(-1135, f"JSON sent for parameter '{name}' is not valid")
    return values

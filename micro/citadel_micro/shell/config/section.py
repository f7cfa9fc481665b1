"""What the tables of the configuration are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from citadel_micro.shell.config.urls import HTTP, WS, private_url_problem, url_problem

_LONGEST_NAME: Final = 40


def _listed(value: object) -> object:
    """Environment variables and options give lists as comma-separated text."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _address(value: str) -> str:
    if not value.startswith(("tcp://", "ipc://")):
        raise ValueError("must start with tcp:// or ipc://")
    return value


def _http_url(value: str) -> str:
    return _url(value, HTTP)


def _ws_url(value: str) -> str:
    return _url(value, WS)


def _private_http_url(value: str) -> str:
    return _private(value, HTTP)


def _private_ws_url(value: str) -> str:
    return _private(value, WS)


def _private(value: str, schemes: tuple[str, ...]) -> str:
    problem = private_url_problem(value, schemes)
    if problem:
        raise ValueError(problem)
    return value.rstrip("/")


def _key_path(value: object) -> object:
    """A key itself in the place of its file's name is refused, and not repeated."""
    text = str(value)
    if isinstance(value, str | Path) and (
        "PRIVATE KEY" in text
        or ("/" not in text and "." not in text and len(text) >= _LONGEST_NAME)
    ):
        raise ValueError("must be the path of a key file, and this looks like a key")
    return value


def _url(value: str, schemes: tuple[str, ...]) -> str:
    problem = url_problem(value, schemes)
    if problem:
        raise ValueError(problem)
    return value.rstrip("/")


Address = Annotated[str, AfterValidator(_address)]
Addresses = Annotated[list[Address], BeforeValidator(_listed)]


def _account(value: object) -> object:
    """Ids of accounts are often numbers, and TOML then takes them for such."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Account = Annotated[str, BeforeValidator(_account)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
WsUrl = Annotated[str, AfterValidator(_ws_url)]
PrivateHttpUrl = Annotated[str, AfterValidator(_private_http_url)]
PrivateWsUrl = Annotated[str, AfterValidator(_private_ws_url)]
KeyPath = Annotated[Path, BeforeValidator(_key_path)]
Names = Annotated[list[str], BeforeValidator(_listed)]


class Section(BaseModel):
    """Base of all tables: no unknown keys, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

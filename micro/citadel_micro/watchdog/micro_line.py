"""Asks micro whether it is there: one question a second over its socket file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.shell.ops.socket_file import short_name
from citadel_micro.shell.ops.watchdog_server import LONGEST, SOCKET, Answer, Question
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_WITHIN_S: Final = 2.0
"""micro's event loop answers within milliseconds; a pause of a busy machine must not count."""


async def ask(folder: Path, question: Question) -> Answer:
    """The answer of the micro of a run folder.

    Raises:
        PeerUnavailable: there is none: no process, or one that is stopped or hangs.
        BadInput: the socket file belongs to another user.
    """
    path = folder / SOCKET
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            with short_name(path) as short:
                reader, writer = await asyncio.open_unix_connection(short, limit=LONGEST)
            try:
                writer.write(msgspec.json.encode(question) + b"\n")
                line = await reader.readline()
            finally:
                writer.close()
    except PermissionError as error:
        raise BadInput(
            "the socket belongs to another user",
            where=str(path),
            mend="run the watchdog as the user who runs micro",
        ) from error
    except TimeoutError:
        raise PeerUnavailable(f"micro does not answer within {ANSWER_WITHIN_S:g} s") from None
    except (OSError, ValueError) as error:
        raise PeerUnavailable(f"no micro answers at {path}: {error}") from error
    try:
        return msgspec.json.decode(line, type=Answer)
    except (msgspec.MsgspecError, ValueError) as error:
        raise PeerUnavailable(f"{path} gave no answer of a micro: {error}") from None

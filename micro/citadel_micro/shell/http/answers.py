"""Answers of HTTP/1.1, from bytes to ``Answered``. No socket, no clock.

What is not as RFC 9112 has it is refused: an answer that can be read in two ways may be another one's.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

MOST_HEAD: Final = 64 << 10
"""Bytes of a status line and headers."""
_STATUS: Final = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")
"""Of a header: RFC 9110 5.5 forbids what could end a line, and has a tab and bytes above ASCII."""
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[^\r\n]*)?")
_DIGITS: Final = re.compile(r"[0-9]{1,12}")
_LENGTHS: Final = ("content-length", "transfer-encoding")
_CONNECTION: Final = "connection"
_CODED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_EMPTY: Final = frozenset({204, 304})
_FINAL: Final = 200
_SWITCHED: Final = 101
_EITHER: Final = 32 + zlib.MAX_WBITS
"""Of zlib: a gzip or a zlib header, whichever is there."""
_BARE: Final = -zlib.MAX_WBITS
"""Of zlib: no header. RFC 9110 8.4.1.2: some send "deflate" so."""
_MEMBER: Final = b"\x1f\x8b"
"""With which each part of a gzip begins; RFC 1952 2.2 allows several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The other side has answered, whatever the answer."""

    status: int
    """As of HTTP; websocket protocols have the same numbers, or none (0)."""
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in small letters; none of a websocket's answer."""


class _Part(Enum):
    """What comes next."""

    HEAD = "head"
    BODY = "body"
    TO_THE_END = "body without a length"
    SIZE = "size of a chunk"
    CHUNK = "chunk"
    AFTER_CHUNK = "end of a chunk"
    TRAILERS = "trailers"
    NOTHING = "nothing"


class AnswerReader:
    """Reads one answer.

    Args:
        most: bytes of its body, decompressed too.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._buffer = bytearray()
        self._part = _Part.HEAD
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._left = 0
        self._steps = {
            _Part.HEAD: self._head,
            _Part.BODY: self._bytes,
            _Part.TO_THE_END: self._rest,
            _Part.SIZE: self._size,
            _Part.CHUNK: self._bytes,
            _Part.AFTER_CHUNK: self._line_end,
            _Part.TRAILERS: self._trailer,
        }
        self.keeps = False
        """Whether its connection may be used for another request."""

    def feed(self, data: bytes) -> Answered | None:
        """Take what came; the answer, once it is complete.

        Raises:
            ValueError: it is malformed, or too large.
        """
        self._buffer += data
        while self._part is not _Part.NOTHING:
            if not self._steps[self._part]():
                return None
        if self._buffer:  # nobody asked for more
            self.keeps = False
        return self._complete()

    def end(self) -> Answered | None:
        """The connection has ended: the answer that has no other end; None for a part of one.

        Raises:
            ValueError: as ``feed``.
        """
        if self._part is not _Part.TO_THE_END:
            return None
        self._part = _Part.NOTHING
        return self._complete()

    # its parts: False where more has to come

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if max(end, 0 if end >= 0 else len(self._buffer)) > MOST_HEAD:
            raise ValueError("an answer whose head has no end")
        if end < 0:
            return False
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        found = _STATUS.fullmatch(first)
        if found is None:
            raise ValueError("an answer that is not HTTP")
        headers = _headers(lines)
        status = int(found[2])
        if status == _SWITCHED:
            raise ValueError("an answer in another protocol")
        if status >= _FINAL:  # else another one comes after it
            closes = "close" in headers.get(_CONNECTION, "").lower()
            self.keeps = found[1] == "1" and not closes
            self._status, self._headers = status, headers
            self._expect()
        return True

    def _expect(self) -> None:
        """What comes after the head."""
        coding, size = (self._headers.get(each) for each in reversed(_LENGTHS))
        if self._status in _EMPTY:
            self._part = _Part.NOTHING
        elif coding is not None:
            if coding.lower() != "chunked" or size is not None:
                raise ValueError("an answer whose length is not clear")
            self._part = _Part.SIZE
        elif size is None:
            self._part, self.keeps = _Part.TO_THE_END, False
        elif _DIGITS.fullmatch(size) is None:
            raise ValueError("an answer whose length is not clear")
        else:
            self._await(int(size), _Part.BODY)

    def _await(self, size: int, part: _Part) -> None:
        self._check(len(self._body) + size)
        self._left, self._part = size, part

    def _bytes(self) -> bool:
        taken = self._buffer[: self._left]
        self._body += taken
        del self._buffer[: len(taken)]
        self._left -= len(taken)
        if self._left:
            return False
        self._part = _Part.NOTHING if self._part is _Part.BODY else _Part.AFTER_CHUNK
        return True

    def _rest(self) -> bool:
        self._body += self._buffer
        self._buffer.clear()
        self._check(len(self._body))
        return False

    def _size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        found = _CHUNK.fullmatch(line)
        if found is None:
            raise ValueError("an answer with a chunk that is none")
        size = int(found[1], 16)
        self._await(size, _Part.CHUNK if size else _Part.TRAILERS)
        return True

    def _line_end(self) -> bool:
        line = self._line()
        if line:
            raise ValueError("an answer with a chunk that is longer than it says")
        if line is not None:
            self._part = _Part.SIZE
        return line is not None

    def _trailer(self) -> bool:
        line = self._line()
        if line == b"":
            self._part = _Part.NOTHING
        return line is not None

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if max(end, 0 if end >= 0 else len(self._buffer)) > MOST_HEAD:
            raise ValueError("an answer with a line that has no end")
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    # its end

    def _complete(self) -> Answered:
        body = bytes(self._body)
        coding = self._headers.get("content-encoding", "").lower()
        if coding in _CODED and body:
            body = self._unpacked(body, bare=coding == "deflate")
        return Answered(status=self._status, body=body, headers=self._headers)

    def _unpacked(self, body: bytes, *, bare: bool) -> bytes:
        try:
            return self._inflated(body, _EITHER)
        except zlib.error:
            if not bare:
                raise ValueError("an answer that cannot be decompressed") from None
        try:
            return self._inflated(body, _BARE)
        except zlib.error:
            raise ValueError("an answer that cannot be decompressed") from None

    def _inflated(self, body: bytes, header: int) -> bytes:
        """Raises zlib.error, and ValueError for one that is cut off or too large."""
        found = b""
        while True:
            unpack = zlib.decompressobj(header)
            found += unpack.decompress(body, self._most + 1 - len(found))
            self._check(len(found))
            if not unpack.eof:
                raise ValueError("an answer that cannot be decompressed")
            body = unpack.unused_data
            if not body.startswith(_MEMBER):
                return found

    def _check(self, size: int) -> None:
        if size > self._most:
            raise ValueError(f"an answer of more than {self._most} bytes")


def _headers(lines: list[str]) -> dict[str, str]:
    """By name in small letters; of one that comes twice, the last, but all that is said of the connection."""
    found: dict[str, str] = {}
    for line in lines:
        name, sign, value = line.partition(":")
        name = name.lower()
        if not sign or _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise ValueError("an answer with a header that is none")
        if name in found and name in _LENGTHS:
            raise ValueError("an answer whose length is not clear")
        value = value.strip(" \t")
        found[name] = f"{found[name]}, {value}" if name in found and name == _CONNECTION else value
    return found

"""Answers of HTTP from bytes, however they are cut; what can be read in two ways is refused."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import pytest

from citadel_micro.shell.http.answers import AnswerReader

if TYPE_CHECKING:
    from citadel_micro.shell.venue.outcomes import Answered

MOST = 10_000
PLAIN = b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\nRetry-After:  9 \r\n\r\n{"a":1}'
CHUNKED = (
    b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'4;of=no=matter\r\n{"a"\r\n3\r\n:1}\r\n0\r\nTrailer: x\r\n\r\n'
)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN


def packed(body: bytes, how: bytes = b"gzip") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + how + b"\r\nContent-Length: "
    return head + str(len(body)).encode() + b"\r\n\r\n" + body


def fed(parts: list[bytes]) -> tuple[Answered | None, AnswerReader]:
    reader = AnswerReader(MOST)
    found = None
    for part in parts:
        assert found is None, "complete before its last byte"
        found = reader.feed(part)
    return found, reader


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (PLAIN, 200),
        (CHUNKED, 400),
        (CONTINUED, 200),
        (packed(gzip.compress(b'{"a":1}', mtime=0)), 200),
        (packed(zlib.compress(b'{"a":1}'), b"deflate"), 200),
        (packed(zlib.compress(b'{"a":1}', wbits=-zlib.MAX_WBITS), b"deflate"), 200),
        (packed(gzip.compress(b'{"a"', mtime=0) + gzip.compress(b":1}", mtime=0)), 200),
    ],
)
def test_an_answer_is_the_same_however_it_is_cut(raw: bytes, status: int) -> None:
    cuts = [[raw], [raw[at : at + 1] for at in range(len(raw))]]
    cuts += [[raw[:at], raw[at:]] for at in range(1, len(raw))]
    for parts in cuts:
        found, reader = fed(parts)
        assert found is not None
        assert (found.status, found.body) == (status, b'{"a":1}')
        assert reader.keeps


def test_headers_are_by_name_in_small_letters() -> None:
    found, _ = fed([PLAIN])
    assert found is not None
    assert found.headers == {"content-length": "7", "retry-after": "9"}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"Server:\tgateway", "gateway"),
        (b"Server: a\tb", "a\tb"),
        (b"Server: \xe2\x80\x93", "\xe2\x80\x93"),
        (b"Server: a\xa0b", "a\xa0b"),
    ],
)
def test_a_header_may_have_tabs_and_any_letters(line: bytes, value: str) -> None:
    found, reader = fed([PLAIN.replace(b"Retry-After:  9 ", line)])
    assert found is not None
    assert (found.headers["server"], found.body, reader.keeps) == (value, b'{"a":1}', True)


@pytest.mark.parametrize("control", [b"\0", b"\x0b", b"\r", b"\x7f"])
def test_a_header_has_no_other_control_characters(control: bytes) -> None:
    with pytest.raises(ValueError, match="a header that is none"):
        AnswerReader(MOST).feed(PLAIN.replace(b"9", b"a" + control + b"b"))


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    found, reader = fed([b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", b"</html>"])
    assert found is None
    assert not reader.keeps
    found = reader.end()
    assert found is not None
    assert (found.status, found.body) == (502, b"<html></html>")


@pytest.mark.parametrize(
    "raw", [b"", PLAIN[:10], PLAIN[:-1], CHUNKED[:-1], packed(gzip.compress(b"x", mtime=0))[:-1]]
)
def test_a_part_of_an_answer_is_none(raw: bytes) -> None:
    reader = AnswerReader(MOST)
    assert reader.feed(raw) is None
    assert reader.end() is None


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_some_have_no_body(status: bytes) -> None:
    found, reader = fed([b"HTTP/1.1 " + status + b"\r\n\r\n"])
    assert found is not None
    assert (found.body, reader.keeps) == (b"", True)


@pytest.mark.parametrize(
    "raw",
    [
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"Retry-After:  9", b"Connection: Close"),
        PLAIN.replace(b"Retry-After:  9", b"Connection: close\r\nConnection: X-Gate"),
        PLAIN + b"HTTP/1.1 200 OK",
    ],
)
def test_its_connection_is_not_used_again(raw: bytes) -> None:
    found, reader = fed([raw])
    assert found is not None
    assert not reader.keeps


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        HEAD + b"Content-Length: +2\r\n\r\n",
        HEAD + b"Content-Length: 2, 2\r\n\r\n",
        HEAD + b"Content-Length: 10001\r\n\r\n",
        HEAD + b"Content Length: 2\r\n\r\n",
        HEAD + b"Folded: a\r\n b: c\r\n\r\n",
        HEAD + b"No sign\r\n\r\n",
        HEAD + b"Bare: a\nb\r\n\r\n",
        HEAD + b"Long: " + b"x" * 70_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2711\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 70_000,
        HEAD + b"\r\n" + b"x" * 10_001,
        packed(gzip.compress(b"x" * 10_001, mtime=0)),
        packed(b"not packed"),
        packed(gzip.compress(b"x", mtime=0)[:-4]),
        packed(gzip.compress(b"x" * 6_000, mtime=0) * 2),
        packed(zlib.compress(b"x", wbits=-zlib.MAX_WBITS)),
        packed(zlib.compress(b"x" * 99, wbits=-zlib.MAX_WBITS)[:-1], b"deflate"),
        packed(b"not packed", b"deflate"),
    ],
)
def test_what_is_malformed_or_too_large_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="an answer"):
        AnswerReader(MOST).feed(raw)

"""Requests over TLS, as every venue has it: one connection, and none to a host that cannot prove its name."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from http_host import MANY, Host
from waiting import until

from citadel_micro.shell.http.pool import HttpPool
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.outcomes import Answered, NotSent

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path


def certificate(folder: Path, name: x509.GeneralName) -> Path:
    """A file with a key and its own certificate, for one host."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a venue of a test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "venue.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


def host_of(pem: Path, *, only: int = MANY) -> Host:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    return Host(only=only, tls=tls)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    factory = None
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop

    def runs(scenario: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(scenario)

    return runs


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pem = certificate(tmp_path, x509.IPAddress(ip_address("127.0.0.1")))
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    return pem


def test_ten_requests_over_tls_have_one_connection(
    run: Callable[[Coroutine[Any, Any, None]], None], trusted: Path
) -> None:
    """TLS 1.3 sends its tickets after the handshake: they are no end, and nobody's answer."""

    async def scenario() -> None:
        host = host_of(trusted)
        async with host as client:
            for number in range(10):
                answer = await client.send("POST", f"/{number}")
                assert isinstance(answer, Answered), answer
                assert answer.body == b"ok"
            assert (host.connections, len(host.requests)) == (1, 10)

    run(scenario())


def test_a_host_that_ends_each_connection_is_asked_over_another(
    run: Callable[[Coroutine[Any, Any, None]], None], trusted: Path
) -> None:
    async def scenario() -> None:
        host = host_of(trusted, only=1)
        async with host as client:
            for number in range(5):
                assert isinstance(await client.send("POST", f"/{number}"), Answered)
                # what it said last has come
                await until(lambda: not any(link.ready for link in client._pool.links))
            assert (host.connections, len(host.requests)) == (5, 5)

    run(scenario())


@pytest.mark.parametrize("wrong", ["unknown", "another name"])
def test_a_host_that_cannot_prove_its_name_is_sent_nothing(
    run: Callable[[Coroutine[Any, Any, None]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
) -> None:
    pem = certificate(
        tmp_path,
        x509.DNSName("other.test")
        if wrong == "another name"
        else x509.IPAddress(ip_address("127.0.0.1")),
    )
    if wrong == "another name":
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))

    async def scenario() -> None:
        host = host_of(pem)
        async with host as client:
            outcome = await client.send("POST", "/order?signature=secret")
            assert isinstance(outcome, NotSent), outcome
            assert "certificate" in outcome.reason.lower()
            assert "secret" not in outcome.reason
            assert host.requests == []

    run(scenario())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_is_asked_has_left_when_the_call_returns(
    run: Callable[[Coroutine[Any, Any, None]], None], trusted: Path, scheme: str
) -> None:
    """Not at the end of the loop's turn: there is no turn here before the host has read all of it."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(trusted)

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            pool = HttpPool(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", 1_000)

            def accept() -> socket.socket:
                accepted, _ = listener.accept()
                accepted.settimeout(10)
                return (
                    tls.wrap_socket(accepted, server_side=True) if scheme == "https" else accepted
                )

            link, theirs = await asyncio.gather(pool.connect(), asyncio.to_thread(accept))
            request = b"POST /order HTTP/1.1\r\n\r\n"
            try:
                answer = link.ask(request)
                read = b""
                while len(read) < len(request):
                    read += theirs.recv(len(request))
                assert read == request
                theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                assert (await answer).body == b"ok"
            finally:
                theirs.close()
                await pool.close()

    run(scenario())


def test_a_host_that_ends_the_connection_at_once_is_sent_nothing(
    run: Callable[[Coroutine[Any, Any, None]], None], trusted: Path
) -> None:
    del trusted

    async def scenario() -> None:
        async def end(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_server(end, "127.0.0.1", 0)
        client = HttpClient(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", "a test")
        outcome = await client.send("POST", "/order")
        assert isinstance(outcome, NotSent), outcome
        await client.close()
        server.close()
        await server.wait_closed()

    run(scenario())

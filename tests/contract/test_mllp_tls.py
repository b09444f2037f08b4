"""Who may connect: TLS with and without certificates of senders, and allowed peers. Real sockets on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest

from fhirpay.errors import ConfigInvalid
from fhirpay.hl7.framing import framed
from fhirpay.hl7.mllp_server import MllpServer
from fhirpay.hl7.tls import client_context, server_context
from tls_files import tls_files

pytestmark = pytest.mark.warns("mllp.refused", "mllp.truncated")

PATIENCE_S = 10
FILES = tls_files()


async def echo(frame: bytes, peer: str) -> bytes | None:
    return b"ACK " + frame


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[MllpServer]:
    server = MllpServer("127.0.0.1", 0, echo, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(1)


async def exchange(server: MllpServer, tls: ssl.SSLContext | None, message: bytes = b"MSH|1") -> bytes:
    """The answer; '' when the connection was closed or never stood."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=tls, limit=1_000_000)
            try:
                writer.write(framed(message))
                return (await reader.readuntil(b"\x1c\r"))[1:-2]
            finally:
                writer.close()
    except (OSError, asyncio.IncompleteReadError):
        return b""


def ours(client_ca: str = "", *, required: bool = True) -> ssl.SSLContext:
    return server_context(FILES.cert, FILES.key, client_ca=client_ca, client_required=required)


def theirs(cert: str = "", ca: str = FILES.ca) -> ssl.SSLContext:
    return client_context(ca=ca, cert=cert)


async def test_messages_over_tls_in_order_and_large_ones_whole() -> None:
    async with serving(tls=ours()) as server:
        large = b"MSH|" + b"x" * 300_000
        assert await exchange(server, theirs()) == b"ACK MSH|1"
        assert await exchange(server, theirs(), large) == b"ACK " + large


async def test_a_sender_without_tls_gets_nothing_and_holds_no_slot() -> None:
    async with serving(tls=ours(), max_connections=1) as server:
        assert await exchange(server, None) == b""
        assert await exchange(server, theirs()) == b"ACK MSH|1"


@pytest.mark.parametrize(
    ("required", "cert", "taken"),
    [
        (True, "sender", True),
        (True, "", False),
        (True, "stranger", False),
        (False, "sender", True),
        (False, "", True),
        (False, "stranger", False),
    ],
)
async def test_certificates_of_senders(required: bool, cert: str, taken: bool) -> None:
    async with serving(tls=ours(FILES.ca, required=required)) as server:
        assert await exchange(server, theirs(getattr(FILES, cert, ""))) == (b"ACK MSH|1" if taken else b"")


async def test_a_sender_that_trusts_another_authority_does_not_talk_to_us() -> None:
    async with serving(tls=ours()) as server:
        assert await exchange(server, theirs(ca=FILES.stranger)) == b""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_tls_older_than_1_2_is_refused() -> None:
    old = theirs()
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    assert ours().minimum_version == ssl.TLSVersion.TLSv1_2
    async with serving(tls=ours()) as server:
        assert await exchange(server, old) == b""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            exact = theirs()
            exact.minimum_version = exact.maximum_version = version
            assert await exchange(server, exact) == b"ACK MSH|1"


@pytest.mark.parametrize(
    ("peers", "taken"),
    [
        ((), True),
        (("127.0.0.1/32",), True),
        (("10.0.0.0/8", "127.0.0.0/8"), True),
        (("10.0.0.0/8",), False),
        (("::1/128",), False),
    ],
)
async def test_only_allowed_peers_are_heard(peers: tuple[str, ...], taken: bool) -> None:
    async with serving(peers=[ip_network(peer) for peer in peers]) as server:
        assert await exchange(server, None) == (b"ACK MSH|1" if taken else b"")
        assert not [host for host in ("", "no address") if server.peers and not server.refusal(host)]


async def test_a_peer_is_known_by_its_address_however_the_socket_writes_it() -> None:
    server = MllpServer("::", 0, echo, peers=[ip_network("10.1.0.0/16"), ip_network("fe80::/10")])
    assert server.refusal("::ffff:10.1.2.3") == ""
    assert server.refusal("fe80::1%eth0") == ""
    assert server.refusal("::ffff:10.2.2.3") == "peer-not-allowed"


async def test_refused_peers_are_logged_by_code(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(peers=[ip_network("10.0.0.0/8")]) as server:
        await exchange(server, None)
    async with serving(tls=ours(FILES.ca)) as server:
        await exchange(server, theirs())
    codes = [getattr(one, "fields", {}).get("code") for one in caplog.records if one.message == "mllp.refused"]
    assert codes == ["peer-not-allowed", "tls-failed"]


@pytest.mark.parametrize(
    ("cert", "key", "ca"),
    [("missing.pem", "", ""), ("cert", "sender", ""), ("cert", "key", "key"), ("key", "", "")],
)
def test_files_that_cannot_be_used_are_named(cert: str, key: str, ca: str) -> None:
    cert, key, ca = (getattr(FILES, name, name) for name in (cert, key, ca))
    with pytest.raises(ConfigInvalid) as caught:
        server_context(cert, key, client_ca=ca)
    assert (ca or cert) in caught.value.message

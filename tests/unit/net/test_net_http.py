"""What a client keeps to: every answer is an answer, nothing is followed, remembered or taken from the environment.

How a call without an answer is classed: tests/contract/test_net_never_sent.py.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from fhirpay.errors import ConfigInvalid
from fhirpay.net.http import HttpClient, NeverSent, Uncertain, _Stage, client
from tls_files import tls_files

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def peer(behave: Peer) -> AsyncIterator[HttpClient]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    http = client(f"http://127.0.0.1:{port}", allow_private=True)
    try:
        yield http
    finally:
        await http.aclose()
        server.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


async def test_an_answer_of_any_status_is_an_answer() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 4\r\nRetry-After: 3\r\n\r\nwait")

    async with peer(behave) as http:
        answer = await http.send("POST", "/x", body=b"{}")
    assert (answer.status, answer.body, answer.headers["retry-after"], answer.ok) == (503, b"wait", "3", False)


async def test_no_redirect_is_followed_and_no_cookie_kept() -> None:
    heads: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await _request(reader))
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: /else\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n")

    async with peer(behave) as http:
        assert (await http.send("GET", "/one")).status == 302
        await http.send("GET", "/two")
    assert len(heads) == 2
    assert b"cookie" not in heads[1].lower()


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{_free_port()}")

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(OK)

    async with peer(behave) as http:
        assert (await http.send("GET", "/")).ok


async def test_an_answer_beyond_the_limit_is_uncertain() -> None:
    wire = httpx2.MockTransport(lambda _: httpx2.Response(200, content=b"x" * 1000))
    http = HttpClient("https://example.com", max_body_bytes=100, transport=wire)
    with pytest.raises(Uncertain):
        await http.send("GET", "/")
    await http.aclose()


async def test_a_name_that_leads_here_once_it_was_checked_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the address that was checked is not the one that is connected to."""
    heard: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    resolve, answers = loop.getaddrinfo, iter(["93.184.215.14"])

    async def rebinds(host: Any, *args: Any, **more: Any) -> Any:
        assert host in ("rebinds.example", b"rebinds.example")
        return await resolve(next(answers, "127.0.0.1"), *args, **more)

    monkeypatch.setattr(loop, "getaddrinfo", rebinds)
    http = client(f"http://rebinds.example:{port}", timeout_s=2)
    try:
        with pytest.raises(ConfigInvalid, match="private or this machine"):
            await http.send("POST", "/latest/meta-data", body=b"secret")
    finally:
        await http.aclose()
        server.close()
        await server.wait_closed()
    await asyncio.sleep(0)
    assert b"".join(heard) == b""


async def test_a_server_that_speaks_nothing_newer_than_tls_1_1_is_not_called() -> None:
    """By its own word: it isn't its certificate that we don't take."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(tls_files().cert, tls_files().key)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1

    def shake(listener: socket.socket) -> str:
        connection, _ = listener.accept()
        with connection, pytest.raises(ssl.SSLError) as caught:
            old.wrap_socket(connection, server_side=True)
        return str(caught.value.reason)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        shaken = asyncio.create_task(asyncio.to_thread(shake, listener))
        http = client(f"https://127.0.0.1:{listener.getsockname()[1]}", allow_private=True)
        with pytest.raises(NeverSent):
            await http.send("POST", "/token", body=b"{}")
        await http.aclose()
        assert await shaken == "UNSUPPORTED_PROTOCOL"


async def test_a_connection_that_is_gone_before_its_address_is_read_was_never_written_to() -> None:
    class Gone:
        closed = False

        def get_extra_info(self, name: str) -> None:
            return None

        async def aclose(self) -> None:
            self.closed = True

    gone, stage = Gone(), _Stage(allow_private=False)
    with pytest.raises(ConnectionResetError) as caught:
        await stage.note("connection.connect_tcp.complete", {"return_value": gone})
    assert gone.closed
    assert stage.never_sent(caught.value)

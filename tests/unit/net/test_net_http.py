"""Which failures were never sent, proven with a raw socket peer: everything else may have happened."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest

from fhirpay.net.http import HttpClient, NeverSent, Uncertain, client

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def peer(behave: Peer, *, timeout_s: float = 2, max_connections: int = 5) -> AsyncIterator[HttpClient]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    http = client(f"http://127.0.0.1:{port}", timeout_s=timeout_s, allow_private=True, max_connections=max_connections)
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


async def test_a_refused_connection_was_never_sent() -> None:
    http = client(f"http://127.0.0.1:{_free_port()}", allow_private=True)
    with pytest.raises(NeverSent):
        await http.send("POST", "/pay", body=b"{}")
    await http.aclose()


async def test_a_name_without_address_was_never_sent() -> None:
    http = client("http://nowhere.invalid", allow_private=True)
    with pytest.raises(NeverSent):
        await http.send("POST", "/pay", body=b"{}")
    await http.aclose()


async def test_a_failed_tls_handshake_was_never_sent() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"this is no TLS")

    async with peer(behave) as plain:
        http = client(plain.base_url.replace("http:", "https:"), allow_private=True, timeout_s=2)
        with pytest.raises(NeverSent):
            await http.send("POST", "/pay", body=b"{}")
        await http.aclose()


async def test_no_free_connection_in_time_was_never_sent() -> None:
    seen = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await _request(reader)
        seen += 1
        await asyncio.sleep(1.2)
        writer.write(OK)

    async with peer(behave, timeout_s=2, max_connections=1) as http:
        first = asyncio.create_task(http.send("POST", "/first", body=b"{}"))
        await asyncio.sleep(0.1)
        with pytest.raises(NeverSent):
            await http.send("POST", "/second", body=b"{}", timeout_s=0.6)
        assert (await first).ok
    assert seen == 1


async def _accept_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _reset_after_reading_some(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.transport.abort()


async def _close_after_the_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)


async def _close_inside_the_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-le")


async def _close_inside_the_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{")


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    await asyncio.sleep(3)


async def _drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n")
    for _ in range(50):
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.1)


async def _talks_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(b"\x15\x03\x01 nonsense\r\n\r\n")


@pytest.mark.parametrize(
    "behave",
    [
        _accept_and_close,
        _reset_after_reading_some,
        _close_after_the_request,
        _close_inside_the_head,
        _close_inside_the_body,
        _silent,
        _drips,
        _talks_nonsense,
    ],
)
async def test_anything_after_the_connection_stood_is_uncertain(behave: Peer) -> None:
    async with peer(behave, timeout_s=0.5) as http:
        with pytest.raises(Uncertain):
            await http.send("POST", "/pay", body=b"{" + b" " * 100_000 + b"}")


async def test_a_stale_kept_connection_is_uncertain_and_the_request_is_not_repeated() -> None:
    requests = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await _request(reader)
        requests += 1
        writer.write(OK)
        await writer.drain()
        await _request(reader)  # the second one arrives, and gets no answer
        requests += 1

    async with peer(behave) as http:
        assert (await http.send("POST", "/one", body=b"{}")).ok
        with pytest.raises(Uncertain):
            await http.send("POST", "/two", body=b"{}")
    assert requests == 2


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

"""`outbound_http`: 50 calls in flight to ten peers that take 300 ms each, by our clients as they are made for an EHR.

The value is calls a second; the ratio is to what 50 in flight can be, 50 / 0.3 s: 0.95 or more is wanted. Before it is
timed, the classes of errors are looked at: nobody listening and a connection that never comes are NeverSent, a peer
that reads and hangs up, and one that never answers, are Uncertain (tests/contract/test_net_never_sent.py has them all).

`/dead-peer` is the p99 of those calls, in milliseconds, while five more at a time go to a destination that never takes
a connection; the ratio is to the p99 without them, in turn: below 1.05 is wanted.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from harness import a_b_a, row

from fhirpay.net.http import HttpClient, NeverSent, Uncertain, client

PEERS, IN_FLIGHT, TAKES_S, EACH = 10, 50, 0.3, 20
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"


def _serve(sockets: list[socket.socket]) -> None:
    """The peers, in a process of their own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b" /hang-up " in head:
            writer.transport.abort()
            return
        await asyncio.sleep(3600 if b" /silent " in head else TAKES_S)
        writer.write(_ANSWER)
        await writer.drain()
        writer.close()

    async def main() -> None:
        for one in sockets:
            await asyncio.start_server(answer, sock=one)
        await asyncio.Event().wait()

    asyncio.run(main())


def _listening() -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen(256)
    return made


def _url(peer: socket.socket) -> str:
    return f"http://127.0.0.1:{peer.getsockname()[1]}"


@contextmanager
def peers() -> Iterator[list[str]]:
    sockets = [_listening() for _ in range(PEERS)]
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(sockets,), daemon=True)
    process.start()
    try:
        yield [_url(one) for one in sockets]
    finally:
        process.terminate()
        process.join()


@contextmanager
def dead() -> Iterator[str]:
    """An address whose queue of connections is full and stays so: a connection to it never comes."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield _url(full)


def _client(url: str, timeout_s: float = 10) -> HttpClient:
    return client(url, timeout_s=timeout_s, allow_private=True)


async def _proven(peer: str, dead_one: str) -> None:
    unused = _listening()
    nobody = _url(unused)
    unused.close()
    for url, path, wanted in (
        (nobody, "/", NeverSent),
        (dead_one, "/", NeverSent),
        (peer, "/hang-up", Uncertain),
        (peer, "/silent", Uncertain),
    ):
        http = _client(url, 1)
        try:
            await http.send("POST", path, body=b"{}")
        except (NeverSent, Uncertain) as error:
            if type(error) is not wanted:
                raise SystemExit(f"{path} is {type(error).__name__}, not {wanted.__name__}") from None
        else:
            raise SystemExit(f"{path} was answered")
        finally:
            await http.aclose()


async def _calls(urls: list[str], dead_one: str = "") -> tuple[float, list[float]]:
    """How long all of them took, and each, in seconds: EACH one after the other, of so many callers."""
    clients = [_client(url) for url in urls]
    took: list[float] = []

    async def caller(http: HttpClient) -> None:
        for _ in range(EACH):
            begun = time.perf_counter()
            await http.send("POST", "/", body=b"{}")
            took.append(time.perf_counter() - begun)

    async def blocked_caller(http: HttpClient) -> None:
        while True:
            with suppress(NeverSent):
                await http.send("POST", "/", body=b"{}")

    blocked = [_client(dead_one, 2)] if dead_one else []
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        stuck = [group.create_task(blocked_caller(one)) for one in blocked for _ in range(5)]
        await asyncio.gather(*(caller(clients[number % PEERS]) for number in range(IN_FLIGHT)))
        whole = time.perf_counter() - begun
        for one in stuck:
            one.cancel()
    for one in (*clients, *blocked):
        await one.aclose()
    return whole, took


def main() -> None:
    with peers() as urls, dead() as dead_one:
        asyncio.run(_proven(urls[0], dead_one))
        wholes: list[float] = []

        def p99_ms(dead_one: str = "") -> float:
            whole, took = asyncio.run(_calls(urls, dead_one))
            if not dead_one:
                wholes.append(whole)
            return sorted(took)[len(took) * 99 // 100] * 1000

        _, value, ratio = a_b_a(p99_ms, lambda: p99_ms(dead_one), 3)
        whole = statistics.median(wholes[1:])
        row("outbound_http", IN_FLIGHT * EACH / whole, "calls/s", "50 in flight, 300 ms each", EACH * TAKES_S / whole)
        row("outbound_http/dead-peer", value, "ms p99", "without the dead peer", ratio)


if __name__ == "__main__":
    main()

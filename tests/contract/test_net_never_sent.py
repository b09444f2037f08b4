"""The never-sent proof: a raw-socket peer fails in every way that it can, and its own record judges our word for it.

The law: NeverSent exactly when there was no connection on which the peer could have read a byte of this request (of
TLS: none whose handshake was through); the request is on the wire at most once; everything else is Uncertain, or an
answer. Where a peer throws away what it hasn't read, we can't know that, and Uncertain is right as well. Each case runs
once, those that end by the call's own limit first and by themselves: a limit that runs out while this process does
something else, before it came to write, is truly never sent. The table of what came out is written to
build/never_sent.txt.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx2
import pytest
from raw_peer import HOST, Conn, Peer, Script, certificate

from fhirpay.net.http import HttpClient, NeverSent, Uncertain

Word = Literal["never sent", "uncertain", "answer"]
NEVER, UNCERTAIN, ANSWER = "never sent", "uncertain", "answer"
CANARY = b"canary-of-this-request"
SMALL = b'{"say": "' + CANARY + b'"}'
LARGE = SMALL + b" " * 12_000_000  # more than the buffers of both ends hold
PATIENT_S, SHORT_S = 60.0, 3.0  # a call that ends by the peer's doing; one that ends by its own limit
TABLE = Path(__file__).resolve().parents[2] / "build" / "never_sent.txt"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
NO = OK.replace(b"200 OK", b"503 No")
GZIP = OK.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")


@dataclass(frozen=True)
class Case:
    name: str
    script: Script
    expect: tuple[Word, ...]
    body: bytes = SMALL
    limit_s: float = PATIENT_S
    tls: Literal["", "trusted", "unknown issuer", "other name", "wants a certificate"] = ""
    raw: bool = False  # the peer does no TLS by itself
    before: bool = False  # a call is answered first, by the same client
    pool: int = 5
    late: bool = False  # the peer accepts only afterwards
    full: bool = False  # its queue of connections is full
    blind: bool = False  # our end may have had a connection and written, and the peer had thrown it away by then


@dataclass(frozen=True)
class Result:
    word: Word
    says: str
    could: bool  # by the peer's record: a connection for this request, on which it may have been read
    read: int  # bytes that the peer has read on connections for this request
    requests: int  # how often the request began there
    canary: bool  # whether its body was seen
    conns: int


# ── what a peer may do ────────────────────────────────────────────────────────────────────────────────────────────


def does(*steps: Callable[[Conn], object]) -> Script:
    def script(conn: Conn) -> None:
        for step in steps:
            step(conn)

    return script


def says(data: bytes) -> Script:
    return lambda conn: conn.send(data)


def reads(least: int) -> Script:
    def script(conn: Conn) -> None:
        while len(conn.got) < least and conn.read(min(65536, least - len(conn.got))):
            pass

    return script


def drips(conn: Conn) -> None:
    while not conn.peer.over.wait(0.05):
        conn.send(b".")


hello = Conn.read  # the client's first TLS record
asked, head, shakes = Conn.request, Conn.head, Conn.handshake
hangs, closes, resets = Conn.hang, Conn.close, Conn.reset
BEGUN = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
ALERT = b"\x15\x03\x03\x00\x02\x02\x28"  # TLS: fatal, handshake_failure


def first_then(*steps: Callable[[Conn], object]) -> Script:
    """A call before this one is answered (and then `steps`); this one is, too, on whichever connection it comes."""

    def script(conn: Conn) -> None:
        if conn is conn.peer.conns[0]:
            does(asked, says(OK), *steps)(conn)
        else:
            does(asked, says(OK))(conn)

    return script


CASES = [
    # ── no connection ──
    Case("connection refused", closes, (NEVER,)),
    Case("name without an address", closes, (NEVER,)),
    Case("no room in the peer's queue of connections", hangs, (NEVER,), limit_s=SHORT_S, late=True, full=True),
    Case("no free connection of ours in time", hangs, (NEVER,), limit_s=SHORT_S, pool=1, before=True),
    # ── TLS ──
    Case("TLS: the peer speaks something else", does(hello, says(b"no TLS")), (NEVER,), tls="trusted", raw=True),
    Case("TLS: alert after our hello", does(hello, says(ALERT)), (NEVER,), tls="trusted", raw=True),
    Case("TLS: closed after our hello", does(hello, closes), (NEVER,), tls="trusted", raw=True),
    Case("TLS: reset after our hello", does(hello, resets), (NEVER,), tls="trusted", raw=True),
    Case("TLS: handshake hangs", does(hello, hangs), (NEVER,), tls="trusted", raw=True, limit_s=SHORT_S),
    Case("TLS: certificate of an unknown issuer", shakes, (NEVER,), tls="unknown issuer"),
    Case("TLS: certificate of another name", shakes, (NEVER,), tls="other name"),
    Case("TLS: wants a certificate of ours", shakes, (UNCERTAIN,), tls="wants a certificate", blind=True),
    Case("TLS: closed after the handshake", does(shakes, closes), (UNCERTAIN,), tls="trusted", blind=True),
    Case("TLS: reset in the body", does(shakes, reads(100_000), resets), (UNCERTAIN,), LARGE, tls="trusted"),
    Case("TLS: garbage instead of an answer", lambda c: garbage(c), (UNCERTAIN,), tls="trusted"),
    Case("TLS: cut inside the answer", does(shakes, asked, says(BEGUN), closes), (UNCERTAIN,), tls="trusted"),
    Case("TLS: an answer", does(shakes, asked, says(OK)), (ANSWER,), tls="trusted"),
    # ── before and in the request ──
    Case("closed at once", closes, (NEVER, UNCERTAIN), LARGE, blind=True),
    Case("reset at once", resets, (NEVER, UNCERTAIN), LARGE, blind=True),
    Case("closed at once, small request", closes, (NEVER, UNCERTAIN), blind=True),
    Case("not accepted, though connected", hangs, (UNCERTAIN,), limit_s=SHORT_S, late=True),
    Case("hangs before it reads", hangs, (UNCERTAIN,), LARGE, limit_s=SHORT_S),
    Case("closed inside the request's head", does(reads(10), closes), (UNCERTAIN,)),
    Case("reset inside the request's head", does(reads(10), resets), (UNCERTAIN,)),
    Case("hangs after the head", does(head, hangs), (UNCERTAIN,), limit_s=SHORT_S),
    Case("closed inside the body", does(reads(100_000), closes), (UNCERTAIN,), LARGE),
    Case("reset inside the body", does(reads(100_000), resets), (UNCERTAIN,), LARGE),
    Case("hangs inside the body", does(reads(100_000), hangs), (UNCERTAIN,), LARGE, limit_s=SHORT_S),
    # ── after the request ──
    Case("closed before the answer", does(asked, closes), (UNCERTAIN,)),
    Case("reset before the answer", does(asked, resets), (UNCERTAIN,)),
    Case("hangs before the answer", does(asked, hangs), (UNCERTAIN,), limit_s=SHORT_S),
    Case("closed inside the answer's head", does(asked, says(BEGUN[:25]), closes), (UNCERTAIN,)),
    Case("hangs inside the answer's head", does(asked, says(BEGUN[:25]), hangs), (UNCERTAIN,), limit_s=SHORT_S),
    Case("closed inside the answer", does(asked, says(BEGUN), closes), (UNCERTAIN,)),
    Case("reset inside the answer", does(asked, says(BEGUN), resets), (UNCERTAIN,)),
    Case("hangs inside the answer", does(asked, says(BEGUN), hangs), (UNCERTAIN,), limit_s=SHORT_S),
    Case("drips its answer beyond the limit", does(asked, says(CHUNKED[:17]), drips), (UNCERTAIN,), limit_s=SHORT_S),
    Case("chunks cut short", does(asked, says(CHUNKED + b"5\r\nhel"), closes), (UNCERTAIN,)),
    Case("chunks without the last one", does(asked, says(CHUNKED + b"2\r\nok\r\n"), closes), (UNCERTAIN,)),
    # ── strange answers ──
    Case("nonsense", does(asked, says(b"\x15\x03\x01 nonsense\r\n\r\n")), (UNCERTAIN,)),
    Case("an HTTP/2 preface", does(asked, says(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")), (UNCERTAIN,)),
    Case("a chunk of no size", does(asked, says(CHUNKED + b"zz\r\nok\r\n0\r\n\r\n")), (UNCERTAIN,)),
    Case("two lengths", does(asked, says(OK.replace(b"\r\n\r\n", b"\r\ncontent-length: 3\r\n\r\n"))), (UNCERTAIN,)),
    Case("a head without end", does(asked, says(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000)), (UNCERTAIN,)),
    Case("not the encoding that it names", does(asked, says(GZIP)), (UNCERTAIN,)),
    Case("100 Continue, then an answer", does(head, says(b"HTTP/1.1 100 Go on\r\n\r\n"), asked, says(OK)), (ANSWER,)),
    Case("103 Early Hints, then an answer", does(asked, says(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)), (ANSWER,)),
    Case("103 Early Hints, then nothing", does(asked, says(b"HTTP/1.1 103 Early Hints\r\n\r\n"), closes), (UNCERTAIN,)),
    Case("HTTP/1.0, ended by closing", does(asked, says(b"HTTP/1.0 200 OK\r\n\r\nok"), closes), (ANSWER,)),
    Case("HTTP/1.0, ended by a reset", does(asked, says(b"HTTP/1.0 200 OK\r\n\r\nok"), resets), (UNCERTAIN,)),
    # ── early answers ──
    Case("503 before the body, which it then reads", does(head, says(NO)), (ANSWER,)),
    Case("503 before the body, then a reset", does(head, says(NO), resets), (ANSWER, UNCERTAIN), LARGE),
    Case("503 before the body, then hangs", does(head, says(NO), hangs), (ANSWER, UNCERTAIN), LARGE, limit_s=SHORT_S),
    # ── a second call ──
    Case("a call before it, connection kept open", first_then(hangs), (ANSWER,), before=True),
    Case("a call before it, connection closed when idle", first_then(closes), (ANSWER,), before=True),
    Case("a call before it, answered twice", first_then(says(OK.replace(b"ok", b"NO")), hangs), (ANSWER,), before=True),
]  # fmt: skip


def garbage(conn: Conn) -> None:
    conn.handshake()
    conn.request()
    raw = socket.socket(fileno=conn.sock.detach())
    raw.sendall(b"\x17\x03\x03\x00\x20" + b"?" * 32)
    raw.close()


# ── running them ──────────────────────────────────────────────────────────────────────────────────────────────────


class Lab:
    """Certificates, made once."""

    def __init__(self, folder: Path) -> None:
        self.ours = certificate(folder, "localhost")
        self.other = certificate(folder, "elsewhere.example")
        self.trust = ssl.create_default_context(cafile=self.ours[0])
        self.trust.load_verify_locations(self.other[0])

    def server(self, kind: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(self.other if kind == "other name" else self.ours))
        if kind == "wants a certificate":
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ours[0])
        return context

    def client(self, case: Case, url: str) -> HttpClient:
        transport = None
        if case.tls and case.tls != "unknown issuer":
            transport = httpx2.AsyncHTTPTransport(verify=self.trust, trust_env=False)
        return HttpClient(url, allow_private=True, max_connections=case.pool, transport=transport)


async def run(case: Case, lab: Lab) -> Result:
    async with AsyncExitStack() as stack:
        tls = lab.server(case.tls) if case.tls and not case.raw else None
        peer = Peer(case.script, tls=tls, secure=bool(case.tls), late=case.late, backlog=0 if case.full else 50)
        stack.push_async_callback(asyncio.to_thread, peer.close)
        url = f"https://localhost:{peer.port}" if case.tls else f"http://{HOST}:{peer.port}"
        if case.name.startswith("connection refused"):
            await asyncio.to_thread(peer.close)
        if case.name.startswith("name without"):
            url = "http://nowhere.invalid"
        fillers = await asyncio.to_thread(fill, peer.port) if case.full else []
        http = lab.client(case, url)
        stack.push_async_callback(http.aclose)
        if case.before:
            first = asyncio.create_task(http.send("POST", "/first", body=b"{}", timeout_s=PATIENT_S))
            if case.pool == 1:
                while not peer.conns:  # noqa: ASYNC110 (a thread fills it)
                    await asyncio.sleep(0.01)
                stack.callback(first.cancel)
            else:
                assert (await first).body == b"ok"
        known = len(peer.conns)
        word, says = await called(http.send("POST", "/pay", body=case.body, timeout_s=case.limit_s))
        for filler in fillers:
            filler.close()
        await asyncio.to_thread(peer.close)
        ours = peer.conns[known + len(fillers) :]
        return Result(
            word=word,
            says=says,
            could=any(conn.open for conn in ours),
            read=sum(len(conn.got) for conn in ours),
            requests=peer.got.count(b"POST /pay "),
            canary=CANARY in peer.got,
            conns=len(peer.conns),
        )


async def called(call: Awaitable[object]) -> tuple[Word, str]:
    try:
        answer = await call
    except NeverSent as error:
        return NEVER, error.message.rpartition("(")[2].rstrip(")")
    except Uncertain as error:
        return UNCERTAIN, error.message.rpartition("(")[2].rstrip(")")
    assert getattr(answer, "body", b"") == b"ok"
    return ANSWER, str(getattr(answer, "status", ""))


def fill(port: int) -> list[socket.socket]:
    """Connections until the peer's queue takes no more; the last one is not through."""
    found: list[socket.socket] = []
    while True:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex((HOST, port))
        if not select.select([], [sock], [], 0.5)[1]:
            sock.close()
            return found
        found.append(sock)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    lab = Lab(tmp_path_factory.mktemp("certificates"))

    async def everything() -> dict[str, Result]:
        # A thread for each: a peer that is waited for must not keep another one's name from being looked up. And few
        # at once: no connection may wait for its turn until its own limit.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(len(CASES)))
        turn = asyncio.Semaphore(16)
        done: dict[str, Result] = {}

        async def in_turn(case: Case) -> Result:
            async with turn:
                return await run(case, lab)

        for by_limit in (True, False):
            cases = [case for case in CASES if (case.limit_s == SHORT_S) is by_limit]
            results = await asyncio.gather(*((run(case, lab) if by_limit else in_turn(case)) for case in cases))
            done |= {case.name: result for case, result in zip(cases, results, strict=True)}
        return done

    found = asyncio.run(everything())
    form = "{:<52} {:<11} {:<22} {:<14} {:>11} {:>9}"
    lines = [form.format("case", "we say", "because of", "could be read", "bytes read", "requests")]
    for name, one in found.items():
        could = "yes" if one.could else "no"
        lines.append(form.format(name, one.word, one.says[:21], could, one.read, one.requests))
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return found


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_never_sent_exactly_when_the_peer_could_not_read_it(case: Case, results: dict[str, Result]) -> None:
    result = results[case.name]
    assert result.word in case.expect, result
    if result.word == NEVER:
        assert not result.could
        assert not result.canary
        assert result.requests == 0
        assert result.read == 0 or case.raw, result  # of TLS: our hello, nothing else
    elif not result.could:
        assert case.blind, "it never left, and we don't say so"
    assert result.requests <= 1, "the library repeated it by itself"

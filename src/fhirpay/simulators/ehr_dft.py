"""A simulated receiver of DFT^P03: it posts what it is sent into a book of its own, and goes wrong on demand.

Used by tests of write-back over HL7v2. Its own code on purpose, so that a mistake in ours isn't made on both sides. The
oracle is `book`: every FT1 that it has posted, as often as it has. To add a mode: a name in `MODES`, and its branch in
`_answers` (what is said) or `_serve` (what becomes of the connection).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

_START, _END = b"\x0b", b"\x1c\r"

MODES = {
    # the connection; nothing is posted
    "close_before": "closed when the first bytes come",
    "close_in": "closed in the middle of the frame",
    "close_after": "closed after the frame",
    "silent": "no answer",
    # posted all the same
    "close_posted": "posted, then closed without an answer",
    "silent_posted": "posted, no answer",
    "late": "posted; the answer comes when `release` is called",
    "half_answer": "posted; closed in the middle of the answer",
    "half_and_silent": "posted; half of the answer, then nothing",
    "garbage": "posted; the answer is a frame that is no HL7",
    "other": "posted; the answer names another message, and no other comes",
    "earlier": "posted; first the answer to an earlier message, then its own",
    "twice": "posted; the answer comes twice",
    "refuse_posted": "posted, then refused as `code` and `error` say",
    "commit_only": "posted; CA, and no application acknowledgement",
    "commit_then": "CA, then refused as `code` and `error` say",
    # refused
    "refuse": "refused as `code` and `error` say",
    "refuse_twice": "refused, and told so twice",
}
_POSTED = {"close_posted", "silent_posted", "late", "half_answer", "half_and_silent", "garbage", "other", "earlier"} | {
    "twice",
    "refuse_posted",
    "commit_only",
}


@dataclass
class DftFault:
    """What goes wrong with a message. `times` counts down; none means until it is taken away."""

    mode: str
    times: int | None = 1
    code: str = "AE"
    error: str = ""
    says: str = "no"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"there is no mode '{self.mode}'")


@dataclass(frozen=True)
class Entry:
    """One FT1 in the book."""

    control_id: str
    account: str
    transaction: str  # FT1-2
    code: str  # FT1-6
    amount: str  # FT1-11.1.1
    reference: str = ""  # FT1-30


@dataclass
class DftReceiver:
    """Listens after `start`, until `stop`; starts again at the same port. `dedupes` by MSH-10."""

    dedupes: bool = True
    tls: ssl.SSLContext | None = None
    port: int = 0
    faults: list[DftFault] = field(default_factory=list[DftFault])
    book: list[Entry] = field(default_factory=list[Entry])
    read: list[bytes] = field(default_factory=list[bytes])
    connections: int = 0
    _seen: set[str] = field(default_factory=set[str])
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _late: list[tuple[asyncio.StreamWriter, bytes]] = field(default_factory=list[tuple[asyncio.StreamWriter, bytes]])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Not there any more: connections are refused, open ones end."""
        if self._server is None:
            return
        self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        self._server = None

    async def hang_up(self) -> None:
        """Open connections end; new ones are taken."""
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def release(self) -> int:
        """The late answers are given; how many."""
        late, self._late = self._late, []
        for writer, answer in late:
            writer.write(_START + answer + _END)
            with suppress(ConnectionError):
                await writer.drain()
        return len(late)

    def count(self, transaction: str) -> int:
        """How often an FT1-2 is posted."""
        return sum(one.transaction == transaction for one in self.book)

    # ── one connection ────────────────────────────────────────────────────────────────────────────────────────────

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.connections += 1
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._serving.discard(task)
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            start = await reader.readexactly(1)
            fault = self._takes()
            mode = fault.mode if fault else ""
            if mode == "close_before":
                return
            if mode == "close_in":
                await reader.readexactly(20)
                return
            frame = start + await reader.readuntil(_END)
            message = frame.removeprefix(_START).removesuffix(_END)
            self.read.append(message)
            if mode not in MODES or mode in _POSTED:
                self._post(message)
            if mode in ("close_after", "close_posted"):
                return
            if mode == "late":
                self._late.append((writer, _ack(message, "AA")))
                continue
            for answer in self._answers(message, fault):
                whole = _START + answer + _END
                if mode in ("half_answer", "half_and_silent"):
                    whole = whole[: len(whole) // 2]
                writer.write(whole)
            await writer.drain()
            if mode == "half_answer":
                return

    def _takes(self) -> DftFault | None:
        for fault in self.faults:
            if fault.times is not None:
                fault.times -= 1
                if fault.times == 0:
                    self.faults.remove(fault)
            return fault
        return None

    def _answers(self, message: bytes, fault: DftFault | None) -> Iterator[bytes]:
        mode = fault.mode if fault else ""
        wants = [part.decode() for part in _fields(message.split(b"\r")[0], 16)[14:16]]
        enhanced = any(wants)
        if enhanced and wants[0] != "NE" and mode not in ("refuse", "silent", "silent_posted", "garbage"):
            yield _ack(message, "CA")
            if mode == "commit_only" or wants[1] == "NE":
                return
        match mode:
            case "silent" | "silent_posted":
                return
            case "garbage":
                yield b"HELLO"
            case "other":
                yield _ack(message, "AA", about="SOMEBODY-ELSE")
            case "earlier":
                yield _ack(message, "AE", about="AN-EARLIER-ONE", error="207")
                yield _ack(message, "AA")
            case "twice":
                yield _ack(message, "AA")
                yield _ack(message, "AA")
            case "refuse" | "refuse_posted" | "refuse_twice" | "commit_then":
                assert fault is not None
                for _ in range(2 if mode == "refuse_twice" else 1):
                    yield _ack(message, fault.code, error=fault.error, says=fault.says)
            case _:
                yield _ack(message, "AA")

    def _post(self, message: bytes) -> None:
        segments = [segment.decode("utf-8", "replace").split("|") for segment in message.split(b"\r") if segment]
        control_id = segments[0][9]
        if self.dedupes and control_id in self._seen:
            return
        self._seen.add(control_id)
        account = next((_text(one, 18) for one in segments if one[0] == "PID"), "")
        for one in segments:
            if one[0] == "FT1":
                amount = _text(one, 11).split("^")[0].split("&")[0]
                self.book.append(Entry(control_id, account, _text(one, 2), _text(one, 6), amount, _text(one, 30)))


def _text(segment: list[str], number: int) -> str:
    return segment[number] if len(segment) > number else ""


def _fields(segment: bytes, count: int) -> list[bytes]:
    fields = segment.split(b"|")
    return fields + [b""] * (count - len(fields))


def _ack(message: bytes, code: str, *, about: str = "", error: str = "", says: str = "") -> bytes:
    head = _fields(message.split(b"\r")[0], 12)
    control_id = about.encode() or head[9]
    version = head[11]
    lines = [
        b"MSH|^~\\&|EHR|EHR|||20260101||ACK|A" + head[9] + b"|P|" + version,
        b"|".join((b"MSA", code.encode(), control_id)),
    ]
    if error or says:
        lines.append(b"|".join((b"ERR", b"", b"", error.encode(), b"E", b"", b"", b"", says.encode())))
    return b"\r".join(lines) + b"\r"

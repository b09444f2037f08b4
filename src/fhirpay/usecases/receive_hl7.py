"""One HL7v2 message comes in: gate, durable commit, answer. Called by the MLLP listener, `/hl7v2` and `fhirpay ingest`.

    bytes ─▶ gate ─refused─▶ AE or AR with ERR; nothing kept, the sender still has it
              │
              └▶ unit: inbox row + place in its lanes + the answer's own bytes ──committed──▶ AA (or CA)

The same message again gets the first answer again. In enhanced mode CA leaves after the commit, and the application
acknowledgement follows once the message has been worked on: on the same connection, or to the feed's return address
(usecases/send_ack.py). A sender that has hung up by then gets it by sending again. When nothing could be stored there
is no answer: the sender keeps the message.
Messages of a file are answered in original mode, whatever they ask for: it is a person who reads the answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ..config import Interface
from ..db.unit import Tx, Units
from ..db.wakeups import Wakeups
from ..domain.clock import Clock
from ..domain.ids import Ids
from ..errors import Conflict, FhirpayError, RequiredMissing, TooLarge
from ..hl7 import ack
from ..hl7.ack_reader import read_ack
from ..hl7.reader import Message
from ..inbox import bounds, gate, sequence
from ..inbox.sequence import SequenceBroken
from ..inbox.store import Incoming, Recorded, get, record
from ..log import Log
from .post_dft import heard
from .send_ack import WANTED, not_applied

log = Log("hl7")

STARTS, FORGET = ("0", "-1"), "-1"  # of MSH-13: the link starts, or starts anew
_ANSWERS, _HEAD = (b"ACK", b"MCF"), 1000  # MSH-9 of an acknowledgement, and how far it is looked for
Source = Literal["mllp", "http", "file"]


@dataclass(frozen=True, slots=True)
class Received:
    """What the sender is told at once ('' nothing), whether it is stored, and what is to follow when it is applied."""

    answer: bytes = b""
    stored: bool = False
    later: Callable[[], Awaitable[bytes | None]] | None = None


@dataclass(frozen=True, slots=True)
class Hl7Intake:
    """What one interface's messages go through."""

    units: Units
    interface: Interface
    hash_key: bytes
    clock: Clock
    ids: Ids
    wakeups: Wakeups

    async def answers(self, data: bytes, *, source: Source) -> AsyncIterator[bytes]:
        """The acknowledgements that `data` deserves, in order; none when the sender asked for none.

        Raises StorageUnavailable when nothing could be stored: then say nothing and close.
        """
        received = await self.receive(data, source=source)
        if received.answer:
            yield received.answer
        if received.later is not None and (answer := await received.later()):
            yield answer

    async def receive(self, data: bytes, *, source: Source) -> Received:
        """Store it, or say why not. Raises StorageUnavailable when nothing could be stored."""
        header = self._header(data) if self.interface.sequence_numbers and source != "file" else None
        if header is not None and header.get("MSH-13") in STARTS:
            return await self._start(header, source)
        if (told := await self._acknowledged(data)) is not None:
            return told
        try:
            admitted = gate.admit(data, self.interface, hash_key=self.hash_key)
        except FhirpayError as error:
            return self._refuse(self._header(data), error, source)
        wanted = self._plan(admitted.message, source)
        try:
            recorded, answer = await self.units.write(self._record, admitted, source, wanted, urgent=True)
        except (Conflict, SequenceBroken) as error:
            error.location = error.location or "MSH-10"
            return self._refuse(admitted.message, error, source)
        later = None
        if wanted.mode == "enhanced" and not self.interface.ack_address and wanted.application_when != "NE":
            about = recorded.duplicate_of or recorded.message_id
            later = partial(self._application, admitted.message, wanted, about)
        return Received(answer, True, later)

    def too_large(self, first_bytes: bytes) -> bytes | None:
        """The answer to a message that is larger than the interface takes."""
        error = TooLarge(f"the message is larger than {self.interface.max_bytes} bytes", location="MSH")
        header = self._header(first_bytes)
        return self._refuse(header, error, "mllp").answer or None

    def too_many(self, first: bytes) -> bytes:
        """The answer to a batch of more messages than a sender may wait for. It names the first."""
        return self._refuse(self._header(first), bounds.too_many(), "file").answer

    def _record(self, tx: Tx, admitted: gate.Admitted, source: Source, wanted: ack.AckPlan) -> tuple[Recorded, bytes]:
        code = "CA" if wanted.mode == "enhanced" else "AA"
        says = wanted.accept(code) if wanted.mode == "enhanced" else wanted.application(code)
        number = admitted.message.get("MSH-13") if self.interface.sequence_numbers and source != "file" else ""
        answer = self._build(admitted.message, code, remarks=admitted.warnings, expected=number) if says else b""
        recorded = record(
            tx,
            Incoming(
                source=source,
                interface=self.interface.name,
                kind="hl7",
                key=admitted.key,
                body=admitted.screened,
                body_hash=admitted.body_hash,
                lanes=admitted.lanes,
                joins=admitted.joins,
                needs=admitted.needs,
                blocks=admitted.blocks,
                suspends=admitted.suspends,
                label=admitted.label,
                account_keys=admitted.account_keys,
                unique_ids=self.interface.unique_ids,
                meta=self._meta(wanted),
            ),
            answer=lambda _: answer,
        )
        if number and recorded.duplicate_of is None:
            sequence.advance(tx, self.interface.name, admitted.key[:-1], int(number))
        return recorded, recorded.answer or b""

    async def _start(self, header: Message, source: Source) -> Received:
        """The sender starts the link: it asks for the number that comes next (0), or has us forget it (-1)."""
        try:
            gate.check_header(header, self.interface)
        except FhirpayError as error:
            return self._refuse(header, error, source)
        sender = [header.fields_of("MSH")[field] for field in (3, 4, 5, 6)]
        asked = sequence.reset if header.get("MSH-13") == FORGET else sequence.expected
        number = await self.units.write(asked, self.interface.name, sender, urgent=True)
        code = "CA" if self._plan(header, source).mode == "enhanced" else "AA"
        return Received(self._build(header, code, expected=str(number)), True)

    def _header(self, data: bytes) -> Message | None:
        return ack.header_of(data, self.interface.charset_fallback, self.interface.charset)

    def _meta(self, wanted: ack.AckPlan) -> dict[str, str]:
        if wanted.mode == "original" or wanted.application_when == "NE" or not self.interface.ack_address:
            return {}
        return {WANTED: wanted.application_when}

    def _plan(self, message: Message | None, source: Source) -> ack.AckPlan:
        return ack.ORIGINAL if source == "file" else ack.plan(message, self.interface.acknowledge)

    async def _acknowledged(self, data: bytes) -> Received | None:
        """Somebody acknowledges what we told them: of a posting that is the last word. None for any other message."""
        header = self._header(data) if any(kind in data[:_HEAD] for kind in _ANSWERS) else None
        if header is None or header.type.encode() not in _ANSWERS:
            return None
        ack_ = read_ack(data)
        if ack_ is None:
            error = RequiredMissing("an acknowledgement says in MSA-1 what became of which message", location="MSA-1")
            log.warning("hl7.refused", interface=self.interface.name, code=error.code, location=error.location)
            return Received(self._build(header, "CE", error=error) if header.get("MSH-15") in ("AL", "ER") else b"")
        posting_id = await self.units.write(heard, ack_, urgent=True)
        log.info("hl7.ack_heard", interface=self.interface.name, code=ack_.code, posting_id=posting_id)
        asked = header.get("MSH-15") in ("AL", "SU")  # only one that says so wants an answer to an answer
        return Received(self._build(header, "CA") if asked else b"", True)

    def _refuse(self, header: Message | None, error: FhirpayError, source: Source) -> Received:
        log.warning("hl7.refused", interface=self.interface.name, code=error.code, location=error.location)
        wanted = self._plan(header, source)
        code = error.ack_code or "AE"
        if wanted.mode == "enhanced" and wanted.accept(ack.ACCEPT_CODES[code]):
            code = ack.ACCEPT_CODES[code]
        elif not wanted.application(code):
            return Received()
        expected = str(error.expected) if isinstance(error, SequenceBroken) else ""
        return Received(self._build(header, code, error=error, expected=expected))

    def _build(
        self,
        message: Message | None,
        code: str,
        *,
        error: FhirpayError | None = None,
        remarks: tuple[ack.Remark, ...] = (),
        expected: str = "",
    ) -> bytes:
        # 20 characters: MSH-10 took no more before 2.7.
        control_id = self.ids.new("")[-20:]
        now = self.clock.now()
        return ack.build(message, code, control_id=control_id, now=now, error=error, remarks=remarks, expected=expected)

    async def _application(self, message: Message, wanted: ack.AckPlan, message_id: str) -> bytes | None:
        """AA, or AE with what a person has to look at; None when it isn't wanted, or takes longer than agreed."""
        topic = f"message:{message_id}"
        waited = 0.0
        while waited <= self.interface.ack_within_s:
            seen = self.wakeups.count(topic)
            kept = await self.units.read(get, message_id)
            if kept.state != "received":
                code, error = ("AE", not_applied(kept)) if kept.state == "parked" else ("AA", None)
                return self._build(message, code, error=error) if wanted.application(code) else None
            # On another machine's worker no event reaches us: look again by ourselves.
            await self.wakeups.wait(topic, 1.0, since=seen)
            waited += 1.0
        log.info("hl7.ack_late", message_id=message_id, interface=self.interface.name)
        return None

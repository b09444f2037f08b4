"""One HL7v2 message comes in: gate, durable commit, answer. Called by the MLLP listener, `/hl7v2` and `fhirpay ingest`.

    bytes ─▶ gate ─refused─▶ AE or AR with ERR; nothing kept, the sender still has it
              │
              └▶ unit: inbox row + place in its lanes + the answer's own bytes ──committed──▶ AA (or CA)

The same message again gets the first answer again. In enhanced mode CA leaves after the commit, and the application
acknowledgement follows on the same connection once the message has been worked on; a sender that has hung up by then
gets it by sending again. When nothing could be stored there is no answer: the sender keeps the message.
Messages of a file are answered in original mode, whatever they ask for: it is a person who reads the answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from ..config import Interface
from ..db.unit import Tx, Units
from ..db.wakeups import Wakeups
from ..domain.clock import Clock
from ..domain.ids import Ids
from ..errors import Conflict, FhirpayError, RuleBroken, TooLarge
from ..hl7 import ack
from ..hl7.reader import Message
from ..inbox import gate
from ..inbox.store import Incoming, Recorded, get, record
from ..log import Log

log = Log("hl7")

Source = Literal["mllp", "http", "file"]
ALWAYS = ack.AckPlan("original", "NE", "AL")
APPLIED_WITHIN_S = 30.0  # how long a connection waits for the application acknowledgement of enhanced mode


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
        try:
            admitted = gate.admit(data, self.interface, hash_key=self.hash_key)
        except FhirpayError as error:
            for answer in self._refuse(ack.header_of(data, self.interface.charset_fallback), error, source):
                yield answer
            return
        wanted = _plan(admitted.message, source)
        try:
            recorded, stored = await self.units.write(self._record, admitted, source, urgent=True)
        except Conflict as error:
            error.location = "MSH-10"
            for answer in self._refuse(admitted.message, error, source):
                yield answer
            return
        if stored:
            yield stored
        if wanted.mode == "enhanced" and (wanted.application("AA") or wanted.application("AE")):
            outcome = await self._outcome(recorded.duplicate_of or recorded.message_id)
            if outcome is not None and wanted.application(outcome[0]):
                yield self._build(admitted.message, outcome[0], error=outcome[1])

    def too_large(self, first_bytes: bytes) -> bytes | None:
        """The answer to a message that is larger than the interface takes."""
        error = TooLarge(f"the message is larger than {self.interface.max_bytes} bytes", location="MSH")
        header = ack.header_of(first_bytes, self.interface.charset_fallback)
        return next(iter(self._refuse(header, error, "mllp")), None)

    def _record(self, tx: Tx, admitted: gate.Admitted, source: Source) -> tuple[Recorded, bytes]:
        wanted = _plan(admitted.message, source)
        code = "CA" if wanted.mode == "enhanced" else "AA"
        says = wanted.accept(code) if wanted.mode == "enhanced" else wanted.application(code)
        answer = self._build(admitted.message, code, remarks=admitted.warnings) if says else b""
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
                needs=admitted.needs,
                blocks=admitted.blocks,
                suspends=admitted.suspends,
                label=admitted.label,
                account_keys=admitted.account_keys,
                unique_ids=self.interface.unique_ids,
            ),
            answer=lambda _: answer,
        )
        return recorded, recorded.answer or b""

    def _refuse(self, header: Message | None, error: FhirpayError, source: Source) -> list[bytes]:
        log.warning("hl7.refused", interface=self.interface.name, code=error.code, location=error.location)
        wanted = _plan(header, source)
        code = error.ack_code or "AE"
        if wanted.mode == "enhanced":
            accept = ack.ACCEPT_CODES[code]
            if wanted.accept(accept):
                return [self._build(header, accept, error=error)]
        return [self._build(header, code, error=error)] if wanted.application(code) else []

    def _build(
        self,
        message: Message | None,
        code: str,
        *,
        error: FhirpayError | None = None,
        remarks: tuple[ack.Remark, ...] = (),
    ) -> bytes:
        # 20 characters: MSH-10 took no more before 2.7.
        control_id = self.ids.new("")[-20:]
        return ack.build(message, code, control_id=control_id, now=self.clock.now(), error=error, remarks=remarks)

    async def _outcome(self, message_id: str) -> tuple[str, FhirpayError | None] | None:
        """AA, or AE with what a person has to look at; None when it takes longer than a connection should wait."""
        topic = f"message:{message_id}"
        waited = 0.0
        while waited <= APPLIED_WITHIN_S:
            seen = self.wakeups.count(topic)
            message = await self.units.read(get, message_id)
            if message.state in ("applied", "ignored"):
                return "AA", None
            if message.state == "parked":
                return "AE", RuleBroken(f"it is kept, but not applied yet: {message.detail}")
            # On another machine's worker no event reaches us: look again by ourselves.
            await self.wakeups.wait(topic, 1.0, since=seen)
            waited += 1.0
        return None


def _plan(message: Message | None, source: Source) -> ack.AckPlan:
    return ALWAYS if source == "file" else ack.plan(message)

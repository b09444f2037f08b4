"""The application acknowledgement of enhanced mode, sent by us to the feed's return address (`ack_address`).

`acknowledge` stands in the unit in which a message applies or parks, so the row is stored with the fact. The handler
sends it as a message of its own, with MSH-15 AL, again and again until the other side has accepted it: a second copy
does no harm, since it says the same of the same MSA-2 under the same MSH-10.
A feed without a return address hears on its own connection: usecases/receive_hl7.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..config import Tenant
from ..db.unit import Tx, Units
from ..domain.clock import Clock
from ..errors import ConfigInvalid, FhirpayError, RuleBroken
from ..flow.lane import Work, retry
from ..flow.worker import DONE, Done
from ..hl7 import ack
from ..hl7.ack_reader import Ack, read_ack
from ..hl7.mllp import AnswerLost, Heard, MllpClient
from ..hl7.reader import Message
from ..inbox.store import InboxMessage, get
from ..log import Log
from ..outbox import add

log = Log("hl7")

KIND = "ack"
WANTED = "ack"  # of a message's meta: its MSH-16, where the answer goes to the return address
TIMEOUT_S = 10


def acknowledge(tx: Tx, message: InboxMessage, code: str) -> None:
    """Have AA or AE sent, where its sender wants it at a return address; each of the two once."""
    when = message.meta.get(WANTED)
    if when and ack.AckPlan("enhanced", "NE", when).application(code):
        ref = f"{message.message_id}:{code}"
        add(tx, KIND, ref, [f"{KIND}:{message.interface}"], once_key=ref)


def not_applied(message: InboxMessage) -> FhirpayError:
    """What a sender is told of a message that waits for a person."""
    return RuleBroken(f"it is kept, but not applied yet: {message.detail}")


@dataclass(frozen=True, slots=True)
class SendAck:
    """The outbox handler of kind `ack`. `clients` are by interface."""

    units: Units
    tenant: Tenant
    clients: Mapping[str, MllpClient]
    clock: Clock

    async def run(self, work: Work) -> Done | None:
        message_id, _, code = work.ref.partition(":")
        message = await self.units.read(get, message_id)
        client = self.clients.get(message.interface)
        if client is None:
            raise ConfigInvalid(f"interface '{message.interface}' has no ack_address any more; set it, then replay")
        if message.body is None:
            raise RuleBroken(f"the body of {message_id} has expired: its sender can't be told any more")
        feed = self.tenant.interface(message.interface)
        control_id = work.work_id[-20:]  # MSH-10 took no more before 2.7
        about = Message.parse(message.body, charset_fallback=feed.charset_fallback, charset=feed.charset)
        error = not_applied(message) if code == "AE" else None
        told = ack.build(about, code, control_id=control_id, now=self.clock.now(), error=error, accept="AL")
        heard: list[Ack] = []

        def hears(frame: bytes) -> Heard:
            if (read := read_ack(frame)) is None or read.about != control_id:
                return Heard.OTHER
            heard.append(read)
            return Heard.DONE

        try:
            await client.talk(told, hears)
        except AnswerLost as lost:
            await self.units.write(retry, work, after=None, error=lost.message)
            log.warning("hl7.ack_unheard", message_id=message_id, interface=message.interface, attempt=work.attempt)
            return None
        if not heard[0].good:
            raise RuleBroken(f"the return address of '{message.interface}' refuses it with {heard[0].code}")
        return DONE

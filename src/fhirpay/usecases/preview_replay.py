"""What a replay would change, in FHIR and in money, on the real data: done in full, looked at, and rolled back.

Called by `fhirpay replay --preview` and the staff API. The unit ends by an exception, so nothing of it is kept and
nobody is woken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..config import Tenant
from ..db.unit import Tx, Units
from ..errors import ConfigInvalid, FhirpayError
from ..fhir.store import Change, Stored
from ..flow import lane
from ..hl7.reader import Message
from ..inbox.store import InboxMessage
from ..mapping.mapped import Mapped
from .apply_message import ApplyMessage, accounts_named
from .collect import reassess_accounts
from .trial import Owed, owed_on


@dataclass(frozen=True, slots=True)
class Preview:
    """`changes`: a line each, of FHIR, then of money. Empty: the replay changes nothing."""

    message_id: str
    outcome: str  # applied, parked
    detail: str
    changes: tuple[str, ...]


class _Seen(Exception):
    """How the unit ends without leaving anything."""

    def __init__(self, preview: Preview) -> None:
        super().__init__()
        self.preview = preview


async def preview_replay(units: Units, tenant: Tenant, messages: ApplyMessage, message: InboxMessage) -> Preview:
    """What one message would do now."""
    if message.body is None or message.kind != "hl7":
        return Preview(message.message_id, message.state, "only HL7v2 whose body is kept can be looked at before", ())
    interface = next((one for one in tenant.interfaces if one.name == message.interface), None)
    if interface is None:
        return Preview(message.message_id, message.state, "its interface isn't configured any more", ())
    try:
        parsed = Message.parse(message.body, charset_fallback=interface.charset_fallback, charset=interface.charset)
        mapped = messages.mapped(parsed, interface)
        again = replace(message, detail=message.detail or "looked at")  # what was said since stays said, as in a replay
        await units.write(_look, tenant, messages, again, mapped)
    except ConfigInvalid:
        raise
    except _Seen as seen:
        return seen.preview
    except FhirpayError as error:
        return Preview(message.message_id, "parked", f"{error.code}: {error}", ())
    raise AssertionError("the look ends by what it has seen")


def _look(tx: Tx, tenant: Tenant, messages: ApplyMessage, message: InboxMessage, mapped: list[Mapped]) -> None:
    if messages.waits(tx, mapped):
        raise _Seen(Preview(message.message_id, "parked", "its account is not known yet", ()))
    named = accounts_named(tx, message)
    before = {ref: owed_on(tx, ref) for ref in named}
    effect = messages.take_effect(tx, message, mapped)
    if message.state == "parked" and not effect.parked:
        lane.discard(tx, message.work_id, reason="looked at")  # it holds nothing up any more
    before |= {ref: owed_on(tx, ref) for ref in effect.touched - named}
    reassess_accounts(tx, effect.touched, tenant)
    lines = [_said(stored, change) for stored, change in effect.changes if change != "unchanged"]
    for ref in sorted(effect.touched):
        lines += _money(before[ref], owed_on(tx, ref))
    outcome = "parked" if effect.parked else "applied"
    raise _Seen(Preview(message.message_id, outcome, effect.detail, tuple(lines)))


def _said(stored: Stored, change: Change) -> str:
    return f"{stored.reference} {change}"


def _money(before: list[Owed], after: list[Owed]) -> list[str]:
    sides = [{(one.account, one.kind, one.basis): one.says for one in side} for side in (before, after)]
    return [
        f"account {account}, {kind} {basis}: {sides[0].get(key, '(nothing)')} → {sides[1].get(key, '(nothing)')}"
        for key in dict.fromkeys((*sides[0], *sides[1]))
        for account, kind, basis in [key]
        if sides[0].get(key) != sides[1].get(key)
    ]

"""One node for each kind of thing in a chain: the line that people read and the facts that programs do. Pure.

Called by explain.py. Ids, codes, amounts and reasons only: no names, dates of birth or bodies, so that the tree can
be pasted into a ticket. To show more of a kind of thing, add it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ..billing.adjustments import Adjustment
from ..billing.assessment import AT_ONCE
from ..billing.rows import ObligationView
from ..billing.write_offs import WORDS
from ..domain.money import Money
from ..fhir.store import Stored
from ..inbox.decisions import Decision
from ..inbox.store import InboxMessage
from ..ledger.closed import LATE
from ..ledger.store import Posted
from ..payments.movements import Movement
from ..payments.records import Allocation, Dispute, MerchantTry, Operation, Payment, Refund, Return
from ..payments.tenders import HandedBack, Tender
from ..payments.terminals import TerminalPayment
from ..writeback.invoice_status import RESOURCE_TYPE as INVOICE
from ..writeback.store import Posting
from .explain_text import Node

_MONEY = ("priceOverride", "totalNet", "totalGross")


def message(one: InboxMessage, decided: Sequence[Decision], children: Sequence[Node]) -> Node:
    came = f"{one.label or one.kind} from {one.interface} by {one.source}"
    says = f"message {one.control_id}: {came}, {_at(one.received_at)}"
    facts = {
        "messageId": one.message_id,
        "label": one.label,
        "interface": one.interface,
        "receivedAt": _iso(one.received_at),
        "state": one.state,
    }
    now = f"{one.state}: {one.detail}" if one.detail else one.state
    notes = (now, *(f"{who.kind} by {who.by or 'nobody named'}, {_at(who.at)}: {who.why or '-'}" for who in decided))
    return Node("message", one.control_id, says, notes, facts, tuple(children))


def resource(one: Stored, children: Sequence[Node]) -> Node:
    content = one.resource
    parts = [_code(content), *dict.fromkeys(_amount(content[name]) for name in _MONEY if name in content)]
    parts += [str(content["status"])] if "status" in content else []
    says = f"{one.reference} " + ", ".join(part for part in parts if part)
    identifiers = [_identifier(item) for item in content.get("identifier") or () if one.type != "Patient"]
    facts = {"reference": one.reference, "version": one.version, "identifiers": identifiers}
    notes = (f"known to its sender as {identifiers[0]}",) if identifiers else ()
    return Node(one.type, one.id, says.rstrip(), notes, facts, tuple(children))


def obligation(one: ObligationView, children: Sequence[Node]) -> Node:
    owed = f"{one.patient} of the patient" if one.patient or not one.pending else f"{one.pending} pending insurance"
    if one.memo:
        owed = f"{one.memo} of before the watermark, not asked for"
    says = f"obligation {one.obligation_id} for the {one.basis_kind}: {owed}, {one.state}"
    if one.paid:
        says += f", {one.paid} paid"
    if one.written_off:
        says += f", {one.written_off} written off"
    if one.askable:
        says += f"; {one.askable} may be asked for"
    notes = [f"{'because' if number == 0 else 'and'} {why.says}" for number, why in enumerate(one.statement)]
    if one.collectable_from is not None and one.collectable_from != AT_ONCE and one.state == "collectable":
        notes.append(f"from {_at(one.collectable_from)} on")
    facts = {
        "state": str(one.state),
        "basis": one.basis_kind,
        "restsOn": one.basis_key,
        "account": one.account_ref,
        "debtor": one.debtor_ref,
        "patient": _text(one.patient),
        "pending": _text(one.pending),
        "memo": _text(one.memo),
        "writtenOff": _text(one.written_off),
        "paid": _text(one.paid),
        "askable": _text(one.askable),
        "currency": one.patient.currency,
        "why": [{"kind": why.kind, "says": why.says, "source": why.source} for why in one.statement],
        "supersededBy": one.superseded_by or None,
    }
    return Node("obligation", one.obligation_id, says, tuple(notes), facts, tuple(children))


def adjustment(one: Adjustment, takes_back: Sequence[str], children: Sequence[Node]) -> Node:
    says = f"adjustment {one.adjustment_id}: {abs(one.amount)} {'put back' if one.takes_back else 'taken off'}"
    says += f", {WORDS[one.kind]}, {_at(one.made_at)}"
    facts = {
        "reason": one.kind,
        "amount": _text(one.amount),
        "currency": one.amount.currency,
        "madeAt": _iso(one.made_at),
        "takesBack": list(takes_back),
    }
    notes = tuple(f"takes back {of}" for of in takes_back)
    return Node("adjustment", one.adjustment_id, says, notes, facts, tuple(children))


def payment(
    one: Payment,
    shares: Sequence[Allocation],
    children: Sequence[Node],
    tender: Tender | None = None,
    tried: Sequence[MerchantTry] = (),
    reader: TerminalPayment | None = None,
) -> Node:
    method = " ".join(part for part in (one.brand, f"…{one.last4}" if one.last4 else "") if part)
    through = f"through {one.processor}"
    if tender is not None:
        through = f"at till '{tender.till}'" if tender.till else "at the bank"
    says = f"payment {one.payment_id}: {one.amount} by {method or one.method} {through}, {one.state}"
    notes = _handed(tender) if tender else []
    notes += [f"{share.paid or share.reserved} of it for {share.obligation_id}" for share in shares]
    notes += [one.failure_says] if one.failure_says else []
    if reader is not None:
        read = f", {reader.entry_mode}" if reader.entry_mode else ""
        notes += [f"on terminal '{reader.terminal}'{read}" + ("" if reader.freed_at else ", which waits for its card")]
    notes += [f"its bank may take it back until {_at(one.returnable_until)}"] if one.returnable_until else []
    notes += [f"try {one.retry} again of {one.retry_of}"] if one.retry_of else []
    notes += [
        f"merchant '{each.merchant}' was tried {each.not_reached} times and never reached ({each.says})"
        for each in tried
        if each.not_reached and each.merchant != one.merchant
    ]
    facts = {
        "state": str(one.state),
        "amount": _text(one.amount),
        "merchant": one.merchant,
        "captured": _text(one.captured),
        "refunded": _text(one.refunded),
        "returned": _text(one.returned),
        "currency": one.currency,
        "processor": one.processor,
        "processorReference": one.processor_ref,
        "captureReference": one.capture_ref,
        "tender": one.method if tender else one.tender or None,
        "till": tender.till or None if tender else reader.till or None if reader else None,
        "terminal": reader.terminal if reader else None,
        "entryMode": reader.entry_mode or None if reader else None,
        "returnableUntil": _iso(one.returnable_until),
        "retryOf": one.retry_of,
        "allocations": [
            {
                "id": f"{share.payment_id}-{share.sequence}",
                "obligation": share.obligation_id,
                "paid": _text(share.paid),
            }
            for share in shares
        ],
    }
    return Node("payment", one.payment_id, says, tuple(notes), facts, tuple(children))


def _handed(tender: Tender) -> list[str]:
    """What was handed over; not by whom."""
    notes = [f"{tender.tendered} was handed over, {tender.change} of it change"] if tender.change else []
    notes += [f"check {tender.check_number}"] if tender.check_number else []
    return notes + (["a deposit"] if tender.is_deposit else [])


def movement(one: Movement, children: Sequence[Node]) -> Node:
    """A void, or money that pays something else since."""
    says = f"{one.kind} {one.movement_id} of {one.payment_id}, {_at(one.at)}"
    notes = tuple(
        f"{abs(line.amount)} {'taken from' if line.amount.minor < 0 else 'put on'} {line.obligation_id or 'credit'}"
        for line in one.lines
    )
    facts = {
        "movement": one.kind,
        "lines": [
            {
                "id": f"{one.movement_id}-{number}",
                "obligation": line.obligation_id,
                "amount": _text(line.amount),
                "currency": line.amount.currency,
            }
            for number, line in enumerate(one.lines, start=1)
        ],
    }
    return Node("movement", one.movement_id, says, notes, facts, tuple(children))


def operation(one: Operation) -> Node:
    named = f", the processor calls it {one.processor_ref}" if one.processor_ref else ""
    says = f"call {one.operation_id}: {one.kind} of {one.amount}, {one.state}{named}"
    facts = {
        "operation": str(one.kind),
        "state": str(one.state),
        "attempt": one.attempt,
        "amount": _text(one.amount),
        "currency": one.amount.currency,
        "processorReference": one.processor_ref,
        "sentAt": _iso(one.sent_at),
        "finishedAt": _iso(one.finished_at),
    }
    return Node("operation", one.operation_id, says, (one.says,) if one.says else (), facts)


def refund(one: Refund, children: Sequence[Node], given: HandedBack | None = None) -> Node:
    by = f" by {given.kind} at till '{given.till}'" if given else ""
    says = f"refund {one.refund_id}: {one.amount}{by}, {one.state}"
    facts = {
        "state": str(one.state),
        "amount": _text(one.amount),
        "currency": one.amount.currency,
        "processorReference": one.processor_ref,
    }
    return Node("refund", one.refund_id, says, (one.failure_says,) if one.failure_says else (), facts, tuple(children))


def returned(one: Return, children: Sequence[Node]) -> Node:
    what = f"reverses {one.reverses}" if one.reverses else "came back"
    code = f", {one.code}" if one.code else ""
    says = f"return {one.return_id}: {one.amount} {what}{code}, {_at(one.occurred_at)}"
    notes = [says for says in (one.reason, "" if one.booked_at else "not booked: see its break") if says]
    if one.recovered:
        notes.append(f"{one.recovered} of it had been refunded: owed as a recovery")
    facts = {
        "amount": _text(one.amount),
        "recovered": _text(one.recovered),
        "fee": _text(one.fee),
        "currency": one.amount.currency,
        "code": one.code or None,
        "reverses": one.reverses,
        "processorReference": one.reference,
        "occurredAt": _iso(one.occurred_at),
    }
    return Node("return", one.return_id, says, tuple(notes), facts, tuple(children))


def dispute(one: Dispute, children: Sequence[Node]) -> Node:
    round_ = f", round {one.round}" if one.round > 1 else ""
    says = f"dispute {one.dispute_id}: {one.amount}, {one.state}{round_}, funds {one.funds}"
    notes = [f"reason: {one.reason}" if one.reason else ""]
    if one.is_open and one.respond_by:
        notes.append(f"an answer is taken until {_at(one.respond_by)}")
    if one.accepted_by:
        notes.append(f"accepted by {one.accepted_by}: {one.accepted_why}")
    if one.ended_by:
        notes.append(f"its end was stated by {one.ended_by}: {one.ended_why}")
    facts = {
        "amount": _text(one.amount),
        "withdrawn": _text(one.withdrawn),
        "reinstated": _text(one.reinstated),
        "fee": _text(one.fee),
        "lost": _text(one.lost),
        "currency": one.amount.currency,
        "state": str(one.state),
        "funds": str(one.funds),
        "round": one.round,
        "processorReference": one.processor_ref,
        "openedAt": _iso(one.opened_at),
    }
    return Node("dispute", one.dispute_id, says, tuple(filter(None, notes)), facts, tuple(children))


def entry(one: Posted) -> Node:
    legs = [f"{posting.side} {posting.account} {posting.amount}" for posting in one.entry.postings]
    says = f"entry {one.entry_id} (no. {one.seq}) {str(one.entry.kind).replace('_', ' ')}: {', '.join(legs)}"
    facts = {
        "seq": one.seq,
        "event": str(one.entry.kind),
        "businessDate": one.entry.business_date.isoformat(),
        "postings": [
            {
                "account": posting.account,
                "side": str(posting.side),
                "amount": _text(posting.amount),
                "currency": posting.amount.currency,
            }
            for posting in one.entry.postings
        ],
    }
    notes: tuple[str, ...] = ()
    if late := one.entry.refs.get(LATE):
        facts["lateOf"] = late
        notes = (f"it is of {late}, which was closed when it came: it counts for {one.entry.business_date}",)
    return Node("entry", one.entry_id, says, notes, facts)


def about(one: Posted, refund_id: str) -> bool:
    """Whether an entry was made for this refund."""
    named = {*one.entry.refs.values(), *(value for posting in one.entry.postings for value in posting.dims.values())}
    return refund_id in named


def posting(one: Posting) -> Node:
    name = f"{one.resource_type}/{one.remote_id}" if one.remote_id else one.resource_type
    version = f", version {one.remote_version}" if one.remote_version else ""
    about = "status of " if one.resource_type == INVOICE else ""
    says = f"{about}{name} at '{one.connection}': {one.state}{version}"
    facts = {
        "state": one.state,
        "connection": one.connection,
        "postingId": one.posting_id,
        "identifier": one.subject,
        "remoteId": one.remote_id,
        "remoteVersion": one.remote_version,
        "attempts": one.attempts,
        "postedAt": _iso(one.posted_at),
        "decidedBy": one.decided_by,
        "decidedAt": _iso(one.decided_at),
        "decidedWhy": one.decided_why,
    }
    notes = [one.reason] if one.reason else []
    if one.decided_by and one.decided_at:
        word = "rejected" if one.state == "rejected" else "confirmed"
        notes.append(f"{word} by {one.decided_by}, {_at(one.decided_at)}: {one.decided_why or '-'}")
    return Node(one.resource_type, one.remote_id or one.posting_id, says, tuple(notes), facts)


def mention(id: str, why: str) -> Node:
    """Something that is shown elsewhere, or not at all."""
    return Node("mention", id, f"{id} ({why})")


def _code(content: dict[str, Any]) -> str:
    """The first code of what was charged; free text stays out."""
    coding = (content.get("code") or {}).get("coding") or [{}]
    return str(coding[0].get("code") or "")


def _identifier(item: dict[str, Any]) -> str:
    return f"{item.get('system', '')}|{item.get('value', '')}"


def _amount(money: dict[str, Any]) -> str:
    if "value" not in money:
        return ""
    return f"{Decimal(money['value']):f} {money.get('currency', '')}".rstrip()


def _text(money: Money) -> str:
    return f"{money.decimal:f}"


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _at(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC")

"""Postings to every EHR: queued in the unit that settles, and the steps that all ways of posting share.

    enqueue   one posting for each connection and posting file, or each account (visit) there that is apart: its place
              in the outbox
    check     is it to be sent at all? what isn't is kept (rollout.py): asked by all ways before they do anything
    sending   the same again; body, `sent_at` and way noted, the lease still ours   ── crash here: it may be there
    again     put off; note_parked   for a person; by_hand   what that person saw

What sends is post_back.py (FHIR), post_dft.py (HL7v2) and post_file.py (files); a destination has hands of its own, so
that one that is dead delays nobody else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta

from ..billing import store as billing
from ..billing import worklist
from ..billing.adjustments import Adjustment
from ..billing.store import Reassessed
from ..config import Tenant
from ..db.unit import Tx, Units
from ..errors import FhirpayError, LeaseLost, RuleBroken
from ..flow.lane import Work, complete, park, parked, release, retry
from ..flow.lease import still_ours
from ..flow.worker import Done
from ..outbox import QUEUE, add
from ..payments import movements
from ..payments import store as payments
from ..writeback import dft, held, invoice_status, payment_notice, posting_file, store
from ..writeback.oracle_basic import RESOURCE_TYPE as BASIC
from ..writeback.payment_reconciliation import RESOURCE_TYPE
from ..writeback.posted import REST
from ..writeback.references import as_known_by
from ..writeback.renderers import FOLLOWS
from ..writeback.store import Posting
from .parked import note_parked_call
from .payout_facts import note_posted
from .posted_adjustments import parts_for
from .posted_facts import visit_of
from .rollout import Facts, Withheld, check, held_back, stage_of, withhold
from .settled_invoices import invoices_of, settled
from .told import back_lines, tell

KIND = "writeback"
INVOICE_KIND = f"{KIND}.invoice"
BACK = "invoice_given_back"  # on the worklist; its subject is the posting that has balanced it
Parts = Callable[[Tx, str, str | None], dict[str, list[int]]]


class PostingUnknown(RuleBroken):
    """It may be at the EHR or not, and the EHR offers no way to find out: a person has to look."""

    code = "posting-unknown"


def kind_of(destination: str) -> str:
    """The kind of work that a destination's own hands take."""
    return f"{KIND}.dft:{destination}"


def file_kind_of(name: str) -> str:
    """The kind of work that has a posting wait for the next file."""
    return f"{KIND}.file:{name}"


def _account(tx: Tx, obligation_id: str, account_ref: str) -> str:
    return account_ref


def _visit(tx: Tx, obligation_id: str, account_ref: str) -> str:
    target = next(iter(billing.obligation(tx, obligation_id).targets), "") if obligation_id else ""
    return visit_of(tx, target) or account_ref


def parts_of(
    tx: Tx, payment_id: str, refund_id: str | None, *, at: Callable[[Tx, str, str], str] = _account
) -> dict[str, list[int]]:
    """The accounts that a payment, or a refund of it, is about, and the numbers of its lines about each. With `at` of
    its own, what is posted is about something else, such as a visit."""
    payment = payments.get(tx, payment_id)
    found: dict[str, list[int]] = {}

    def place(obligation_id: str, account_ref: str) -> str:
        return at(tx, obligation_id, account_ref or payment.account_ref)

    if refund_id:
        for one in back_lines(tx, refund_id):
            found.setdefault(place(one.obligation_id, one.account_ref), []).append(one.number)
        return found
    shares = payments.allocations(tx, payment_id)
    said = {place(share.obligation_id, share.account_ref) for share in shares if share.paid}
    if sum(share.paid.minor for share in shares) < payment.captured.minor:
        said.add(payment.account_ref)
    for share in shares:  # also what isn't paid yet, and may be by the time that it is sent
        if (about := place(share.obligation_id, share.account_ref)) in said:
            found.setdefault(about, []).append(share.sequence)
    if said:
        rest = payment.account_ref if payment.account_ref in said else min(found)
        found.setdefault(rest, []).append(REST)
    return found


def visits_of(tx: Tx, payment_id: str, refund_id: str | None) -> dict[str, list[int]]:
    """The same by visit, or account where there is none."""
    return parts_of(tx, payment_id, refund_id, at=_visit)


def enqueue(
    tx: Tx,
    *,
    payment_id: str,
    refund_id: str | None = None,
    tenant: Tenant,
    parts: Parts = parts_of,
    visits: Parts = visits_of,
) -> list[str]:
    """Have a payment (or a refund or movement of it) posted to every connection that it is written to, every
    destination and every posting file of the tenant; the postings' ids.

    Call it in the unit that settles. Called again for the same fact it changes nothing. A refund waits for its
    payment: they share a lane, and while the payment's posting is parked the refund's stays behind it. Who is not
    told of the payment, since it was connected later, isn't told of the refund either.
    """
    fact = _Fact(refund_id or payment_id, payment_id, payment_id, goes_back=bool(refund_id))
    if refund_id:
        tell(tx, payment_id, refund_id)

    def told(name: str) -> bool:
        return not refund_id or store.is_kept(tx, payment_id, name)

    ids = [
        _add(tx, tenant, KIND, one.name, fact, resource_type=RESOURCE_TYPE)
        for one in tenant.connections
        if RESOURCE_TYPE in one.writes and told(one.name)
    ]
    # A financial transaction has one direction and names nothing that it takes back.
    moves = refund_id is not None and (found := movements.find(tx, refund_id)) and found.kind == "reallocation"
    transactions = [one.name for one in tenant.connections if BASIC in one.writes and told(one.name) and not moves]
    if transactions:
        about = visits(tx, payment_id, refund_id)
        for name in transactions:
            ids += _add_parts(tx, tenant, KIND, name, fact, about, resource_type=BASIC)
    receivers = [one.name for one in tenant.destinations if told(one.name)]
    if receivers:
        accounts = parts(tx, payment_id, refund_id)
        for name in receivers:
            ids += _add_parts(tx, tenant, kind_of(name), name, fact, accounts, resource_type=dft.MESSAGE_TYPE)
    kind = posting_file.RESOURCE_TYPE
    files = [one.name for one in tenant.posting_files if told(one.name)]
    return ids + [_add(tx, tenant, file_kind_of(name), name, fact, resource_type=kind) for name in files]


def enqueue_payout(tx: Tx, payout_id: str, *, tenant: Tenant, subject: str, to: Collection[str]) -> list[str]:
    """Have a payout, or (`subject` is another) what takes it back, posted to those of these connections that take
    payouts. Again, it changes nothing."""
    fact = _Fact(subject, payout_id, payout_id, goes_back=subject != payout_id)
    return [
        _add(tx, tenant, KIND, one.name, fact, resource_type=RESOURCE_TYPE, part=store.PAYOUT)
        for one in tenant.connections
        if one.payout_target and one.name in to
    ]


def follow(tx: Tx, posting: Posting, tenant: Tenant) -> None:
    """What is to be posted after one that the EHR has: call it in the unit that knows. Again, it changes nothing.

    Each has a place of its own, so that what goes wrong with it holds nothing else up.
    """
    if posting.is_payout:
        return note_posted(tx, posting)
    if posting.resource_type == RESOURCE_TYPE:
        _follow_invoices(tx, posting, tenant)
    writes = next((one.writes for one in tenant.connections if one.name == posting.connection), ())
    for kind in writes:
        if FOLLOWS.get(kind) != posting.resource_type or kind == invoice_status.RESOURCE_TYPE:
            continue
        if kind == payment_notice.RESOURCE_TYPE and (moved := movements.find(tx, posting.subject)) and not moved.amount:
            continue  # nothing was paid
        family = f"{posting.subject}:{kind}"
        fact = _Fact(posting.subject, posting.payment_id, family, goes_back=False)
        _add(tx, tenant, KIND, posting.connection, fact, resource_type=kind, part=kind)


def _follow_invoices(tx: Tx, posting: Posting, tenant: Tenant) -> None:
    """Each Invoice that is paid in full now is to be balanced there; of one that is, what went back is noted."""
    name = posting.connection
    if not any(one.name == name and invoice_status.RESOURCE_TYPE in one.writes for one in tenant.connections):
        return
    for invoice in invoices_of(tx, posting.payment_id):
        short = settled(tx, invoice, name).short
        if posting.is_refund:
            known = [one for one in store.of_part(tx, name, invoice) if one.state == "posted"]
            if short and known:
                note_given_back(tx, known[0], short)
        elif not short and as_known_by(tx, invoice, name):
            fact = _Fact(posting.payment_id, posting.payment_id, f"{posting.payment_id}:{invoice}", goes_back=False)
            _add(tx, tenant, INVOICE_KIND, name, fact, resource_type=invoice_status.RESOURCE_TYPE, part=invoice)


def note_given_back(tx: Tx, balanced: Posting, why: str) -> None:
    """It stays as it is there: a person decides."""
    says = f"{balanced.part} is balanced at '{balanced.connection}', and {why}"
    worklist.open_item(tx, kind=BACK, subject=balanced.posting_id, says=says)


def enqueue_adjustment(tx: Tx, adjustment: Adjustment, *, account_ref: str, tenant: Tenant) -> list[str]:
    """Have an adjustment posted to every destination that takes its kind (what takes one back: to those that were told
    of that); the postings' ids. As with payments: in the unit that makes it, once, and what takes one back waits for
    it. Over FHIR and in files none is posted: those say what was received.
    """
    one = adjustment
    fact = _Fact(one.adjustment_id, "", f"{one.obligation_id}:{one.kind}", goes_back=one.takes_back)
    return [
        _add(tx, tenant, kind_of(to.name), to.name, fact, resource_type=dft.MESSAGE_TYPE, part=account_ref)
        for to in tenant.destinations
        if (bool(parts_for(tx, one, to.name, kept=True)) if one.takes_back else one.kind in to.adjustments)
    ]


def post_adjustments(tx: Tx, reassessed: Reassessed, tenant: Tenant) -> None:
    """All that this assessment of an account has adjusted."""
    for one in reassessed.adjusted:
        enqueue_adjustment(tx, one, account_ref=reassessed.account_ref, tenant=tenant)


@dataclass(frozen=True, slots=True)
class _Fact:
    """What is posted once. `family`: what has to be there in order; `goes_back`: only once what it takes back is."""

    subject: str
    payment_id: str
    family: str
    goes_back: bool


def _add_parts(
    tx: Tx, tenant: Tenant, kind: str, name: str, fact: _Fact, parts: dict[str, list[int]], *, resource_type: str
) -> list[str]:
    """One posting for each part. A line is in one of them, whatever a merge has made of accounts between two calls."""
    queued = [one for one in store.of_subject(tx, fact.subject) if one.connection == name]
    queued = [one for one in queued if one.resource_type == resource_type]
    taken = {number for one in queued for number in one.numbers}
    return [one.posting_id for one in queued] + [
        _add(tx, tenant, kind, name, fact, resource_type=resource_type, part=part, lines=left)
        for part, numbers in parts.items()
        if (left := set(numbers) - taken)
    ]


def _add(
    tx: Tx,
    tenant: Tenant,
    kind: str,
    name: str,
    fact: _Fact,
    *,
    resource_type: str,
    part: str = "",
    lines: Collection[int] = (),
) -> str:
    subject, of = fact.subject, fact.payment_id
    posting_id, new = store.add(
        tx, connection=name, subject=subject, payment_id=of, resource_type=resource_type, part=part, lines=lines
    )
    if not new:
        return posting_id
    asks = fact.goes_back or stage_of(tenant, name) != "auto"
    if asks and (why := held_back(tx, tenant, store.get(tx, posting_id))):
        held.hold(tx, posting_id, why.state, why.says, was="pending")
    lane = f"{KIND}:{name}:{fact.family}"
    work_id = add(
        tx,
        kind,
        posting_id,
        [lane, *([f"{KIND}:{name}:{part}"] if part and resource_type not in FOLLOWS else [])],
        once_key=f"{name}:{subject}:{part}" if part else f"{name}:{subject}",
        needs=[lane] if fact.goes_back else [],
        blocks=[] if fact.goes_back else [lane],
    )
    store.queued(tx, posting_id, work_id)
    return posting_id


def sending(tx: Tx, work: Work, tenant: Tenant, posting_id: str, way: str, body: str) -> None:
    """The last thing before the first byte leaves. Raises LeaseLost; Withheld where it isn't to be sent (any more)."""
    if not still_ours(tx, work):
        raise LeaseLost(f"another worker has taken {work.work_id} over", work_id=work.work_id)
    check(tx, tenant, store.get(tx, posting_id))
    store.sending(tx, posting_id, way, body)


def again(tx: Tx, work: Work, posting: Posting, reason: str, after: timedelta) -> None:
    store.in_doubt(tx, posting.posting_id, reason)
    retry(tx, work, after=after, error=reason)


async def attempted(
    units: Units, work: Work, attempt: Callable[[Work], Awaitable[Done | None]], *, tenant: Tenant, facts: Facts
) -> Done | None:
    """One attempt to post. What isn't to be sent is kept, with its `facts`; what is refused or unknown is parked; what
    passes the attempt itself has put off, with all for that receiver."""
    try:
        return await attempt(work)
    except Withheld:
        return await units.write(_withheld, work, tenant, facts)
    except FhirpayError as error:
        if error.retryable:
            raise
        return await units.write(note_parked, work, error)


def _withheld(tx: Tx, work: Work, tenant: Tenant, facts: Facts) -> None:
    """One unit: kept, and nothing is left to do; or for a person, where it may have arrived before."""
    if withhold(tx, tenant, work.ref, facts):
        worklist.settled(tx, "parked_call", work.work_id)
        complete(tx, work)
        return
    posting = store.get(tx, work.ref)
    if posting.state == "posted":
        complete(tx, work)
    elif posting.sent_at is not None and held_back(tx, tenant, posting):
        says = f"'{posting.connection}' may have {posting.subject} or not, and nothing is sent to it now: ask its staff"
        note_parked(tx, work, PostingUnknown(says, posting_id=posting.posting_id))
    else:
        retry(tx, work, after=timedelta(0), error="it was confirmed meanwhile")


def note_parked(tx: Tx, work: Work, error: FhirpayError) -> None:
    """One unit: what it is, that it waits, and where people look. Unless it was told meanwhile that it is there."""
    if store.get(tx, work.ref).state == "posted":
        complete(tx, work)
        return
    if isinstance(error, PostingUnknown):
        store.unknown(tx, work.ref, error.message)
    else:
        store.refused(tx, work.ref, error.message)
    reason = f"{error.code}: {error}"
    park(tx, work, reason=reason)
    note_parked_call(tx, work, reason)


def waiting(tx: Tx) -> dict[str, str]:
    """Work that waits for a person, for a reason of its own → the reason."""
    return {
        one.work_id: one.reason
        for one in parked(tx, QUEUE)
        if one.kind.partition(".")[0] == KIND and one.waits_for is None
    }


def by_hand(tx: Tx, posting_id: str, *, remote_id: str | None) -> None:
    """Somebody has looked at the EHR: it is there as `remote_id`, or (None) it isn't and is to be sent again."""
    posting = store.get(tx, posting_id)
    if posting.state == "posted" or posting.work_id not in waiting(tx):
        raise RuleBroken(f"posting {posting_id} is {posting.state}: there is nothing to decide", posting_id=posting_id)
    if remote_id is None:
        store.not_there(tx, posting_id)
    else:
        store.posted(tx, posting_id, remote_id=remote_id, remote_version="", body=posting.body)
    worklist.settled(tx, "parked_call", posting.work_id)
    release(tx, posting.work_id)

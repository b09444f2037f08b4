"""Payments that the EHR took itself become payments here, so that nobody asks for what was paid at its desk.

Called by collect.py in every unit that assesses an account. What the EHR says of the account (its
PaymentReconciliations) is compared with what is booked of it:

    a payment that is new        captured in the EHR's own books: credit that pays whatever the patient owes
    corrected, taken back        the booked one is taken back whole, what is left of it is booked anew
    an echo of ours              nothing: echoes.py has marked it
    the same money as ours?      a break, whoever was first, until the EHR takes its line back or a person has looked

Nothing of it goes out to any EHR, nothing of it can be refunded here: its money is in the EHR's hands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ..billing import money as billing
from ..billing import rows, worklist
from ..billing.cutover import payments_before
from ..billing.ehr_payments import ADJUSTMENT, PATIENT, Paid, Said, said_of, standing
from ..billing.intake import posted
from ..billing.money import CREDIT, CarriedOut
from ..billing.store import Reassessed, obligations_of
from ..config import Facility, Tenant
from ..db.types import fitted
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payment import FactKind, PaymentFact, PaymentState
from ..ledger import rules
from ..ledger import store as ledger
from ..log import Log
from ..payments import moving, store
from ..payments.records import Payment
from ..payments.store import EXTERNAL
from .money_off import business_day, take_off

log = Log("payments")

UNMATCHED = "ehr_payment_unmatched"  # on the worklist
LOOK_ALIKE = "ehr_payment_look_alike"  # on the worklist
BEFORE = "ehr_payment_before_watermark"  # on the worklist
TWO_POSTERS = "two_posters"  # a break
_LATE = "{} of {} came after go-live and is of {}, before the watermark: does the opening balance know it?"
_NEAR = timedelta(days=1)
_WHAT = {ADJUSTMENT: "a write-off"}


def lock(tx: Tx, account_refs: Iterable[str]) -> None:
    """The payments that these accounts have of their EHR, before the accounts: every unit takes its locks so."""
    moving.lock_external(tx, account_refs)


def any_of(tx: Tx, account_ref: str) -> bool:
    """Whether the EHR took any payment for the account, also one that it has taken back since."""
    return bool(store.external_of(tx, account_ref))


def settle_up(tx: Tx, account_ref: str, tenant: Tenant) -> Mapping[str, str]:
    """Book what the EHR says was paid on the account, and take back what it says no more; the payments that stand,
    each with the charge that it names, if it names one.

    Under the account's lock.
    """
    booked = [one for one in store.external_of(tx, account_ref) if one.state is PaymentState.CAPTURED]
    said = _said(tx, account_ref)
    if not booked and not said:
        return {}
    found = standing(said)
    before = payments_before(tx, (one.ref for one in said), tenant)
    counts = [one for one in found.paid if one.said.paid_by == PATIENT and one.said.ref not in before]
    wanted = {one.said.ref: one for one in counts}
    stands: dict[str, str] = {}
    for payment in booked:
        resource = resource_of(payment)
        if resource in wanted and wanted[resource].amount == payment.captured:
            stands[payment.payment_id] = wanted.pop(resource).said.names
        else:
            _take_back(tx, payment, tenant)
    stands |= {_take_in(tx, account_ref, one, tenant): one.said.names for one in wanted.values()}
    _tell_of_lines(tx, account_ref, said, found.unmatched)
    late = {one.said.ref: one.said for one in found.paid if before.get(one.said.ref)}
    told = {ref: (_LATE.format(one.label, one.amount, one.day), one.amount) for ref, one in late.items()}
    _told(tx, BEFORE, account_ref, told)
    compare(tx, account_ref, tenant)
    return stands


def _said(tx: Tx, account_ref: str) -> list[Said]:
    return [found for one in posted(tx, account_ref) if (found := said_of(one)) is not None]


def _facility(tenant: Tenant, feed: str) -> tuple[Facility, str]:
    """Whose till it was, and what the feed is called; of a feed that is gone, the first facility."""
    for one in tenant.interfaces:
        if one.system == feed:
            return tenant.facility(one.facility), one.name
    return tenant.facilities[0], feed


def _fact(ref: str, generation: int) -> str:
    return fitted(f"{EXTERNAL}:{ref}:{generation}")


def resource_of(payment: Payment) -> str:
    """The PaymentReconciliation that says it; empty for a payment of our own."""
    if payment.method != EXTERNAL:
        return ""
    return (payment.fact_key or "").removeprefix(f"{EXTERNAL}:").rpartition(":")[0]


def _take_in(tx: Tx, account_ref: str, paid: Paid, tenant: Tenant) -> str:
    said, amount = paid.said, paid.amount
    facility, feed = _facility(tenant, said.feed)
    generation = 1
    while known := store.of_fact(tx, _fact(said.ref, generation)):
        before = store.get(tx, known)
        if before.state is PaymentState.CAPTURED:  # on the account that it was for before
            rows.lock(tx, [before.account_ref])
            _take_back(tx, before, tenant)
        generation += 1
    payment_id = tx.ids.new("pay")
    store.add(
        tx,
        payment_id,
        fact_key=_fact(said.ref, generation),
        account_ref=account_ref,
        facility=facility.name,
        merchant="",
        processor=feed,
        amount_minor=amount.minor,
        currency=amount.currency,
        method=EXTERNAL,
        initiated_by="customer",
        requested_by=f"feed:{feed}",
    )
    at = datetime.combine(said.day, time(), ZoneInfo(facility.zone)).astimezone(UTC)
    fact = PaymentFact(FactKind.CAPTURED, at, f"feed:{feed}", amount, _fact(said.ref, generation))
    store.record_facts(tx, payment_id, [fact])
    values = {"captured_at": at, "business_date": said.day.isoformat(), "capture_ref": said.label, "brand": said.method}
    store.change(tx, payment_id, **values)
    store.refold(tx, store.get(tx, payment_id))
    billing.add_credit(tx, account_ref, payment_id, amount)
    entry = rules.ehr_payment(payment_id, amount, occurred_at=at, business_date=said.day, refs={"capture": said.ref})
    ledger.post(tx, entry, key=f"capture/{payment_id}")
    log.info("payment.taken_in", payment_id=payment_id, interface=feed)
    return payment_id


def _take_back(tx: Tx, payment: Payment, tenant: Tenant) -> None:
    """All of it, off whatever it pays: what is owed then is owed again."""
    payment = store.lock(tx, payment.payment_id)
    day = business_day(tenant, payment.facility, tx.now)
    billing.post(tx, take_off(tx, payment, payment.captured), business_date=day)
    entry = rules.ehr_payment_back(payment.payment_id, payment.captured, occurred_at=tx.now, business_date=day)
    ledger.post(tx, entry, key=f"void/{payment.payment_id}")
    fact = PaymentFact(FactKind.VOIDED, tx.now, payment.requested_by, undoes=payment.fact_key or "")
    store.record_facts(tx, payment.payment_id, [fact])
    store.refold(tx, payment)
    worklist.settled(tx, CREDIT, f"{payment.account_ref}/{payment.payment_id}")
    log.info("payment.taken_back", payment_id=payment.payment_id)


# ── what a person is told ─────────────────────────────────────────────────────────────────────────────────────────


def _tell_of_lines(tx: Tx, account_ref: str, said: list[Said], unmatched: Iterable[tuple[Said, Money]]) -> None:
    lines = {
        one.ref: (f"{one.label} takes back {rest} of {_WHAT.get(one.paid_by, 'a payment')} that isn't known here", rest)
        for one, rest in unmatched
    }
    _told(tx, UNMATCHED, account_ref, lines)
    _told(tx, LOOK_ALIKE, account_ref, dict(_alike(said)))


def _told(tx: Tx, kind: str, account_ref: str, lines: dict[str, tuple[str, Money]]) -> None:
    for subject, (says, amount) in lines.items():
        about = {"account_ref": account_ref, "amount": amount}
        worklist.open_item(tx, kind=kind, subject=subject, says=says, **about, standing=True)
    worklist.settled_but(tx, kind, account_ref, lines)


def _alike(said: Iterable[Said]) -> Iterator[tuple[str, tuple[str, Money]]]:
    """Lines without a number that say the same in another message: both count, and a person is asked."""
    first: dict[tuple[Money, date, str], Said] = {}
    for one in sorted(said, key=lambda one: one.key):
        if one.unnumbered and not one.echo_of:
            other = first.setdefault((one.amount, one.day, one.method), one)
            if other is not one and other.unnumbered != one.unnumbered:
                says = f"{one.amount} of {one.day}, without FT1-2, came twice: two payments, or one sent again?"
                yield one.ref, (says, one.amount)


def tell_of_credit(tx: Tx, reassessed: Reassessed, moved: CarriedOut, stands: Collection[str]) -> None:
    """More was paid at the EHR than anybody may come to owe by what is known: whose money is it?"""
    for credit in moved.credit if stands else ():
        if credit.payment_id not in stands:
            continue
        owed = [
            one for one in obligations_of(tx, reassessed.account_ref) if one.patient.currency == credit.amount.currency
        ]
        left = sum(max(0, one.patient.minor - one.paid.minor) + one.pending.minor for one in owed)
        if credit.amount.minor > left:
            billing.ask_whose(tx, credit)
        else:
            worklist.settled(tx, CREDIT, f"{credit.account_ref}/{credit.payment_id}")


def compare(tx: Tx, account_ref: str, tenant: Tenant) -> None:
    """Money that we have taken and the EHR has posted by itself, both on one account: a break until it is cleared up.

    The same amount within a day, each of ours with one of theirs. Both count until somebody says.
    """
    theirs = [one for one in store.external_of(tx, account_ref) if one.captured]
    told = store.open_breaks(tx, account_ref, TWO_POSTERS)
    if not theirs and not told:
        return
    payments = store.of_account(tx, account_ref)
    ours = [one for one in payments if one.method != EXTERNAL and one.captured and one.business_date]
    pairs: dict[str, tuple[Payment, Payment]] = {}
    for their in sorted(theirs, key=lambda one: (one.business_date or "", resource_of(one))):
        for our in ours:
            if _same(tx, our, their):
                ours.remove(our)
                pairs[f"{our.payment_id}:also:{resource_of(their)}"] = (our, their)
                break
    for key, (our, their) in pairs.items():
        says = f"{their.captured} was taken here on {our.business_date} and posted at the EHR by itself"
        says += f" ({their.capture_ref}) on {their.business_date}: the same money, or two payments?"
        store.open_break(tx, key, TWO_POSTERS, says, payment=our, amount=their.captured)
    for key in sorted(told - pairs.keys()):
        store.close_break(tx, key, by="fhirpay", why="one of the two was taken back or corrected")


def _same(tx: Tx, our: Payment, their: Payment) -> bool:
    days = [date.fromisoformat(one.business_date) for one in (our, their) if one.business_date]
    if len(days) < 2 or abs(days[0] - days[1]) > _NEAR:
        return False
    parts = [our.captured, *(one.paid for one in store.allocations(tx, our.payment_id))]
    return their.captured in parts

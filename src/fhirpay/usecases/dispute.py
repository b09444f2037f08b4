"""What a dispute means for our books, holds and people: told by events, by looks after our own calls, and by sweeps.

    seen ─▶ facts ─▶ fold ─▶ money lines in the ledger, once each
                         ├─▶ open: hold on the accounts, refunds that were not sent dropped, evidence on the worklist
                         ├─▶ lost: the money off what it had paid, which is owed again on hold; the EHR is told
                         └─▶ won late: the same back

Called in its callers' units: webhook.py, accept_dispute.py. The payment's row is locked first, the ledger comes last.
What follows of a line of money is had once, and what is lost in the books is what the facts come to, whoever tells
them, in whatever order and how often. Evidence is uploaded at the processor by a person: no health information leaves
through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from zoneinfo import ZoneInfo

from ..billing import entries, rows, worklist
from ..billing import money as billing
from ..config import Tenant
from ..db.unit import Tx
from ..domain.dispute import DisputeFact, DisputeState, Folded, Line, MoneyKind
from ..domain.money import Money
from ..ledger import rules
from ..ledger import store as ledger
from ..ledger.entry import Entry
from ..log import Log
from ..outbox import add as outbox_add
from ..payments import disputes, store
from ..payments.port import Approved, DisputeSeen, Outcome, ProvenAbsent, Unknown
from ..payments.records import Dispute, Operation, Payment
from . import bank_codes, collect, returned
from .dispute_losses import lose, over_key, regain
from .dropped_refund import drop_unsent_refunds
from .money_off import business_day
from .refund_shares import left_of

log = Log("disputes")

DUE = "dispute"  # on the worklist: evidence is wanted until a day; its subject is the dispute
LOST = entries.DISPUTE_LOST  # the same: is what was lost to be asked for again?
SHORT = "dispute_short"  # a break: less came back than was taken, of one that was won
LOOK = "dispute.look"  # in the outbox: read it anew; look_at_dispute.py
BY = "processor"
_S = DisputeState
_WAITS = {
    _S.INQUIRY: "the bank asks about it: answer at the processor",
    _S.NEEDS_RESPONSE: "upload evidence at the processor, or accept it",
}


def settle(tx: Tx, tenant: Tenant, payment_id: str, seen: DisputeSeen, *, source: str) -> Dispute:
    """Take in a dispute of this payment as it was seen; the dispute as it is then."""
    payment = store.lock(tx, payment_id)
    dispute, new = disputes.record(tx, payment, seen, source=source)
    if new:
        log.warning("dispute.opened", dispute_id=dispute.dispute_id, payment_id=payment_id, state=dispute.state)
    if seen.amount.currency != payment.currency:
        says = f"dispute {dispute.dispute_id} is of {seen.amount}: it is not booked"
        key = f"{payment_id}:{dispute.dispute_id}:currency"
        store.open_break(tx, key, "other_currency", says, payment=payment, amount=seen.amount)
        return dispute
    if seen.state is _S.LOST and store.first_time(tx, payment_id, f"bank:{dispute.dispute_id}", seen.amount):
        bank_codes.heard(tx, tenant, payment, seen.return_code or seen.reason or "disputed", disputed=True)
    return carry_out(tx, tenant, payment, dispute)


def answered(tx: Tx, tenant: Tenant, payment: Payment, operation: Operation, outcome: Outcome, *, source: str) -> None:
    """The processor has answered, or was looked up, after we accepted a dispute. Its money is read anew."""
    dispute = of_operation(tx, payment, operation)
    if dispute is None or isinstance(outcome, Unknown | ProvenAbsent):
        return
    if isinstance(outcome, Approved):
        fact = DisputeFact(_S.ACCEPTED, dispute.round, outcome.at or tx.now, source)
        disputes.add_facts(tx, dispute.dispute_id, [fact])
        carry_out(tx, tenant, payment, disputes.refold(tx, payment, dispute.dispute_id))
    outbox_add(tx, LOOK, dispute.dispute_id, [f"dispute:{dispute.dispute_id}"])


def of_operation(tx: Tx, payment: Payment, operation: Operation) -> Dispute | None:
    """The dispute that an operation is about."""
    theirs = operation.processor_ref
    return disputes.by_processor_ref(tx, payment.merchant, theirs) if theirs else None


def not_accepted(tx: Tx, operation: Operation) -> str:
    """Why the dispute of this operation is not to be accepted (any more). Empty: it is."""
    dispute = of_operation(tx, store.get(tx, operation.payment_id), operation)
    if dispute is None or dispute.state is not _S.NEEDS_RESPONSE:
        return (
            f"the dispute is {dispute.state if dispute else 'unknown'}: only one that needs a response can be accepted"
        )
    return ""


def carry_out(tx: Tx, tenant: Tenant, payment: Payment, dispute: Dispute) -> Dispute:
    """Everything that follows from the dispute's facts as they are now, once. Under the payment's lock."""
    folded = disputes.folded(tx, dispute)
    accounts = accounts_of(tx, payment)
    rows.lock(tx, accounts)
    if dispute.is_open:
        _stop(tx, tenant, payment, dispute, accounts)
    moved: dict[str, Entry] = {}
    for line in folded.lines:
        if _first_time(tx, payment, dispute, line):
            moved |= _money_entries(tenant, payment, dispute, line)
    more = folded.lost - dispute.lost
    if more.minor > 0:
        taken, lost = lose(tx, tenant, payment, dispute, more)
        if lost:
            _ask_about_lost(tx, payment, dispute, [*accounts, *(move.account_ref for move in taken)])
    elif more:
        taken, lost = regain(tx, tenant, payment, dispute, -more)
    else:
        taken, lost = [], {}
    dispute = disputes.get(tx, dispute.dispute_id)
    touched = list(dict.fromkeys([*accounts, *(move.account_ref for move in taken)]))
    _end_holds(tx, payment, dispute, touched)
    _list(tx, tenant, payment, dispute)
    _post(tx, moved)
    day = business_day(tenant, payment.facility, tx.now)
    billing.post(tx, (move for move in taken if not move.allocate), business_date=day)
    _post(tx, lost)
    billing.post(tx, (move for move in taken if move.allocate), business_date=day)
    collect.reassess_accounts(tx, touched, tenant)
    store.change(tx, payment.payment_id)
    _tell_of_rest(tx, payment, dispute, folded)
    if dispute.lost == folded.lost:
        store.close_break(tx, over_key(payment.payment_id, dispute.dispute_id), by=BY, why="all of it is booked")
    if more.minor < 0:
        catch_up(tx, tenant, payment)
        returned.catch_up(tx, tenant, payment)
    return dispute


def catch_up(tx: Tx, tenant: Tenant, payment: Payment) -> None:
    """What a lost dispute could not take, since it was given back or not known, and is there now: a refund failed, a
    capture was told late, another dispute was won after all. Under the payment's lock.
    """
    for one in disputes.of_payment(tx, payment.payment_id):
        if one.amount.currency != payment.currency or left_of(tx, payment).minor <= 0:
            continue
        if disputes.folded(tx, one).lost > one.lost:
            carry_out(tx, tenant, payment, one)


def _tell_of_rest(tx: Tx, payment: Payment, dispute: Dispute, folded: Folded) -> None:
    """A break while less has come back of one that was won, or of an inquiry that was closed, than was taken for it."""
    key = f"{payment.payment_id}:{dispute.dispute_id}:short"
    rest = folded.out - folded.lost if folded.state in (_S.WON, _S.INQUIRY_CLOSED) else Money.zero(payment.currency)
    told = next(
        (one for one in store.breaks(tx, payment_id=payment.payment_id, kind=SHORT) if one.break_key == key), None
    )
    if told is not None and told.amount != rest:
        store.close_break(tx, key, by=BY, why=f"{rest} is out now")
    if rest and (told is None or told.amount != rest):
        says = f"{dispute.dispute_id} is {folded.state}, and {rest} of {folded.withdrawn} has not come back: ask for it"
        store.open_break(tx, key, SHORT, says, payment=payment, amount=rest, again=True)


def accounts_of(tx: Tx, payment: Payment) -> list[str]:
    """The accounts that a payment is about: its own, and those on which it has paid something."""
    allocated = store.allocations(tx, payment.payment_id)
    return list(dict.fromkeys([payment.account_ref, *(one.account_ref for one in allocated)]))


def _first_time(tx: Tx, payment: Payment, dispute: Dispute, line: Line) -> bool:
    effect = f"dispute-{line.kind}:{dispute.dispute_id}:{line.reference}"
    return store.first_time(tx, payment.payment_id, effect, line.amount)


def _money_entries(tenant: Tenant, payment: Payment, dispute: Dispute, line: Line) -> dict[str, Entry]:
    day = business_day(tenant, payment.facility, line.at)
    refs = {"dispute": dispute.dispute_id, "processor_dispute": dispute.processor_ref, "line": line.reference}
    when = rules.When(occurred_at=line.at, business_date=day, refs=refs)
    rule = rules.dispute_withdrawn if line.kind is MoneyKind.WITHDRAWN else rules.dispute_reinstated
    about = f"{dispute.dispute_id}/{line.reference}"
    made = {f"dispute-{line.kind}/{about}": rule(payment.payment_id, payment.merchant, line.amount, **when)}
    if line.fee:
        fee = rules.dispute_fee(payment.payment_id, payment.merchant, abs(line.fee), back=line.fee.minor < 0, **when)
        made[f"dispute-fee/{about}"] = fee
    return made


def _post(tx: Tx, made: Mapping[str, Entry]) -> None:
    for key, entry in made.items():
        ledger.post(tx, entry, key=key)


# ── holds, and what people are told ───────────────────────────────────────────────────────────────────────────────


def _stop(tx: Tx, tenant: Tenant, payment: Payment, dispute: Dispute, accounts: Iterable[str]) -> None:
    """While the bank decides nothing is asked for on these accounts, and nothing of the payment is given back."""
    says = f"{payment.payment_id} is disputed by the payer's bank ({dispute.dispute_id}): nothing of it is given back."
    drop_unsent_refunds(tx, tenant, payment, says=says)
    held = f"{dispute.amount} of {payment.payment_id} is disputed by the payer's bank"
    for account_ref in accounts:
        entries.open_hold(tx, account_ref, entries.DISPUTED, says=held, by=BY)


def _ask_about_lost(tx: Tx, payment: Payment, dispute: Dispute, accounts: Iterable[str]) -> None:
    """What is owed again stays on hold until a person has said that it is to be asked for; also what no charge stands
    for yet, such as a copay, and so moves nothing in the ledger."""
    says = f"{dispute.dispute_id} took back what {payment.payment_id} had paid: is it to be asked for again?"
    for account_ref in dict.fromkeys(accounts):
        entries.open_hold(tx, account_ref, LOST, says=says, by=BY)
    worklist.open_item(
        tx,
        kind=LOST,
        subject=dispute.dispute_id,
        says=says,
        account_ref=payment.account_ref,
        amount=dispute.amount,
    )


def follow_money(tx: Tx, account_refs: Iterable[str]) -> None:
    """Payments have gone to other accounts: what disputes hold there is held where they are now, and nowhere else."""
    refs = tuple(account_refs)
    asked = {ref for ref in refs if any(one.name == LOST for one in entries.holds_of(tx, ref))}
    for ref in refs:
        about = disputes.some(tx, account_ref=ref)
        open_, lost = [one for one in about if one.is_open], [one for one in about if one.lost]
        for name, those, wanted in ((entries.DISPUTED, open_, True), (LOST, lost, bool(asked))):
            if those and wanted:
                says = f"{those[0].amount} of {those[0].payment_id} is, or was, disputed by the payer's bank"
                entries.open_hold(tx, ref, name, says=says, by=BY)
            elif not those:
                entries.end_hold(tx, ref, name, by=BY, why="the disputed payment is of another account")


def _end_holds(tx: Tx, payment: Payment, dispute: Dispute, accounts: Iterable[str]) -> None:
    """What the dispute held ends with it, unless another one holds the account too; what it lost is no question any
    more once all of it is back."""
    for account_ref in accounts:
        about = disputes.some(tx, account_ref=account_ref)
        if not any(one.is_open for one in about):
            entries.end_hold(tx, account_ref, entries.DISPUTED, by=BY, why=f"dispute {dispute.state}")
        if dispute.state is _S.WON and not any(one.lost for one in about):
            entries.end_hold(tx, account_ref, LOST, by=BY, why="the dispute was won after all")
    if dispute.state is _S.WON and not dispute.lost:
        worklist.settled(tx, LOST, dispute.dispute_id)


def _list(tx: Tx, tenant: Tenant, payment: Payment, dispute: Dispute) -> None:
    """On the worklist as long as somebody has to answer, with what it is about and until when."""
    todo = _WAITS.get(dispute.state)
    if todo is None:
        worklist.settled(tx, DUE, dispute.dispute_id)
        return
    by = ""
    if dispute.respond_by is not None:
        by = f" by {dispute.respond_by.astimezone(ZoneInfo(tenant.facility(payment.facility).zone)):%Y-%m-%d %H:%M}"
    says = f"{dispute.amount} of {payment.payment_id} is disputed ({dispute.reason or 'no reason given'}){by}: {todo}"
    worklist.open_item(
        tx,
        kind=DUE,
        subject=dispute.dispute_id,
        says=says,
        account_ref=payment.account_ref,
        amount=dispute.amount,
        standing=True,
    )

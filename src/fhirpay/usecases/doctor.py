"""Does everything that we keep agree with itself? The equations between billing, payments, ledger and queues.

`examine` reads one snapshot and says what is wrong, row by row; it changes nothing and never raises for what it finds.
Called by `fhirpay doctor`, daily (daily_check.py) and at the end of every test. Whatever is found is a bug or a hand in
the database: the figures are held together by the units that write them, so nothing here is ever "repaired" by itself.
To add an equation: a function that yields findings, and its name in `_CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, RowMapping, Text, and_, bindparam, case, cast, func, not_, or_, select

from ..billing import adjustments
from ..billing.tables import (
    AccountCredit,
    AccountHold,
    Adjustment,
    Obligation,
    ObligationShare,
    OpeningBalance,
    Recovery,
    StaffEntry,
    WorklistItem,
)
from ..close import check as closes
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.dispute import GONE
from ..domain.operation import OPEN
from ..domain.payment import CLOSED, fold
from ..domain.refund import CLAIMS, RefundState
from ..fhir.tables import ReplacedRow
from ..flow.tables import WorkRow, WorkTopicRow
from ..inbox.tables import InboxRow
from ..ledger.tables import LedgerPosting
from ..ledger.verify import verify
from ..parties.tables import MergeRow
from ..payments import disputes, tenders, till_sessions
from ..payments import store as payments
from ..payments.tables import (
    AllocationRow,
    DisputeRow,
    OperationRow,
    PaymentBreakRow,
    PaymentRow,
    RefundRow,
    ReturnRow,
    StoredMethodRow,
)
from ..writeback import files, files_check
from ..writeback.store import HELD
from ..writeback.tables import PostingFileRow, PostingRow
from . import doctor_controls, doctor_settlement
from .apply_message import PARKED
from .dispute_losses import over_key
from .parked import KIND as PARKED_CALL
from .rollout import TO_CONFIRM

_obligation, _share, _list = table(Obligation), table(ObligationShare), table(WorklistItem)
_payment, _operation, _refund = table(PaymentRow), table(OperationRow), table(RefundRow)
_leg, _work, _topic = table(LedgerPosting), table(WorkRow), table(WorkTopicRow)
_message, _posting, _file = table(InboxRow), table(PostingRow), table(PostingFileRow)
_adjustment, _return = table(Adjustment), table(ReturnRow)
_dispute, _told = table(DisputeRow), table(PaymentBreakRow)
_replaced, _merge, _opening = table(ReplacedRow), table(MergeRow), table(OpeningBalance)
_STANDS_ON = (Obligation, ObligationShare, AccountCredit, AccountHold, StaffEntry, OpeningBalance, Recovery)
_STANDS_ON += (PaymentRow, AllocationRow, StoredMethodRow)

_AT_DESK = ("cash_drawer", "checks_on_hand", "external_terminal_clearing", "deposit_in_transit", "bank")
_AT_DESK += ("unidentified_receipts",)  # of what was credited
_PAYABLE = CLAIMS - {RefundState.REQUESTED, RefundState.SUCCEEDED, RefundState.REPLACED}


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is the id of what doesn't agree."""

    check: str
    subject: str
    says: str

    def __str__(self) -> str:
        return f"{self.check}: {self.subject}: {self.says}"


def examine(tx: Tx) -> list[Finding]:
    """All that doesn't agree in this tenant's database."""
    return [finding for check in _CHECKS for finding in check(tx)]


def _books(tx: Tx) -> Iterator[Finding]:
    """The chain, each entry's balance, and what may never be below zero."""
    for problem in verify(tx).problems:
        yield Finding("books", "ledger", str(problem))


def _shares(tx: Tx) -> Iterator[Finding]:
    """An obligation's money is the sum of its payments' shares, and no share shows more than was paid."""
    sums = _sums(_share, _share.c.obligation_id, in_flight=_share.c.in_flight_minor, paid=_share.c.paid_minor)
    found = _with(tx, sums, _obligation, _obligation.c.obligation_id)
    for row in found:
        for name in ("in_flight", "paid"):
            if row[f"{name}_minor"] != (row[name] or 0):
                yield Finding("shares", row["id"], f"{name} is {row[f'{name}_minor']}, its shares {row[name] or 0}")
    for row in tx.all(_OVER_ALLOCATED, tenant=tx.tenant):
        yield Finding("shares", row["obligation_id"], f"more allocated than paid of {row['payment_id']}")


def _receivable(tx: Tx) -> Iterator[Finding]:
    """`ar_patient` of an obligation is what was posted of it, less what payments have been allocated to it."""
    sums = _sums(_share, _share.c.obligation_id, allocated=_share.c.allocated_minor)
    ledger = dict(_balances(tx, "ar_patient", _leg.c.obligation_id, debit=True))
    for row in _with(tx, sums, _obligation, _obligation.c.obligation_id):
        stands = ledger.pop(row["id"], 0)
        if stands != row["posted_minor"] - (row["allocated"] or 0):
            says = f"ar_patient is {stands}; posted {row['posted_minor']}, allocated {row['allocated'] or 0}"
            yield Finding("receivable", row["id"], says)
    for obligation, stands in ledger.items():
        if stands:
            yield Finding("receivable", str(obligation), f"ar_patient is {stands}, and there is no such obligation")


def _pending(tx: Tx) -> Iterator[Finding]:
    """`ar_pending` of an account is what its obligations wait for insurance with."""
    ledger = dict(_balances(tx, "ar_pending", _leg.c.account_ref, debit=True))
    owed = {row["account_ref"]: row["waits"] for row in tx.all(_WAITS, tenant=tx.tenant) if row["waits"]}
    for ref in sorted({str(one) for one in ledger} | owed.keys()):
        if ledger.get(ref, 0) != owed.get(ref, 0):
            yield Finding("pending", ref, f"ar_pending is {ledger.get(ref, 0)}, its obligations {owed.get(ref, 0)}")


def _credit(tx: Tx) -> Iterator[Finding]:
    """`unapplied_credit` of a payment is what came in and stayed, less what was allocated, given back or is to be given
    back, or lost to a dispute. What was refunded and came back as well (`recovered`) came out of no credit."""
    sums = _sums(_share, _share.c.payment_id, allocated=_share.c.allocated_minor)
    back = {row["payment_id"]: row["back"] for row in tx.all(_GOES_BACK, tenant=tx.tenant)}
    beside = {row["payment_id"]: row["recovered"] for row in tx.all(_RETURNS, tenant=tx.tenant)}
    lost = {row["payment_id"]: row["lost"] for row in tx.all(_DISPUTED, tenant=tx.tenant)}
    ledger = dict(_balances(tx, "unapplied_credit", _leg.c.payment_id, debit=False))
    for row in _with(tx, sums, _payment, _payment.c.payment_id):
        came = row["captured_minor"] - row["returned_minor"] + beside.get(row["id"], 0) - lost.get(row["id"], 0)
        left = came - (row["allocated"] or 0) - back.get(row["id"], 0)
        if ledger.get(row["id"], 0) != left:
            says = f"unapplied_credit is {ledger.get(row['id'], 0)}; came {came}, allocated {row['allocated'] or 0}"
            yield Finding("credit", row["id"], f"{says}, given back {back.get(row['id'], 0)}")


def _payable(tx: Tx) -> Iterator[Finding]:
    """`refunds_payable` of a refund is its amount from approval until it has gone out or was dropped."""
    ledger = dict(_balances(tx, "refunds_payable", _leg.c.refund_id, debit=False))
    for row in tx.all(_REFUNDS, tenant=tx.tenant):
        wanted = row["amount_minor"] if row["state"] in _PAYABLE else 0
        if ledger.get(row["refund_id"], 0) != wanted:
            says = f"{row['state']}, and refunds_payable is {ledger.get(row['refund_id'], 0)}, not {wanted}"
            yield Finding("payable", row["refund_id"], says)


def _clearing(tx: Tx) -> Iterator[Finding]:
    """`processor_clearing` of a payment (`ehr_receipts`, where the EHR took it; the accounts of tenders, where a desk
    did) is what was captured, less what went back, what its returns cost, what disputes hold, with their fees, and the
    fees of its payouts' lines."""
    settled = doctor_settlement.fees_of_payments(tx)
    fees = {row["payment_id"]: row["fee"] for row in tx.all(_RETURNS, tenant=tx.tenant)}
    disputed = {row["payment_id"]: row["out"] + row["fee"] for row in tx.all(_DISPUTED, tenant=tx.tenant)}
    places = dict.fromkeys(tenders.KINDS, _AT_DESK) | {payments.EXTERNAL: ("ehr_receipts",)}
    names = {"processor_clearing", *(name for place in places.values() for name in place)}
    books = {one: dict(_balances(tx, one, _leg.c.payment_id, debit=True)) for one in sorted(names)}
    for row in tx.all(_PAYMENTS, tenant=tx.tenant):
        place = places.get(row["method"], ("processor_clearing",))
        wanted = row["captured_minor"] - row["returned_minor"] - row["refunded_minor"]
        wanted -= fees.get(row["payment_id"], 0) + disputed.get(row["payment_id"], 0)
        wanted -= settled.get(row["payment_id"], 0)
        stands = sum(books[account].get(row["payment_id"], 0) for account in place)
        if stands != wanted:
            yield Finding("clearing", row["payment_id"], f"{place[0]} is {stands}, its facts come to {wanted}")


def _accounts(tx: Tx) -> Iterator[Finding]:
    controls = (doctor_controls.receivable_by_account, doctor_controls.unidentified, doctor_controls.bags_at_bank)
    for subject, says in (found for control in controls for found in control(tx)):
        yield Finding("accounts", subject, says)


def _settlement(tx: Tx) -> Iterator[Finding]:
    for subject, says in doctor_settlement.problems(tx):
        yield Finding("settlement", subject, says)


def _closes(tx: Tx) -> Iterator[Finding]:
    for subject, says in closes.problems(tx):
        yield Finding("closes", subject, says)


def _tills(tx: Tx) -> Iterator[Finding]:
    """Nothing that isn't in a till, or in a safe, can have been taken out of it."""
    for account in ("cash_drawer", "cash_safe"):
        for till, stands in _balances(tx, account, _leg.c.till, debit=True):
            if stands < 0:
                yield Finding("tills", str(till), f"{account} is {stands}")


def _disputes(tx: Tx) -> Iterator[Finding]:
    """`dispute_receivable` of a payment is what its open disputes hold, and of one that has ended nothing that no break
    tells of; what a dispute's row says is the fold over its facts."""
    ledger = dict(_balances(tx, "dispute_receivable", _leg.c.payment_id, debit=True))
    for row in tx.all(_DISPUTED, tenant=tx.tenant):
        stands, wanted = ledger.pop(row["payment_id"], 0), row["out"] - row["lost"]
        if stands != wanted:
            says = f"dispute_receivable is {stands}, its disputes hold {wanted}"
            yield Finding("disputes", row["payment_id"], says)
    for payment_id, stands in ledger.items():
        if stands:
            yield Finding("disputes", str(payment_id), f"dispute_receivable is {stands}, and nothing is disputed")
    for one in disputes.some(tx):
        left = one.out - one.lost
        told = tx.scalar(_BREAK, key=over_key(one.payment_id, one.dispute_id)) is not None
        if one.state in GONE and left and not told:
            yield Finding("disputes", one.dispute_id, f"{one.state}, and {left} of it stands in dispute_receivable")
        folded = disputes.folded(tx, one)
        kept = (one.state, one.round, one.withdrawn, one.reinstated, one.fee)
        facts = (folded.state, folded.round, folded.withdrawn, folded.reinstated, folded.fees)
        if kept != facts:
            yield Finding("disputes", one.dispute_id, f"{kept} is kept, its facts come to {facts}")


def _folded(tx: Tx) -> Iterator[Finding]:
    """What a payment's row says is the fold over its facts, and what has ended holds nothing back."""
    for row in tx.all(_PAYMENTS, tenant=tx.tenant):
        payment = payments.get(tx, row["payment_id"])
        folded = fold(payments.facts_of(tx, payment.payment_id), currency=payment.currency)
        kept = (payment.state, payment.authorized, payment.captured, payment.voided, payment.returned, payment.refunded)
        facts = (folded.state, folded.authorized, folded.captured, folded.voided, folded.returned, folded.refunded)
        if kept != facts:
            yield Finding("folded", row["payment_id"], f"{kept} is kept, its facts come to {facts}")
    for row in tx.all(_HELD_BACK, tenant=tx.tenant):
        yield Finding("folded", row["payment_id"], "it has ended, and still holds back what is owed")


def _in_hand(tx: Tx) -> Iterator[Finding]:
    """Not knowing is followed up: each open operation, message and posting has work to come, or is parked."""
    for what, without_work in _WITHOUT_WORK.items():
        for row in tx.all(without_work, tenant=tx.tenant):
            yield Finding("in hand", row["id"], f"an open {what}, and nobody works on it")


def _listed(tx: Tx) -> Iterator[Finding]:
    """What waits for a person is where people look: parked messages and calls, unless behind another that is."""
    for row in tx.all(_PARKED, tenant=tx.tenant):
        if tx.scalar(_WAITS_FOR, work=row["work_id"]) is not None:
            continue
        kind, subject = (PARKED, row["ref"]) if row["queue"] == "inbox" else (PARKED_CALL, row["work_id"])
        if tx.scalar(_OPEN_ITEM, of=kind, about=subject) is None:
            yield Finding("listed", row["work_id"], f"{row['kind']} of {row['ref']} is parked and on no list")


def _held(tx: Tx) -> Iterator[Finding]:
    """What is held back from an EHR hasn't left, and what waits for staff is where they look, or is looked at yet."""
    for row in tx.all(_HELD, tenant=tx.tenant):
        if row["sent_at"] is not None:
            yield Finding("held", row["posting_id"], f"it is {row['state']}, and may have been sent")
            continue
        looked_at = row["state"] == "proposed" and row["work"] == "done"
        if looked_at and tx.scalar(_OPEN_ITEM, of=TO_CONFIRM, about=row["posting_id"]) is None:
            yield Finding("held", row["posting_id"], "it waits for staff, and is on no list")


def _merges(tx: Tx) -> Iterator[Finding]:
    """Nothing stands on what was merged away, and each merge that stands is the reason why another stands for it."""
    rows = tx.all(_REPLACED, tenant=tx.tenant)
    gone = {f"{row['type']}/{row['resource_id']}": f"{row['type']}/{row['by_id']}" for row in rows}
    for of in map(table, _STANDS_ON if gone else ()):
        left = select(of.c.account_ref).where(_mine(of), of.c.account_ref.in_(sorted(gone))).distinct()
        for row in tx.all(left, tenant=tx.tenant):
            yield Finding(
                "merges", row["account_ref"], f"merged into {gone[row['account_ref']]}, and has {of.name} rows"
            )
    made = {(row["old_ref"], row["new_ref"]) for row in tx.all(_MADE, tenant=tx.tenant)}
    for old, new in sorted(made ^ set(gone.items())):
        yield Finding("merges", old, f"its merge into {new} is recorded in one place and not in the other")


def _cutover(tx: Tx) -> Iterator[Finding]:
    """Nothing of before a watermark is owed, and each opening balance that stands is in the books once."""
    for row in tx.all(_ASKED_OF_OLD, tenant=tx.tenant):
        yield Finding("cutover", row["obligation_id"], "of before the watermark, and in the books or asked for")
    booked: dict[str | None, int] = dict(_balances(tx, "opening_balance", _leg.c.obligation_id, debit=False))
    if (stands := booked.pop(None, 0)) != (there := till_sessions.taken_over(tx)):
        yield Finding("cutover", "safes", f"opening_balance has {stands} of cash, and {there} was taken over")
    for row in tx.all(_OPENED, tenant=tx.tenant):
        stands = booked.pop(row["obligation_id"], 0)
        if stands != row["posted_minor"]:
            yield Finding("cutover", row["obligation_id"], f"opening_balance is {stands}, it has {row['posted_minor']}")
    for obligation, stands in booked.items():
        if stands:
            yield Finding("cutover", str(obligation), f"opening_balance is {stands}, and it is of no opening balance")
    for row in tx.all(_NOT_OWED, tenant=tx.tenant):
        yield Finding("cutover", row["opening_id"], f"'{row['reference']}' stands, and is on no account as owed")


def _adjusted(tx: Tx) -> Iterator[Finding]:
    """No EHR is told of more that was taken off an obligation than was, unless what asks for it now left that out."""
    sums: dict[tuple[str, str], int] = {}
    for row in tx.all(_ADJUSTMENTS, tenant=tx.tenant):
        key = row["obligation_id"], row["kind"]
        sums[key] = sums.get(key, 0) + row["amount_minor"]
        if sums[key] < 0:
            yield Finding("adjusted", row["adjustment_id"], f"it takes back {-sums[key]} more than there was")
    for row in tx.all(_TAKEN_OFF, tenant=tx.tenant):
        stands = adjustments.stands(row)
        told = {kind: minor for (of, kind), minor in sums.items() if of == row["obligation_id"]}
        over = sum(max(0, minor - stands.get(kind, 0)) for kind, minor in told.items())
        if over > (row["pending_minor"] if row["superseded_by"] else 0):
            yield Finding("adjusted", row["obligation_id"], f"{told} was told, {stands} stands")


def _posting_files(tx: Tx) -> Iterator[Finding]:
    """A file holds the postings that it says, all posted once it is in place, and numbers have no gap."""
    for subject, says in files_check.wrong(tx):
        yield Finding("posting files", subject, says)


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _mine(of: Any) -> ColumnElement[bool]:
    return of.c.tenant_id == bindparam("tenant")


@cache
def _sums(of: Any, key: Any, **columns: Any) -> Any:
    """Sums of columns by key, as a table to join."""
    summed = [cast(func.sum(column), BigInteger).label(name) for name, column in columns.items()]
    return select(of.c.tenant_id, key.label("key"), *summed).group_by(of.c.tenant_id, key).subquery()


def _with(tx: Tx, sums: Any, of: Any, key: Any) -> list[RowMapping]:
    """Each row of a table, its id as `id`, with its sums (None where there are none)."""
    return tx.all(_joined(sums, of, key), tenant=tx.tenant)


@cache
def _joined(sums: Any, of: Any, key: Any) -> Any:
    names = [column for column in sums.c if column.name not in ("tenant_id", "key")]
    joined = of.outerjoin(sums, and_(sums.c.tenant_id == of.c.tenant_id, sums.c.key == key))
    return select(of, key.label("id"), *names).select_from(joined).where(_mine(of))


def _balances(tx: Tx, account: str, along: Any, *, debit: bool) -> list[tuple[str, int]]:
    """An account's balance by the ids of one column, on its normal side."""
    return [(row["key"], row["net"]) for row in tx.all(_net(along, debit), account=account)]


@cache
def _net(along: Any, debit: bool) -> Any:
    side = "debit" if debit else "credit"
    net = cast(func.sum(case((_leg.c.side == side, _leg.c.amount_minor), else_=-_leg.c.amount_minor)), BigInteger)
    mine = (_mine(_leg), _leg.c.account == bindparam("account"))
    return select(along.label("key"), net.label("net")).where(*mine).group_by(along)


def _without_work(of: Any, key: Any, which: ColumnElement[bool]) -> Any:
    refs = [key, of.c.refund_id] if of is _operation else [key]  # a refund's work is named by the refund
    followed = select(_work.c.work_id).where(
        _work.c.tenant_id == of.c.tenant_id, _work.c.ref.in_(refs), _work.c.state != "done"
    )
    return select(key.label("id")).where(_mine(of), which, not_(followed.exists()))


_UNPOSTED = and_(  # but for what waits for a file, or stands in one
    _posting.c.state.in_(("pending", "sent")),
    _posting.c.file.is_(None),
    _posting.c.way.is_distinct_from(files.WAY),
)
_file_ref = _file.c.connection + "/" + cast(_file.c.number, Text)  # as File.ref
_WITHOUT_WORK = {
    "operation": _without_work(_operation, _operation.c.operation_id, _operation.c.state.in_(OPEN)),
    "message": _without_work(_message, _message.c.message_id, _message.c.state == "received"),
    "posting": _without_work(_posting, _posting.c.posting_id, _UNPOSTED),
    "posting file": _without_work(_file, _file_ref, _file.c.state != "placed"),
}
_OVER_ALLOCATED = select(_share).where(_mine(_share), _share.c.allocated_minor > _share.c.paid_minor)
_WAITS = (
    select(_obligation.c.account_ref, cast(func.sum(_obligation.c.pending_minor), BigInteger).label("waits"))
    .where(_mine(_obligation))
    .group_by(_obligation.c.account_ref)
)
_GOES_BACK = (
    select(_refund.c.payment_id, cast(func.sum(_refund.c.amount_minor), BigInteger).label("back"))
    .where(_mine(_refund), _refund.c.state.in_(CLAIMS - {RefundState.REQUESTED}))
    .group_by(_refund.c.payment_id)
)
_RETURNS = (
    select(
        _return.c.payment_id,
        cast(func.sum(_return.c.recovered_minor), BigInteger).label("recovered"),
        cast(func.sum(_return.c.fee_minor), BigInteger).label("fee"),
    )
    .where(_mine(_return), _return.c.booked_at.is_not(None))
    .group_by(_return.c.payment_id)
)
_DISPUTED = (
    select(
        _dispute.c.payment_id,
        cast(func.sum(_dispute.c.withdrawn_minor - _dispute.c.reinstated_minor), BigInteger).label("out"),
        cast(func.sum(_dispute.c.fee_minor), BigInteger).label("fee"),
        cast(func.sum(_dispute.c.lost_minor), BigInteger).label("lost"),
    )
    .where(_mine(_dispute))
    .group_by(_dispute.c.payment_id)
)
_BREAK = select(_told.c.break_key).where(_mine(_told), _told.c.break_key == bindparam("key"))
_REFUNDS, _PAYMENTS = select(_refund).where(_mine(_refund)), select(_payment).where(_mine(_payment))
_HELD_BACK = (
    select(_share.c.payment_id)
    .join(_payment, and_(_payment.c.tenant_id == _share.c.tenant_id, _payment.c.payment_id == _share.c.payment_id))
    .where(_mine(_share), _share.c.in_flight_minor > 0, _payment.c.state.in_(CLOSED))
    .distinct()
)
_PARKED = select(_work).where(_mine(_work), _work.c.state == "parked")
_WAITS_FOR = select(_topic.c.topic).where(
    _mine(_topic), _topic.c.role == "waits", _topic.c.work_id == bindparam("work")
)
_OPEN_ITEM = select(_list.c.item_id).where(
    _mine(_list), _list.c.kind == bindparam("of"), _list.c.state == "open", _list.c.subject == bindparam("about")
)


_HELD = (
    select(_posting.c.posting_id, _posting.c.state, _posting.c.sent_at, _work.c.state.label("work"))
    .outerjoin(_work, and_(_work.c.tenant_id == _posting.c.tenant_id, _work.c.work_id == _posting.c.work_id))
    .where(_mine(_posting), _posting.c.state.in_(HELD))
)
_ASKED_OF_OLD = select(_obligation).where(
    _mine(_obligation),
    _obligation.c.memo_minor > 0,
    _obligation.c.patient_minor + _obligation.c.pending_minor + _obligation.c.posted_minor > 0,
)
_ADJUSTMENTS = (
    select(_adjustment)
    .where(_mine(_adjustment))
    .order_by(_adjustment.c.obligation_id, _adjustment.c.kind, _adjustment.c.number)
)
_TAKEN_OFF = select(_obligation).where(
    _mine(_obligation),
    _obligation.c.obligation_id.in_(select(_adjustment.c.obligation_id).where(_mine(_adjustment))),
)
_OPENED = select(_obligation).where(_mine(_obligation), _obligation.c.basis_kind == "opening")
_OWED_ONCE = (
    select(_obligation.c.obligation_id)
    .where(_obligation.c.tenant_id == _opening.c.tenant_id, _obligation.c.account_ref == _opening.c.account_ref)
    .where(_obligation.c.basis_key == _opening.c.opening_id, _obligation.c.currency == _opening.c.currency)
    .where(or_(_obligation.c.patient_minor == _opening.c.amount_minor, _obligation.c.state == "superseded"))
)
_NOT_OWED = select(_opening).where(_mine(_opening), _opening.c.taken_back_at.is_(None), not_(_OWED_ONCE.exists()))
_REPLACED = select(_replaced).where(_mine(_replaced))
_MADE = select(_merge).where(_mine(_merge), _merge.c.kind == "merge", _merge.c.undone_at.is_(None))

_CHECKS: tuple[Callable[[Tx], Iterator[Finding]], ...] = (
    _books,
    _shares,
    _receivable,
    _pending,
    _credit,
    _payable,
    _clearing,
    _accounts,
    _settlement,
    _closes,
    _tills,
    _disputes,
    _folded,
    _in_hand,
    _listed,
    _held,
    _merges,
    _cutover,
    _adjusted,
    _posting_files,
)

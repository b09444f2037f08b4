"""Does everything that we keep agree with itself? The equations between billing, payments, ledger and queues.

`examine` reads one snapshot and says what is wrong, row by row; it changes nothing and never raises for what it finds.
Called by `fhirpay doctor` and at the end of every test. Whatever is found is a bug or a hand in the database: the
figures are held together by the units that write them, so nothing here is ever "repaired" by itself.
To add an equation: a function that yields findings, and its name in `_CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, cast, func, not_, select

from ..billing.tables import Obligation, ObligationShare, WorklistItem
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.operation import OPEN
from ..domain.payment import CLOSED, fold
from ..domain.refund import CLAIMS, RefundState
from ..flow.tables import WorkRow, WorkTopicRow
from ..inbox.tables import InboxRow
from ..ledger.tables import LedgerPosting
from ..ledger.verify import verify
from ..payments import store
from ..payments.tables import OperationRow, PaymentRow, RefundRow
from ..writeback.tables import PostingRow
from .apply_message import PARKED
from .parked import KIND as PARKED_CALL

_obligation, _share, _list = table(Obligation), table(ObligationShare), table(WorklistItem)
_payment, _operation, _refund = table(PaymentRow), table(OperationRow), table(RefundRow)
_leg, _work, _topic = table(LedgerPosting), table(WorkRow), table(WorkTopicRow)
_message, _posting = table(InboxRow), table(PostingRow)

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
    for row in tx.all(select(_share).where(_mine(tx, _share), _share.c.allocated_minor > _share.c.paid_minor)):
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
    waits = cast(func.sum(_obligation.c.pending_minor), BigInteger)
    statement = select(_obligation.c.account_ref, waits).where(_mine(tx, _obligation))
    rows: Any = tx.execute(statement.group_by(_obligation.c.account_ref))
    owed = {ref: minor for ref, minor in rows if minor}
    for ref in sorted({str(one) for one in ledger} | owed.keys()):
        if ledger.get(ref, 0) != owed.get(ref, 0):
            yield Finding("pending", ref, f"ar_pending is {ledger.get(ref, 0)}, its obligations {owed.get(ref, 0)}")


def _credit(tx: Tx) -> Iterator[Finding]:
    """`unapplied_credit` of a payment is what came in, less what was allocated, given back or is to be given back."""
    sums = _sums(_share, _share.c.payment_id, allocated=_share.c.allocated_minor)
    back = dict(
        tx.execute(
            select(_refund.c.payment_id, cast(func.sum(_refund.c.amount_minor), BigInteger))
            .where(_mine(tx, _refund), _refund.c.state.in_(CLAIMS - {RefundState.REQUESTED}))
            .group_by(_refund.c.payment_id)
        ).all()  # type: ignore[arg-type]
    )
    ledger = dict(_balances(tx, "unapplied_credit", _leg.c.payment_id, debit=False))
    for row in _with(tx, sums, _payment, _payment.c.payment_id):
        came = row["captured_minor"] - row["returned_minor"]
        left = came - (row["allocated"] or 0) - back.get(row["id"], 0)
        if ledger.get(row["id"], 0) != left:
            says = f"unapplied_credit is {ledger.get(row['id'], 0)}; came {came}, allocated {row['allocated'] or 0}"
            yield Finding("credit", row["id"], f"{says}, given back {back.get(row['id'], 0)}")


def _payable(tx: Tx) -> Iterator[Finding]:
    """`refunds_payable` of a refund is its amount from approval until it has gone out or was dropped."""
    ledger = dict(_balances(tx, "refunds_payable", _leg.c.refund_id, debit=False))
    for row in tx.all(select(_refund).where(_mine(tx, _refund))):
        wanted = row["amount_minor"] if row["state"] in _PAYABLE else 0
        if ledger.get(row["refund_id"], 0) != wanted:
            says = f"{row['state']}, and refunds_payable is {ledger.get(row['refund_id'], 0)}, not {wanted}"
            yield Finding("payable", row["refund_id"], says)


def _clearing(tx: Tx) -> Iterator[Finding]:
    """`processor_clearing` of a payment is what was captured, less what went back."""
    ledger = dict(_balances(tx, "processor_clearing", _leg.c.payment_id, debit=True))
    for row in tx.all(select(_payment).where(_mine(tx, _payment))):
        wanted = row["captured_minor"] - row["returned_minor"] - row["refunded_minor"]
        if ledger.get(row["payment_id"], 0) != wanted:
            says = f"processor_clearing is {ledger.get(row['payment_id'], 0)}, its facts come to {wanted}"
            yield Finding("clearing", row["payment_id"], says)


def _folded(tx: Tx) -> Iterator[Finding]:
    """What a payment's row says is the fold over its facts, and what has ended holds nothing back."""
    for row in tx.all(select(_payment.c.payment_id).where(_mine(tx, _payment))):
        payment = store.get(tx, row["payment_id"])
        folded = fold(store.facts_of(tx, payment.payment_id), currency=payment.currency)
        kept = (payment.state, payment.authorized, payment.captured, payment.voided, payment.returned, payment.refunded)
        facts = (folded.state, folded.authorized, folded.captured, folded.voided, folded.returned, folded.refunded)
        if kept != facts:
            yield Finding("folded", row["payment_id"], f"{kept} is kept, its facts come to {facts}")
    held = (
        select(_share.c.payment_id)
        .join(_payment, and_(_payment.c.tenant_id == _share.c.tenant_id, _payment.c.payment_id == _share.c.payment_id))
        .where(_mine(tx, _share), _share.c.in_flight_minor > 0, _payment.c.state.in_(CLOSED))
    )
    for row in tx.all(held.distinct()):
        yield Finding("folded", row["payment_id"], "it has ended, and still holds back what is owed")


def _in_hand(tx: Tx) -> Iterator[Finding]:
    """Not knowing is followed up: each open operation, message and posting has work to come, or is parked."""
    for what, rows in (
        ("operation", _without_work(tx, _operation, _operation.c.operation_id, _operation.c.state.in_(OPEN))),
        ("message", _without_work(tx, _message, _message.c.message_id, _message.c.state == "received")),
        ("posting", _without_work(tx, _posting, _posting.c.posting_id, _posting.c.state.in_(("pending", "sent")))),
    ):
        for subject in rows:
            yield Finding("in hand", subject, f"an open {what}, and nobody works on it")


def _without_work(tx: Tx, of: Any, key: Any, which: ColumnElement[bool]) -> list[str]:
    refs = [key, of.c.refund_id] if of is _operation else [key]  # a refund's work is named by the refund
    followed = select(_work.c.work_id).where(
        _work.c.tenant_id == of.c.tenant_id, _work.c.ref.in_(refs), _work.c.state != "done"
    )
    found = select(key.label("id")).where(_mine(tx, of), which, not_(followed.exists()))
    return [row["id"] for row in tx.all(found)]


def _listed(tx: Tx) -> Iterator[Finding]:
    """What waits for a person is where people look: parked messages and calls, unless behind another that is."""
    for row in tx.all(select(_work).where(_mine(tx, _work), _work.c.state == "parked")):
        waits = select(_topic.c.topic).where(_mine(tx, _topic), _topic.c.role == "waits")
        if tx.scalar(waits.where(_topic.c.work_id == row["work_id"])) is not None:
            continue
        kind, subject = (PARKED, row["ref"]) if row["queue"] == "inbox" else (PARKED_CALL, row["work_id"])
        open_items = select(_list.c.item_id).where(_mine(tx, _list), _list.c.kind == kind, _list.c.state == "open")
        if tx.scalar(open_items.where(_list.c.subject == subject)) is None:
            yield Finding("listed", row["work_id"], f"{row['kind']} of {row['ref']} is parked and on no list")


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _mine(tx: Tx, of: Any) -> ColumnElement[bool]:
    return of.c.tenant_id == tx.tenant


def _sums(of: Any, key: Any, **columns: Any) -> Any:
    """Sums of columns by key, as a table to join."""
    summed = [cast(func.sum(column), BigInteger).label(name) for name, column in columns.items()]
    return select(of.c.tenant_id, key.label("key"), *summed).group_by(of.c.tenant_id, key).subquery()


def _with(tx: Tx, sums: Any, of: Any, key: Any) -> list[Any]:
    """Each row of a table, its id as `id`, with its sums (None where there are none)."""
    names = [column for column in sums.c if column.name not in ("tenant_id", "key")]
    joined = of.outerjoin(sums, and_(sums.c.tenant_id == of.c.tenant_id, sums.c.key == key))
    return tx.all(select(of, key.label("id"), *names).select_from(joined).where(_mine(tx, of)))


def _balances(tx: Tx, account: str, along: Any, *, debit: bool) -> list[tuple[str, int]]:
    """An account's balance by the ids of one column, on its normal side."""
    side = "debit" if debit else "credit"
    net = cast(func.sum(case((_leg.c.side == side, _leg.c.amount_minor), else_=-_leg.c.amount_minor)), BigInteger)
    statement = select(along, net).where(_mine(tx, _leg), _leg.c.account == account).group_by(along)
    rows: Any = tx.execute(statement)
    return [(key, minor) for key, minor in rows]


_CHECKS: tuple[Callable[[Tx], Iterator[Finding]], ...] = (
    _books,
    _shares,
    _receivable,
    _pending,
    _credit,
    _payable,
    _clearing,
    _folded,
    _in_hand,
    _listed,
)

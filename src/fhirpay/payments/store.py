"""Payments as rows: made, their operations moved, their facts recorded and folded. Takes the caller's `tx`.

Called by usecases/take_payment.py and usecases/settle_outcome.py (all changes) and by web/api, explain and write-back
(reading). A unit that changes a payment locks its row first (`lock`), so that an outcome, a lookup and an event about
the same payment come one after the other; the ledger is posted last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Text, and_, bindparam, case, false, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain import operation as operations
from ..domain.money import Money
from ..domain.operation import OperationState
from ..domain.payment import FactKind, Folded, PaymentFact, PaymentState, fold
from ..errors import NotFound, RuleBroken
from . import happened
from .allocation import Share
from .port import OperationKind
from .records import Allocation, Break, Operation, Payment
from .tables import (
    AllocationRow,
    OperationRow,
    PaymentBreakRow,
    PaymentEffectRow,
    PaymentFactRow,
    PaymentRow,
)

_payment = table(PaymentRow)
_operation = table(OperationRow)
_fact = table(PaymentFactRow)
_effect = table(PaymentEffectRow)
_allocation = table(AllocationRow)
_break = table(PaymentBreakRow)

PAGE = 1000
_CARRIED_OUT_LATER = (OperationKind.CAPTURE, OperationKind.VOID, OperationKind.TERMINAL_CANCEL)
EXTERNAL = "external"  # the method of a payment that the EHR took: nothing of it was ever at a processor of ours

_TENANT, _ID = bindparam("tenant"), bindparam("id")
_BY_ID = select(_payment).where(_payment.c.tenant_id == _TENANT, _payment.c.payment_id == _ID)
_LOCKED = _BY_ID.with_for_update()
_EXTERNAL_OF = (
    select(_payment)
    .where(_payment.c.tenant_id == _TENANT, _payment.c.account_ref == _ID, _payment.c.method == EXTERNAL)
    .order_by(_payment.c.payment_id)
)
_OPEN_BREAKS = (
    select(_break.c.break_key)
    .join(_payment, (_payment.c.tenant_id == _break.c.tenant_id) & (_payment.c.payment_id == _break.c.payment_id))
    .where(
        _break.c.tenant_id == _TENANT,
        _break.c.closed_at.is_(None),
        _break.c.kind == bindparam("of_kind"),
        _payment.c.account_ref == bindparam("account"),
    )
)
_OF_FACT = select(_payment.c.payment_id).where(_payment.c.tenant_id == _TENANT, _payment.c.fact_key == _ID)
_CHANGE = update(_payment).where(_payment.c.tenant_id == _TENANT, _payment.c.payment_id == _ID)
_SHARES = select(_allocation).where(_allocation.c.tenant_id == _TENANT)
_SHARES = _SHARES.order_by(_allocation.c.payment_id, _allocation.c.sequence)
_SHARES_OF = _SHARES.where(_allocation.c.payment_id == _ID)
_SHARES_TO = _SHARES.where(_allocation.c.obligation_id == _ID)
_OPERATIONS = select(_operation).where(_operation.c.tenant_id == _TENANT)
_OPERATIONS = _OPERATIONS.order_by(_operation.c.created_at, _operation.c.operation_id).limit(PAGE)
_OPERATION = _OPERATIONS.where(_operation.c.operation_id == _ID)
_OPERATIONS_OF = _OPERATIONS.where(_operation.c.payment_id == _ID)
_ADD = insert(_payment).on_conflict_do_nothing(index_elements=["tenant_id", "fact_key"])
_ADD_OPERATION, _ADD_SHARE = insert(_operation), insert(_allocation)
_MOVE = update(_operation).where(_operation.c.tenant_id == _TENANT, _operation.c.operation_id == _ID)
_OPEN_OF = _OPERATIONS_OF.where(_operation.c.state.in_([str(state) for state in operations.OPEN]))
_UNKNOWN = _OPERATIONS.where(_operation.c.state == str(OperationState.UNKNOWN))
_NO_ANSWER = (
    select(_operation.c.operation_id, _operation.c.payment_id, _operation.c.refund_id)
    .join(
        _payment, (_payment.c.tenant_id == _operation.c.tenant_id) & (_payment.c.payment_id == _operation.c.payment_id)
    )
    .where(
        _operation.c.tenant_id == _TENANT,
        _payment.c.merchant == bindparam("merchant"),
        _operation.c.state.in_([str(OperationState.SENT), str(OperationState.UNKNOWN)]),
    )
    .limit(PAGE)
)
_BY_OPERATION_REF = (
    select(_operation.c.payment_id)
    .join(
        _payment, (_payment.c.tenant_id == _operation.c.tenant_id) & (_payment.c.payment_id == _operation.c.payment_id)
    )
    .where(
        _operation.c.tenant_id == _TENANT,
        _payment.c.merchant == bindparam("merchant"),
        _operation.c.processor_ref == bindparam("reference"),
    )
)
_FACTS = (
    select(_fact)
    .where(_fact.c.tenant_id == _TENANT, _fact.c.payment_id == _ID)
    .order_by(_fact.c.recorded_at, _fact.c.kind, _fact.c.reference)
)
_ADD_FACT = insert(_fact).on_conflict_do_nothing()
_ADD_EFFECT = insert(_effect).on_conflict_do_nothing()
_ADD_TO_SHARE = (
    update(_allocation)
    .where(
        _allocation.c.tenant_id == _TENANT,
        _allocation.c.payment_id == _ID,
        _allocation.c.sequence == bindparam("number"),
    )
    .values(
        paid_minor=_allocation.c.paid_minor + bindparam("paid"),
        refunded_minor=_allocation.c.refunded_minor + bindparam("refunded"),
        returned_minor=_allocation.c.returned_minor + bindparam("returned"),
    )
)
_OPEN_BREAK = insert(_break).on_conflict_do_nothing()
_IS_OPEN = _break.c.closed_at.is_(None)
_CLOSE_BREAK = (
    update(_break)
    .where(_break.c.tenant_id == _TENANT, _break.c.break_key == bindparam("key"))
    .where(or_(_IS_OPEN, _break.c.accepted_minor.is_not(None)))
    .values(
        closed_at=case((_IS_OPEN, bindparam("at", type_=_break.c.closed_at.type)), else_=_break.c.closed_at),
        closed_by=case((_IS_OPEN, bindparam("by", type_=Text)), else_=_break.c.closed_by),
        closed_why=case((_IS_OPEN, bindparam("why", type_=Text)), else_=_break.c.closed_why),
        accepted_minor=None,
    )
)


# ── payments ──────────────────────────────────────────────────────────────────────────────────────────────────────


def of_fact(tx: Tx, fact_key: str) -> str | None:
    """The payment that was made for this business fact."""
    return tx.scalar(_OF_FACT, id=fact_key)


def add(tx: Tx, payment_id: str, **values: Any) -> None:
    """A new payment, `created`. Raises RuleBroken when its `fact_key` has one already."""
    row = {"tenant_id": tx.tenant, "payment_id": payment_id, "created_at": tx.now, "changed_at": tx.now, **values}
    row["state"] = str(PaymentState.CREATED)
    if not tx.put(_ADD, row):
        raise RuleBroken("this has been asked for already", fact_key=str(values.get("fact_key")))
    if happened.heard(tx):
        happened.payment_made(tx, get(tx, payment_id))


def get(tx: Tx, payment_id: str) -> Payment:
    """Raises NotFound."""
    return _one(tx, _BY_ID, payment_id)


def lock(tx: Tx, payment_id: str) -> Payment:
    """The payment, nobody else's until this unit ends. Raises NotFound."""
    return _one(tx, _LOCKED, payment_id)


def _one(tx: Tx, statement: Any, wanted: str) -> Payment:
    row = tx.one(statement, id=wanted)
    if row is None:
        raise NotFound(f"there is no payment {wanted}", payment_id=wanted)
    return Payment.of(row)


def find(tx: Tx, some_id: str) -> list[Payment]:
    """By its id, the processor's id of it or of its capture."""
    known = (_payment.c.payment_id, _payment.c.processor_ref, _payment.c.capture_ref)
    return _payments(tx, or_(*(column == some_id for column in known)))


def by_processor_ref(tx: Tx, merchant: str, reference: str) -> str | None:
    """The payment that this merchant's processor calls `reference`."""
    return tx.scalar(
        select(_payment.c.payment_id).where(
            _payment.c.tenant_id == tx.tenant, _payment.c.merchant == merchant, _payment.c.processor_ref == reference
        )
    )


def by_operation_ref(tx: Tx, merchant: str, reference: str) -> str | None:
    """The payment of which an operation is looked up by `reference` at this merchant's processor."""
    return tx.scalar(_BY_OPERATION_REF, merchant=merchant, reference=reference)


def references_without_answer(tx: Tx, merchant: str) -> list[str]:
    """Our references, of payments and refunds, that were sent to this merchant's processor and have no outcome yet."""
    return [row["refund_id"] or row["payment_id"] for row in tx.all(_NO_ANSWER, merchant=merchant)]


def awaits_page(tx: Tx, merchant: str) -> bool:
    """Whether a payer may have paid on a page of this merchant's without our knowing what the payment is called."""
    waiting = [str(state) for state in (PaymentState.CREATED, PaymentState.REQUIRES_ACTION)]
    where = (_payment.c.merchant == merchant, _payment.c.method == "hosted", _payment.c.processor_ref.is_(None))
    statement = select(_payment.c.payment_id).where(
        _payment.c.tenant_id == tx.tenant, *where, _payment.c.state.in_(waiting)
    )
    return tx.scalar(statement.limit(1)) is not None


def of_account(tx: Tx, account_ref: str) -> list[Payment]:
    return _payments(tx, _payment.c.account_ref == account_ref)


def external_of(tx: Tx, account_ref: str) -> list[Payment]:
    """What the EHR took for this account, also what it has taken back since."""
    return [Payment.of(row) for row in tx.all(_EXTERNAL_OF, id=account_ref)]


def _payments(tx: Tx, where: Any) -> list[Payment]:
    ordered = select(_payment).where(_payment.c.tenant_id == tx.tenant, where).order_by(_payment.c.payment_id)
    return [Payment.of(row) for row in tx.all(ordered.limit(PAGE))]


def change(tx: Tx, payment_id: str, **values: Any) -> None:
    tx.put(_CHANGE, {"tenant": tx.tenant, "id": payment_id, "changed_at": tx.now, **values})
    tx.wake(topic(payment_id))


def topic(payment_id: str) -> str:
    """What is woken when the payment changes."""
    return f"payment:{payment_id}"


# ── operations ────────────────────────────────────────────────────────────────────────────────────────────────────


def add_operation(
    tx: Tx,
    payment_id: str,
    kind: OperationKind,
    amount: Money,
    *,
    refund_id: str | None = None,
    processor_ref: str | None = None,
) -> str:
    """A prepared operation. The database refuses a second open one of the same payment. `processor_ref` where it is
    about something else there than the payment."""
    operation_id = tx.ids.new("opn")
    row: dict[str, Any] = {"tenant_id": tx.tenant, "operation_id": operation_id, "payment_id": payment_id}
    row |= {"refund_id": refund_id, "kind": str(kind), "state": str(OperationState.PREPARED), "attempt": 1}
    row |= {"amount_minor": amount.minor, "currency": amount.currency, "says": "", "created_at": tx.now}
    row |= {"processor_ref": processor_ref}
    tx.put(_ADD_OPERATION, row)
    return operation_id


def operation(tx: Tx, operation_id: str) -> Operation:
    """Raises NotFound."""
    row = tx.one(_OPERATION, id=operation_id)
    if row is None:
        raise NotFound(f"there is no operation {operation_id}", operation_id=operation_id)
    return Operation.of(row)


def operations_of(tx: Tx, payment_id: str) -> list[Operation]:
    """Oldest first."""
    return [Operation.of(row) for row in tx.all(_OPERATIONS_OF, id=payment_id)]


def open_operation(tx: Tx, payment_id: str) -> Operation | None:
    """The one that may still have an effect that we have not seen."""
    row = tx.one(_OPEN_OF, id=payment_id)
    return None if row is None else Operation.of(row)


def unfinished_operation(tx: Tx, payment_id: str) -> Operation | None:
    """The one that has no final outcome: open, or a capture or void that the processor carries out later."""
    for one in reversed(operations_of(tx, payment_id)):
        later = one.kind in _CARRIED_OUT_LATER and one.state is OperationState.PENDING
        if later or one.state in operations.OPEN:
            return one
    return None


def unknown_operations(tx: Tx) -> list[Operation]:
    """Everything that nobody knows the outcome of, oldest first."""
    return [Operation.of(row) for row in tx.execute(_UNKNOWN, {"tenant": tx.tenant}).mappings()]


def move_operation(tx: Tx, current: Operation, new: OperationState, **values: Any) -> None:
    """Raises IllegalMove when the table doesn't list it."""
    operations.move(current.state, new)
    if new not in operations.OPEN:
        values.setdefault("finished_at", tx.now)
    tx.put(_MOVE, {"tenant": tx.tenant, "id": current.operation_id, "state": str(new), **values})


def sent(tx: Tx, current: Operation, *, processor_ref: str | None = None) -> None:
    """From now on bytes may leave. Committed before the call."""
    values: dict[str, Any] = {"last_sent_at": tx.now}
    if current.sent_at is None:
        values["sent_at"] = tx.now
    if processor_ref is not None:
        values["processor_ref"] = processor_ref
    move_operation(tx, current, OperationState.SENT, **values)


def repeat_answered(tx: Tx, current: Operation) -> None:
    """The processor has answered the same call with the same key once more: from now on that key is its own."""
    tx.put(_MOVE, {"tenant": tx.tenant, "id": current.operation_id, "repeat_answered_at": tx.now})


def again(tx: Tx, current: Operation, proof: OperationState, says: str) -> None:
    """It provably had no effect: a new attempt, prepared. `proof` is `not_sent` or `proven_absent`."""
    move_operation(tx, current, proof, says=says[:300])
    operations.move(proof, OperationState.PREPARED)
    where = (_operation.c.tenant_id == tx.tenant, _operation.c.operation_id == current.operation_id)
    values: dict[str, Any] = {"attempt": current.attempt + 1, "sent_at": None, "last_sent_at": None}
    values |= {"repeat_answered_at": None}
    tx.execute(update(_operation).where(*where).values(state="prepared", finished_at=None, **values))


# ── facts, their fold, and what they have led to ──────────────────────────────────────────────────────────────────


def record_facts(tx: Tx, payment_id: str, facts: Iterable[PaymentFact]) -> None:
    """Keep what is known; the same from the same source again changes nothing."""
    rows = [
        {
            "tenant_id": tx.tenant,
            "payment_id": payment_id,
            "kind": str(fact.kind),
            "reference": fact.reference,
            "undoes": fact.undoes,
            "source": fact.source,
            "amount_minor": None if fact.amount is None else fact.amount.minor,
            "currency": None if fact.amount is None else fact.amount.currency,
            "occurred_at": fact.occurred_at,
            "recorded_at": tx.now,
        }
        for fact in facts
    ]
    tx.put(_ADD_FACT, *rows)


def facts_of(tx: Tx, payment_id: str) -> list[PaymentFact]:
    return [_fact_of(row) for row in tx.all(_FACTS, id=payment_id)]


def _fact_of(row: RowMapping) -> PaymentFact:
    amount = None if row["amount_minor"] is None else Money(row["amount_minor"], row["currency"])
    return PaymentFact(
        FactKind(row["kind"]), row["occurred_at"], row["source"], amount, row["reference"], row["undoes"]
    )


def refold(tx: Tx, payment: Payment) -> Folded:
    """The payment as its facts have it now, stored; what they don't explain is opened as a break."""
    before = get(tx, payment.payment_id) if happened.heard(tx) else None
    folded = fold(facts_of(tx, payment.payment_id), currency=payment.currency)
    change(
        tx,
        payment.payment_id,
        state=str(folded.state),
        authorized_minor=folded.authorized.minor,
        captured_minor=folded.captured.minor,
        voided_minor=folded.voided.minor,
        returned_minor=folded.returned.minor,
        refunded_minor=folded.refunded.minor,
    )
    if before is not None:
        happened.payment_folded(tx, before, folded)
    for one in folded.anomalies:
        key = f"{payment.payment_id}:{one.key}"
        open_break(tx, key, one.kind, one.says, payment=payment, amount=one.amount)
    return folded


def first_time(tx: Tx, payment_id: str, effect: str, amount: Money) -> bool:
    """Whether this effect is to be had now: true once, for whoever asks first."""
    row = {"tenant_id": tx.tenant, "payment_id": payment_id, "effect": effect}
    return tx.put(_ADD_EFFECT, {**row, "amount_minor": amount.minor, "at": tx.now}) > 0


def effects_of(tx: Tx, payment_id: str) -> Mapping[str, int]:
    """What has been had, with its amount."""
    rows = tx.all(select(_effect).where(_effect.c.tenant_id == tx.tenant, _effect.c.payment_id == payment_id))
    return {row["effect"]: row["amount_minor"] for row in rows}


# ── allocations ───────────────────────────────────────────────────────────────────────────────────────────────────


def reserve_shares(tx: Tx, payment_id: str, shares: Sequence[Share]) -> None:
    rows = [
        {
            "tenant_id": tx.tenant,
            "payment_id": payment_id,
            "sequence": share.sequence,
            "obligation_id": share.obligation_id,
            "account_ref": share.account_ref,
            "currency": share.amount.currency,
            "reserved_minor": share.amount.minor,
            "paid_minor": 0,
            "refunded_minor": 0,
            "returned_minor": 0,
        }
        for share in shares
    ]
    tx.put(_ADD_SHARE, *rows)


def add_allocation(tx: Tx, payment_id: str, sequence: int, obligation_id: str, account_ref: str, amount: Money) -> bool:
    """A share that nobody had asked for: nothing of it is reserved, nor paid yet. False where the number is taken."""
    row = {"tenant_id": tx.tenant, "payment_id": payment_id, "sequence": sequence, "obligation_id": obligation_id}
    row |= {"account_ref": account_ref, "currency": amount.currency, "reserved_minor": 0}
    statement = insert(_allocation).values(row | {"paid_minor": 0, "refunded_minor": 0, "returned_minor": 0})
    return tx.scalar(statement.on_conflict_do_nothing().returning(_allocation.c.sequence)) is not None


def allocations(tx: Tx, payment_id: str) -> list[Allocation]:
    """In their sequence."""
    return [Allocation.of(row) for row in tx.all(_SHARES_OF, id=payment_id)]


def allocations_to(tx: Tx, obligation_id: str) -> list[Allocation]:
    return [Allocation.of(row) for row in tx.all(_SHARES_TO, id=obligation_id)]


def add_to_allocation(
    tx: Tx, payment_id: str, sequence: int, *, paid: int = 0, refunded: int = 0, returned: int = 0
) -> None:
    is_it = {"tenant": tx.tenant, "id": payment_id, "number": sequence}
    tx.put(_ADD_TO_SHARE, {**is_it, "paid": paid, "refunded": refunded, "returned": returned})


# ── breaks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def open_break(
    tx: Tx,
    key: str,
    kind: str,
    says: str,
    *,
    payment: Payment | None = None,
    merchant: str = "",
    subject: str = "",
    amount: Money | None = None,
    again: bool = False,
    standing: bool = False,
) -> bool:
    """A difference for a person, opened once for each key. Whether it is new, or says something else.

    `subject`: what it is about by its id, where that is no payment. `again`: one that was closed is opened anew, since
    what it tells of has come back; one that is open says what is so now, and is as old as it was. `standing`: the same
    of what is looked at again and again: one that a person accepted stays closed while it is of the same amount.
    """
    row = {
        "tenant_id": tx.tenant,
        "break_key": key,
        "kind": str(kind),
        "payment_id": payment.payment_id if payment else "",
        "merchant": payment.merchant if payment else merchant,
        "subject": subject,
        "amount_minor": amount.minor if amount else 0,
        "currency": amount.currency if amount else payment.currency if payment else "",
        "says": says,
        "opened_at": tx.now,
        "closed_by": "",
    }
    if not again and not standing:
        return tx.put(_OPEN_BREAK, row) > 0
    anew = {
        name: row[name] for name in ("kind", "says", "subject", "opened_at", "closed_by", "amount_minor", "currency")
    }
    anew |= {"closed_at": None, "accepted_minor": None}
    on = ["tenant_id", "break_key"]
    statement = insert(_break).values(row)
    closed = _break.c.closed_at.is_not(None)
    anew["opened_at"] = case((closed, statement.excluded.opened_at), else_=_break.c.opened_at)
    new = or_(closed, _break.c.says != statement.excluded.says)
    if standing:
        new = and_(new, ~is_accepted(statement.excluded))
    statement = statement.on_conflict_do_update(index_elements=on, set_=anew, where=new)
    return tx.scalar(statement.returning(_break.c.break_key)) is not None


def is_accepted(now: Any) -> Any:
    """Whether the break on file was accepted with the amount that it has `now`."""
    same = and_(_break.c.accepted_minor == now.amount_minor, _break.c.currency == now.currency)
    return func.coalesce(same, false())


def close_break(tx: Tx, key: str, *, by: str, why: str = "") -> bool:
    """It is no longer so: also one that was accepted opens anew when it comes back. Whether it was either."""
    return tx.put(_CLOSE_BREAK, {"tenant": tx.tenant, "key": key, "at": tx.now, "by": by, "why": why}) > 0


def accept_break(tx: Tx, key: str, *, by: str, why: str) -> bool:
    """A person has seen to it, or lives with it. Whether it was open."""
    mine = (_break.c.tenant_id == tx.tenant, _break.c.break_key == key, _IS_OPEN)
    values = {"closed_at": tx.now, "closed_by": by, "closed_why": why, "accepted_minor": _break.c.amount_minor}
    return tx.execute(update(_break).where(*mine).values(values)).rowcount > 0


def open_breaks(tx: Tx, account_ref: str, kind: str) -> set[str]:
    """The keys of those of this kind that are open about payments of the account."""
    return {row["break_key"] for row in tx.all(_OPEN_BREAKS, account=account_ref, of_kind=kind)}


def breaks(
    tx: Tx,
    *,
    payment_id: str | None = None,
    account_ref: str | None = None,
    kind: str | None = None,
    after: tuple[datetime, str] | None = None,
    accepted: bool = False,
    limit: int = PAGE,
) -> list[Break]:
    """Those that are open, oldest first, or `accepted`, too; `after` is the moment and key of the last one seen."""
    theirs = and_(_payment.c.tenant_id == _break.c.tenant_id, _payment.c.payment_id == _break.c.payment_id)
    account = func.coalesce(_payment.c.account_ref, "")
    statement = select(_break, account.label("account_ref")).select_from(_break.outerjoin(_payment, theirs))
    stands = or_(_IS_OPEN, _break.c.accepted_minor.is_not(None)) if accepted else _IS_OPEN
    statement = statement.where(_break.c.tenant_id == tx.tenant, stands)
    for column, wanted in ((_break.c.payment_id, payment_id), (account, account_ref), (_break.c.kind, kind)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if after is not None:
        since, key = after
        later = and_(_break.c.opened_at == since, _break.c.break_key > key)
        statement = statement.where(or_(_break.c.opened_at > since, later))
    return [Break.of(row) for row in tx.all(statement.order_by(_break.c.opened_at, _break.c.break_key).limit(limit))]

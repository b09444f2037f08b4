"""Disputes as rows: what was seen of each, its fold, and what a lost one took. Takes the caller's `tx`.

Called by usecases/dispute.py (all changes), whose unit holds the payment's lock, and by whoever shows or posts them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, bindparam, cast, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.dispute import OPEN, DisputeFact, DisputeState, Folded, MoneyKind, fold
from ..domain.money import Money
from ..errors import NotFound
from . import happened
from .port import DisputeSeen
from .records import Dispute, DisputeLoss, Payment
from .store import open_break
from .tables import AllocationRow, DisputeFactRow, DisputeLossRow, DisputeRow, PaymentRow

_dispute, _fact, _loss = table(DisputeRow), table(DisputeFactRow), table(DisputeLossRow)
_payment, _allocation = table(PaymentRow), table(AllocationRow)

PAGE = 1000
_OPEN = tuple(str(state) for state in OPEN)
_EACH = select(_dispute).where(_dispute.c.tenant_id == bindparam("tenant"))
_EACH = _EACH.order_by(_dispute.c.opened_at, _dispute.c.dispute_id)
_ALL = _EACH.limit(PAGE)
_BY_ID = _ALL.where(_dispute.c.dispute_id == bindparam("id"))
_BY_REF = _ALL.where(_dispute.c.merchant == bindparam("of"), _dispute.c.processor_ref == bindparam("ref"))
_BY_ANY_ID = _ALL.where(or_(_dispute.c.dispute_id == bindparam("some"), _dispute.c.processor_ref == bindparam("some")))
_OF_PAYMENT = _ALL.where(_dispute.c.payment_id == bindparam("payment"))
_ADD = insert(_dispute).on_conflict_do_nothing(index_elements=["tenant_id", "merchant", "processor_ref"])
_CHANGE = update(_dispute).where(_dispute.c.tenant_id == bindparam("tenant"), _dispute.c.dispute_id == bindparam("id"))
_ADD_FACT = insert(_fact).on_conflict_do_nothing()
_FACTS = select(_fact).where(_fact.c.tenant_id == bindparam("tenant"), _fact.c.dispute_id == bindparam("id"))
_LOSSES = select(_loss).where(_loss.c.tenant_id == bindparam("tenant"))
_LOSSES = _LOSSES.order_by(_loss.c.occurred_at, _loss.c.dispute_id, _loss.c.number)
_LOSSES_OF = _LOSSES.where(_loss.c.dispute_id == bindparam("id"))
_LOSSES_OF_PAYMENT = _LOSSES.where(_loss.c.payment_id == bindparam("payment"))
_LOSS = _LOSSES.where(_loss.c.loss_id == bindparam("id"))
_GONE = select(cast(func.coalesce(func.sum(_dispute.c.lost_minor), 0), BigInteger)).where(
    _dispute.c.tenant_id == bindparam("tenant"), _dispute.c.payment_id == bindparam("payment")
)


def get(tx: Tx, dispute_id: str) -> Dispute:
    """Raises NotFound."""
    row = tx.one(_BY_ID, id=dispute_id)
    if row is None:
        raise NotFound(f"there is no dispute {dispute_id}", dispute_id=dispute_id)
    return Dispute.of(row)


def by_processor_ref(tx: Tx, merchant: str, reference: str) -> Dispute | None:
    """What this merchant's processor calls so."""
    row = tx.one(_BY_REF, of=merchant, ref=reference)
    return None if row is None else Dispute.of(row)


def find(tx: Tx, some_id: str) -> list[Dispute]:
    """By our id or the processor's, or by that of what was lost."""
    found = [Dispute.of(row) for row in tx.all(_BY_ANY_ID, some=some_id)]
    if not found and (row := tx.one(_LOSS, id=some_id)) is not None:
        found = [get(tx, row["dispute_id"])]
    return found


def of_payment(tx: Tx, payment_id: str) -> list[Dispute]:
    """Oldest first."""
    return [Dispute.of(row) for row in tx.all(_OF_PAYMENT, payment=payment_id)]


def open_of(tx: Tx, payment_id: str) -> Dispute | None:
    """The first one of the payment that has not ended."""
    return next((one for one in of_payment(tx, payment_id) if one.is_open), None)


def some(tx: Tx, *, states: Iterable[DisputeState] = (), account_ref: str | None = None) -> list[Dispute]:
    """Those in these states (without: all), that are about payments of an account; oldest first."""
    statement = _EACH
    if wanted := [str(state) for state in states]:
        statement = statement.where(_dispute.c.state.in_(wanted))
    if account_ref is not None:
        statement = statement.where(_dispute.c.payment_id.in_(payments_of(tx, account_ref)))
    return [Dispute.of(row) for row in tx.all(statement, tenant=tx.tenant)]


def payments_of(tx: Tx, account_ref: str) -> Any:
    """Those that were made for the account, or have paid something on it."""
    made = select(_payment.c.payment_id).where(_payment.c.tenant_id == tx.tenant, _payment.c.account_ref == account_ref)
    paid = select(_allocation.c.payment_id).where(
        _allocation.c.tenant_id == tx.tenant, _allocation.c.account_ref == account_ref
    )
    return made.union(paid)


def gone(tx: Tx, payment: Payment) -> Money:
    """What disputes have taken of a payment for good: it can't be given back any more."""
    return Money(int(tx.scalar(_GONE, payment=payment.payment_id)), payment.currency)


# ── what is known ─────────────────────────────────────────────────────────────────────────────────────────────────


def record(tx: Tx, payment: Payment, seen: DisputeSeen, *, source: str) -> tuple[Dispute, bool]:
    """Keep what was seen; the dispute as its facts have it now, and whether it is new. Seen again, nothing changes."""
    row: dict[str, Any] = {"tenant_id": tx.tenant, "dispute_id": tx.ids.new("dsp"), "payment_id": payment.payment_id}
    row |= {"merchant": payment.merchant, "processor_ref": seen.reference, "state": str(seen.state)}
    row |= {"round": seen.round, "funds": "none", "amount_minor": seen.amount.minor, "currency": seen.amount.currency}
    row |= {"withdrawn_minor": 0, "reinstated_minor": 0, "fee_minor": 0, "lost_minor": 0, "reason": seen.reason}
    row |= {"accepted_by": "", "accepted_why": "", "ended_by": "", "ended_why": ""}
    row |= {"respond_by": seen.respond_by, "opened_at": seen.opened_at, "recorded_at": tx.now, "changed_at": tx.now}
    new = bool(tx.put(_ADD, row))
    known = by_processor_ref(tx, payment.merchant, seen.reference)
    assert known is not None
    add_facts(tx, known.dispute_id, _facts_of(seen, source, tx.now))
    if seen.state in OPEN and known.respond_by != seen.respond_by:
        _change(tx, known.dispute_id, respond_by=seen.respond_by)
    if new:
        happened.dispute_opened(tx, payment, known)
    return refold(tx, payment, known.dispute_id, new=new), new


def _facts_of(seen: DisputeSeen, source: str, now: datetime) -> list[DisputeFact]:
    facts = [DisputeFact(seen.state, seen.round, now, source)]
    for line in seen.money:
        kind = MoneyKind.REINSTATED if line.back else MoneyKind.WITHDRAWN
        facts.append(DisputeFact(kind, line.round, line.at, source, line.reference, line.amount, line.fee))
    return facts


def add_facts(tx: Tx, dispute_id: str, facts: Iterable[DisputeFact]) -> None:
    """What is told again changes nothing."""
    rows = [
        {
            "tenant_id": tx.tenant,
            "dispute_id": dispute_id,
            "kind": str(fact.kind),
            "round": fact.round,
            "reference": fact.reference,
            "amount_minor": fact.amount.minor if fact.amount else 0,
            "fee_minor": fact.fee.minor if fact.fee else 0,
            "currency": fact.amount.currency if fact.amount else "",
            "source": fact.source,
            "occurred_at": fact.occurred_at,
            "recorded_at": tx.now,
        }
        for fact in facts
    ]
    tx.put(_ADD_FACT, *rows)


def facts_of(tx: Tx, dispute_id: str) -> list[DisputeFact]:
    return [_fact_of(row) for row in tx.all(_FACTS, id=dispute_id)]


def _fact_of(row: Any) -> DisputeFact:
    when, source = row["occurred_at"], row["source"]
    if row["kind"] not in set(MoneyKind):
        return DisputeFact(DisputeState(row["kind"]), row["round"], when, source, row["reference"])
    amount, fee = (Money(row[name], row["currency"]) for name in ("amount_minor", "fee_minor"))
    return DisputeFact(MoneyKind(row["kind"]), row["round"], when, source, row["reference"], amount, fee)


def folded(tx: Tx, dispute: Dispute) -> Folded:
    return fold(facts_of(tx, dispute.dispute_id), currency=dispute.amount.currency)


def refold(tx: Tx, payment: Payment, dispute_id: str, *, new: bool = False) -> Dispute:
    """The dispute as its facts have it now, stored; what they don't explain is opened as a break."""
    dispute = get(tx, dispute_id)
    now = folded(tx, dispute)
    _change(
        tx,
        dispute_id,
        state=str(now.state),
        round=now.round,
        funds=str(now.funds),
        withdrawn_minor=now.withdrawn.minor,
        reinstated_minor=now.reinstated.minor,
        fee_minor=now.fees.minor,
    )
    for anomaly in now.anomalies:
        key = f"{payment.payment_id}:{dispute_id}:{anomaly.key}"
        open_break(tx, key, anomaly.kind, f"dispute {dispute_id}: {anomaly.says}", payment=payment)
    after = get(tx, dispute_id)
    happened.dispute_folded(tx, payment, dispute, after, new=new)
    return after


def explains(tx: Tx, dispute: Dispute, seen: DisputeSeen) -> bool:
    """Whether as much is known to have been taken, up to its round, as is seen to have come back."""
    lines = {line.reference: line for line in folded(tx, dispute).lines}
    new = [one for one in seen.money if one.back and one.reference not in lines]
    for one in new:
        before = [line for line in lines.values() if line.round <= one.round]
        signed = (line.amount.minor if line.kind is MoneyKind.WITHDRAWN else -line.amount.minor for line in before)
        if one.amount.minor > sum(signed):
            return False
    return True


def note_acceptance(tx: Tx, dispute: Dispute, *, by: str, why: str) -> None:
    """Who wants it given up, and why: kept with it."""
    _change(tx, dispute.dispute_id, accepted_by=by, accepted_why=why)


def note_end(tx: Tx, dispute: Dispute, *, by: str, why: str) -> None:
    """Who has stated how it ended, and on what grounds: kept with it."""
    _change(tx, dispute.dispute_id, ended_by=by, ended_why=why)


def _change(tx: Tx, dispute_id: str, **values: Any) -> None:
    tx.put(_CHANGE, {"tenant": tx.tenant, "id": dispute_id, "changed_at": tx.now, **values})
    tx.wake(topic(dispute_id))


def topic(dispute_id: str) -> str:
    """What is woken when the dispute changes."""
    return f"dispute:{dispute_id}"


# ── what was lost ─────────────────────────────────────────────────────────────────────────────────────────────────


def add_loss(
    tx: Tx, dispute: Dispute, amount: Money, *, regained: bool, at: datetime, business_date: str
) -> DisputeLoss:
    """This much is the payer's for good, or (`regained`) ours again; what of the dispute is booked as lost follows."""
    loss_id = tx.ids.new("dsl")
    row: dict[str, Any] = {"tenant_id": tx.tenant, "loss_id": loss_id, "dispute_id": dispute.dispute_id}
    row |= {"payment_id": dispute.payment_id, "number": len(losses_of(tx, dispute.dispute_id)) + 1}
    row |= {"kind": "regained" if regained else "lost"}
    row |= {"amount_minor": amount.minor, "currency": amount.currency}
    row |= {"occurred_at": at, "business_date": business_date}
    tx.execute(insert(_loss).values(row))
    more = -amount.minor if regained else amount.minor
    _change(tx, dispute.dispute_id, lost_minor=get(tx, dispute.dispute_id).lost.minor + more)
    return loss(tx, loss_id)


def loss(tx: Tx, loss_id: str) -> DisputeLoss:
    """Raises NotFound."""
    found = find_loss(tx, loss_id)
    if found is None:
        raise NotFound(f"there is no loss {loss_id}", loss_id=loss_id)
    return found


def find_loss(tx: Tx, loss_id: str) -> DisputeLoss | None:
    row = tx.one(_LOSS, id=loss_id)
    return None if row is None else DisputeLoss.of(row)


def losses_of(tx: Tx, dispute_id: str) -> list[DisputeLoss]:
    """Oldest first."""
    return [DisputeLoss.of(row) for row in tx.all(_LOSSES_OF, id=dispute_id)]


def losses_of_payment(tx: Tx, payment_id: str) -> list[DisputeLoss]:
    """Oldest first."""
    return [DisputeLoss.of(row) for row in tx.all(_LOSSES_OF_PAYMENT, payment=payment_id)]

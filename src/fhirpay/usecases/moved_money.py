"""Money of a payment that pays something else than when it was posted: EHRs are told by a movement, once.

Called by collect.py (credit that pays by itself) and credit.py (staff), under the accounts' locks. What each obligation
has of the payment by billing's word is compared with what its allocations say; the difference is moved there, and told:
what is taken back with the line that it takes back, then what the money pays instead. It sums to nothing.
"""

from __future__ import annotations

from ..billing import money as billing
from ..billing import worklist
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..payments import happened, movements, store
from ..payments.movements import Side
from ..payments.records import Allocation
from ..writeback import store as writeback
from ..writeback.oracle_basic import RESOURCE_TYPE as BASIC
from . import postings

REALLOCATED = "reallocated"  # on the worklist, where a receiver can't be told of it


def tell(tx: Tx, payment_id: str, tenant: Tenant, *, by: str, reason: str) -> None:
    """Nothing where nothing has moved, or the EHR took the payment itself."""
    payment = store.get(tx, payment_id)
    if payment.method == store.EXTERNAL:
        return
    allocated = store.allocations(tx, payment_id)
    has = {share.obligation_id: share for share in billing.paid_by(tx, payment_id)}
    lines: list[Side] = []
    for obligation_id in dict.fromkeys([*(one.obligation_id for one in allocated), *has]):
        mine = [one for one in allocated if one.obligation_id == obligation_id]
        paid = has[obligation_id].amount.minor if obligation_id in has else 0
        more = paid - sum(one.kept.minor for one in mine)
        if more < 0:
            lines += _taken(tx, mine, -more)
        elif more > 0:
            account_ref = has[obligation_id].account_ref
            sequence = _place(tx, payment_id, has[obligation_id])  # its own: what is taken back of it names one line
            store.add_to_allocation(tx, payment_id, sequence, paid=more)
            lines.append(Side(sequence, obligation_id, account_ref, Money(more, payment.currency)))
    if rest := -sum(line.amount.minor for line in lines):
        lines.append(Side(0, "", payment.account_ref, Money(rest, payment.currency)))
    if not lines:
        return
    lines.sort(key=lambda line: line.amount.minor >= 0)  # what is taken back first
    movement = movements.add(tx, payment_id, "reallocation", lines, by=by, reason=reason)
    postings.enqueue(tx, payment_id=payment_id, refund_id=movement.movement_id, tenant=tenant)
    if pays := sum(line.amount.minor for line in lines if line.allocation and line.amount.minor > 0):
        from_credit = any(not line.allocation and line.amount.minor < 0 for line in lines)
        happened.money_moved(tx, payment, Money(pays, payment.currency), from_credit=from_credit)
    if any(one.resource_type == BASIC for one in writeback.of_subject(tx, payment_id)):
        put = [line for line in lines if line.amount.minor > 0]
        says = f"money of {payment_id} pays " + ", ".join(line.obligation_id or "nothing" for line in put)
        says += " now: a financial transaction can't say it, so the EHR keeps it as it was posted first"
        worklist.open_item(
            tx,
            kind=REALLOCATED,
            subject=movement.movement_id,
            says=says,
            account_ref=payment.account_ref,
            amount=sum((line.amount for line in put), Money.zero(payment.currency)),
        )


def _taken(tx: Tx, mine: list[Allocation], minor: int) -> list[Side]:
    """Off the newest allocation first."""
    lines: list[Side] = []
    for one in reversed(mine):
        part = min(minor, one.kept.minor)
        if part > 0:
            store.add_to_allocation(tx, one.payment_id, one.sequence, paid=-part)
            lines.append(Side(one.sequence, one.obligation_id, one.account_ref, Money(-part, one.paid.currency)))
            minor -= part
    return lines


def _place(tx: Tx, payment_id: str, share: billing.Share) -> int:
    """The number of a new allocation, which nothing that was posted of the payment has: one is left out, since an
    unclaimed rest was told by it."""
    sequence = max((one.sequence for one in store.allocations(tx, payment_id)), default=0) + 2
    while not store.add_allocation(tx, payment_id, sequence, share.obligation_id, share.account_ref, share.amount):
        sequence += 1
    return sequence

"""What a payer has had twice: a payment that was refunded, and whose money then came back to them as a return.

`open_recovery` and `set_off` are called by usecases, which reassess the account in the same unit; `add_recoveries` by
responsibility.py. It is owed beside everything else and ends by being paid, written off, or set off: its refund failed,
or the return came again.
"""

from __future__ import annotations

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.obligation import ObligationState
from .assessment import AT_ONCE, Basis, Says
from .case import Case
from .facts import Recoverable
from .tables import Recovery

_recovery = table(Recovery)
_OF_ACCOUNT = (
    select(_recovery)
    .where(
        _recovery.c.tenant_id == bindparam("tenant"),
        _recovery.c.account_ref == bindparam("account"),
        _recovery.c.amount_minor > _recovery.c.set_off_minor,
    )
    .order_by(_recovery.c.recovery_id)
)
_BY_ID = select(_recovery).where(
    _recovery.c.tenant_id == bindparam("tenant"), _recovery.c.recovery_id == bindparam("id")
)
_ADD = insert(_recovery).on_conflict_do_nothing()


def open_recovery(tx: Tx, recovery_id: str, account_ref: str, amount: Money, *, payment_id: str, merchant: str) -> None:
    """Once for each return, whose id it has."""
    row = {"tenant_id": tx.tenant, "recovery_id": recovery_id, "account_ref": account_ref, "payment_id": payment_id}
    row |= {"merchant": merchant, "currency": amount.currency, "amount_minor": amount.minor, "opened_at": tx.now}
    tx.put(_ADD, row)


def set_off(tx: Tx, recovery_id: str, amount: Money, *, by: str) -> str:
    """The payer has not had this much of it twice: it is owed no more. `by` is the return that the books name for it.
    The account that it is of, to be reassessed."""
    row = tx.one(_BY_ID, id=recovery_id)
    assert row is not None
    is_it = (_recovery.c.tenant_id == tx.tenant, _recovery.c.recovery_id == recovery_id)
    gone = row["set_off_minor"] + amount.minor
    tx.execute(update(_recovery).where(*is_it).values(set_off_minor=gone, set_off_by=by))
    return row["account_ref"]


def was_set_off(tx: Tx, recovery_id: str, currency: str) -> Money:
    """How much of it is owed no more; nothing where there is no such recovery."""
    row = tx.one(_BY_ID, id=recovery_id)
    return Money(row["set_off_minor"] if row else 0, currency)


def of_account(tx: Tx, account_ref: str) -> tuple[Recoverable, ...]:
    return tuple(
        Recoverable(
            row["recovery_id"], row["payment_id"], Money(row["amount_minor"] - row["set_off_minor"], row["currency"])
        )
        for row in tx.all(_OF_ACCOUNT, account=account_ref)
    )


def came_from(tx: Tx, recovery_id: str) -> tuple[str, str, str]:
    """The payment, the merchant whose balance it was taken from, and the return that last changed it."""
    row = tx.one(_BY_ID, id=recovery_id)
    assert row is not None
    return row["payment_id"], row["merchant"], row["set_off_by"] or recovery_id


def add_recoveries(case: Case) -> None:
    """Due at once; no source of charges replaces it, since it is for none."""
    for one in case.facts.recoveries:
        says = [
            Says("recovery", f"{one.amount} of {one.payment_id} was refunded, and returned as well", one.recovery_id)
        ]
        case.add(
            Basis.RECOVERY,
            one.recovery_id,
            one.amount,
            ObligationState.COLLECTABLE,
            says,
            targets=(case.facts.ref,),
            due=AT_ONCE,
            draws={one.recovery_id: one.amount.minor},
        )

"""What a payer has had twice: a payment that was refunded, and whose money then came back to them as a return.

`open_recovery` is called by usecases/returned.py, which reassesses the account in the same unit; `add_recoveries` by
responsibility.py. It is owed beside everything else and ends only by being paid, or written off.
"""

from __future__ import annotations

from sqlalchemy import bindparam, select
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
    .where(_recovery.c.tenant_id == bindparam("tenant"), _recovery.c.account_ref == bindparam("account"))
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


def of_account(tx: Tx, account_ref: str) -> tuple[Recoverable, ...]:
    return tuple(
        Recoverable(row["recovery_id"], row["payment_id"], Money(row["amount_minor"], row["currency"]))
        for row in tx.all(_OF_ACCOUNT, account=account_ref)
    )


def came_from(tx: Tx, recovery_id: str) -> tuple[str, str]:
    """The payment and the merchant whose balance it was taken from."""
    row = tx.one(_BY_ID, id=recovery_id)
    assert row is not None
    return row["payment_id"], row["merchant"]


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

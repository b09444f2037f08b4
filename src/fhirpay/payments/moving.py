"""Payments, refunds and stored methods follow the account that they were for into another one.

Called by usecases/merge_accounts.py. A payment under way ends on the account that stands for its own by then, whoever
tells its outcome; a stored method may be charged there by its payer, and without asking only once they agreed anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import bindparam, select, update

from ..db.metadata import table
from ..db.unit import Tx
from .store import EXTERNAL
from .tables import AllocationRow, ConsentRow, MovementLineRow, PaymentRow, RefundShareRow, StoredMethodRow

_payment, _allocation, _share = table(PaymentRow), table(AllocationRow), table(RefundShareRow)
_line = table(MovementLineRow)
_method, _consent = table(StoredMethodRow), table(ConsentRow)
_LOCK_EXTERNAL = (
    select(_payment.c.payment_id)
    .where(
        _payment.c.tenant_id == bindparam("tenant"),
        _payment.c.account_ref.in_(bindparam("accounts", expanding=True)),
        _payment.c.method == EXTERNAL,
    )
    .order_by(_payment.c.payment_id)
    .with_for_update()
)


def lock_of(tx: Tx, account_refs: Iterable[str]) -> None:
    """Lock the payments of these accounts, before the accounts: every unit takes its locks in this order."""
    refs = sorted(set(account_refs))
    shares = select(_allocation.c.payment_id).where(
        _allocation.c.tenant_id == tx.tenant, _allocation.c.account_ref.in_(refs)
    )
    mine = (_payment.c.tenant_id == tx.tenant, _payment.c.account_ref.in_(refs) | _payment.c.payment_id.in_(shares))
    tx.all(select(_payment.c.payment_id).where(*mine).order_by(_payment.c.payment_id).with_for_update())


def lock_external(tx: Tx, account_refs: Iterable[str]) -> None:
    """Of these accounts' payments those that the EHR took, which alone change when an account is assessed."""
    tx.all(_LOCK_EXTERNAL, accounts=sorted(set(account_refs)))


def move(tx: Tx, old: str, new: str) -> list[str]:
    """Every payment of the account, with its allocations and refunds; which they were."""
    mine = (_payment.c.tenant_id == tx.tenant, _payment.c.account_ref == old)
    ids = [row["payment_id"] for row in tx.all(select(_payment.c.payment_id).where(*mine))]
    tx.execute(update(_payment).where(*mine).values(account_ref=new))
    for of in (_allocation, _share, _line):
        tx.execute(update(of).where(of.c.tenant_id == tx.tenant, of.c.account_ref == old).values(account_ref=new))
    return sorted(ids)


def move_back(tx: Tx, payment_ids: Iterable[str], obligation_ids: Iterable[str], old: str, new: str) -> None:
    """These payments to `old` again, and what is said of these obligations in allocations and refunds."""
    ids, owed = sorted(payment_ids), sorted(obligation_ids)
    mine = (_payment.c.tenant_id == tx.tenant, _payment.c.payment_id.in_(ids), _payment.c.account_ref == new)
    tx.execute(update(_payment).where(*mine).values(account_ref=old))
    for of in (_allocation, _share, _line):
        where = (of.c.tenant_id == tx.tenant, of.c.account_ref == new, of.c.obligation_id.in_(owed))
        tx.execute(update(of).where(*where).values(account_ref=old))


def accounts_of(tx: Tx, payment_ids: Iterable[str]) -> dict[str, str]:
    """Which account each of these payments is of."""
    mine = (_payment.c.tenant_id == tx.tenant, _payment.c.payment_id.in_(sorted(payment_ids)))
    found = tx.all(select(_payment.c.payment_id, _payment.c.account_ref).where(*mine))
    return {row["payment_id"]: row["account_ref"] for row in found}


def move_methods(tx: Tx, old: str, new: str) -> list[str]:
    """The stored methods of the account; which they were. What was agreed to was said of `old`: see `ask_anew`."""
    mine = (_method.c.tenant_id == tx.tenant, _method.c.account_ref == old)
    ids = [row["method_id"] for row in tx.all(select(_method.c.method_id).where(*mine))]
    tx.execute(update(_method).where(*mine).values(account_ref=new))
    return sorted(ids)


def rename_debtor(tx: Tx, old: str, new: str) -> list[str]:
    """Methods of a person who has another record now; which they were."""
    mine = (_method.c.tenant_id == tx.tenant, _method.c.debtor_ref == old)
    ids = [row["method_id"] for row in tx.all(select(_method.c.method_id).where(*mine))]
    tx.execute(update(_method).where(*mine).values(debtor_ref=new))
    return sorted(ids)


def place_debtor(tx: Tx, method_id: str, debtor_ref: str) -> None:
    """Whose a method is."""
    is_it = (_method.c.tenant_id == tx.tenant, _method.c.method_id == method_id)
    tx.execute(update(_method).where(*is_it).values(debtor_ref=debtor_ref))


def place_methods(tx: Tx, method_ids: Iterable[str], account_ref: str) -> None:
    mine = (_method.c.tenant_id == tx.tenant, _method.c.method_id.in_(sorted(method_ids)))
    tx.execute(update(_method).where(*mine).values(account_ref=account_ref))


def methods_on(tx: Tx, account_refs: Iterable[str]) -> list[str]:
    """The stored methods of these accounts, also those that may not be used."""
    mine = (_method.c.tenant_id == tx.tenant, _method.c.account_ref.in_(sorted(set(account_refs))))
    return sorted(row["method_id"] for row in tx.all(select(_method.c.method_id).where(*mine)))


def ask_anew(tx: Tx, method_ids: Iterable[str]) -> list[str]:
    """Nothing is taken by these without asking until their payers have agreed anew; the consents that end so."""
    live = (
        _consent.c.tenant_id == tx.tenant,
        _consent.c.method_id.in_(sorted(method_ids)),
        _consent.c.revoked_at.is_(None),
    )
    ids = [row["consent_id"] for row in tx.all(select(_consent.c.consent_id).where(*live))]
    tx.execute(update(_consent).where(*live).values(revoked_at=tx.now))
    return sorted(ids)


def restore_consent(tx: Tx, consent_id: str, ended_at: datetime) -> None:
    """A consent that a merge ended counts again, unless it was ended by something else as well."""
    is_it = (_consent.c.tenant_id == tx.tenant, _consent.c.consent_id == consent_id)
    tx.execute(update(_consent).where(*is_it, _consent.c.revoked_at == ended_at).values(revoked_at=None))

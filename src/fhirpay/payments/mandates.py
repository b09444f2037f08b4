"""Mandates of stored bank accounts, and notices of change about them. Takes the caller's `tx`. Called by
stored_methods' callers (web/api, usecases/bank_codes.py, start_payment.py).

One mandate for each stored bank account. The authorization itself (text, hash, date, cap) is the method's consent; here
stands by which rule it was given (`sec_code`), what the processor calls it, and whether it may be used.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain import mandate as mandates
from ..domain.ach import SEC_CODES
from ..domain.mandate import MandateState
from ..errors import NotFound, RuleBroken
from .port import Notice
from .records import Mandate, NoticeOfChange
from .tables import MandateRow, NoticeOfChangeRow

_mandate, _notice = table(MandateRow), table(NoticeOfChangeRow)
_OF_METHOD = select(_mandate).where(
    _mandate.c.tenant_id == bindparam("tenant"), _mandate.c.method_id == bindparam("method")
)
_NOTICES = (
    select(_notice)
    .where(_notice.c.tenant_id == bindparam("tenant"), _notice.c.method_id == bindparam("method"))
    .order_by(_notice.c.occurred_at, _notice.c.reference)
)
_ADD = insert(_mandate).on_conflict_do_nothing()
_ADD_NOTICE = insert(_notice).on_conflict_do_nothing()


def record(tx: Tx, method_id: str, *, consent_id: str, sec_code: str, processor_ref: str) -> Mandate:
    """The mandate of this method, active; again, it is as it was. Raises RuleBroken for a SEC code that isn't one."""
    if sec_code not in SEC_CODES:
        raise RuleBroken(f"an authorization to debit a bank account has a SEC code: {', '.join(SEC_CODES)}")
    row: dict[str, Any] = {"tenant_id": tx.tenant, "method_id": method_id, "consent_id": consent_id}
    row |= {"sec_code": sec_code, "processor_ref": processor_ref, "state": str(MandateState.ACTIVE)}
    tx.put(_ADD, {**row, "code": "", "changed_by": "", "changed_at": tx.now})
    found = find(tx, method_id)
    assert found is not None
    return found


def find(tx: Tx, method_id: str) -> Mandate | None:
    """None: the method is no bank account."""
    row = tx.one(_OF_METHOD, method=method_id)
    return None if row is None else Mandate.of(row)


def usable(tx: Tx, method_id: str) -> bool:
    """Whether nothing is in the way of charging the method: a card has no mandate."""
    found = find(tx, method_id)
    return found is None or found.state is MandateState.ACTIVE


def move(tx: Tx, method_id: str, new: MandateState, *, code: str, by: str) -> Mandate:
    """Raises IllegalMove when the table doesn't list it, NotFound."""
    current = find(tx, method_id)
    if current is None:
        raise NotFound(f"stored method {method_id} has no mandate", method_id=method_id)
    mandates.move(current.state, new)
    where = (_mandate.c.tenant_id == tx.tenant, _mandate.c.method_id == method_id)
    values = {"state": str(new), "code": code, "changed_by": by, "changed_at": tx.now}
    tx.execute(update(_mandate).where(*where).values(**values))
    found = find(tx, method_id)
    assert found is not None
    return found


def keep_notice(tx: Tx, method_id: str, notice: Notice) -> bool:
    """Whether it is new: each is told again in every later outcome."""
    row: dict[str, Any] = {"tenant_id": tx.tenant, "method_id": method_id, "reference": notice.reference}
    row |= {"code": notice.code, "says": notice.says[:300], "occurred_at": notice.at, "recorded_at": tx.now}
    return tx.put(_ADD_NOTICE, row) > 0


def notices_of(tx: Tx, method_id: str) -> list[NoticeOfChange]:
    """Oldest first."""
    return [NoticeOfChange.of(row) for row in tx.all(_NOTICES, method=method_id)]

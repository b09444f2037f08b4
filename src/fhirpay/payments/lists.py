"""Payments, requests, refunds and disputes page by page, in the order of their ids: as they became known here.

Called by web/api. Of an id the front is the time, so that `since` and `until` are a range of the primary key.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, select

from ..db.keyset import page
from ..db.metadata import table
from ..db.types import fitted
from ..db.unit import Tx
from ..domain.ids import first_id
from .disputes import payments_of
from .tables import DisputeRow, PaymentRequestRow, PaymentRow, RefundRow, RequestTryRow

_payment, _refund, _dispute = table(PaymentRow), table(RefundRow), table(DisputeRow)
_request, _try = table(PaymentRequestRow), table(RequestTryRow)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is said must hold. `after` is the id of the last one seen."""

    account_ref: str | None = None
    payment_id: str | None = None
    states: Collection[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    after: str | None = None


def payments(tx: Tx, wanted: Wanted, limit: int) -> list[str]:
    """Their ids. Of an account: those that were asked of it."""
    where = [] if wanted.account_ref is None else [_payment.c.account_ref == wanted.account_ref]
    return _ids(tx, _payment, _payment.c.payment_id, "pay", where, wanted, limit)


def payment_requests(tx: Tx, wanted: Wanted, limit: int) -> list[str]:
    """Their ids. Of an account: those whose payments were asked of it."""
    of = select(_try.c.request_id).join(_payment, (_payment.c.tenant_id == _try.c.tenant_id) & _tried())
    of = of.where(_try.c.tenant_id == tx.tenant, _try.c.number == 1, _of_account(wanted))
    where = [] if wanted.account_ref is None else [_request.c.request_id.in_(of)]
    return _ids(tx, _request, _request.c.request_id, "req", where, wanted, limit)


def refunds(tx: Tx, wanted: Wanted, limit: int) -> list[str]:
    """Their ids. Of an account: those of payments that were asked of it."""
    of = select(_payment.c.payment_id).where(_payment.c.tenant_id == tx.tenant)
    where = [] if wanted.account_ref is None else [_refund.c.payment_id.in_(of.where(_of_account(wanted)))]
    return _ids(tx, _refund, _refund.c.refund_id, "ref", where, wanted, limit)


def disputes(tx: Tx, wanted: Wanted, limit: int) -> list[str]:
    """Their ids. Of an account: those of payments that were asked of it, or have paid something on it."""
    where = [] if wanted.account_ref is None else [_dispute.c.payment_id.in_(payments_of(tx, wanted.account_ref))]
    return _ids(tx, _dispute, _dispute.c.dispute_id, "dsp", where, wanted, limit)


def _tried() -> ColumnElement[bool]:
    return _payment.c.payment_id == _try.c.payment_id


def _of_account(wanted: Wanted) -> ColumnElement[bool]:
    return _payment.c.account_ref == wanted.account_ref


def _ids(
    tx: Tx, of: Table, id: ColumnElement[str], kind: str, where: list[Any], wanted: Wanted, limit: int
) -> list[str]:
    where = [of.c.tenant_id == tx.tenant, *where]
    if wanted.payment_id is not None:
        where.append(of.c.payment_id == fitted(wanted.payment_id))
    if wanted.states:
        where.append(of.c.state.in_(sorted(wanted.states)))
    if wanted.since is not None:
        where.append(id >= first_id(kind, wanted.since))
    if wanted.until is not None:
        where.append(id < first_id(kind, wanted.until))
    after = None if wanted.after is None else (wanted.after,)
    return [row[0] for row in tx.execute(page(select(id).where(*where), (id,), after, limit))]

"""What nobody knows yet at a facility, or at a till: calls without an answer, refunds and payments on their way.

Reads only. A page that its payer has not paid yet is no open point: nothing was taken, and it ends by itself.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func, select

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.operation import OPEN
from ..domain.payment import PaymentState
from ..domain.refund import RefundState
from ..payments.tables import OperationRow, PaymentRow, RefundRow
from ..payments.terminal_tables import TerminalPaymentRow
from .figures import OpenPoint

_operation, _payment, _refund = table(OperationRow), table(PaymentRow), table(RefundRow)
_terminal = table(TerminalPaymentRow)
_P, _R = PaymentState, RefundState
_IN_FLIGHT = [str(one) for one in (_P.PROCESSING, _P.AUTHORIZED, _P.CAPTURE_PENDING, _P.IN_REVIEW)]
_ON_ITS_WAY = [str(one) for one in (_R.APPROVED, _R.WAITING_SETTLEMENT, _R.SUBMITTED, _R.PENDING, _R.REQUIRES_ACTION)]


def points(tx: Tx, facility: str, till: str = "") -> list[OpenPoint]:
    """Oldest first within each kind; `till`: only what stands at its reader."""
    where = [_payment.c.tenant_id == tx.tenant, _payment.c.facility == facility]
    if till:
        at_till = select(_terminal.c.payment_id).where(_terminal.c.tenant_id == tx.tenant, _terminal.c.till == till)
        where.append(_payment.c.payment_id.in_(at_till))
    return [*_operations(tx, where), *_refunds(tx, where), *_payments(tx, where), *_readers(tx, where)]


def waiting_for_payer(tx: Tx, facility: str) -> int:
    """How many payments wait for their payers."""
    states = [str(one) for one in (_P.CREATED, _P.REQUIRES_ACTION)]
    mine = (_payment.c.tenant_id == tx.tenant, _payment.c.facility == facility, _payment.c.state.in_(states))
    return int(tx.scalar(select(func.count()).select_from(_payment).where(*mine)))


def _operations(tx: Tx, where: list[ColumnElement[bool]]) -> list[OpenPoint]:
    query = _with_payment(_operation, _operation.c.operation_id, _operation.c.kind, _operation.c.state)
    query = query.where(*where, _operation.c.state.in_([str(one) for one in OPEN]))
    found = tx.all(query.order_by(_operation.c.created_at, _operation.c.operation_id))
    return [
        OpenPoint(
            "unknown" if row["state"] == "unknown" else "call_open",
            row["operation_id"],
            f"{row['kind']} of {row['payment_id']} is {row['state']}: whether it took effect is not known",
            Money(row["amount_minor"], row["currency"]),
            row["created_at"],
        )
        for row in found
    ]


def _refunds(tx: Tx, where: list[ColumnElement[bool]]) -> list[OpenPoint]:
    query = _with_payment(_refund, _refund.c.refund_id, _refund.c.state).where(*where, _refund.c.state.in_(_ON_ITS_WAY))
    return [
        OpenPoint(
            "refund_pending",
            row["refund_id"],
            f"a refund of {row['payment_id']} is {row['state']}",
            Money(row["amount_minor"], row["currency"]),
            row["created_at"],
        )
        for row in tx.all(query.order_by(_refund.c.created_at, _refund.c.refund_id))
    ]


def _payments(tx: Tx, where: list[ColumnElement[bool]]) -> list[OpenPoint]:
    query = select(_payment).where(*where, _payment.c.state.in_(_IN_FLIGHT))
    return [
        OpenPoint(
            "payment_in_flight",
            row["payment_id"],
            f"it is {row['state']}",
            Money(row["amount_minor"], row["currency"]),
            row["created_at"],
        )
        for row in tx.all(query.order_by(_payment.c.created_at, _payment.c.payment_id))
    ]


def _readers(tx: Tx, where: list[ColumnElement[bool]]) -> list[OpenPoint]:
    on = (_payment.c.tenant_id == _terminal.c.tenant_id) & (_payment.c.payment_id == _terminal.c.payment_id)
    query = select(_terminal.c.terminal, _terminal.c.started_at, _payment.c.payment_id)
    query = query.add_columns(_payment.c.amount_minor, _payment.c.currency).select_from(_terminal.join(_payment, on))
    query = query.where(*where, _terminal.c.freed_at.is_(None))
    return [
        OpenPoint(
            "reader_in_flight",
            row["payment_id"],
            f"it is on the reader '{row['terminal']}'",
            Money(row["amount_minor"], row["currency"]),
            row["started_at"],
        )
        for row in tx.all(query.order_by(_terminal.c.started_at, _payment.c.payment_id))
    ]


def _with_payment(of: Any, *columns: Any) -> Any:
    on = (_payment.c.tenant_id == of.c.tenant_id) & (_payment.c.payment_id == of.c.payment_id)
    query = select(*columns, of.c.payment_id, of.c.amount_minor, of.c.currency, of.c.created_at)
    return query.select_from(of.join(_payment, on))

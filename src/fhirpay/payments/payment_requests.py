"""Payment requests as rows: what is asked, until when, and the payments tried for it. Takes the caller's `tx`.

Called by usecases/ask_payer.py, and by call.py, which sends nothing for a request that has ended.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound
from .tables import PaymentRequestRow, RequestTryRow

_request, _try = table(PaymentRequestRow), table(RequestTryRow)


@dataclass(frozen=True, slots=True)
class Requested:
    """`obligations` are those that were named; `payments` in the order in which they were tried, one at least."""

    request_id: str
    facility: str
    amount: Money
    obligations: tuple[str, ...]
    expires_at: datetime
    requested_by: str
    created_at: datetime
    canceled_at: datetime | None
    canceled_by: str
    canceled_why: str
    payments: tuple[str, ...]


def add(
    tx: Tx, payment_id: str, amount: Money, *, facility: str, obligations: tuple[str, ...], until: datetime, by: str
) -> str:
    """A request with its first payment; its id."""
    request_id = tx.ids.new("req")
    row = {"tenant_id": tx.tenant, "request_id": request_id, "facility": facility, "amount_minor": amount.minor}
    row |= {"currency": amount.currency, "obligations": json.dumps(obligations), "expires_at": until}
    row |= {"requested_by": by, "created_at": tx.now, "canceled_by": "", "canceled_why": ""}
    tx.execute(insert(_request).values(row))
    add_try(tx, request_id, payment_id, 1)
    return request_id


def add_try(tx: Tx, request_id: str, payment_id: str, number: int) -> None:
    row = {"tenant_id": tx.tenant, "request_id": request_id, "number": number, "payment_id": payment_id}
    tx.execute(insert(_try).values(row))


def get(tx: Tx, request_id: str, *, lock: bool = False) -> Requested:
    """`lock`: nobody else's until this unit ends. Raises NotFound."""
    wanted = select(_request).where(_request.c.tenant_id == tx.tenant, _request.c.request_id == request_id)
    row = tx.one(wanted.with_for_update() if lock else wanted)
    if row is None:
        raise NotFound(f"there is no payment request {request_id}", request_id=request_id)
    mine = select(_try.c.payment_id).where(_try.c.tenant_id == tx.tenant, _try.c.request_id == request_id)
    return Requested(
        request_id,
        row["facility"],
        Money(row["amount_minor"], row["currency"]),
        tuple(json.loads(row["obligations"])),
        row["expires_at"],
        row["requested_by"],
        row["created_at"],
        row["canceled_at"],
        row["canceled_by"],
        row["canceled_why"],
        tuple(one["payment_id"] for one in tx.all(mine.order_by(_try.c.number))),
    )


def cancel(tx: Tx, request_id: str, *, by: str, why: str) -> None:
    mine = (_request.c.tenant_id == tx.tenant, _request.c.request_id == request_id)
    tx.execute(update(_request).where(*mine).values(canceled_at=tx.now, canceled_by=by, canceled_why=why))


def of_payment(tx: Tx, payment_id: str) -> str | None:
    """The request that it was tried for."""
    mine = (_try.c.tenant_id == tx.tenant, _try.c.payment_id == payment_id)
    return tx.scalar(select(_try.c.request_id).where(*mine))


def ended(tx: Tx, payment_id: str) -> str:
    """Why nothing may be taken for the request of this payment any more; empty: it may, or it is under none."""
    both = (_try.c.tenant_id == _request.c.tenant_id) & (_try.c.request_id == _request.c.request_id)
    mine = (_try.c.tenant_id == tx.tenant, _try.c.payment_id == payment_id)
    columns = (_request.c.request_id, _request.c.canceled_at, _request.c.expires_at)
    row = tx.one(select(*columns).join_from(_try, _request, both).where(*mine))
    if row is None:
        return ""
    if row["canceled_at"] is not None:
        return f"payment request {row['request_id']} was canceled"
    return f"payment request {row['request_id']} has expired" if row["expires_at"] <= tx.now else ""

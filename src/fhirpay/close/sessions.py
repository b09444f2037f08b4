"""Sessions of tills in figures: what lay in a till, what came in and went out, and what was counted at its end.

Each figure comes from the rows of its own (payments, refunds, moves, counts) and not from the sum, so that one which is
missing shows as a rest. Reads only; called by usecases/day_close.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, cast, func, select

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.events import Event
from ..domain.money import Money
from ..ledger.tables import LedgerEntry, LedgerPosting
from ..payments import till_sessions
from ..payments.tables import HandedBackRow, PaymentRow, RefundRow, TenderRow, TillSessionRow
from ..payments.till_sessions import Session
from .figures import SessionFigures
from .tables import DayClosePartRow

_session, _part = table(TillSessionRow), table(DayClosePartRow)
_tender, _payment, _back, _refund = table(TenderRow), table(PaymentRow), table(HandedBackRow), table(RefundRow)
_entry, _leg = table(LedgerEntry), table(LedgerPosting)


def uncounted(tx: Tx, facility: str, day: str, till: str = "") -> list[Session]:
    """The sessions up to that day that no close has counted, open ones too, oldest first; `till` empty: of all."""
    joined = _session.outerjoin(
        _part, (_part.c.tenant_id == _session.c.tenant_id) & (_part.c.part == _session.c.session_id)
    )
    query = select(_session.c.session_id).select_from(joined)
    query = query.where(_session.c.tenant_id == tx.tenant, _session.c.facility == facility, _part.c.part.is_(None))
    query = query.where(_session.c.business_date <= day)
    if till:
        query = query.where(_session.c.till == till)
    found = tx.all(query.order_by(_session.c.opened_at, _session.c.session_id))
    return [till_sessions.get(tx, row["session_id"]) for row in found]


def figures(tx: Tx, sessions: Iterable[Session]) -> list[SessionFigures]:
    """Of those that are closed."""
    return [_figures(tx, one, one.closed_at) for one in sessions if one.closed_at is not None]


def _figures(tx: Tx, one: Session, closed_at: datetime) -> SessionFigures:
    currency = one.currency
    moved: dict[str, Money] = {}
    for move in till_sessions.moves_of(tx, one.session_id):
        moved[move.kind] = moved.get(move.kind, Money.zero(currency)) + move.amount
    *before, last = till_sessions.counts_of(tx, one.session_id)
    corrected = sum((count.counted - count.expected for count in before), Money.zero(currency))
    return SessionFigures(
        session_id=one.session_id,
        till=one.till,
        day=one.business_date,
        opened_by=one.opened_by,
        opened_at=one.opened_at,
        closed_by=one.closed_by,
        closed_at=closed_at,
        left=_left(tx, one),
        floated=moved.get("float", Money.zero(currency)),
        taken=_taken(tx, one),
        given=_refunded(tx, one) + _voided(tx, one),
        paid_in=moved.get("pay_in", Money.zero(currency)),
        paid_out=moved.get("pay_out", Money.zero(currency)),
        dropped=moved.get("drop", Money.zero(currency)),
        corrected=corrected,
        expected=last.expected,
        counted=last.counted,
    )


def _left(tx: Tx, one: Session) -> Money:
    """What the session before it ended with: nothing comes in or goes out while a till is closed."""
    earlier = select(_session.c.session_id).where(
        _session.c.tenant_id == tx.tenant, _session.c.till == one.till, _session.c.opened_at < one.opened_at
    )
    session_id = tx.scalar(earlier.order_by(_session.c.opened_at.desc(), _session.c.session_id.desc()).limit(1))
    counts = till_sessions.counts_of(tx, session_id) if session_id else []
    return counts[-1].counted if counts else Money.zero(one.currency)


def _taken(tx: Tx, one: Session) -> Money:
    """Cash that was kept of what was handed over."""
    joined = _tender.join(
        _payment, (_payment.c.tenant_id == _tender.c.tenant_id) & (_payment.c.payment_id == _tender.c.payment_id)
    )
    mine = (_tender.c.tenant_id == tx.tenant, _tender.c.session_id == one.session_id, _payment.c.method == "cash")
    return _sum(tx, one, _tender.c.tendered_minor - _tender.c.change_minor, joined, *mine)


def _refunded(tx: Tx, one: Session) -> Money:
    joined = _back.join(
        _refund, (_refund.c.tenant_id == _back.c.tenant_id) & (_refund.c.refund_id == _back.c.refund_id)
    )
    mine = (_back.c.tenant_id == tx.tenant, _back.c.session_id == one.session_id, _back.c.kind == "cash")
    return _sum(tx, one, _refund.c.amount_minor, joined, *mine)


def _voided(tx: Tx, one: Session) -> Money:
    """A void names its till and no session: it is of the one that was open when it came into the books."""
    joined = _entry.join(_leg, (_entry.c.tenant_id == _leg.c.tenant_id) & (_entry.c.entry_id == _leg.c.entry_id))
    mine = (_entry.c.tenant_id == tx.tenant, _entry.c.kind == str(Event.CAPTURE_VOIDED), _leg.c.till == one.till)
    then = _entry.c.recorded_at.between(one.opened_at, one.closed_at)
    return _sum(tx, one, _leg.c.amount_minor, joined, *mine, then, _leg.c.account == "cash_drawer")


def _sum(tx: Tx, one: Session, column: Any, joined: Any, *where: Any) -> Money:
    total = cast(func.coalesce(func.sum(column), 0), BigInteger)
    return Money(int(tx.scalar(select(total).select_from(joined).where(*where))), one.currency)

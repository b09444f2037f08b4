"""Paid and not posted, given back and not posted: where EHRs don't have what became of money here."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, exists, func, not_, or_, select

from ..billing.tables import Adjustment
from ..db.metadata import table
from ..db.unit import Tx
from ..payments.tables import (
    MovementLineRow,
    MovementRow,
    PaymentEffectRow,
    PaymentRow,
    RefundRow,
    RefundShareRow,
    ReturnRow,
)
from ..settlement.tables import PayoutRow
from ..writeback.store import PAYOUT
from ..writeback.tables import PostingRow
from .books import AGES, CREDIT, entry, posting, total
from .frame import Asked, Column, Query, Report
from .moments import aged_from, by_then, still

_posting, _payment, _payout = table(PostingRow), table(PaymentRow), table(PayoutRow)
_refund, _return, _share, _adjustment = table(RefundRow), table(ReturnRow), table(RefundShareRow), table(Adjustment)

_movement, _line, _effect = table(MovementRow), table(MovementLineRow), table(PaymentEffectRow)


def statement(tx: Tx, asked: Asked) -> Query:
    mine = asked.tenant.name
    part = _posting.c.part
    others = _posting.alias("others")
    in_parts = exists(
        select(others.c.posting_id)
        .where(others.c.tenant_id == mine, others.c.subject == _posting.c.subject)
        .where(others.c.connection == _posting.c.connection, others.c.posting_id != _posting.c.posting_id)
        .correlate(_posting)
    )
    # What it paid there when it was to be posted: both are of one unit.
    allocated = (
        select(func.sum(case((CREDIT, posting.c.amount_minor), else_=-posting.c.amount_minor)))
        .select_from(
            posting.join(entry, and_(entry.c.tenant_id == posting.c.tenant_id, entry.c.entry_id == posting.c.entry_id))
        )
        .where(posting.c.tenant_id == mine, posting.c.payment_id == _posting.c.payment_id)
        .where(posting.c.account == "ar_patient", posting.c.account_ref == part)
        .where(entry.c.recorded_at <= _posting.c.created_at)
        .correlate(_posting)
        .scalar_subquery()
    )
    captured = (
        select(func.sum(_effect.c.amount_minor))
        .where(_effect.c.tenant_id == mine, _effect.c.payment_id == _posting.c.payment_id)
        .where(_effect.c.effect.startswith("capture:"), by_then(asked, _effect.c.at))
        .correlate(_posting)
        .scalar_subquery()
    )
    shared = (
        select(func.sum(_share.c.amount_minor))
        .where(_share.c.tenant_id == mine, _share.c.refund_id == _posting.c.subject)
        .where(or_(part == "", _share.c.account_ref == part))
        .correlate(_posting)
        .scalar_subquery()
    )
    moved = (
        select(func.sum(_line.c.amount_minor))
        .where(_line.c.tenant_id == mine, _line.c.movement_id == _posting.c.subject)
        .where(or_(part == "", _line.c.account_ref == part))
        .correlate(_posting)
        .scalar_subquery()
    )
    is_payment = _posting.c.subject == _posting.c.payment_id
    kind = case(
        (_posting.c.payment_id == "", "adjustment"),
        (_posting.c.part == PAYOUT, "payout"),
        (is_payment, "payment"),
        (_movement.c.kind == "reallocation", "moved"),
        (_movement.c.kind == "refund_failed", "payment"),
        else_="taken_back",
    )
    minor = case(
        (_posting.c.payment_id == "", _adjustment.c.amount_minor),
        (and_(_posting.c.part == PAYOUT, is_payment), _payout.c.amount_minor),
        (_posting.c.part == PAYOUT, -_payout.c.amount_minor),
        (and_(is_payment, not_(in_parts)), captured),
        (is_payment, allocated),
        (_movement.c.kind == "void", -moved),
        (_movement.c.movement_id.is_not(None), moved),
        else_=func.coalesce(shared, _refund.c.amount_minor, _return.c.amount_minor, 0),
    )
    rejected = and_(_posting.c.state == "rejected", not_(still(asked, _posting.c.decided_at)))
    joined = _posting
    for other, name, to in (
        (_payment, "payment_id", "payment_id"),
        (_refund, "refund_id", "subject"),
        (_return, "return_id", "subject"),
        (_movement, "movement_id", "subject"),
        (_adjustment, "adjustment_id", "subject"),
        (_payout, "payout_id", "payment_id"),
    ):
        joined = joined.outerjoin(other, and_(other.c.tenant_id == mine, other.c[name] == _posting.c[to]))
    each = (
        select(
            *(
                {"connection": _posting.c.connection, "facility": _payment.c.facility}[one].label(one)
                for one in asked.by
            ),
            func.coalesce(_payment.c.currency, _adjustment.c.currency, _payout.c.currency, "").label("currency"),
            kind.label("kind"),
            func.coalesce(minor, 0).label("minor"),
            _posting.c.created_at,
        )
        .select_from(joined)
        .where(_posting.c.tenant_id == mine, _posting.c.state != "shadow", not_(rejected))
        .where(by_then(asked, _posting.c.created_at), still(asked, _posting.c.posted_at))
        .subquery("each")
    )
    keys: list[Any] = [*(func.coalesce(each.c[one], "") for one in asked.by), each.c.kind, each.c.currency]
    names = [*asked.by, "kind", "currency"]
    sums: list[Any] = [
        func.count().label("postings"),
        total(each.c.minor).label("amount"),
        *aged_from(asked, each.c.minor, each.c.created_at),
    ]
    return select(*(key.label(name) for key, name in zip(keys, names, strict=True)), *sums).group_by(*keys)


UNPOSTED = Report(
    name="unposted",
    says=(
        "What an EHR doesn't have yet of what became of money here, by the end of the day and the days since it was to "
        "be posted: `payment` is paid and not posted; `taken_back` is posted, or about to be, and no longer paid "
        "(refunded, voided, returned, a dispute lost); `moved` pays something else now; `adjustment` was taken off "
        "here; `payout` is one that a connection with `payout_target` is to have, its payments in it once more; below "
        "zero what takes one back, or was taken from the bank. Each posting counts, whether it is on its way, unknown, "
        "parked or waits for staff; not what is kept in shadow or was rejected. What an EHR has posted that we know "
        "nothing of is a break, not in here. Of a payment that is posted account by account each counts what it paid "
        "there when it was to be posted. Moments are counted as days of the first facility's zone."
    ),
    denominators="No percentages: each amount is a sum, and the buckets come to `amount`.",
    span="as_of",
    fixed=(Column("kind", "text", "payment, taken_back, moved, adjustment, payout"),),
    columns=(
        Column("postings", "count", "postings that are open"),
        Column("amount", "money", "what they are of"),
        *AGES,
    ),
    statement=statement,
    by={"connection": "the EHR or receiver", "facility": "the facility that was paid; empty: an adjustment, a payout"},
    default=("connection",),
)

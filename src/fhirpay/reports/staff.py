"""Staff activity: who did what, how often, and of what amount."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, Table, case, cast, func, literal, select, union_all

from ..bank.tables import BankMatchRow
from ..billing.tables import AccountHold, StaffEntry, WorklistItem
from ..close.tables import DayCloseReopenedRow, DayCloseRow
from ..db.metadata import table
from ..db.unit import Tx
from ..ledger.tables import LedgerPeriodStep
from ..payments.tables import (
    BagRow,
    MovementRow,
    PaymentBreakRow,
    PaymentRow,
    RefundRow,
    ReversalRow,
    SafeMoveRow,
    TillCountRow,
    TillMoveRow,
    TillSessionRow,
)
from ..writeback.tables import PostingRow
from .books import total
from .frame import Asked, Column, Query, Report
from .moments import within

_NONE = cast(literal(0), BigInteger)
_DESK = ("cash", "check", "external_card", "bank_receipt")


def _actions() -> Iterator[tuple[Table, Any, str, str, Any, Any]]:
    """Table, what was done, who, when, minor units, currency."""
    payment, entry, session = table(PaymentRow), table(StaffEntry), table(TillSessionRow)
    taken = case((payment.c.method.in_(_DESK), "payment_taken"), else_="payment_asked")
    yield payment, taken, "requested_by", "created_at", payment.c.amount_minor, payment.c.currency
    refund = table(RefundRow)
    yield refund, "refund_requested", "requested_by", "created_at", refund.c.amount_minor, refund.c.currency
    yield table(ReversalRow), "reversal_requested", "requested_by", "created_at", _NONE, ""
    yield table(MovementRow), table(MovementRow).c.kind, "moved_by", "at", _NONE, ""
    amounts = func.coalesce(entry.c.amount_minor, 0), func.coalesce(entry.c.currency, "")
    stated = literal("stated_").concat(entry.c.kind)
    yield entry, stated, "entered_by", "entered_at", *amounts
    yield entry, "statement_withdrawn", "withdrawn_by", "withdrawn_at", *amounts
    yield table(AccountHold), "hold_opened", "opened_by", "opened_at", _NONE, ""
    yield table(AccountHold), "hold_released", "released_by", "released_at", _NONE, ""
    yield session, "till_opened", "opened_by", "opened_at", _NONE, ""
    yield session, "till_closed", "closed_by", "closed_at", _NONE, ""
    for one in (table(TillMoveRow), table(SafeMoveRow)):
        what = literal("till_").concat(one.c.kind) if "kind" in one.c else "safe_filled"
        yield one, what, "moved_by", "at", one.c.amount_minor, one.c.currency
    count, bag = table(TillCountRow), table(BagRow)
    yield count, "till_counted", "counted_by", "at", count.c.counted_minor, count.c.currency
    yield bag, "bank_bag_packed", "packed_by", "at", bag.c.cash_minor + bag.c.checks_minor, bag.c.currency
    yield table(WorklistItem), "worklist_done", "done_by", "done_at", _NONE, ""
    yield table(PaymentBreakRow), "worklist_done", "closed_by", "closed_at", _NONE, ""
    posting = table(PostingRow)
    said = case((posting.c.state == "rejected", "posting_rejected"), else_="posting_confirmed")
    yield posting, said, "decided_by", "decided_at", _NONE, ""
    yield table(DayCloseRow), "day_closed", "signed_by", "signed_at", _NONE, ""
    yield table(DayCloseReopenedRow), "day_reopened", "reopened_by", "at", _NONE, ""
    step = table(LedgerPeriodStep)
    yield step, literal("period_").concat(step.c.step), "by", "recorded_at", _NONE, ""
    yield table(BankMatchRow), "bank_lines_matched", "by", "matched_at", _NONE, ""
    yield table(BankMatchRow), "bank_lines_unmatched", "unmatched_by", "unmatched_at", _NONE, ""


def statement(tx: Tx, asked: Asked) -> Query:
    done = union_all(
        *(
            select(
                of.c[who].label("person"),
                (literal(what) if isinstance(what, str) else what).label("action"),
                minor.label("minor"),
                (literal(currency) if isinstance(currency, str) else currency).label("currency"),
            )
            .where(of.c.tenant_id == asked.tenant.name, of.c[who].is_not(None), of.c[who] != "")
            .where(within(asked, of.c[when]))
            for of, what, who, when, minor, currency in _actions()
        )
    ).subquery("done")
    keys: list[Any] = [done.c.person, done.c.action, done.c.currency]
    return select(*keys, func.count().label("times"), total(done.c.minor).label("amount")).group_by(*keys)


STAFF = Report(
    name="staff",
    says=(
        "What each person, client or rule did in the period, by the name that was kept with it: payments taken at the "
        "desk or asked for, refunds, voids and moves asked for, what was stated, holds, tills, safes and bank bags, "
        "worklist lines done, postings confirmed or rejected, bank lines matched, days and periods closed and opened "
        "again. A payment counts by the amount asked for, whatever became of it. Of a worklist line that was done more "
        "than once the last time counts alone. Moments are counted as days of the first facility's zone."
    ),
    denominators="No percentages. What has no amount stands under no currency.",
    span="period",
    fixed=(Column("person", "text", "who, as it was kept"), Column("action", "text", "what was done")),
    columns=(Column("times", "count", "how often"), Column("amount", "money", "of what amount, where there is one")),
    statement=statement,
)

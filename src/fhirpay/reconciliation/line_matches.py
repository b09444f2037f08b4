"""Lines of payouts against payments, as sets: what names a payment of ours is of that payment, a page at once, in SQL.

Takes the caller's `tx`. Called by usecases/reconcile.py: reads look for pages with something to do, so that a page
without holds no writer. The references are those by which book_settlement.py knows a line, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import RowMapping, and_, bindparam, case, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import UtcDateTime
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.settlement import LineKind
from ..payments.tables import DisputeRow, OperationRow, PaymentRow, RefundRow
from ..settlement.store import LineState
from ..settlement.tables import PayoutLineRow
from . import rules
from .rules import Nameless
from .tables import LineMatchRow

PAGE = 500  # lines of a write: some milliseconds
READ = 10_000  # of a read
_line, _match = table(PayoutLineRow), table(LineMatchRow)
_payment, _refund = table(PaymentRow), table(RefundRow)
_operation, _dispute = table(OperationRow), table(DisputeRow)
_ALONE = [str(one) for one in LineKind if one.of_no_payment]
_REFUNDS = (str(LineKind.REFUND), str(LineKind.REFUND_FAILURE))


def _of(merchant_of: Any, column: Any, *where: Any) -> Any:
    """The id in `column` of the row that fits, of the line's own merchant."""
    return select(column).where(merchant_of == _line.c.merchant, *where).limit(1).correlate(_line).scalar_subquery()


def _refund_by(*where: Any) -> Any:
    joined = and_(_payment.c.tenant_id == _refund.c.tenant_id, _payment.c.payment_id == _refund.c.payment_id)
    query = select(_refund.c.refund_id).select_from(_refund.join(_payment, joined))
    query = query.where(_refund.c.tenant_id == _line.c.tenant_id, _payment.c.merchant == _line.c.merchant, *where)
    return query.limit(1).correlate(_line).scalar_subquery()


_REFUND_ID = case(
    (
        _line.c.kind.in_(_REFUNDS),
        func.coalesce(
            _refund_by(_refund.c.refund_id == _line.c.our_ref), _refund_by(_refund.c.processor_ref == _line.c.of_ref)
        ),
    ),
)
_mine = _payment.c.tenant_id == _line.c.tenant_id
_SENT = (
    select(_operation.c.payment_id)
    .join(
        _payment,
        and_(_payment.c.tenant_id == _operation.c.tenant_id, _payment.c.payment_id == _operation.c.payment_id),
    )
    .where(
        _operation.c.tenant_id == _line.c.tenant_id,
        _operation.c.processor_ref == _line.c.our_ref,
        _payment.c.merchant == _line.c.merchant,
        _line.c.our_ref != "",
    )
    .limit(1)
    .correlate(_line)
    .scalar_subquery()
)
_PAYMENT_ID = func.coalesce(
    func.nullif(_line.c.payment_id, ""),
    _of(_payment.c.merchant, _payment.c.payment_id, _mine, _payment.c.payment_id == func.nullif(_line.c.our_ref, "")),
    _of(_payment.c.merchant, _payment.c.payment_id, _mine, _payment.c.processor_ref == _line.c.payment_ref),
    _of(_payment.c.merchant, _payment.c.payment_id, _mine, _payment.c.capture_ref == func.nullif(_line.c.of_ref, "")),
    _of(
        _dispute.c.merchant,
        _dispute.c.payment_id,
        _dispute.c.tenant_id == _line.c.tenant_id,
        _dispute.c.processor_ref == func.nullif(_line.c.of_ref, ""),
    ),
    _SENT,
)


_MATCHED = (
    select(_match.c.line_ref)
    .where(
        _match.c.tenant_id == _line.c.tenant_id,
        _match.c.merchant == _line.c.merchant,
        _match.c.line_ref == _line.c.line_ref,
    )
    .correlate(_line)
    .exists()
)
_UNMATCHED = (
    _line.c.tenant_id == bindparam("tenant"),
    _line.c.merchant == bindparam("of"),
    _line.c.line_ref > bindparam("after"),
    ~_MATCHED,
)
_OPEN_REFS = select(_line.c.line_ref).where(*_UNMATCHED).order_by(_line.c.line_ref).limit(READ)
_UP_TO = (*_UNMATCHED, _line.c.line_ref <= bindparam("last"))
# Keys alone first: of a line that is matched, nothing but its place in an index is read.
_LEFT_REFS = select(_line.c.line_ref).where(*_UP_TO).limit(READ).subquery()
_whole = _line.alias("whole")
_LEFT = (
    select(_whole)
    .join(_LEFT_REFS, _whole.c.line_ref == _LEFT_REFS.c.line_ref)
    .where(
        _whole.c.tenant_id == bindparam("tenant"), _whole.c.merchant == bindparam("of"), _whole.c.kind.not_in(_ALONE)
    )
    .order_by(_whole.c.line_ref)
)
_OF_REFUND = (
    select(_refund.c.payment_id)
    .where(_refund.c.tenant_id == _line.c.tenant_id, _refund.c.refund_id == _REFUND_ID)
    .correlate(_line)
    .scalar_subquery()
)
_NAMED = (
    select(
        _line.c.tenant_id,
        _line.c.merchant,
        _line.c.line_ref,
        case((_line.c.kind.in_(_REFUNDS), _OF_REFUND), else_=_PAYMENT_ID).label("payment_id"),
        func.coalesce(_REFUND_ID, "").label("refund_id"),
    )
    .where(*_UP_TO, _line.c.kind.not_in(_ALONE))
    .limit(READ)  # keeps SQLite from looking everything up twice
    .subquery()
)
_SAID = (
    literal(rules.REFERENCE).label("rule"),
    literal(rules.CONFIDENCE[rules.REFERENCE]).label("confidence"),
    bindparam("at", type_=UtcDateTime()).label("matched_at"),
)
_MATCH_EXACTLY = (
    insert(_match)
    .from_select(
        ["tenant_id", "merchant", "line_ref", "payment_id", "refund_id", "rule", "confidence", "matched_at"],
        select(_NAMED, *_SAID).where(_NAMED.c.payment_id.is_not(None)),
    )
    .on_conflict_do_nothing()
    .execution_options(preserve_rowcount=True)
)


def open_refs(tx: Tx, merchant: str, after: str) -> list[str]:
    """A merchant's next lines after this one that are of nothing yet, be it that they are never to be."""
    return [row["line_ref"] for row in tx.all(_OPEN_REFS, of=merchant, after=after)]


def match_exactly(tx: Tx, merchant: str, after: str, last: str) -> int:
    """Of a merchant's lines after one up to another, those that name a payment or refund of ours are of that one."""
    given = {"tenant": tx.tenant, "of": merchant, "after": after, "last": last, "at": tx.now}
    return tx.execute(_MATCH_EXACTLY, given).rowcount


def left(tx: Tx, merchant: str, after: str, last: str) -> list[RowMapping]:
    """Of such lines, those of nothing that is known here."""
    return tx.all(_LEFT, of=merchant, after=after, last=last)


def nameless(row: RowMapping) -> Nameless | None:
    """The line where it is of a payment, and names nothing."""
    if row["kind"] != str(LineKind.PAYMENT) or row["payment_ref"] or row["our_ref"] or row["of_ref"]:
        return None
    return Nameless(row["merchant"], row["line_ref"], Money(row["gross_minor"], row["currency"]), row["occurred_at"])


def forget_rules(tx: Tx) -> None:
    """What was found by another rule than the reference, and isn't booked, is open again: more may be known now."""
    waits = (
        select(_line.c.line_ref)
        .where(
            _line.c.tenant_id == _match.c.tenant_id,
            _line.c.merchant == _match.c.merchant,
            _line.c.line_ref == _match.c.line_ref,
            _line.c.state == str(LineState.WAITING),
        )
        .exists()
    )
    tx.execute(delete(_match).where(_match.c.tenant_id == tx.tenant, _match.c.rule != rules.REFERENCE, waits))


def keep(tx: Tx, found: Iterable[tuple[tuple[str, str], str]], rule: str) -> None:
    """What a rule has found: of which merchant and line, the payment."""
    rows = [
        {"tenant_id": tx.tenant, "merchant": merchant, "line_ref": line_ref, "payment_id": payment, "refund_id": ""}
        | {"rule": rule, "confidence": rules.CONFIDENCE[rule], "matched_at": tx.now}
        for (merchant, line_ref), payment in found
    ]
    if rows:
        tx.execute(insert(_match).on_conflict_do_nothing(), rows)


def payment_by_rule(tx: Tx, merchant: str, line_ref: str) -> str | None:
    """The payment that a line was found to be of by another rule than the reference."""
    where = (_match.c.tenant_id == tx.tenant, _match.c.merchant == merchant, _match.c.line_ref == line_ref)
    return tx.scalar(select(_match.c.payment_id).where(*where, _match.c.rule != rules.REFERENCE))


def counts(tx: Tx, merchants: Sequence[str]) -> dict[tuple[str, str], int]:
    """How many lines each rule has matched, by rule and confidence."""
    query = select(_match.c.rule, _match.c.confidence, func.count().label("lines")).where(
        _match.c.tenant_id == tx.tenant, _match.c.merchant.in_(list(merchants))
    )
    rows = tx.all(query.group_by(_match.c.rule, _match.c.confidence).order_by(_match.c.rule))
    return {(row["rule"], row["confidence"]): row["lines"] for row in rows}


def lines_to_match(tx: Tx, merchants: Sequence[str]) -> int:
    """How many lines are to be of something."""
    where = (_line.c.tenant_id == tx.tenant, _line.c.merchant.in_(list(merchants)), _line.c.kind.not_in(_ALONE))
    return int(tx.scalar(select(func.count()).select_from(_line).where(*where)) or 0)

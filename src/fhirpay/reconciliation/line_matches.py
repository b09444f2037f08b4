"""Lines of payouts against payments, as sets: what names a payment of ours is of that payment, a page at once, in SQL.

Takes the caller's `tx`. Called by usecases/reconcile.py: what a line is of is found by reading, and the writer is held
for the rows of matches alone. Lines are walked payout by payout, so that what is looked up for one lies near what was
for the line before it, however many there are. The references are those by which book_settlement.py knows a line, in
the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, and_, bindparam, case, delete, func, literal_column, select, tuple_

from ..db.metadata import table
from ..db.types import micros
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.settlement import LineKind
from ..payments.tables import DisputeRow, OperationRow, PaymentRow, RefundRow
from ..settlement.store import Line, LineState
from ..settlement.tables import PayoutLineRow
from . import rules
from .rules import Nameless
from .tables import LineMatchRow

PAGE = 500  # lines of a write: some milliseconds
READ = 10_000  # of a read
RULED_MAX = 1_000_000  # matches by another rule than the reference
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
        _match.c.payout_ref == _line.c.payout_ref,
        _match.c.line_ref == _line.c.line_ref,
    )
    .correlate(_line)
    .exists()
)
_OF_REFUND = (
    select(_refund.c.payment_id)
    .where(_refund.c.tenant_id == _line.c.tenant_id, _refund.c.refund_id == _REFUND_ID)
    .correlate(_line)
    .scalar_subquery()
)
# No condition but on columns of the index: of a line that is matched, nothing but its place there is read.
_OPEN = (
    select(
        _line.c.payout_ref,
        _line.c.line_ref,
        _line.c.kind,
        case((_line.c.kind.in_(_ALONE), None), (_line.c.kind.in_(_REFUNDS), _OF_REFUND), else_=_PAYMENT_ID).label(
            "is_of"
        ),
        func.coalesce(_REFUND_ID, "").label("refund_id"),
    )
    .where(
        _line.c.tenant_id == bindparam("tenant"),
        _line.c.merchant == bindparam("of"),
        tuple_(_line.c.payout_ref, _line.c.line_ref) > tuple_(bindparam("payout"), bindparam("after")),
        ~_MATCHED,
    )
    .order_by(_line.c.payout_ref, _line.c.line_ref)
    .limit(READ)
)
_NAMELESS = select(
    _line.c.payout_ref, _line.c.line_ref, _line.c.gross_minor, _line.c.currency, _line.c.occurred_at
).where(
    _line.c.tenant_id == bindparam("tenant"),
    _line.c.merchant == bindparam("of"),
    _line.c.line_ref.in_(bindparam("refs", expanding=True)),
    _line.c.kind == str(LineKind.PAYMENT),
    _line.c.payment_ref == "",
    _line.c.our_ref == "",
    _line.c.of_ref == "",
)
# Found by another rule than the reference, and not booked.
_BY_RULE = _match.c.rule != literal_column(f"'{rules.REFERENCE}'")  # as its index says it
RULED = and_(_BY_RULE, _line.c.state == str(LineState.WAITING))


def _same(match: Any) -> Any:
    return and_(
        _line.c.tenant_id == match.c.tenant_id,
        _line.c.merchant == match.c.merchant,
        _line.c.payout_ref == match.c.payout_ref,
        _line.c.line_ref == match.c.line_ref,
    )


SAME = _same(_match)
# Keys alone first, which is all that the index of these few has: SQLite else goes through every match.
_of_rules = (
    select(_match.c.tenant_id, _match.c.merchant, _match.c.payout_ref, _match.c.line_ref)
    .where(_match.c.tenant_id == bindparam("tenant"), _BY_RULE)
    .limit(RULED_MAX)
    .subquery()
)
_RULED = (
    select(
        _line.c.payout_ref,
        _line.c.line_ref,
        _line.c.gross_minor,
        _line.c.currency,
        _line.c.occurred_at,
        _match.c.payment_id.label("is_of"),
    )
    .select_from(_of_rules.join(_line, _same(_of_rules)).join(_match, SAME))
    .where(_of_rules.c.merchant == bindparam("of"), _line.c.state == str(LineState.WAITING))
    .order_by(_line.c.payout_ref, _line.c.line_ref)
)


Named = tuple[str, str, str, str]  # payout and line, and the payment and refund (empty: none) that it is of
_COLUMNS = ("tenant_id", "merchant", "payout_ref", "line_ref", "payment_id", "refund_id")
_COLUMNS += ("rule", "confidence", "matched_at")


@dataclass(frozen=True, slots=True)
class Page:
    """Lines of a merchant that were of nothing: those that name something, the ids of the others, and the payout and
    line after which the next page begins (None: there is none)."""

    named: list[Named]
    rest: list[str]
    last: tuple[str, str] | None


def open_page(tx: Tx, merchant: str, after: tuple[str, str]) -> Page:
    """A merchant's next lines after this payout and line that are of nothing yet."""
    given = {"tenant": tx.tenant, "of": merchant, "payout": after[0], "after": after[1]}
    rows: Sequence[Any] = tx.execute(_OPEN, given).all()
    return Page(
        named=[(payout, line, is_of, refund) for payout, line, _, is_of, refund in rows if is_of is not None],
        rest=[line for _, line, kind, is_of, _ in rows if is_of is None and kind not in _ALONE],
        last=(rows[-1][0], rows[-1][1]) if len(rows) == READ else None,
    )


def keep(tx: Tx, merchant: str, named: Sequence[Named], rule: str = rules.REFERENCE) -> int:
    """What lines are of by this rule; how many of these matches are new."""
    said = (rule, rules.CONFIDENCE[rule], micros(tx.now))
    return tx.add(_match, _COLUMNS, [(tx.tenant, merchant, *one, *said) for one in named])


def nameless(tx: Tx, merchant: str, refs: Sequence[str]) -> list[Nameless]:
    """Of these lines, those that are of a payment and name nothing."""
    return [_nameless(merchant, row) for row in tx.all(_NAMELESS, of=merchant, refs=list(refs))]


def _nameless(merchant: str, row: RowMapping) -> Nameless:
    gross = Money(row["gross_minor"], row["currency"])
    return Nameless(merchant, row["payout_ref"], row["line_ref"], gross, row["occurred_at"])


def ruled(tx: Tx, merchant: str) -> dict[Nameless, str]:
    """What was found by another rule than the reference, and isn't booked: more may be known now."""
    return {_nameless(merchant, row): row["is_of"] for row in tx.all(_RULED, of=merchant)}


def keep_ruled(tx: Tx, gone: Iterable[Nameless], found: Mapping[Nameless, str], rule: str) -> None:
    """What a rule has found, and what it no longer finds."""
    for line in gone:
        where = (_match.c.merchant == line.merchant, _match.c.payout_ref == line.payout_ref)
        where += (_match.c.tenant_id == tx.tenant, _match.c.line_ref == line.line_ref)
        tx.execute(delete(_match).where(*where, _match.c.rule != rules.REFERENCE))
    for line, payment in found.items():
        keep(tx, line.merchant, [(line.payout_ref, line.line_ref, payment, "")], rule)


def payment_by_rule(tx: Tx, line: Line) -> str | None:
    """The payment that a line was found to be of by another rule than the reference."""
    where = (_match.c.tenant_id == tx.tenant, _match.c.merchant == line.merchant)
    where += (_match.c.payout_ref == line.payout_ref, _match.c.line_ref == line.line_ref)
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

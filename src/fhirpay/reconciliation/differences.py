"""Where the ledger and the lines of payouts don't come to the same for a payment or a refund: in SQL, page by page.

Reads only, and hands out what differs, never what agrees. Called by usecases/reconcile.py; takes the caller's `tx`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, and_, case, cast, exists, func, literal_column, or_, select

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.refund import RefundState
from ..domain.settlement import LineKind
from ..ledger.tables import LedgerPosting
from ..payments.tables import PaymentRow, RefundRow, ReturnRow
from ..settlement.store import LineState
from ..settlement.tables import PayoutLineRow, PayoutRow, SettlementMarkRow
from .line_matches import RULED, SAME
from .tables import LineMatchRow

PAGE = 10_000  # payments of a read
_line, _match = table(PayoutLineRow), table(LineMatchRow)
_payment, _refund, _posting = table(PaymentRow), table(RefundRow), table(LedgerPosting)
_payout, _mark, _return = table(PayoutRow), table(SettlementMarkRow), table(ReturnRow)
_K = LineKind
_TAKES = (str(_K.PAYMENT), str(_K.CAPTURE_RELEASE))
_BACK = (str(_K.REFUND), str(_K.REFUND_FAILURE))
_FEE_OF = (*_TAKES, *_BACK)
# What a line comes to in the currency of what it is of, as far as its processor states it.
_TAKEN = func.coalesce(_line.c.presentment_minor, _line.c.gross_minor)
_TAKEN_IN = case((_line.c.presentment_minor.is_not(None), _line.c.presentment_currency), else_=_line.c.currency)

# Its fee is booked by its own event, whether its lines have come or not, also where it was reversed.
_RETURNED = exists().where(
    _return.c.tenant_id == _payment.c.tenant_id,
    _return.c.payment_id == _payment.c.payment_id,
    _return.c.booked_at.is_not(None),
)


@dataclass(frozen=True, slots=True)
class Days:
    """Between which moments all of a merchant's payouts are known here, with their lines."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Sums:
    """Of a payment or refund, with its day at its facility: what the ledger has, what its lines come to, and how many
    there are. `fees` likewise; `fees_settled` says whether all that bears a fee is booked on both sides."""

    payment_id: str
    refund_id: str
    merchant: str
    at: datetime
    day: str
    books: Money
    lines: Money
    count: int
    fee_books: Money
    fee_lines: Money
    fees_settled: bool


def known_days(tx: Tx, merchant: str) -> Days | None:
    """None: nothing has been read yet. A payout without lines may hold anything of before it."""
    mark = tx.one(select(_mark).where(_mark.c.tenant_id == tx.tenant, _mark.c.merchant == merchant))
    mine = (_payout.c.tenant_id == tx.tenant, _payout.c.merchant == merchant)
    first = tx.scalar(select(func.min(_payout.c.created_at)).where(*mine))
    if mark is None or first is None:
        return None
    unseen = tx.scalar(select(func.max(_payout.c.created_at)).where(*mine, ~_payout.c.itemised))
    return Days(max(first, unseen or first), mark["watermark"])


def _total(what: Any, *when: Any) -> Any:
    return cast(func.coalesce(func.sum(case((and_(*when), what), else_=0)), 0), BigInteger)


def bound(tx: Tx, after: str, *, size: int = PAGE) -> str | None:
    """The last payment of a page; None: the page is the last one."""
    query = select(_payment.c.payment_id).where(_payment.c.tenant_id == tx.tenant, _payment.c.payment_id > after)
    return tx.scalar(query.order_by(_payment.c.payment_id).offset(size - 1).limit(1))


def _within(column: Any, after: str, last: str | None) -> tuple[Any, ...]:
    return (column > after,) if last is None else (column > after, column <= last)


def payments(
    tx: Tx, after: str, last: str | None, merchants: Sequence[str], days: tuple[str, str], *, ruled: bool = True
) -> tuple[int, list[Sums]]:
    """Of a page of payments, captured in these days: how many the processor holds money of, and those that differ.

    `ruled=False`: a line counts where it names the payment or is booked, not where a rule has found it to be of it.
    """
    counted = () if ruled else (~RULED,)
    taken = (
        select(
            _match.c.payment_id,
            _total(_TAKEN, _line.c.kind.in_(_TAKES)).label("taken"),
            _total(1, _line.c.kind == str(_K.PAYMENT)).label("lines"),
            _total(_line.c.fee_minor, _line.c.kind.in_(_FEE_OF)).label("fees"),
            _total(1, _line.c.state == str(LineState.WAITING)).label("waiting"),
            _total(1, _line.c.kind.not_in(_FEE_OF)).label("others"),
            func.min(_TAKEN_IN).label("least"),
            func.max(_TAKEN_IN).label("most"),
            func.max(_line.c.currency).label("settled_in"),
        )
        .join(_line, SAME)
        .where(_match.c.tenant_id == tx.tenant, *_within(_match.c.payment_id, after, last), *counted)
        .group_by(_match.c.payment_id)
        .subquery()
    )
    debit = case((_posting.c.side == "debit", _posting.c.amount_minor), else_=-_posting.c.amount_minor)
    held = (
        select(_posting.c.payment_id, _total(debit, _posting.c.account == "fees").label("fees"))
        .where(
            _posting.c.tenant_id == tx.tenant,
            *_within(_posting.c.payment_id, after, last),
            _posting.c.account.in_(("processor_clearing", "fees")),
        )
        .group_by(_posting.c.payment_id)
        .subquery()
    )
    wanted = _payment.c.captured_minor  # what was voided is no part of it
    fees, waiting = func.coalesce(taken.c.fees, 0), func.coalesce(taken.c.waiting, 0)
    settled = and_(waiting == 0, func.coalesce(taken.c.others, 0) == 0, ~_RETURNED)
    differs = or_(wanted != func.coalesce(taken.c.taken, 0), and_(fees != held.c.fees, settled))
    differs = and_(differs, func.coalesce(taken.c.least, _payment.c.currency) == _payment.c.currency)
    differs = and_(differs, func.coalesce(taken.c.most, _payment.c.currency) == _payment.c.currency)
    joined = _payment.join(held, held.c.payment_id == _payment.c.payment_id)
    joined = joined.outerjoin(taken, taken.c.payment_id == _payment.c.payment_id)
    theirs = and_(
        _payment.c.tenant_id == tx.tenant,
        *_within(_payment.c.payment_id, after, last),
        _payment.c.captured_at.is_not(None),
        _payment.c.processor_ref.is_not(None),
        _payment.c.merchant.in_(list(merchants)),
        func.coalesce(_payment.c.business_date, "").between(*days),
    )
    query = select(
        _payment.c.payment_id,
        _payment.c.merchant,
        _payment.c.currency,
        _payment.c.captured_at,
        _payment.c.business_date,
        wanted.label("wanted"),
        func.coalesce(taken.c.taken, 0).label("taken"),
        func.coalesce(taken.c.lines, 0).label("lines"),
        held.c.fees.label("fee_books"),
        fees.label("fee_lines"),
        func.coalesce(taken.c.settled_in, _payment.c.currency).label("settled_in"),
        case((settled, 1), else_=0).label("settled"),
    )
    looked = tx.scalar(select(func.count()).select_from(_payment).where(theirs))
    found = [
        Sums(
            payment_id=row["payment_id"],
            refund_id="",
            merchant=row["merchant"],
            at=row["captured_at"],
            day=row["business_date"] or "",
            books=Money(row["wanted"], row["currency"]),
            lines=Money(row["taken"], row["currency"]),
            count=row["lines"],
            fee_books=Money(row["fee_books"], row["settled_in"]),
            fee_lines=Money(row["fee_lines"], row["settled_in"]),
            fees_settled=bool(row["settled"]),
        )
        for row in tx.all(query.select_from(joined).where(theirs, differs).order_by(_payment.c.payment_id))
    ]
    return int(looked or 0), found


def refunds(tx: Tx, merchants: Sequence[str], days: tuple[str, str]) -> Iterator[Sums]:
    """Refunds that have gone out by the processor, and whose lines come to something else."""
    total = cast(func.sum(_TAKEN), BigInteger)
    taken = (
        select(
            _match.c.refund_id,
            total.label("taken"),
            _total(1, _line.c.kind == str(_K.REFUND)).label("lines"),
            func.min(_TAKEN_IN).label("least"),
            func.max(_TAKEN_IN).label("most"),
        )
        .join(_line, SAME)
        .where(_match.c.tenant_id == tx.tenant, _match.c.refund_id != literal_column("''"))
        .group_by(_match.c.refund_id)
        .subquery()
    )
    joined = _refund.join(
        _payment, and_(_payment.c.tenant_id == _refund.c.tenant_id, _payment.c.payment_id == _refund.c.payment_id)
    ).outerjoin(taken, taken.c.refund_id == _refund.c.refund_id)
    query = select(_refund, _payment.c.merchant, taken.c.taken, taken.c.lines).select_from(joined)
    query = query.where(
        _refund.c.tenant_id == tx.tenant,
        _refund.c.state == str(RefundState.SUCCEEDED),
        _refund.c.processor_ref.is_not(None),
        _payment.c.merchant.in_(list(merchants)),
        func.coalesce(taken.c.taken, 0) != -_refund.c.amount_minor,
        func.coalesce(taken.c.least, _refund.c.currency) == _refund.c.currency,
        func.coalesce(taken.c.most, _refund.c.currency) == _refund.c.currency,
        func.coalesce(_refund.c.business_date, "").between(*days),
    )
    for row in tx.all(query.order_by(_refund.c.refund_id)):
        zero = Money.zero(row["currency"])
        yield Sums(
            payment_id=row["payment_id"],
            refund_id=row["refund_id"],
            merchant=row["merchant"],
            at=row["succeeded_at"] or row["changed_at"],
            day=row["business_date"] or "",
            books=Money(-row["amount_minor"], row["currency"]),
            lines=Money(row["taken"] or 0, row["currency"]),
            count=row["lines"] or 0,
            fee_books=zero,
            fee_lines=zero,
            fees_settled=False,
        )

"""Payments whose lines have other fees than were agreed: in SQL, page by page; `fee_terms.py` has the arithmetic.

Compared is a payment whose lines, by reference or booked, come to what was captured, all in the currency of the terms
and nothing converted: of any other, `differences.py` tells. Reads only, and hands out what may differ, never what
agrees. Called by usecases/compare_fees.py; takes the caller's `tx`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, and_, case, cast, distinct, func, literal, or_, select

from ..config_fees import Method
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.settlement import LineKind
from ..payments.tables import PaymentRow
from ..payments.terminals import METHOD as ON_READER
from ..settlement.tables import PayoutLineRow
from .fee_terms import METHODS, WHOLE, Lines, Rate, Terms
from .line_matches import RULED, SAME
from .tables import LineMatchRow

_line, _match, _payment = table(PayoutLineRow), table(LineMatchRow), table(PaymentRow)
_K = LineKind
_TAKES = (str(_K.PAYMENT), str(_K.CAPTURE_RELEASE))
_BACK = (str(_K.REFUND), str(_K.REFUND_FAILURE))
_DISPUTES = (str(_K.DISPUTE), str(_K.DISPUTE_REVERSAL))
_RETURNS = (str(_K.RETURN), str(_K.RETURN_REVERSAL))
_method = case(
    (_payment.c.method == ON_READER, "card_present"),
    (_payment.c.tender == "bank", "ach"),
    (_payment.c.tender == "card", "card"),
    else_="",  # the processor hasn't said
)


def _sum(what: Any, *kinds: str) -> Any:
    return cast(func.coalesce(func.sum(case((_line.c.kind.in_(kinds), what), else_=0)), 0), BigInteger)


def _times(kind: LineKind) -> Any:
    """How many disputes there are by lines of a kind: several of one are one, or as many as have a fee."""
    whose = case((_line.c.of_ref != "", _line.c.of_ref), else_=_line.c.line_ref)
    with_fee = and_(_line.c.kind == str(kind), _line.c.fee_minor != 0)
    each = func.count(distinct(case((_line.c.kind == str(kind), whose))))
    return func.count(case((with_fee, 1))) + each - func.count(distinct(case((with_fee, whose))))


def agreed_for(rate: Rate, taken: Any) -> Any:
    """As Rate.of. No step is larger than the amount itself, or than WHOLE by WHOLE."""
    share = (taken // WHOLE) * rate.parts + (2 * (taken % WHOLE) * rate.parts + WHOLE) // (2 * WHOLE)
    fee = share + rate.fixed
    fee = case((fee < rate.minimum, literal(rate.minimum, BigInteger)), else_=fee)
    return fee if rate.cap is None else case((fee > rate.cap, literal(rate.cap, BigInteger)), else_=fee)


def not_as_agreed(tx: Tx, terms: Sequence[Terms], after: str, last: str | None, days: tuple[str, str]) -> list[Lines]:
    """Of a page of payments, taken in these days, those whose fees are off, by payment."""
    page = (
        (_match.c.payment_id > after,) if last is None else (_match.c.payment_id > after, _match.c.payment_id <= last)
    )
    sums = (
        select(
            _match.c.payment_id,
            _sum(_line.c.gross_minor, *_TAKES).label("taken"),
            _sum(_line.c.fee_minor, *_TAKES, *_BACK).label("fee"),
            _sum(1, str(_K.REFUND)).label("refunds"),
            _sum(-_line.c.gross_minor, *_BACK).label("refunded"),
            _sum(_line.c.fee_minor, *_DISPUTES).label("dispute_fee"),
            _times(_K.DISPUTE).label("disputes"),
            _times(_K.DISPUTE_REVERSAL).label("won"),
            _sum(_line.c.fee_minor, *_RETURNS).label("return_fee"),
            _sum(1, str(_K.RETURN)).label("returns"),
            func.min(_line.c.currency).label("settled_in"),
            func.max(_line.c.currency).label("most"),
            func.count(_line.c.presentment_minor).label("converted"),
        )
        .join(_line, SAME)
        .where(_match.c.tenant_id == tx.tenant, *page, ~RULED)
        .group_by(_match.c.payment_id)
        .subquery()
    )
    day = func.coalesce(_payment.c.business_date, "")
    query = (
        select(sums, _payment.c.merchant, day.label("day"), _method.label("method"))
        .select_from(_payment.join(sums, sums.c.payment_id == _payment.c.payment_id))
        .where(
            _payment.c.tenant_id == tx.tenant,
            day.between(*days),
            sums.c.taken == _payment.c.captured_minor,
            sums.c.taken > 0,
            sums.c.converted == 0,
            sums.c.settled_in == sums.c.most,
            sums.c.settled_in == _payment.c.currency,
            or_(*[_off(one, method, sums.c, day) for one in terms for method in METHODS if one.rates[method]]),
        )
    )
    return [_lines_of(row) for row in tx.all(query.order_by(_payment.c.payment_id))]


def _off(terms: Terms, method: Method, sums: Any, day: Any) -> Any:
    mine = (_payment.c.merchant == terms.merchant, _method == method, sums.settled_in == terms.currency)
    return and_(*mine, day.between(terms.first, terms.last), off_by(terms, method, sums))


def off_by(terms: Terms, method: Method, sums: Any) -> Any:
    """As Terms.off, of columns; where refunds give back a share, all with a refund: that is left to Terms.off."""
    fee = sums.fee - terms.besides(
        sums.refunds, sums.disputes - (sums.won if terms.dispute_returns else 0), sums.returns
    )
    fee = fee + (0 if terms.dispute is None else sums.dispute_fee)
    fee = fee + (0 if terms.ach_return is None else sums.return_fee)
    off = and_(*[func.abs(fee - agreed_for(one, sums.taken)) > terms.tolerance for one in terms.rates[method]])
    return or_(off, sums.refunded > 0) if terms.refund_returns else off


def _lines_of(row: Any) -> Lines:
    return Lines(
        payment_id=row["payment_id"],
        merchant=row["merchant"],
        day=row["day"],
        method=row["method"],
        currency=row["settled_in"],
        taken=row["taken"],
        fee=row["fee"],
        refunds=row["refunds"],
        refunded=row["refunded"],
        dispute_fee=row["dispute_fee"],
        disputes=row["disputes"],
        won=row["won"],
        return_fee=row["return_fee"],
        returns=row["returns"],
    )


def lines_by_payment(tx: Tx, payments: Sequence[str]) -> dict[str, list[str]]:
    """The processor's ids of their lines, in the order of time."""
    query = select(_match.c.payment_id, _line.c.line_ref).join(_line, SAME)
    query = query.where(_match.c.tenant_id == tx.tenant, _match.c.payment_id.in_(list(payments)))
    found: dict[str, list[str]] = {}
    for row in tx.all(query.order_by(_line.c.occurred_at, _line.c.line_ref)):
        found.setdefault(row["payment_id"], []).append(row["line_ref"])
    return found

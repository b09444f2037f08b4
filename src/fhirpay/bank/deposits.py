"""What was taken over the counter and is to be seen at the bank: bags of cash and checks, and checks that bounced.

Takes the caller's `tx`; reads bags and returns, each until it is of a match (matches.py). A bounced check has been
taken out of `bank` when staff entered it: its line is matched so that it is of somebody, and moves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta

from sqlalchemy import RowMapping, and_, select

from ..config_bank import BankAccount
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..payments import bags
from ..payments.bags import Bag
from ..payments.tables import BagRow, PaymentRow, ReturnRow, TenderRow
from .expected import Expected, What
from .matches import LOOKED_BACK
from .statement import without_zeros
from .tables import BankLineRow, BankMatchedRow

TOLD_BEFORE = timedelta(days=10)  # that the bank has taken a check back may be entered so long after its line
_bag, _matched, _line = table(BagRow), table(BankMatchedRow), table(BankLineRow)
_payment, _return, _tender = table(PaymentRow), table(ReturnRow), table(TenderRow)


def expected(tx: Tx, account: BankAccount, facilities: Collection[str]) -> list[Expected]:
    """What is to be seen in this account of these facilities, and hasn't been."""
    return [*_bags(tx, account, facilities), *_bounced(tx, account, facilities)]


def _bags(tx: Tx, account: BankAccount, facilities: Collection[str]) -> list[Expected]:
    seen = and_(_matched.c.tenant_id == _bag.c.tenant_id, _matched.c.subject == _bag.c.bag_id)
    query = select(_bag).where(
        _bag.c.tenant_id == tx.tenant,
        _bag.c.facility.in_(list(facilities)),
        _bag.c.currency == account.currency,
        _bag.c.at > tx.now - LOOKED_BACK,
        ~select(_matched.c.match_id).where(seen, _matched.c.what == "deposit").exists(),
    )
    return [_of_bag(row, account) for row in tx.all(query.order_by(_bag.c.at, _bag.c.bag_id))]


def _of_bag(row: RowMapping, account: BankAccount) -> Expected:
    day = date.fromisoformat(row["business_date"])
    amount = Money(row["cash_minor"] + row["checks_minor"], row["currency"])
    last = day + timedelta(days=account.bag_days)
    group, slip = f"{row['facility']}/{row['business_date']}", without_zeros(row["slip"]).upper()
    return Expected(row["bag_id"], "", "deposit", amount, day, last, told=False, group=group, slip=slip)


def _bounced(tx: Tx, account: BankAccount, facilities: Collection[str]) -> list[Expected]:
    """Each by its amount, and what the bank took for it by its own."""
    paid = and_(_payment.c.tenant_id == _return.c.tenant_id, _payment.c.payment_id == _return.c.payment_id)
    handed = and_(_tender.c.tenant_id == _return.c.tenant_id, _tender.c.payment_id == _return.c.payment_id)
    query = select(_return, _tender.c.check_number).join(_payment, paid).join(_tender, handed)
    query = query.where(
        _return.c.tenant_id == tx.tenant,
        _return.c.reverses.is_(None),
        _return.c.booked_at.is_not(None),
        _return.c.currency == account.currency,
        _return.c.occurred_at > tx.now - LOOKED_BACK,
        _payment.c.method == "check",
        _payment.c.facility.in_(list(facilities)),
    )
    rows = tx.all(query.order_by(_return.c.occurred_at, _return.c.return_id))
    seen = _seen(tx, [row["return_id"] for row in rows])
    found: list[Expected] = []
    for row in rows:
        kinds: tuple[tuple[What, int], ...] = (("bounce", row["amount_minor"]), ("bounce_fee", row["fee_minor"]))
        day, slip = row["occurred_at"].date(), without_zeros(row["check_number"]).upper()
        first, last = day - TOLD_BEFORE, day + timedelta(days=account.bag_days)
        for what, minor in kinds:
            if minor and (row["return_id"], what) not in seen:
                amount = Money(-minor, row["currency"])
                found.append(Expected(row["return_id"], "", what, amount, first, last, told=False, slip=slip))
    return found


def _seen(tx: Tx, returns: Sequence[str]) -> set[tuple[str, str]]:
    query = select(_matched.c.subject, _matched.c.what)
    rows = tx.all(query.where(_matched.c.tenant_id == tx.tenant, _matched.c.subject.in_(list(returns))))
    return {(row["subject"], row["what"]) for row in rows}


def of_match(tx: Tx, subjects: Iterable[tuple[str, str]]) -> list[Bag]:
    """The bags among what a match is of."""
    return [bags.get(tx, subject) for subject, what in subjects if what == "deposit"]


def bags_of_line(tx: Tx, line_id: str) -> list[Bag]:
    """The bags that a line is."""
    mine = and_(_line.c.tenant_id == _matched.c.tenant_id, _line.c.match_id == _matched.c.match_id)
    query = select(_matched.c.subject).join(_line, mine).where(_matched.c.tenant_id == tx.tenant)
    query = query.where(_line.c.line_id == line_id, _matched.c.what == "deposit").order_by(_matched.c.subject)
    return [bags.get(tx, row["subject"]) for row in tx.all(query)]

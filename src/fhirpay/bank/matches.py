"""What was found to be the same money, as rows: kept for good, with its rule or who said so. Takes the caller's `tx`.

What somebody took back is apart.py's. Payouts that are expected at the bank are read here too: those that have left a
processor and are of no line yet.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import RowMapping, and_, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from ..config_bank import BankAccount
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payout import PayoutState
from ..settlement import store as settlement
from ..settlement.store import Payout
from ..settlement.tables import PayoutRow
from .expected import OF_PAYOUTS, RETURNED_WITHIN, Expected, What
from .tables import BankLineRow, BankMatchedRow, BankMatchRow

LOOKED_BACK = timedelta(days=120)
_match, _matched = table(BankMatchRow), table(BankMatchedRow)
_line, _payout = table(BankLineRow), table(PayoutRow)
_ADD, _ADD_PAYOUT = insert(_match), insert(_matched)
_ON_ITS_WAY = (PayoutState.CLOSED, PayoutState.IN_TRANSIT, PayoutState.PAID, PayoutState.DEPOSIT_EXPECTED)
_OF_SUBJECT = (
    select(_match, _matched.c.what)
    .join(_matched, and_(_matched.c.tenant_id == _match.c.tenant_id, _matched.c.match_id == _match.c.match_id))
    .where(_matched.c.tenant_id == bindparam("tenant"), _matched.c.subject == bindparam("subject"))
    .order_by(_matched.c.what)
)


@dataclass(frozen=True, slots=True)
class BankMatch:
    """`by` is empty where the rule found it; `gap` is what batches come to above their deposit."""

    match_id: str
    account: str
    rule: str
    confidence: str
    by: str
    why: str
    gap_minor: int
    matched_at: datetime
    what: What


@dataclass(frozen=True, slots=True)
class Fee:
    """Taken at the bank by a merchant's processor: who said so, and why."""

    merchant: str
    by: str
    why: str


def add(
    tx: Tx,
    account: str,
    subjects: Collection[tuple[str, What]],
    *,
    rule: str,
    confidence: str,
    gap: Money,
    by: str = "",
    why: str = "",
    merchant: str = "",
) -> str:
    """Keep it; its id. What has one already is refused by the database. `merchant` is of a fee."""
    match_id = tx.ids.new("bmt")
    row = {"tenant_id": tx.tenant, "match_id": match_id, "account": account, "rule": rule, "confidence": confidence}
    row |= {"by": by, "why": why, "gap_minor": gap.minor, "matched_at": tx.now, "merchant": merchant}
    tx.execute(_ADD.values(row))
    for subject, what in subjects:
        named = {"tenant_id": tx.tenant, "subject": subject, "what": what, "match_id": match_id}
        tx.execute(_ADD_PAYOUT.values(named))
    return match_id


def of_subject(tx: Tx, subject: str) -> list[BankMatch]:
    """How a payout arrived, and how it was taken back; how a bag was credited, or a check debited again."""
    return [
        BankMatch(**{name: row[name] for name in BankMatch.__slots__}) for row in tx.all(_OF_SUBJECT, subject=subject)
    ]


def fee_of(tx: Tx, match_id: str) -> Fee | None:
    """Whose fee the lines of this match are; None: they are none."""
    query = select(_match.c.merchant, _match.c.by, _match.c.why)
    row = tx.one(query.where(_match.c.tenant_id == tx.tenant, _match.c.match_id == match_id))
    return Fee(row["merchant"], row["by"], row["why"]) if row and row["merchant"] else None


def payouts_of_line(tx: Tx, line_id: str) -> list[str]:
    """Our ids of the payouts that a line is."""
    mine = and_(_line.c.tenant_id == _matched.c.tenant_id, _line.c.match_id == _matched.c.match_id)
    query = select(_matched.c.subject).join(_line, mine).where(_matched.c.tenant_id == tx.tenant)
    query = query.where(_line.c.line_id == line_id, _matched.c.what.in_(OF_PAYOUTS)).order_by(_matched.c.subject)
    return [row["subject"] for row in tx.all(query)]


def named(tx: Tx, some_id: str) -> list[Payout]:
    """The payouts of this id, ours or a processor's."""
    return settlement.find(tx, some_id)


def expected(tx: Tx, account: BankAccount, merchants: Collection[str], since: date) -> list[Expected]:
    """What is to be seen in this account and hasn't been. What is before `since`, its first known day, isn't told."""
    arrived = select(_matched.c.match_id).where(
        _matched.c.tenant_id == _payout.c.tenant_id,
        _matched.c.subject == _payout.c.payout_id,
        _matched.c.what == "arrival",
    )
    theirs = select(_payout, arrived.exists().label("arrived")).where(
        _payout.c.tenant_id == tx.tenant,
        _payout.c.merchant.in_(list(merchants)),
        _payout.c.currency == account.currency,
        _payout.c.amount_minor != 0,
        _payout.c.created_at > tx.now - LOOKED_BACK,
    )
    on_its_way = theirs.where(_payout.c.state.in_([str(one) for one in _ON_ITS_WAY]), ~arrived.exists())
    failed = theirs.where(_payout.c.state == str(PayoutState.FAILED))
    order = (_payout.c.created_at, _payout.c.processor_ref)
    found = [_arrival(row, account, since, told=True) for row in tx.all(on_its_way.order_by(*order))]
    back = returned(tx, account.currency, merchants)
    for row in tx.all(failed.order_by(*order)):
        if not row["arrived"]:
            found.append(_arrival(row, account, since, told=False))
        elif row["payout_id"] not in back:
            found.append(_return(row, account))
    return found


def returned(tx: Tx, currency: str, merchants: Collection[str]) -> set[str]:
    """The payouts whose taking back has been seen at the bank."""
    query = select(_matched.c.subject).join(
        _payout, and_(_payout.c.tenant_id == _matched.c.tenant_id, _payout.c.payout_id == _matched.c.subject)
    )
    query = query.where(_matched.c.tenant_id == tx.tenant, _matched.c.what == "return", _payout.c.currency == currency)
    return {row["subject"] for row in tx.all(query.where(_payout.c.merchant.in_(list(merchants))))}


def _day(row: RowMapping) -> date:
    try:
        return date.fromisoformat(row["arrives_on"])
    except ValueError:
        return row["created_at"].date()


def _arrival(row: RowMapping, account: BankAccount, since: date, *, told: bool) -> Expected:
    day = _day(row)
    return Expected(
        row["payout_id"],
        row["merchant"],
        "arrival",
        Money(row["amount_minor"], row["currency"]),
        day - timedelta(days=account.early_days),
        day + timedelta(days=account.late_days),
        batch=row["state"] == PayoutState.DEPOSIT_EXPECTED,
        told=told and day >= since,
    )


def _return(row: RowMapping, account: BankAccount) -> Expected:
    day = _day(row)
    last = day + timedelta(days=account.late_days) + RETURNED_WITHIN
    amount = Money(-row["amount_minor"], row["currency"])
    return Expected(row["payout_id"], row["merchant"], "return", amount, day, last, told=True)

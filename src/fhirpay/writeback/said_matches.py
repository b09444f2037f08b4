"""What EHRs say was posted against what we posted, as sets: what names ours is ours, all at once, in SQL; and what is
left on either side, for ehr_match.py. Takes the caller's `tx`. Called by usecases/match_postings.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, RowMapping, and_, case, cast, exists, func, or_, select, update

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from .ehr_match import NUMBER, REFERENCE, Match, Rule
from .said import Entry, Source, entry_of, of_source
from .said_tables import EhrPostingRow
from .store import PAYOUT
from .tables import PostingFactRow, PostingRow

_said, _posting, _fact = table(EhrPostingRow), table(PostingRow), table(PostingFactRow)


@dataclass(frozen=True, slots=True)
class Ours:
    """What one posting of ours says of one account, and whether a row of the reading names it."""

    subject: str
    payment_id: str
    account_ref: str
    amount: Money
    day: date
    posted_at: datetime
    named: bool


@dataclass(frozen=True, slots=True)
class Sums:
    """What one reading has of one payment or refund of ours, or under one number, against what is known here."""

    subject: str
    theirs: Money
    ours: Money
    entry_id: str
    account_ref: str


def match_exactly(tx: Tx, source: Source, said_by: str, receiver: str, feeds: Collection[str]) -> None:
    """What names ours is ours, what has the number of a payment that `feeds` told of is that one; what rules had found
    is open again."""
    mine = and_(of_source(tx, source, said_by), _said.c.gone_at.is_(None))
    exact = (REFERENCE.name, NUMBER.name)
    again = and_(mine, _said.c.subject != "", _said.c.rule.not_in(exact))
    tx.execute(update(_said).where(again).values(subject="", rule="", confidence="", matched_at=None))
    # A number of a message that says something else by now counts no more.
    lost = and_(mine, _said.c.rule == NUMBER.name, ~_heard_under(tx, feeds).exists())
    tx.execute(update(_said).where(lost).values(subject="", rule="", confidence="", matched_at=None))
    ours = exists().where(
        _posting.c.tenant_id == _said.c.tenant_id,
        _posting.c.connection == receiver,
        _posting.c.subject == _said.c.our_number,
        _posting.c.state.not_in(("shadow", "rejected")),
    )
    open_ = and_(mine, _said.c.subject == "")
    by_name = and_(open_, _said.c.our_number != "", ours)
    tx.execute(update(_said).where(by_name).values(subject=_said.c.our_number, **_words(tx, REFERENCE)))
    number = _heard_under(tx, feeds).limit(1).scalar_subquery()
    by_number = and_(open_, _said.c.our_number == "", _said.c.number != "", number.is_not(None))
    tx.execute(update(_said).where(by_number).values(subject=number, **_words(tx, NUMBER)))


def _heard_under(tx: Tx, feeds: Collection[str]) -> Any:
    """The rows of messages that have the number, and account, of the row at hand: the first of them."""
    told = table(EhrPostingRow).alias("told")
    return (
        select(told.c.entry_id)
        .where(
            told.c.tenant_id == tx.tenant,
            told.c.source == "message",
            told.c.said_by.in_(sorted(feeds)),
            told.c.number == _said.c.number,
            told.c.account_ref == _said.c.account_ref,
            told.c.our_number == "",
            told.c.gone_at.is_(None),
        )
        .order_by(told.c.entry_id)
        .correlate(_said)
    )


def match(tx: Tx, matches: Iterable[Match]) -> None:
    """Keep what rules have found."""
    for one in matches:
        is_it = (_said.c.tenant_id == tx.tenant, _said.c.entry_id == one.entry_id)
        tx.execute(update(_said).where(*is_it).values(subject=one.subject, **_words(tx, one.rule)))


def _words(tx: Tx, rule: Rule) -> dict[str, Any]:
    return {"rule": rule.name, "confidence": rule.confidence, "matched_at": tx.now}


def residue(tx: Tx, source: Source, said_by: str, since: date) -> list[Entry]:
    """What nothing is known to be."""
    query = select(_said).where(of_source(tx, source, said_by), _said.c.gone_at.is_(None), _said.c.subject == "")
    query = query.where(_said.c.day >= since.isoformat()).order_by(_said.c.day, _said.c.entry_id)
    return [entry_of(row) for row in tx.all(query)]


def heard_alone(tx: Tx, source: Source, said_by: str, feeds: Collection[str], accounts: Collection[str]) -> list[Entry]:
    """The EHR's own payments on these accounts that messages told of, and this reading has under no number."""
    mine = table(EhrPostingRow).alias("mine")
    named = exists().where(
        mine.c.tenant_id == _said.c.tenant_id,
        mine.c.source == source,
        mine.c.said_by == said_by,
        mine.c.gone_at.is_(None),
        mine.c.subject == _said.c.entry_id,
    )
    found: list[Entry] = []
    wanted = sorted(accounts)
    for start in range(0, len(wanted), 500):
        query = select(_said).where(
            _said.c.tenant_id == tx.tenant,
            _said.c.source == "message",
            _said.c.said_by.in_(sorted(feeds)),
            _said.c.our_number == "",
            _said.c.gone_at.is_(None),
            _said.c.account_ref.in_(wanted[start : start + 500]),
            ~named,
        )
        found += [entry_of(row) for row in tx.all(query.order_by(_said.c.entry_id))]
    return found


def _named_by(source: Source, said_by: str) -> Any:
    """Whether a row of this reading names the posting at hand."""
    return exists().where(
        _said.c.tenant_id == _posting.c.tenant_id,
        _said.c.source == source,
        _said.c.said_by == said_by,
        _said.c.gone_at.is_(None),
        _said.c.subject == _posting.c.subject,
        _said.c.rule == REFERENCE.name,
    )


def _ours(tx: Tx, source: Source, said_by: str, receiver: str, since: date) -> Any:
    named = case((_named_by(source, said_by), 1), else_=0).label("named")
    joined = and_(_fact.c.tenant_id == _posting.c.tenant_id, _fact.c.posting_id == _posting.c.posting_id)
    return (
        select(_posting.c.subject, _posting.c.payment_id, _posting.c.posted_at, _fact, named)
        .join(_fact, joined)
        .where(
            _posting.c.tenant_id == tx.tenant,
            _posting.c.connection == receiver,
            _posting.c.state == "posted",
            _fact.c.kind != "adjustment",
            _fact.c.amount_minor != 0,
            _fact.c.day >= since.isoformat(),
        )
        .order_by(_posting.c.subject, _fact.c.account_ref)
    )


def ours_alone(tx: Tx, source: Source, said_by: str, receiver: str, since: date) -> list[Ours]:
    """What the EHR has taken of ours and no row of this reading names."""
    query = _ours(tx, source, said_by, receiver, since).where(~_named_by(source, said_by))
    return [_ours_of(row) for row in tx.all(query)]


def ours_on(tx: Tx, source: Source, said_by: str, receiver: str, since: date, accounts: Collection[str]) -> list[Ours]:
    """All of ours on these accounts that the EHR has taken."""
    wanted, found = sorted(accounts), list[Ours]()
    for start in range(0, len(wanted), 500):
        some_of = _fact.c.account_ref.in_(wanted[start : start + 500])
        found += [_ours_of(row) for row in tx.all(_ours(tx, source, said_by, receiver, since).where(some_of))]
    return found


def differing(tx: Tx, source: Source, said_by: str, receiver: str, since: date) -> list[Sums]:
    """Ours that this reading has, with another sum than we have posted."""
    theirs = _summed(and_(of_source(tx, source, said_by), _said.c.rule == REFERENCE.name)).subquery()
    joined = and_(_fact.c.tenant_id == _posting.c.tenant_id, _fact.c.posting_id == _posting.c.posting_id)
    total = cast(func.sum(_fact.c.amount_minor), BigInteger)
    ours = (
        select(
            _posting.c.subject, _fact.c.currency, total.label("minor"), func.min(_fact.c.account_ref).label("account")
        )
        .join(_fact, joined)
        .where(_posting.c.tenant_id == tx.tenant, _posting.c.connection == receiver, _posting.c.state == "posted")
        .where(_fact.c.kind != "adjustment", _fact.c.day >= since.isoformat())
        .group_by(_posting.c.subject, _fact.c.currency)
    ).subquery()
    return _unequal(tx, theirs, ours)


def differing_heard(tx: Tx, source: Source, said_by: str, since: date) -> list[Sums]:
    """The EHR's own that this reading has under a number that a message told with another sum."""
    mine = and_(of_source(tx, source, said_by), _said.c.rule == NUMBER.name, _said.c.day >= since.isoformat())
    theirs = _summed(mine).subquery()
    first, told = table(EhrPostingRow).alias("first"), table(EhrPostingRow).alias("told")
    alike = and_(
        told.c.tenant_id == first.c.tenant_id,
        told.c.source == "message",
        told.c.said_by == first.c.said_by,
        told.c.number == first.c.number,
        told.c.account_ref == first.c.account_ref,
        told.c.gone_at.is_(None),
    )
    total = cast(func.sum(told.c.amount_minor), BigInteger)
    ours = (
        select(first.c.entry_id.label("subject"), told.c.currency, total.label("minor"))
        .add_columns(func.min(told.c.account_ref).label("account"))
        .join(told, alike)
        .where(first.c.tenant_id == tx.tenant, first.c.source == "message")
        .group_by(first.c.entry_id, told.c.currency)
    ).subquery()
    return _unequal(tx, theirs, ours)


def _summed(where: Any) -> Any:
    total = cast(func.sum(_said.c.amount_minor), BigInteger)
    return (
        select(_said.c.subject, _said.c.currency, total.label("minor"), func.min(_said.c.entry_id).label("entry_id"))
        .where(where, _said.c.gone_at.is_(None))
        .group_by(_said.c.subject, _said.c.currency)
    )


def _unequal(tx: Tx, theirs: Any, ours: Any) -> list[Sums]:
    other = or_(theirs.c.minor != ours.c.minor, theirs.c.currency != ours.c.currency)
    query = (
        select(theirs.c.subject, theirs.c.minor.label("said"), theirs.c.currency.label("said_in"), theirs.c.entry_id)
        .add_columns(ours.c.minor.label("known"), ours.c.currency.label("known_in"), ours.c.account)
        .join(ours, theirs.c.subject == ours.c.subject)
        .where(other)
        .order_by(theirs.c.subject)
    )
    return [
        Sums(
            row["subject"],
            Money(int(row["said"]), row["said_in"]),
            Money(int(row["known"]), row["known_in"]),
            row["entry_id"],
            row["account"],
        )
        for row in tx.all(query)
    ]


def without_facts(tx: Tx, receiver: str, since: datetime, kinds: Collection[str], limit: int) -> list[str]:
    """Postings that the EHR has taken and of which nothing is kept to be compared; their ids."""
    kept = exists().where(_fact.c.tenant_id == _posting.c.tenant_id, _fact.c.posting_id == _posting.c.posting_id)
    query = select(_posting.c.posting_id).where(
        _posting.c.tenant_id == tx.tenant,
        _posting.c.connection == receiver,
        _posting.c.state == "posted",
        _posting.c.payment_id != "",
        _posting.c.part != PAYOUT,
        _posting.c.resource_type.in_(sorted(kinds)),
        _posting.c.posted_at > since,
        ~kept,
    )
    return [row["posting_id"] for row in tx.all(query.order_by(_posting.c.posted_at).limit(limit))]


def _ours_of(row: RowMapping) -> Ours:
    return Ours(
        subject=row["subject"],
        payment_id=row["payment_id"],
        account_ref=row["account_ref"],
        amount=Money(row["amount_minor"], row["currency"]),
        day=date.fromisoformat(row["day"]),
        posted_at=row["posted_at"],
        named=bool(row["named"]),
    )

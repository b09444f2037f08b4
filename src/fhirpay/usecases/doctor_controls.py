"""Control equations by account, which no single payment or payout shows: a part of doctor.py. Reads only."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import BigInteger, and_, bindparam, case, cast, func, select

from ..bank.tables import BankLineRow, BankMatchedRow
from ..billing.tables import Obligation, ObligationShare
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.events import Event
from ..ledger.as_of import AsOf, balances_as_of
from ..ledger.tables import LedgerEntry, LedgerPosting

_obligation, _share = table(Obligation), table(ObligationShare)
_line, _matched = table(BankLineRow), table(BankMatchedRow)
_entry, _leg = table(LedgerEntry), table(LedgerPosting)

_BY = (_obligation.c.account_ref, _obligation.c.currency)
_MINE = _obligation.c.tenant_id == bindparam("of")
_OPEN = select(*_BY, cast(func.sum(_obligation.c.posted_minor), BigInteger).label("posted")).where(_MINE).group_by(*_BY)
_ALLOCATED = (
    select(*_BY, cast(func.sum(_share.c.allocated_minor), BigInteger).label("allocated"))
    .join(
        _share,
        and_(_share.c.tenant_id == _obligation.c.tenant_id, _share.c.obligation_id == _obligation.c.obligation_id),
    )
    .where(_MINE)
    .group_by(*_BY)
)


_OF_BAGS = select(_matched.c.match_id).where(
    _matched.c.tenant_id == _line.c.tenant_id, _matched.c.match_id == _line.c.match_id, _matched.c.what == "deposit"
)
_CREDITED = (
    select(_line.c.currency, cast(func.sum(_line.c.amount_minor), BigInteger).label("minor"))
    .where(_line.c.tenant_id == bindparam("of"), _OF_BAGS.exists())
    .group_by(_line.c.currency)
)
_MOVED = (
    select(
        _leg.c.currency,
        cast(
            func.sum(case((_leg.c.side == "credit", _leg.c.amount_minor), else_=-_leg.c.amount_minor)), BigInteger
        ).label("minor"),
    )
    .join(_entry, and_(_entry.c.tenant_id == _leg.c.tenant_id, _entry.c.entry_id == _leg.c.entry_id))
    .where(_leg.c.tenant_id == bindparam("of"), _leg.c.account == "deposit_in_transit")
    .where(_entry.c.kind.in_((str(Event.BAG_AT_BANK), str(Event.BAG_LEFT_BANK))))
    .group_by(_leg.c.currency)
)


def bags_at_bank(tx: Tx) -> Iterator[tuple[str, str]]:
    """What has left `deposit_in_transit` for the bank is what the lines of bags come to, in each currency."""
    lines = {row["currency"]: int(row["minor"]) for row in tx.all(_CREDITED, of=tx.tenant)}
    books = {row["currency"]: int(row["minor"]) for row in tx.all(_MOVED, of=tx.tenant)}
    for currency in sorted(lines.keys() | books.keys()):
        if lines.get(currency, 0) != books.get(currency, 0):
            says = f"{books.get(currency, 0)} {currency} has left it for the bank, the lines of bags come to"
            yield "deposit_in_transit", f"{says} {lines.get(currency, 0)} (minor units)"


def receivable_by_account(tx: Tx) -> Iterator[tuple[str, str]]:
    """`ar_patient` of an account is what is open of what was posted of its obligations, in each currency.

    An entry that names the right obligation and another's account would pass every other equation.
    """
    owed: dict[tuple[str, str], int] = {}
    for row in tx.all(_OPEN, of=tx.tenant):
        owed[row["account_ref"], row["currency"]] = int(row["posted"])
    for row in tx.all(_ALLOCATED, of=tx.tenant):
        key = (row["account_ref"], row["currency"])
        owed[key] = owed.get(key, 0) - int(row["allocated"])
    lines = balances_as_of(tx, AsOf(), by=["account_ref"], accounts=["ar_patient"])
    stands = {(one.dims["account_ref"], one.amount.currency): one.amount.minor for one in lines}
    for ref, currency in sorted(stands.keys() | owed.keys()):
        books, ours = stands.get((ref, currency), 0), owed.get((ref, currency), 0)
        if books != ours:
            yield ref, f"ar_patient is {books} {currency}, open of its obligations {ours} (minor units)"


def unidentified(tx: Tx) -> Iterator[tuple[str, str]]:
    """`unidentified_receipts` is what the bank's receipts of nobody have on no account, in each currency."""
    left = cast(func.sum(_line.c.amount_minor - _line.c.credited_minor), BigInteger).label("left")
    query = select(_line.c.currency, left).where(_line.c.tenant_id == tx.tenant, _line.c.receipt_by != "")
    query = query.where(_line.c.match_id == "").group_by(_line.c.currency)
    wanted = {row["currency"]: int(row["left"]) for row in tx.all(query)}
    lines = balances_as_of(tx, AsOf(), by=[], accounts=["unidentified_receipts"])
    stands = {one.amount.currency: one.amount.minor for one in lines}
    for currency in sorted(stands.keys() | wanted.keys()):
        books, ours = stands.get(currency, 0), wanted.get(currency, 0)
        if books != ours:
            yield "bank", f"unidentified_receipts is {books} {currency}, the receipts come to {ours} (minor units)"

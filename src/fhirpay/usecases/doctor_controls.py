"""Control equations by account, which no single payment or payout shows: a part of doctor.py. Reads only."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import BigInteger, and_, bindparam, cast, func, select

from ..bank.tables import BankLineRow
from ..billing.tables import Obligation, ObligationShare
from ..db.metadata import table
from ..db.unit import Tx
from ..ledger.as_of import AsOf, balances_as_of

_obligation, _share, _line = table(Obligation), table(ObligationShare), table(BankLineRow)

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

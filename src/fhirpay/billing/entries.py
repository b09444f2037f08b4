"""What staff say about an account: holds, the patient's share, that it is self-pay. Each with a name and a reason.

Called by use cases, which reassess the account in the same unit. Nothing is deleted: a hold is released and an entry
withdrawn, by somebody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound, RuleBroken
from .facts import Hold, StaffAmount
from .holds import BY_HAND
from .tables import AccountHold, StaffEntry

_holds, _entries = table(AccountHold), table(StaffEntry)


@dataclass(frozen=True, slots=True)
class Stated:
    """What staff state on an account at present; `self_pay` is the id of the entry that says so."""

    amounts: tuple[StaffAmount, ...] = ()
    self_pay: str = ""


def open_hold(tx: Tx, account_ref: str, name: str, *, says: str, by: str) -> str:
    """Stop collection on the account; the hold's id, of the one already open under this name if there is one."""
    if name not in BY_HAND:
        raise RuleBroken(f"there is no hold '{name}'; there are {', '.join(sorted(BY_HAND))}")
    where = (_holds.c.tenant_id == tx.tenant, _holds.c.account_ref == account_ref, _holds.c.name == name)
    known = tx.scalar(select(_holds.c.hold_id).where(*where, _holds.c.released_at.is_(None)))
    if known is not None:
        return known
    hold_id = tx.ids.new("hld")
    row = {"tenant_id": tx.tenant, "hold_id": hold_id, "account_ref": account_ref, "name": name, "says": says}
    tx.execute(insert(_holds).values(row | {"opened_by": by, "opened_at": tx.now}))
    return hold_id


def release_hold(tx: Tx, hold_id: str, *, by: str) -> str:
    """End it; its account. Raises NotFound when it isn't open."""
    where = (_holds.c.tenant_id == tx.tenant, _holds.c.hold_id == hold_id, _holds.c.released_at.is_(None))
    values = {"released_by": by, "released_at": tx.now}
    account = tx.scalar(update(_holds).where(*where).values(values).returning(_holds.c.account_ref))
    if account is None:
        raise NotFound(f"there is no open hold {hold_id}")
    return account


def holds_of(tx: Tx, account_ref: str) -> tuple[Hold, ...]:
    """The holds that staff have open on the account."""
    where = (_holds.c.tenant_id == tx.tenant, _holds.c.account_ref == account_ref, _holds.c.released_at.is_(None))
    return tuple(Hold(row["name"], row["says"], row["hold_id"]) for row in tx.all(select(_holds).where(*where)))


def enter_amount(tx: Tx, account_ref: str, amount: Money, *, reason: str, by: str) -> str:
    """Staff state the patient's share of the account; it replaces the one before. Needs a reason."""
    if amount.minor < 0:
        raise RuleBroken(f"{amount} is not an amount that a patient can owe")
    return _enter(tx, account_ref, "amount", reason, by, currency=amount.currency, amount_minor=amount.minor)


def confirm_self_pay(tx: Tx, account_ref: str, *, reason: str, by: str) -> str:
    """Staff state that the patient pays for this account, knowing of coverages that were withdrawn."""
    return _enter(tx, account_ref, "self_pay", reason, by)


def _enter(tx: Tx, account_ref: str, kind: str, reason: str, by: str, **values: Any) -> str:
    if not reason.strip():
        raise RuleBroken("an entry by staff needs a reason")
    entry_id = tx.ids.new("stf")
    row = {"tenant_id": tx.tenant, "entry_id": entry_id, "account_ref": account_ref, "kind": kind, "reason": reason}
    tx.execute(insert(_entries).values(row | {"entered_by": by, "entered_at": tx.now, **values}))
    return entry_id


def withdraw(tx: Tx, entry_id: str, *, by: str) -> str:
    """Take an entry back; its account. Raises NotFound when it isn't there any more."""
    where = (_entries.c.tenant_id == tx.tenant, _entries.c.entry_id == entry_id, _entries.c.withdrawn_at.is_(None))
    values = {"withdrawn_by": by, "withdrawn_at": tx.now}
    account = tx.scalar(update(_entries).where(*where).values(values).returning(_entries.c.account_ref))
    if account is None:
        raise NotFound(f"there is no entry {entry_id} to withdraw")
    return account


def of_account(tx: Tx, account_ref: str) -> Stated:
    where = (_entries.c.tenant_id == tx.tenant, _entries.c.account_ref == account_ref)
    found = tx.all(select(_entries).where(*where, _entries.c.withdrawn_at.is_(None)).order_by(_entries.c.entry_id))
    amounts = tuple(
        StaffAmount(row["entry_id"], Money(row["amount_minor"], row["currency"]), row["reason"], row["entered_at"])
        for row in found
        if row["kind"] == "amount"
    )
    return Stated(amounts, next((row["entry_id"] for row in found if row["kind"] == "self_pay"), ""))

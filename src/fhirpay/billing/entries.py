"""What staff say about an account: holds, the patient's share, that it is self-pay, what is given up. Each with a name
and a reason.

Called by use cases, which reassess the account in the same unit. Nothing is deleted: a hold is released and an entry
withdrawn, by somebody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound, RuleBroken
from .facts import Hold, StaffAmount, WriteOff
from .holds import BY_HAND
from .tables import AccountHold, StaffEntry

REFUNDED = "refunded"  # opened by a refund of what is still owed: is it to be asked for again?
OWNER_CHANGED = "owner_changed"  # opened when an account is given to another patient: who owes?
CHARGED_ELSEWHERE = "charged_elsewhere"  # opened by a charge under a number of another account: moved, or twice?
GIVEN_UP_ELSEWHERE = "given_up_elsewhere"  # opened where the other one was written off: does that stand here too?
DISPUTED = "card_dispute"  # opened while a payer's bank disputes a payment; released by the dispute's end alone
DISPUTE_LOST = "dispute_lost"  # opened where what a lost dispute took back is owed again: is it to be asked for?
BY_US = frozenset({REFUNDED, OWNER_CHANGED, CHARGED_ELSEWHERE, GIVEN_UP_ELSEWHERE, DISPUTED, DISPUTE_LOST})

_holds, _entries = table(AccountHold), table(StaffEntry)
_TENANT, _ACCOUNT = bindparam("tenant"), bindparam("account")
_HOLDS_OF = (
    select(_holds)
    .where(_holds.c.tenant_id == _TENANT, _holds.c.account_ref == _ACCOUNT)
    .order_by(_holds.c.opened_at, _holds.c.hold_id)
)
_ENTRIES_OF = (
    select(_entries)
    .where(_entries.c.tenant_id == _TENANT, _entries.c.account_ref == _ACCOUNT)
    .order_by(_entries.c.entry_id)
)
_WRITE_OFFS = (
    select(_entries)
    .where(_entries.c.tenant_id == _TENANT, _entries.c.account_ref.in_(bindparam("accounts", expanding=True)))
    .where(_entries.c.kind == "write_off", _entries.c.withdrawn_at.is_(None))
    .order_by(_entries.c.entry_id)
)


@dataclass(frozen=True, slots=True)
class Stated:
    """What staff state on an account at present; `self_pay` is the id of the entry that says so."""

    amounts: tuple[StaffAmount, ...] = ()
    write_offs: tuple[WriteOff, ...] = ()
    self_pay: str = ""
    second_charges: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """A hold as it was opened and released."""

    hold_id: str
    account_ref: str
    name: str
    says: str
    opened_by: str
    opened_at: datetime
    released_by: str | None
    released_at: datetime | None
    released_why: str | None


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """What staff stated, and whether they took it back. `amount`, `charge_ref` and what an amount is written off of and
    as are there where it is about them."""

    entry_id: str
    account_ref: str
    kind: str
    amount: Money | None
    charge_ref: str | None
    write_off: str | None
    obligation_id: str | None
    reason: str
    entered_by: str
    entered_at: datetime
    withdrawn_by: str | None
    withdrawn_at: datetime | None
    withdrawn_why: str | None


def open_hold(tx: Tx, account_ref: str, name: str, *, says: str, by: str) -> str:
    """Stop collection on the account; the hold's id, of the one already open under this name if there is one."""
    if name not in BY_HAND | BY_US:
        raise RuleBroken(f"there is no hold '{name}'; there are {', '.join(sorted(BY_HAND))}")
    if not says.strip():
        raise RuleBroken("a hold needs a reason: it is what the desk reads out")
    where = (_holds.c.tenant_id == tx.tenant, _holds.c.account_ref == account_ref, _holds.c.name == name)
    known = tx.scalar(select(_holds.c.hold_id).where(*where, _holds.c.released_at.is_(None)))
    if known is not None:
        return known
    hold_id = tx.ids.new("hld")
    row = {"tenant_id": tx.tenant, "hold_id": hold_id, "account_ref": account_ref, "name": name, "says": says}
    tx.execute(insert(_holds).values(row | {"opened_by": by, "opened_at": tx.now}))
    return hold_id


def release_hold(tx: Tx, hold_id: str, *, by: str, why: str) -> HoldRecord:
    """End it; what it was. Raises NotFound when it isn't open."""
    if not why.strip():
        raise RuleBroken("releasing a hold needs a reason: it is kept with the hold")
    where = (_holds.c.tenant_id == tx.tenant, _holds.c.hold_id == hold_id, _holds.c.released_at.is_(None))
    values = {"released_by": by, "released_at": tx.now, "released_why": why}
    row = tx.one(update(_holds).where(*where).values(values).returning(*_holds.c))
    if row is None:
        raise NotFound(f"there is no open hold {hold_id}", hold_id=hold_id)
    return _hold(row)


def end_hold(tx: Tx, account_ref: str, name: str, *, by: str, why: str) -> None:
    """End the hold of this name, where one is open: what it was opened for is over."""
    for one in all_holds(tx, account_ref):
        if one.name == name and one.released_at is None:
            release_hold(tx, one.hold_id, by=by, why=why)


def holds_of(tx: Tx, account_ref: str) -> tuple[Hold, ...]:
    """The holds that staff have open on the account."""
    found = all_holds(tx, account_ref)
    return tuple(Hold(one.name, one.says, one.hold_id) for one in found if one.released_at is None)


def all_holds(tx: Tx, account_ref: str) -> list[HoldRecord]:
    """Every hold that was opened on the account by hand, released ones too, oldest first."""
    return [_hold(row) for row in tx.all(_HOLDS_OF, account=account_ref)]


def hold(tx: Tx, hold_id: str) -> HoldRecord:
    """Raises NotFound."""
    row = tx.one(select(_holds).where(_holds.c.tenant_id == tx.tenant, _holds.c.hold_id == hold_id))
    if row is None:
        raise NotFound(f"there is no hold {hold_id}", hold_id=hold_id)
    return _hold(row)


def _hold(row: RowMapping) -> HoldRecord:
    return HoldRecord(**{field.name: row[field.name] for field in fields(HoldRecord)})


def enter_amount(tx: Tx, account_ref: str, amount: Money, *, reason: str, by: str) -> str:
    """Staff state the patient's share of the account; it replaces the one before. Needs a reason."""
    if amount.minor < 0:
        raise RuleBroken(f"{amount} is not an amount that a patient can owe")
    return _enter(tx, account_ref, "amount", reason, by, currency=amount.currency, amount_minor=amount.minor)


def confirm_self_pay(tx: Tx, account_ref: str, *, reason: str, by: str) -> str:
    """Staff state that the patient pays for this account, knowing of coverages that were withdrawn."""
    return _enter(tx, account_ref, "self_pay", reason, by)


def confirm_second_charge(tx: Tx, account_ref: str, charge_ref: str, *, reason: str, by: str) -> str:
    """Staff state that this ChargeItem, which says the same as one before, is another charge (or credit)."""
    return _enter(tx, account_ref, "second_charge", reason, by, charge_ref=charge_ref)


def write_off(tx: Tx, account_ref: str, amount: Money, *, kind: str, obligation_id: str, reason: str, by: str) -> str:
    """Staff give up this much of the obligation; taken back, it is owed again."""
    values = {"currency": amount.currency, "amount_minor": amount.minor, "write_off": kind}
    return _enter(tx, account_ref, "write_off", reason, by, **values, obligation_id=obligation_id)


def _enter(tx: Tx, account_ref: str, kind: str, reason: str, by: str, **values: Any) -> str:
    if not reason.strip():
        raise RuleBroken("an entry by staff needs a reason")
    entry_id = tx.ids.new("stf")
    row = {"tenant_id": tx.tenant, "entry_id": entry_id, "account_ref": account_ref, "kind": kind, "reason": reason}
    tx.execute(insert(_entries).values(row | {"entered_by": by, "entered_at": tx.now, **values}))
    return entry_id


def withdraw(tx: Tx, entry_id: str, *, by: str, why: str) -> str:
    """Take an entry back; its account. Raises NotFound when it isn't there any more."""
    if not why.strip():
        raise RuleBroken("taking an entry back needs a reason: it is kept with the entry")
    where = (_entries.c.tenant_id == tx.tenant, _entries.c.entry_id == entry_id, _entries.c.withdrawn_at.is_(None))
    values = {"withdrawn_by": by, "withdrawn_at": tx.now, "withdrawn_why": why}
    account = tx.scalar(update(_entries).where(*where).values(values).returning(_entries.c.account_ref))
    if account is None:
        raise NotFound(f"there is no entry {entry_id} to withdraw", entry_id=entry_id)
    return account


def entry(tx: Tx, entry_id: str) -> EntryRecord:
    """Raises NotFound."""
    row = tx.one(select(_entries).where(_entries.c.tenant_id == tx.tenant, _entries.c.entry_id == entry_id))
    if row is None:
        raise NotFound(f"there is no entry {entry_id}", entry_id=entry_id)
    return _entry(row)


def all_entries(tx: Tx, account_ref: str) -> list[EntryRecord]:
    """Everything that staff have stated on the account, withdrawn or not, oldest first."""
    return [_entry(row) for row in tx.all(_ENTRIES_OF, account=account_ref)]


def _entry(row: RowMapping) -> EntryRecord:
    amount = None if row["currency"] is None else Money(row["amount_minor"], row["currency"])
    named = {field.name: row[field.name] for field in fields(EntryRecord) if field.name != "amount"}
    return EntryRecord(amount=amount, **named)


def of_account(tx: Tx, account_ref: str) -> Stated:
    """What counts of it."""
    found = [one for one in all_entries(tx, account_ref) if one.withdrawn_at is None]
    amounts = tuple(
        StaffAmount(one.entry_id, one.amount, one.reason, one.entered_at)
        for one in found
        if one.kind == "amount" and one.amount is not None
    )
    return Stated(
        amounts,
        tuple(_write_off(one) for one in found if one.kind == "write_off"),
        next((one.entry_id for one in found if one.kind == "self_pay"), ""),
        frozenset(one.charge_ref for one in found if one.charge_ref is not None),
    )


def write_offs_of(tx: Tx, account_refs: Iterable[str]) -> dict[str, list[WriteOff]]:
    """What is given up on these accounts at present."""
    found: dict[str, list[WriteOff]] = {}
    for row in tx.all(_WRITE_OFFS, accounts=sorted(set(account_refs))):
        found.setdefault(row["account_ref"], []).append(_write_off(_entry(row)))
    return found


def _write_off(one: EntryRecord) -> WriteOff:
    assert one.amount is not None
    return WriteOff(one.entry_id, one.write_off or "", one.amount, one.obligation_id or "", one.reason)

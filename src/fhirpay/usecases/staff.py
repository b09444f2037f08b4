"""What staff decide about an account, each in one unit with all that follows: holds, the patient's share, self-pay,
what is given up.

Called by web/api/staff.py, and of write-offs by `fhirpay adjustments` too. Who decided and why is kept with it; nothing
is deleted. The account is locked first and assessed last, so that a payment under way meets either the account before
or the account after.
"""

from __future__ import annotations

from ..billing import entries, rows, worklist
from ..billing.holds import NOT_LIVE
from ..billing.look_alikes import LOOK_ALIKE
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.obligation import ObligationState
from ..errors import RuleBroken
from ..ledger.rules import BY_STAFF
from ..log import Log
from ..payments import disputes
from . import charged_elsewhere
from .collect import reassess_accounts

log = Log("staff")


def open_hold(tx: Tx, account_ref: str, name: str, *, says: str, by: str, tenant: Tenant) -> str:
    """Nothing is collected on the account from now on; the hold's id. Raises RuleBroken for an unknown name."""
    if name in entries.BY_US:
        raise RuleBroken(f"a hold '{name}' is opened by what happens to the account, not by hand")
    rows.lock(tx, [account_ref])
    hold_id = entries.open_hold(tx, account_ref, name, says=says, by=by)
    reassess_accounts(tx, [account_ref], tenant)
    log.info("hold.opened", hold_id=hold_id)
    return hold_id


def release_hold(tx: Tx, hold_id: str, *, by: str, why: str, tenant: Tenant) -> None:
    """What it held back may be asked for again, unless another hold stands. Raises NotFound when it isn't open."""
    hold = entries.hold(tx, hold_id)
    account_ref = hold.account_ref
    rows.lock(tx, [account_ref])
    if hold.name == entries.DISPUTED and any(one.is_open for one in disputes.some(tx, account_ref=account_ref)):
        raise RuleBroken("this hold ends with the dispute: accept it, or wait for the bank", hold_id=hold_id)
    released = entries.release_hold(tx, hold_id, by=by, why=why).name
    if released in entries.BY_US:
        worklist.settled_but(tx, released, account_ref, [])  # what it asked has been answered
    reassess_accounts(tx, [account_ref], tenant)
    log.info("hold.released", hold_id=hold_id)


def enter_amount(tx: Tx, account_ref: str, amount: Money, *, reason: str, by: str, tenant: Tenant) -> str:
    """The patient's share of the account, in place of what staff entered before; the entry's id."""
    rows.lock(tx, [account_ref])
    entry_id = entries.enter_amount(tx, account_ref, amount, reason=reason, by=by)
    reassess_accounts(tx, [account_ref], tenant)
    log.info("amount.entered", entry_id=entry_id)
    return entry_id


def confirm_self_pay(tx: Tx, account_ref: str, *, reason: str, by: str, tenant: Tenant) -> str:
    """The patient pays for this account, whatever coverage was withdrawn; the entry's id."""
    rows.lock(tx, [account_ref])
    entry_id = entries.confirm_self_pay(tx, account_ref, reason=reason, by=by)
    reassess_accounts(tx, [account_ref], tenant)
    log.info("self_pay.confirmed", entry_id=entry_id)
    return entry_id


def confirm_second_charge(tx: Tx, charge_ref: str, *, reason: str, by: str, tenant: Tenant) -> str:
    """A charge that may be another one sent again is a second one: it counts. The entry's id. Raises NotFound."""
    account_ref = worklist.account_of(tx, LOOK_ALIKE, charge_ref)
    rows.lock(tx, [account_ref])
    entry_id = entries.confirm_second_charge(tx, account_ref, charge_ref, reason=reason, by=by)
    reassess_accounts(tx, [account_ref], tenant)
    log.info("second_charge.confirmed", entry_id=entry_id)
    return entry_id


def write_off(
    tx: Tx, obligation_id: str, *, kind: str, amount: Money | None = None, reason: str, by: str, tenant: Tenant
) -> str:
    """Give up what is open of an obligation, or this much of it; the entry's id. Its withdrawal is the recovery.

    Raises NotFound, or RuleBroken: nothing is open, a payment over it is under way, insurance may pay, it is less.
    """
    if kind not in BY_STAFF:
        raise RuleBroken(f"there is no write-off '{kind}'; there are {', '.join(BY_STAFF)}")
    rows.lock(tx, [rows.get(tx, obligation_id)["account_ref"]])
    row = rows.get(tx, obligation_id)
    account_ref = row["account_ref"]
    rows.lock(tx, [account_ref])  # another one where a merge was faster
    open_ = Money(rows.standing(row).open, row["currency"])
    amount = open_ if amount is None else amount
    if row["state"] not in (ObligationState.COLLECTABLE, ObligationState.ON_HOLD):
        raise RuleBroken(f"{obligation_id} is {row['state']}: there is nothing of it to give up")
    if row["hold"] == NOT_LIVE:
        raise RuleBroken(f"{obligation_id} is of a feed that has not gone live: nothing of it is in force yet")
    if amount.currency != open_.currency or not 0 < amount.minor <= open_.minor:
        raise RuleBroken(f"{open_} is open of {obligation_id}, of which {amount} can't be given up")
    said = {"kind": kind, "obligation_id": obligation_id, "reason": reason, "by": by}
    entry_id = entries.write_off(tx, account_ref, amount, **said)
    reassess_accounts(tx, [account_ref], tenant)
    log.info("written_off", entry_id=entry_id, obligation_id=obligation_id)
    return entry_id


def withdraw(tx: Tx, entry_id: str, *, by: str, why: str, tenant: Tenant) -> None:
    """An amount, a confirmation or a write-off counts no more. Raises NotFound when there is none, or not any more."""
    account_ref = entries.entry(tx, entry_id).account_ref
    waiting = charged_elsewhere.waiting_for(tx, entry_id)
    rows.lock(tx, [account_ref, *waiting])
    entries.withdraw(tx, entry_id, by=by, why=why)
    charged_elsewhere.recovered(tx, waiting, entry_id, by=by)
    reassess_accounts(tx, [account_ref, *waiting], tenant)
    log.info("entry.withdrawn", entry_id=entry_id)


def recover(tx: Tx, entry_id: str, *, by: str, why: str, tenant: Tenant) -> None:
    """A write-off is taken back. Raises NotFound, or RuleBroken for an entry that is none."""
    if (kind := entries.entry(tx, entry_id).kind) != "write_off":
        raise RuleBroken(f"{entry_id} is no write-off: it states {kind}", entry_id=entry_id)
    withdraw(tx, entry_id, by=by, why=why, tenant=tenant)

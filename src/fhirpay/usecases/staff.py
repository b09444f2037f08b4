"""What staff decide about an account, each in one unit with all that follows: holds, the patient's share, self-pay.

Called by web/api/staff.py. Who decided and why is kept with it; nothing is deleted. The account is locked first and
assessed last, so that a payment under way meets either the account before or the account after.
"""

from __future__ import annotations

from ..billing import entries, rows, worklist
from ..billing.look_alikes import LOOK_ALIKE
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import RuleBroken
from ..log import Log
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
    account_ref = entries.hold(tx, hold_id).account_ref
    rows.lock(tx, [account_ref])
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


def withdraw(tx: Tx, entry_id: str, *, by: str, why: str, tenant: Tenant) -> None:
    """An amount or a confirmation counts no more. Raises NotFound when there is none, or not any more."""
    account_ref = entries.entry(tx, entry_id).account_ref
    rows.lock(tx, [account_ref])
    entries.withdraw(tx, entry_id, by=by, why=why)
    reassess_accounts(tx, [account_ref], tenant)
    log.info("entry.withdrawn", entry_id=entry_id)

"""What is owed and what was paid on one account goes over to the one that it was merged into: one unit, nothing twice.

Called by merge.py with the accounts of a merge, or with the two patients for what names no account. The order:

    payments locked, then accounts          as every unit takes its locks
    resources repointed                     the charges are the survivor's from here on
    obligations moved, the ledger with them the same ids, amounts, payments: what was paid stays paid
    the old account assessed                what both had, such as a copay, ends there: its money is credit
    the rest moved: that credit, payments, refunds, stored methods, holds, staff's words, the worklist

The survivor is assessed by the caller, last. Everything that moved is in the answer: undo_merge.py goes by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from ..billing import money, moving, rows, store, worklist
from ..config import Tenant
from ..db.unit import Tx
from ..parties import resources
from ..parties.merges import Item, Merge
from ..payments import moving as payments
from .money_off import business_day
from .postings import post_adjustments

CONSENT = "consent_anew"  # on the worklist


def lock(tx: Tx, account_refs: Iterable[str]) -> None:
    """The payments of these accounts, then the accounts."""
    refs = sorted(set(account_refs))
    payments.lock_of(tx, refs)
    rows.lock(tx, refs)


def key_of(merge: Merge, undone: bool = False) -> str:
    """What the ledger's entries of a merge are called."""
    return f"{'unmerged' if undone else 'merged'}/{merge.merge_id}"


def day_of(tx: Tx, tenant: Tenant) -> Callable[[str], date]:
    """A facility's business day at this moment."""
    return lambda facility: business_day(tenant, facility, tx.now)


def combine(tx: Tx, merge: Merge, old: str, new: str, tenant: Tenant, *, source: str) -> list[Item]:
    """`new` takes over all that stands on `old`. Under the locks of both; `new` is to be assessed after this."""
    items = resources.repoint(tx, old, new, source=source) if old.startswith("Account/") else []
    key, day = key_of(merge), day_of(tx, tenant)
    items += moving.move_openings(tx, old, new)
    items += moving.move_obligations(tx, old, new, key=key, day=day)
    if rows.of_accounts(tx, [old]):
        left = store.reassess(tx, old, tenant)
        money.carry_out(tx, left)
        post_adjustments(tx, left, tenant)
        items += moving.move_obligations(tx, old, new, key=key, day=day, ended=True)
    items += moving.move_credits(tx, old, new)
    was, now = {"account_ref": old}, {"account_ref": new}
    items += [Item("payment", one, was, now) for one in payments.move(tx, old, new)]
    items += moving.move_words(tx, old, new)
    methods = payments.move_methods(tx, old, new)
    items += [Item("method", one, was, now) for one in methods]
    return items + ask_anew(tx, merge, methods, new)


def ask_anew(tx: Tx, merge: Merge, methods: Iterable[str], account_ref: str) -> list[Item]:
    """What payers agreed to was said of another account or person: nothing is taken without asking until they agree
    anew. The methods stay, and may be used by whoever they are of."""
    ended = payments.ask_anew(tx, methods)
    if ended:
        says = f"{merge.event} {merge.merge_id} changed what {len(ended)} consent(s) were given for: the payer has to"
        says += " agree anew before a stored method is charged without asking"
        subject = f"{merge.merge_id}/{account_ref}"
        worklist.open_item(tx, kind=CONSENT, subject=subject, says=says, account_ref=account_ref)
    return [Item("consent", one, {}, {"revoked_at": tx.now.isoformat()}) for one in ended]

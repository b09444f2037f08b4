"""An account is another patient's than was thought (A44, A43): who owes changes, so nothing is asked for until a
person has looked. The money stays where it is: on the account.

Called by merge.py for the move itself, and by apply_message.py for what comes late in the name of the patient before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..billing import entries, worklist
from ..db.unit import Tx
from ..errors import RuleBroken
from ..fhir import replaced, store
from ..fhir.store import Stored
from ..parties import merges, resources
from ..parties.merges import Item, Merge
from ..payments import moving as payments
from . import merge_accounts

Record = Callable[[Tx, merges.Kind, str, str, str], Merge]


def move(tx: Tx, record: Record, account: str, old: str, new: str, *, source: str) -> list[str]:
    """The account has been written as `new`'s already; what else is said of it follows. What to tell of it."""
    if not old:
        raise RuleBroken(f"{account} is to be moved, and MRG names no patient that it is moved from")
    if old == new:
        return [f"{account} is that patient's already"]
    known = [one for one in merges.moves_of(tx, [account]).get(account, ()) if _goes(tx, one, old, new)]
    if known:
        return []
    merge_accounts.lock(tx, [account])
    made = record(tx, "move", account, old, new)
    items = _subject(tx, account, old, source=source)
    items += resources.repoint(tx, old, new, source=source, only=lambda one: account in _accounts(one))
    items += merge_accounts.ask_anew(tx, made, payments.methods_on(tx, [account]), account)
    items += hold(tx, made, account)
    merges.keep(tx, made, items)
    return []


def _goes(tx: Tx, one: Merge, old: str, new: str) -> bool:
    ends = replaced.survivors(tx, [one.old_ref, one.new_ref, old, new])
    return (ends[one.old_ref], ends[one.new_ref]) == (ends[old], ends[new])


def _subject(tx: Tx, account: str, old: str, *, source: str) -> list[Item]:
    """The Bundle has put the account under its new patient; who it was of before is kept for an undo."""
    stored = store.get(tx, *account.split("/"))
    assert stored is not None
    now = {"subject": stored.resource.get("subject")}
    return [Item("resource", account, {"subject": [{"reference": old}]}, now)] if now["subject"] else []


def _accounts(resource: dict[str, Any]) -> set[str]:
    own = f"{resource['resourceType']}/{resource.get('id')}"
    return {own, *resources.accounts_in(resource)}


def hold(tx: Tx, made: Merge, account: str) -> list[Item]:
    """Nothing is asked for until a person has seen who owes now."""
    says = f"{made.event} gave the account to another patient: who owes, and is the insurance right?"
    hold_id = entries.open_hold(tx, account, entries.OWNER_CHANGED, says=says, by=made.event)
    worklist.open_item(tx, kind=entries.OWNER_CHANGED, subject=account, says=says, account_ref=account)
    return [Item("held", hold_id, {}, {"account_ref": account})]


def late(tx: Tx, written: Iterable[Stored], *, source: str) -> None:
    """A message in the name of the patient before doesn't take an account back that was moved to another one."""
    written = list(written)
    accounts = {one.reference for one in written if one.type == "Account"}
    if not accounts:
        return
    for account, moves in merges.moves_of(tx, accounts).items():
        ends = replaced.survivors(tx, [ref for one in moves for ref in (one.old_ref, one.new_ref)])
        owner = ends[moves[-1].new_ref]
        for former in {ends[one.old_ref] for one in moves} - {owner}:
            for one in written:
                if account in _accounts(one.resource) and one.type in (
                    "Account",
                    "Appointment",
                    "ChargeItem",
                    "Encounter",
                ):
                    resources.rename(tx, one.reference, former, owner, source=source)

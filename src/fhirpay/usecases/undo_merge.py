"""A merge was wrong: what it moved goes back, by its own list, in one unit. Called by `fhirpay merges undo`.

What happened since is not guessed apart. Where messages came for the old number, money of one side pays the other, or
something was merged on, it is refused with the reason, and nothing changes: that is for a person to settle first. What
came for the survivor's own numbers stays with the survivor.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from ..billing import entries, money, moving, worklist
from ..config import Tenant
from ..db.unit import Tx
from ..errors import RuleBroken
from ..fhir import replaced, store
from ..flow import aliases
from ..flow.overview import worked_since
from ..inbox import store as inbox
from ..log import Log
from ..parties import merges, resources
from ..parties.merges import Item, Merge
from ..payments import moving as payments
from ..smart import launch_store
from . import dispute
from .collect import reassess_accounts
from .merge_accounts import CONSENT, day_of, key_of, lock

log = Log("merges")


def undo(tx: Tx, merge_id: str, *, by: str, why: str, tenant: Tenant) -> Merge:
    """Undone, and both sides assessed. Raises NotFound, or RuleBroken with what stands in the way."""
    if not why.strip() or not by.strip():
        raise RuleBroken("undoing a merge needs a reason and a name: both are kept with it")
    merge = merges.get(tx, merge_id)
    if merge.undone_at is not None:
        raise RuleBroken(f"{merge_id} was undone by {merge.undone_by}: {merge.undone_why}")
    items = merges.items(tx, merge_id)
    found: dict[str, list[Item]] = defaultdict(list)
    for one in items:
        found[one.what].append(one)
    accounts = _accounts(tx, merge, items)
    lock(tx, accounts)
    if reasons := [*_merged_on(tx, merge), *_came_since(tx, merge), *_mixed_money(tx, found)]:
        raise RuleBroken(f"{merge_id} can't be undone: {'; '.join(reasons)}", merge_id=merge_id)
    _money_back(tx, merge, found, tenant)
    for one in reversed(items):
        _back(tx, one, merge, by=by, why=why)
    dispute.follow_money(tx, (merge.old_ref, merge.new_ref))
    worklist.settled(tx, CONSENT, f"{merge_id}/{merge.new_ref}")
    merges.note_undone(tx, merge, by=by, why=why)
    if not any(one.message_id == merge.message_id for one in merges.standing(tx)):
        aliases.part(tx, inbox.QUEUE, merge.message_id)
    reassess_accounts(tx, accounts, tenant)
    if merge.kind == "merge":  # whoever came from an EHR since may have been taken for the survivor
        launch_store.end_of_patient(tx, merge.new_ref, "a merge was undone")
    log.info("merge.undone", merge_id=merge_id)
    return merges.get(tx, merge_id)


def _accounts(tx: Tx, merge: Merge, items: list[Item]) -> set[str]:
    """What is to be assessed again: both sides, and the accounts of a patient's resources."""
    refs = {ref for ref in (merge.about, merge.old_ref, merge.new_ref) if not ref.startswith("Encounter/")}
    for one in items:
        if one.what == "resource" and (stored := store.get(tx, *one.ref.split("/"))) is not None:
            refs |= {one.ref} if stored.type == "Account" else set(resources.accounts_in(stored.resource))
    return refs - {""}


# ── what stands in the way ────────────────────────────────────────────────────────────────────────────────────────────


def _merged_on(tx: Tx, merge: Merge) -> list[str]:
    later = [one for one in merges.standing(tx) if (one.merged_at, one.merge_id) > (merge.merged_at, merge.merge_id)]
    on = [one for one in later if merge.new_ref in (one.old_ref, one.about) or one.about == merge.about]
    return [f"{one.merge_id} ({one.event}) came after it: undo that first" for one in on]


def _came_since(tx: Tx, merge: Merge) -> list[str]:
    """Messages for the old numbers: what they said is the survivor's now, and nobody can tell it apart."""
    stored = store.get(tx, *merge.old_ref.split("/")) if merge.kind == "merge" else None
    kind = merge.old_ref.partition("/")[0].lower()
    numbers = stored.resource.get("identifier", ()) if stored is not None else ()
    lanes = {f"{kind}:{one.get('system', '')}|{one.get('value', '')}" for one in numbers}
    refs = worked_since(tx, inbox.QUEUE, lanes, merge.message_id, merge.merged_at) if lanes else []
    since = [inbox.get(tx, ref).control_id for ref in refs]
    return [f"messages came for its number since: {', '.join(since[:5])}"] if since else []


def _mixed_money(tx: Tx, found: dict[str, list[Item]]) -> list[str]:
    """Money that came from one side and pays the other: to part them would change who has paid what."""
    theirs = {one.ref for one in found["payment"]} | {one.ref for one in found["credit"]}
    moved = {one.ref for one in found["obligation"]}
    shares = moving.shares_of(tx, obligations=moved, payments=theirs)
    mixed = sorted({payment for obligation, payment in shares if (payment in theirs) != (obligation in moved)})
    return [f"{payment} pays what was moved and what was not" for payment in mixed]


# ── back ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _money_back(tx: Tx, merge: Merge, found: dict[str, list[Item]], tenant: Tenant) -> None:
    for one in reversed(found["obligation"]):
        moving.move_back(tx, one, key=key_of(merge, undone=True), day=day_of(tx, tenant))
    ids = [one.ref for one in found["payment"]]
    owed = [one.ref for one in found["obligation"]]
    payments.move_back(tx, ids, owed, merge.old_ref, merge.new_ref)
    theirs = {*ids, *(one.ref for one in found["credit"])}
    for credit in money.credits_of(tx, merge.new_ref):
        if credit.payment_id in theirs:
            money.take_credit(tx, merge.new_ref, credit.payment_id, credit.amount)
            money.add_credit(tx, merge.old_ref, credit.payment_id, credit.amount)


def _back(tx: Tx, one: Item, merge: Merge, *, by: str, why: str) -> None:
    match one.what:
        case "resource":
            resources.put_back(tx, one, source=f"urn:fhirpay:undo#{merge.merge_id}")
        case "replaced":
            replaced.restore(tx, one.ref)
        case "hold" | "entry" | "opening" | "recovery":
            moving.place_word(tx, one.what, one.ref, one.before["account_ref"])
        case "item":
            moving.place_item(tx, one.ref, one.before["account_ref"], one.before["subject"])
        case "method":
            payments.place_methods(tx, [one.ref], one.before["account_ref"])
        case "debtor":
            payments.place_debtor(tx, one.ref, one.before["ref"])
        case "consent":
            payments.restore_consent(tx, one.ref, datetime.fromisoformat(one.after["revoked_at"]))
        case "held":
            hold = entries.hold(tx, one.ref)
            if hold.released_at is None:
                entries.release_hold(tx, one.ref, by=by, why=why)
            worklist.settled_but(tx, hold.name, hold.account_ref, [])
        case _:
            pass  # obligations, payments and credit have gone back before

"""A charge that comes under a number which its sender used on another account of the patient, for the same service.

It may have been moved there, or be a second one: FT1-2 is known within an account. So the account where it came last is
held until a person has looked, or until a credit under that number takes the other one back. Called by apply_message.py
for each charge that is new. One that was credited before is no question, nor one at another price or of another day.
What staff have given up of the other one is a question all the same: credited there, it would be asked for here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..billing import entries, worklist
from ..billing.charges import COUNTS, WITHDRAWN
from ..billing.elements import Resource, money_of, subject_of
from ..billing.entries import CHARGED_ELSEWHERE, GIVEN_UP_ELSEWHERE
from ..billing.look_alikes import other_service
from ..billing.ours import given_up_of
from ..billing.reach import accounts_of
from ..db.unit import Tx
from ..domain.fhir_urls import CHARGE_SYSTEM, TRANSACTION_SYSTEM
from ..fhir.store import Stored, find
from ..inbox.store import InboxMessage


def note(tx: Tx, message: InboxMessage, stored: Stored) -> set[str]:
    """The accounts to be assessed for it."""
    key = _key(stored.resource)
    if len(key) != 4:
        return set()
    sender, _, number, direction = key
    if direction == "CD":
        return _taken_back(tx, message, sender, number, stored)
    if _credited(tx, stored):
        return set()
    touched: set[str] = set()
    for twin in _twins(tx, stored, sender, number):
        if _is_the_same(twin.resource, stored.resource) and not _credited(tx, twin):
            touched |= _held(tx, message, stored, twin)
        touched |= _given_up(tx, message, stored, twin)
    return touched


def _held(tx: Tx, message: InboxMessage, stored: Stored, twin: Stored) -> set[str]:
    here, there = accounts_of(tx, stored.resource), accounts_of(tx, twin.resource)
    if not here or not there or here & there:
        return set()
    says = f"{stored.reference} came by {message.control_id} from {message.interface} under the FT1-2 of"
    says += f" {twin.reference}, which is asked for on {', '.join(sorted(there))}: moved, or charged twice?"
    for account_ref in sorted(here):
        entries.open_hold(tx, account_ref, CHARGED_ELSEWHERE, says=says, by=message.label)
        worklist.open_item(tx, kind=CHARGED_ELSEWHERE, subject=stored.reference, says=says, account_ref=account_ref)
    return here


def _taken_back(tx: Tx, message: InboxMessage, sender: str, number: str, credit: Stored) -> set[str]:
    """The credit answers what was asked of the charges of that number, on its account or on another."""
    touched: set[str] = set()
    twins = list(_twins(tx, credit, sender, number))
    for twin in twins:
        touched |= {ref for other in twins for ref in _given_up(tx, message, twin, other)}
    for twin in twins:
        worklist.settled(tx, CHARGED_ELSEWHERE, twin.reference)
        for account_ref in accounts_of(tx, twin.resource):
            why = f"{credit.reference} took back the other charge of its number"
            if _answered(tx, account_ref, CHARGED_ELSEWHERE, by=message.label, why=why):
                touched.add(account_ref)
    return touched


def _answered(tx: Tx, account_ref: str, name: str, *, by: str, why: str) -> bool:
    """Release the hold, unless more is asked under its name; whether it was open."""
    if worklist.list_open(tx, account_ref=account_ref, kind=name):
        return False
    open_ = [one for one in entries.all_holds(tx, account_ref) if one.name == name and one.released_at is None]
    for hold in open_:
        entries.release_hold(tx, hold.hold_id, by=by, why=why)
    return bool(open_)


# ── what staff have given up of the other one ─────────────────────────────────────────────────────────────────────────


def _given_up(tx: Tx, message: InboxMessage, charge: Stored, other: Stored) -> set[str]:
    """Hold the accounts of `charge` for what was given up of `other`."""
    here, there = accounts_of(tx, charge.resource), accounts_of(tx, other.resource)
    if not here or not there or here & there or other_service(other.resource, charge.resource):
        return set()
    touched: set[str] = set()
    for one in given_up_of(tx, other.reference, there):
        says = f"{charge.reference} came under the FT1-2 of {other.reference}, of which {one.amount} ({one.says}) was"
        says += f" given up on {', '.join(sorted(there))}: is it to be asked for?"
        for ref in sorted(here):
            subject = f"{one.entry_id} {ref}"
            if worklist.known(tx, GIVEN_UP_ELSEWHERE, subject):
                continue  # it waits, or somebody has said so
            entries.open_hold(tx, ref, GIVEN_UP_ELSEWHERE, says=says, by=message.label)
            worklist.open_item(tx, kind=GIVEN_UP_ELSEWHERE, subject=subject, says=says, account_ref=ref)
            touched.add(ref)
    return touched


def waiting_for(tx: Tx, entry_id: str) -> dict[str, str]:
    """The accounts that are held for this write-off of another one: account → its item on the worklist."""
    items = worklist.list_open(tx, kind=GIVEN_UP_ELSEWHERE, limit=None)
    return {item.account_ref: item.subject for item in items if item.subject.startswith(f"{entry_id} ")}


def recovered(tx: Tx, waiting: Mapping[str, str], entry_id: str, *, by: str) -> None:
    """The write-off stands no more: what waited for it is asked for. Under the accounts' locks."""
    for account_ref, subject in sorted(waiting.items()):
        worklist.settled(tx, GIVEN_UP_ELSEWHERE, subject)
        _answered(tx, account_ref, GIVEN_UP_ELSEWHERE, by=by, why=f"{entry_id} was taken back")


def _key(charge: Resource) -> list[str]:
    """Sender, account, FT1-2 and direction, of a charge of an HL7v2 feed that numbers it."""
    first, *rest = charge.get("identifier") or [{}]
    numbered = any(str(one.get("system", "")).endswith(TRANSACTION_SYSTEM) for one in rest)
    return str(first["value"]).split("|") if numbered and str(first.get("system", "")).endswith(CHARGE_SYSTEM) else []


def _twins(tx: Tx, stored: Stored, sender: str, number: str) -> Iterator[Stored]:
    """The other charges of this sender and number, on whatever account of this patient."""
    for one in stored.resource["identifier"][1:]:
        if str(one.get("system", "")).endswith(TRANSACTION_SYSTEM):
            for twin in find(tx, "ChargeItem", one["system"], one["value"]):
                key = _key(twin.resource)
                same = len(key) == 4 and (key[0], key[2], key[3]) == (sender, number, "CG")
                if same and twin.id != stored.id and subject_of(twin.resource) == subject_of(stored.resource):
                    yield twin


def _is_the_same(before: Resource, after: Resource) -> bool:
    prices = money_of(before.get("priceOverride")), money_of(after.get("priceOverride"))
    counts = str(before.get("status")) in COUNTS - WITHDRAWN
    return counts and prices[0] == prices[1] and not other_service(before, after)


def _credited(tx: Tx, charge: Stored) -> bool:
    """A credit of its number on its account has come."""
    first = charge.resource["identifier"][0]
    return bool(find(tx, "ChargeItem", first["system"], first["value"].removesuffix("|CG") + "|CD"))

"""How far each receiver is trusted with postings: `shadow`, `assist` or `auto`, as its section says.

    shadow    nothing is sent there; what would be is kept, to be compared (agreement.py), and stays unsent ever after
    assist    each posting is `proposed`, and sent once staff have confirmed it (confirm_posting.py)
    auto      at once

Asked where a posting is queued, and again in the last unit before it leaves (postings.py): a posting that was queued
before the stage was lowered stops here too. What may have arrived already is only looked for. What takes something
back goes where that went: a refund of a payment that was never posted isn't either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..billing import adjustments, worklist
from ..config import Tenant
from ..config_section import Stage
from ..db.unit import Tx
from ..errors import FhirpayError, RuleBroken
from ..log import Log
from ..writeback import held, store
from ..writeback.payout_posting import PostedPayout
from ..writeback.posted import Posted
from ..writeback.renderers import FOLLOWS
from ..writeback.store import HELD, Held, Posting

log = Log("writeback")

TO_CONFIRM = "posting_to_confirm"  # on the worklist; its subject is the posting
Facts = Callable[[Tx, Posting, Tenant], Posted | PostedPayout]

_STAGE: dict[Stage, Held] = {"shadow": "shadow", "assist": "proposed"}
_TAKES_BACK: dict[Held, str] = {
    "rejected": "what it takes back was rejected, and isn't there",
    "shadow": "what it takes back was never posted there",
    "proposed": "what it takes back waits for staff to confirm it",
}


class Withheld(RuleBroken):
    """It isn't to be sent, or not yet."""

    code = "posting-withheld"


@dataclass(frozen=True, slots=True)
class Why:
    """Why a posting is held back, and what it is then."""

    state: Held
    says: str


def stage_of(tenant: Tenant, name: str) -> Stage | None:
    """None: no such receiver is configured."""
    return next((one.stage for one in tenant.receivers if one.name == name), None)


def zone_of(tenant: Tenant, name: str) -> str:
    """Of the dates that this receiver is told; empty: the facility's."""
    return next((one.zone for one in (*tenant.connections, *tenant.posting_files) if one.name == name), "")


def held_back(tx: Tx, tenant: Tenant, posting: Posting) -> Why | None:
    """Why this posting isn't to be sent now, by what is known of it and what its receiver's stage is; None: it is."""
    if posting.state in HELD:
        return Why(posting.state, posting.reason or "")
    # What follows one that the EHR has was confirmed with that one.
    confirmed = bool(posting.decided_by) or posting.resource_type in FOLLOWS
    return why_not(tx, tenant, posting.connection, taken_back_by(tx, posting), confirmed=confirmed)


def why_not(tx: Tx, tenant: Tenant, name: str, takes_back: list[Posting], *, confirmed: bool = False) -> Why | None:
    """The same of what is about to be queued, which takes these postings back."""
    states = {one.state for one in takes_back}
    # An adjustment that takes several back says of those alone that are there.
    if takes_back and (states <= set(HELD) or "proposed" in states):
        worst: Held = "proposed" if "proposed" in states else "shadow" if "shadow" in states else "rejected"
        return Why(worst, _TAKES_BACK[worst])
    stage = stage_of(tenant, name)
    if stage is None or stage == "auto" or (stage == "assist" and confirmed):
        return None
    return Why(_STAGE[stage], f"'{name}' is at stage '{stage}'")


def taken_back_by(tx: Tx, posting: Posting) -> list[Posting]:
    """The postings at its receiver of what it takes back: of the same account, where there is one of that."""
    if posting.is_refund:
        return of_payment(tx, posting.payment_id, posting.connection, posting.part)
    if not posting.is_adjustment or (one := adjustments.find(tx, posting.subject)) is None:
        return []
    return of_adjustments(tx, adjustments.taken_back_by(tx, one), posting.connection)


def of_payment(tx: Tx, payment_id: str, name: str, part: str) -> list[Posting]:
    known = [one for one in store.of_subject(tx, payment_id) if one.connection == name]
    return [one for one in known if one.part == part] or known


def of_adjustments(tx: Tx, adjustment_ids: list[str], name: str) -> list[Posting]:
    return [one for of in adjustment_ids for one in store.of_subject(tx, of) if one.connection == name]


def check(tx: Tx, tenant: Tenant, posting: Posting) -> None:
    """Raises Withheld."""
    if why := held_back(tx, tenant, posting):
        raise Withheld(f"{posting.posting_id} is {why.state}: {why.says}", posting_id=posting.posting_id)


def withhold(tx: Tx, tenant: Tenant, posting_id: str, facts: Facts) -> bool:
    """Keep what would have been posted, and don't send it; False: it may be sent after all, or may have arrived."""
    posting = store.get(tx, posting_id)
    why = held_back(tx, tenant, posting)
    if why is None or not held.hold(tx, posting_id, why.state, why.says, was=posting.state):
        return False
    posting = store.get(tx, posting_id)
    try:
        posted = facts(tx, posting, tenant)
    except FhirpayError as error:  # such as one that was voided meanwhile: there is nothing to compare
        held.hold(tx, posting_id, why.state, f"{why.says}; {error.message}", was=why.state)
        kept: list[held.Kept] = []
    else:
        zone = zone_of(tenant, posting.connection)
        # A payout is of no account: there is nothing that staff would have posted.
        payout = isinstance(posted, PostedPayout)
        kept = [] if payout else held.said_by(posting_id, posted, posting.numbers, zone)
        held.keep(tx, kept)
    if why.state == "proposed":
        _ask(tx, posting, kept)
    log.info("posting.held", posting_id=posting_id, connection=posting.connection, state=why.state)
    return True


def _ask(tx: Tx, posting: Posting, kept: list[held.Kept]) -> None:
    kind = (
        "payout"
        if posting.is_payout
        else "adjustment"
        if posting.is_adjustment
        else "refund"
        if posting.is_refund
        else "payment"
    )
    says = f"the {kind} {posting.subject} is to be posted to '{posting.connection}': confirm it, or reject it"
    one = kept[0] if len(kept) == 1 else None
    account, amount = (one.account_ref, one.amount) if one else ("" if posting.is_payout else posting.part, None)
    worklist.open_item(tx, kind=TO_CONFIRM, subject=posting.posting_id, says=says, account_ref=account, amount=amount)

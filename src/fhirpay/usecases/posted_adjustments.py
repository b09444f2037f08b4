"""What is known of an adjustment that we made → what is posted of it. Called by posted_facts.py, as payments are.

What it lowers is the target of its obligation: a ChargeItem, an Invoice, the visit. What takes one back has a line for
each adjustment that it takes back, whole or in part, and names it; a receiver that was never told of that one (it is
new, or its profile didn't take the kind) isn't told of its end either.
"""

from __future__ import annotations

from ..billing import adjustments
from ..billing import store as billing
from ..billing.adjustments import Adjustment, Part
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..writeback import store
from ..writeback.posted import Line, PostedAdjustment, allocation_id
from ..writeback.store import Posting


def adjusted_facts(tx: Tx, posting: Posting, tenant: Tenant) -> PostedAdjustment:
    """Raises NotFound for an adjustment that there isn't."""
    one = adjustments.get(tx, posting.subject)
    obligation = billing.obligation(tx, one.obligation_id)
    target = next(iter(obligation.targets), "")
    return PostedAdjustment(
        id=one.adjustment_id,
        kind=one.kind,
        at=one.made_at,
        zone=tenant.facility(obligation.facility).zone,
        lines=[
            Line(
                number,
                part.amount,
                None,
                takes_back=allocation_id(part.of, 1) if part.of else "",
                target=target,
                of_account=obligation.account_ref,
            )
            for number, part in _parts(tx, one, posting)
        ],
        of_account=obligation.account_ref,
        facility=obligation.facility,
        back=one.takes_back,
    )


def parts_for(tx: Tx, one: Adjustment, connection: str, *, kept: bool = False) -> list[tuple[int, Part]]:
    """Its lines that concern this receiver, by number: the same FT1-2 means the same part everywhere. `kept`: also
    those that take back what was kept from it."""
    parts, concerns = enumerate(adjustments.parts_of(tx, one), start=1), store.is_kept if kept else store.is_told
    return [(number, part) for number, part in parts if not part.of or concerns(tx, part.of, connection)]


def amount_for(tx: Tx, posting: Posting) -> Money:
    """What this receiver is told, in all; below zero where it takes back."""
    one = adjustments.get(tx, posting.subject)
    parts = (part.amount for _, part in _parts(tx, one, posting))
    amount = sum(parts, Money.zero(one.amount.currency))
    return -amount if one.takes_back else amount


def _parts(tx: Tx, one: Adjustment, posting: Posting) -> list[tuple[int, Part]]:
    return parts_for(tx, one, posting.connection, kept=posting.state in store.HELD)


def amount_of(tx: Tx, adjustment_id: str, number: int) -> Money | None:
    """Of line `number`, with its sign: below zero it takes back; None where there is no such line."""
    one = adjustments.find(tx, adjustment_id)
    parts = adjustments.parts_of(tx, one) if one else []
    if one is None or not 1 <= number <= len(parts):
        return None
    return -parts[number - 1].amount if one.takes_back else parts[number - 1].amount

"""What is known of an adjustment that we made → what is posted of it. Called by posted_facts.py, as payments are.

What it lowers is the target of its obligation: a ChargeItem, an Invoice, the visit. What takes one back has a line for
each adjustment that it takes back, whole or in part, and names it.
"""

from __future__ import annotations

from ..billing import adjustments
from ..billing import store as billing
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
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
                of_account=posting.part,
            )
            for number, part in enumerate(adjustments.parts_of(tx, one), start=1)
        ],
        of_account=posting.part,
        facility=obligation.facility,
        back=one.takes_back,
    )


def amount_of(tx: Tx, adjustment_id: str, number: int) -> Money | None:
    """Of line `number`, with its sign: below zero it takes back; None where there is no such line."""
    one = adjustments.find(tx, adjustment_id)
    parts = adjustments.parts_of(tx, one) if one else []
    if one is None or not 1 <= number <= len(parts):
        return None
    return -parts[number - 1].amount if one.takes_back else parts[number - 1].amount

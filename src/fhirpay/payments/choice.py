"""Which merchant takes a payment, and which one may be asked when the first can't be reached.

`choices` and `kept_by` are the configuration's routes; the rest takes the caller's `tx`. Called by start_payment.py,
take_payment.py and web/api/methods.py.

**Failing over.** The next merchant's attempt is a new operation under the same payment, not a new payment. At most one
operation of a payment is open (a unique index), and the next one is made in the unit that cancels the one before, which
was never sent; the reservation, the payment's id and its fold over facts stay one, so whatever any processor says later
meets one payment, and a second capture would be a break on it. A new payment would have to free what is reserved in
between, and a client would hold the id of one that ended.

It happens only where a payer pays on a page (a stored method is known to one processor alone; a decline is an answer),
and only by proof: each try is counted before the call and counted off when it provably never reached the processor
(`ProcessorNotReached`). A crash, a lost answer, any other trouble leaves a try that isn't counted off, for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from ..config import Facility, Tenant
from ..config_route import Route
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import ConfigInvalid, FhirpayError
from .records import MerchantTry
from .tables import MerchantTryRow

Kind = Literal["page", "stored"]
TRIES = 3  # that a processor can't be reached, before another one is asked

_try = table(MerchantTryRow)
_OF = (
    select(_try)
    .where(_try.c.tenant_id == bindparam("tenant"), _try.c.payment_id == bindparam("payment"))
    .order_by(_try.c.sequence)
)


def choices(tenant: Tenant, facility: Facility, kind: Kind, amount: Money | None = None) -> list[str]:
    """The merchants that may take it, first choice first; never empty."""
    for route in tenant.routes:
        if route.kind == kind and route.facility in ("", facility.name) and _fits(route, amount):
            return list(route.merchants)
    return [facility.merchant]


def _fits(route: Route, amount: Money | None) -> bool:
    if amount is None or not (route.least or route.most):
        return True
    if amount.currency != route.currency:
        return False
    above = not route.least or amount >= Money.of(Decimal(route.least), route.currency)
    return above and (not route.most or amount <= Money.of(Decimal(route.most), route.currency))


def check(routes: Iterable[Route]) -> None:
    """Raises ConfigInvalid for an amount that its currency has not."""
    for route in routes:
        for text in filter(None, (route.least, route.most)):
            try:
                Money.of(Decimal(text), route.currency)
            except FhirpayError as error:
                raise ConfigInvalid(f"route '{route.name}': {error.message}; write it like 250.00") from None


def kept_by(tenant: Tenant, facility: Facility) -> set[str]:
    """The merchants whose stored methods may pay at this facility."""
    return {facility.merchant, *choices(tenant, facility, "stored")}


# ── the tries of a payment ────────────────────────────────────────────────────────────────────────────────────────


def begin(tx: Tx, payment_id: str, merchant: str) -> None:
    """Before a call that may reach the merchant's processor."""
    known = tries_of(tx, payment_id)
    row = {"tenant_id": tx.tenant, "payment_id": payment_id, "merchant": merchant, "sequence": len(known) + 1}
    statement = insert(_try).values(row | {"begun": 1, "not_reached": 0, "says": "", "first_at": tx.now})
    on = ["tenant_id", "payment_id", "merchant"]
    tx.execute(statement.on_conflict_do_update(index_elements=on, set_={"begun": _try.c.begun + 1}))


def not_reached(tx: Tx, payment_id: str, merchant: str, says: str) -> MerchantTry:
    """The call that was begun last never reached it."""
    where = (_try.c.tenant_id == tx.tenant, _try.c.payment_id == payment_id, _try.c.merchant == merchant)
    tx.execute(update(_try).where(*where).values(not_reached=_try.c.not_reached + 1, says=says[:300]))
    return next(one for one in tries_of(tx, payment_id) if one.merchant == merchant)


def tries_of(tx: Tx, payment_id: str) -> list[MerchantTry]:
    """The merchants that were tried, in order. Empty for a payment that only one may take."""
    return [MerchantTry.of(row) for row in tx.all(_OF, payment=payment_id)]


def next_after(tx: Tx, payment_id: str, merchants: list[str]) -> str | None:
    """Who may be asked now; None while any of those that were tried may know of the payment."""
    tried = tries_of(tx, payment_id)
    if not tried or any(one.begun != one.not_reached for one in tried) or tried[-1].not_reached < TRIES:
        return None
    names = {one.merchant for one in tried}
    return next((name for name in merchants if name not in names), None)

"""A payment that somebody who came from an EHR wants to make: the processor's own page for what they were shown.

What may be asked for is read again in the unit that reserves it: an amount that has changed since it was shown is
refused with the new one, and a form that is sent twice is one payment. Called by web/launch/.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..billing import rows
from ..config import Tenant
from ..db.types import fitted
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import LaunchRefused, RuleBroken
from ..payments import store as payments
from ..smart.launch_store import Session
from . import launch_chart
from .start_payment import NewPayment, start


@dataclass(frozen=True, slots=True)
class Wish:
    """`shown` is what the page said, `form` names the form that was sent; `return_url`: where the payer then goes."""

    account_ref: str
    shown: Money
    form: str
    return_url: str


def may_pay(session: Session, tenant: Tenant) -> bool:
    return any(one.name == session.connection and session.kind in one.launch_may_pay for one in tenant.connections)


def pay(tx: Tx, session: Session, wish: Wish, tenant: Tenant) -> str:
    """The payment's id. Raises LaunchRefused where they only look, RuleBroken for what may not be asked for now."""
    if not may_pay(session, tenant):
        raise LaunchRefused("From this EHR, fhirpay only shows what is owed.", reason="no-payments")
    if launch_chart.owed_on(tx, session, wish.account_ref):
        rows.lock(tx, [wish.account_ref])  # the same form sent twice at once is one payment, and no refusal
    fact = f"launch/{session.session_id}/{fitted(wish.form)}"
    owed = launch_chart.owed_on(tx, session, wish.account_ref)
    chosen = [one for one in owed if one.askable and one.askable.currency == wish.shown.currency]
    now = sum((one.askable for one in chosen), Money.zero(wish.shown.currency))
    asked = NewPayment(
        account_ref=wish.account_ref,
        requested_by=f"launch:{session.connection}:{session.fhir_user}",
        amount=wish.shown,
        obligations=tuple(one.obligation_id for one in chosen),
        return_url=wish.return_url,
        fact_key=fact,
    )
    if (not chosen or now != wish.shown) and not _made(tx, fact):  # no word on an account that isn't shown to them
        says = f"{now} may be paid now" if now else "nothing may be paid now: it is paid, being paid, or on hold"
        raise RuleBroken(f"This has changed since it was shown ({wish.shown}): {says}.")
    return start(tx, asked, tenant)


def _made(tx: Tx, fact: str) -> bool:
    return payments.of_fact(tx, fact) is not None

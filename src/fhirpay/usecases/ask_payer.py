"""A payer is asked for so much until a moment: a payment request, under which a payment is tried as often as it takes.

Called by web/api/payment_requests.py. Each try is a payment begun by start_payment.py, one at a time; a decline ends
it, and the next one is for what is left. Once a request is canceled or has expired, `no_longer_owed` lets nothing more
go out for it, and its page is closed as one that asks for what is no longer owed: stale_pages.py, close_page.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from ..billing import store as obligations
from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import RuleBroken, ValueInvalid
from ..log import Log
from ..outbox import add as outbox_add
from ..payments import payment_requests, store
from ..payments.payment_requests import Requested
from ..payments.records import Payment
from .collect import AGAIN
from .settle_outcome import ENDS
from .stale_pages import close
from .start_payment import NewPayment, start

log = Log("payments")

LONGEST = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Standing:
    """What has become of a request. Money counts before anything else: one that is paid is `paid`, also when it came a
    moment before a cancel. `open_payment` is the try under way."""

    state: Literal["open", "paid", "canceled", "expired"]
    paid: Money
    payments: tuple[Payment, ...]
    open_payment: Payment | None


def ask(tx: Tx, wish: NewPayment, tenant: Tenant, *, until: datetime, facility: str = "") -> str:
    """A request with its first payment, as part of the caller's unit; its id.

    Raises as `start` does, and ValueInvalid for a moment that has passed or lies more than a year ahead, or a facility
    that isn't configured.
    """
    if not tx.now < until <= tx.now + LONGEST:
        raise ValueInvalid("a request expires later than now, and within a year", location="expires_at")
    known = [one.name for one in tenant.facilities]
    if facility and facility not in known:
        raise ValueInvalid(f"there is no facility '{facility}'; configured: {', '.join(known)}", location="facility")
    named = wish.obligations
    payment_id = start(tx, _of_facility(tx, wish, facility), tenant)
    made = store.get(tx, payment_id)
    request_id = payment_requests.add(
        tx,
        payment_id,
        made.amount,
        facility=made.facility,
        obligations=named,
        until=until,
        by=wish.requested_by,
    )
    # The account's assessment closes pages of what is no longer owed: the moment calls for one.
    fact = f"{made.account_ref}|{until.isoformat()}"
    outbox_add(tx, AGAIN, fact, [f"{AGAIN}:{fact}"], until, once_key=fact)
    log.info("payment.requested", payment_id=payment_id)
    return request_id


def try_again(tx: Tx, request_id: str, wish: NewPayment, tenant: Tenant) -> str:
    """One more payment, for what is left; its id. Of `wish` counts how, and who asks.

    Raises as `start` does, NotFound, and RuleBroken when nothing is left to pay under it, or a payment is under way.
    """
    found = payment_requests.get(tx, request_id, lock=True)
    stands = standing(tx, found)
    if stands.state != "open":
        raise RuleBroken(f"payment request {request_id} is {stands.state}", request_id=request_id)
    if (other := stands.open_payment) is not None:
        says = f"payment {other.payment_id} of this request is {other.state}: it ends first, or cancel the request"
        raise RuleBroken(says, request_id=request_id, payment_id=other.payment_id)
    account_ref = stands.payments[0].account_ref
    wish = replace(wish, account_ref=account_ref, amount=found.amount - stands.paid, obligations=found.obligations)
    wish = _of_facility(tx, wish, found.facility)
    payment_id = start(tx, wish, tenant)
    payment_requests.add_try(tx, request_id, payment_id, len(found.payments) + 1)
    return payment_id


def cancel(tx: Tx, request_id: str, *, by: str, why: str) -> None:
    """Nothing more is taken for it: its page is closed. One that was canceled stays as it is.

    What is at the processor already, such as a card being charged, ends as it ends. Raises NotFound, RuleBroken once it
    is paid.
    """
    found = payment_requests.get(tx, request_id, lock=True)
    stands = standing(tx, found)
    if stands.state == "paid":
        raise RuleBroken(f"payment request {request_id} is paid: refund its payment", request_id=request_id)
    if found.canceled_at is not None:
        return
    payment_requests.cancel(tx, request_id, by=by, why=why)
    if stands.open_payment is not None:
        close(tx, stands.open_payment)
    log.info("payment.request_canceled", payment_id=found.payments[-1])


def standing(tx: Tx, found: Requested) -> Standing:
    tried = tuple(store.get(tx, one) for one in found.payments)
    # A refund gives back what was paid: it isn't asked for again by this request.
    paid = sum((one.captured - one.returned for one in tried), Money.zero(found.amount.currency))
    open_payment = next((one for one in tried if one.state not in ENDS), None)
    if paid >= found.amount:
        return Standing("paid", paid, tried, open_payment)
    state = "canceled" if found.canceled_at else "expired" if found.expires_at <= tx.now else "open"
    return Standing(state, paid, tried, open_payment)


def _of_facility(tx: Tx, wish: NewPayment, facility: str) -> NewPayment:
    """The wish, of what is owed to this facility now and is still to be asked for.

    Raises RuleBroken when there is nothing.
    """
    if not facility:
        return wish
    owed = [one for one in obligations.owed(tx, wish.account_ref) if one.facility == facility]
    named = tuple(one.obligation_id for one in owed if not wish.obligations or one.obligation_id in wish.obligations)
    if not named:
        raise RuleBroken(f"nothing of it may be asked for now for '{facility}'")
    return replace(wish, obligations=named)

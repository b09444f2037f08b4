"""What a request does to the books: payments, modifications and what comes of them later, links and their pages.

Sources: API reference for the answers; pages "Capture", "Cancel", "Refund", "Reversal", "Pay by Link", "Tokenization"
and "Payment result codes" for what happens; Webhooks for what is told. Modifications are received at once and carried
out later; what they come to is only told by a notification.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .books import Books, Link, Modification, Payment
from .cards import REFUSALS, Card, typed
from .errors import Doc, Refused, forbidden, invalid

_LINK_LIVES_S = 24 * 3600
_LONGEST_LINK_S = 70 * 24 * 3600
# The currencies of this stand-in; Adyen takes many more (page "Currency codes").
CURRENCIES = frozenset({"USD", "EUR", "GBP", "CAD", "JPY"})
_LATE_S = 24 * 3600  # a rejection by the card scheme comes days later; here after one


def check_account(books: Books, account: str) -> None:
    if account != books.merchant_account:
        raise forbidden("901", "Invalid Merchant Account")


def _check_amount(amount: Doc, *, least: int = 1) -> None:
    if amount["currency"] not in CURRENCIES:
        raise invalid("138", "Unsupported currency specified")
    if amount["value"] < least:
        raise invalid("137", "Invalid amount specified")


# ── payments ──────────────────────────────────────────────────────────────────────────────────────────────────────


def pay(books: Books, request: Doc) -> Doc:
    """POST /payments with a stored card (page "Tokenization", payments with a token)."""
    check_account(books, request["merchantAccount"])
    _check_amount(request["amount"])
    if not request.get("shopperReference"):
        raise invalid("702", "Required field 'shopperReference' is not provided.")
    if not request.get("recurringProcessingModel"):
        raise invalid("702", "Required field 'recurringProcessingModel' is not provided.")
    card = books.cards.get(request["paymentMethod"]["storedPaymentMethodId"])
    if card is None or card.shopper != request["shopperReference"]:
        raise invalid("803", "PaymentDetail not found")  # error codes, 803
    if request.get("captureDelayHours", 0) not in range(673):
        raise invalid("702", "captureDelayHours is at most 672")
    asked_for = request.get("additionalData", {})
    manual = asked_for.get("manualCapture") == "true"
    payment = _authorise(books, request["reference"], request["amount"], card, manual=manual)
    return _answer(payment)


def _authorise(
    books: Books, reference: str, amount: Doc, card: Card, *, manual: bool, link: str = "", psp: str = ""
) -> Payment:
    does = card.does
    status = "pending" if does == "pending" else "authorised"
    if does in REFUSALS:
        status = "error" if REFUSALS[does][0] == "Error" else "refused"
    payment = Payment(
        psp=psp or books.psp(),
        reference=reference,
        currency=amount["currency"],
        asked=amount["value"],
        authorised=0,
        manual=manual,
        card=card,
        at=books.now(),
        status=status,
        link=link,
    )
    books.payments[payment.psp] = payment
    if status == "pending":
        books.late.append((books.now() + 3600, lambda: decide(books, payment, approved=True)))
    else:
        _tell(books, payment)
    return payment


def decide(books: Books, payment: Payment, *, approved: bool) -> None:
    """What became of a pending payment."""
    if payment.status != "pending":
        raise Refused(409, "000", "it is not pending", "validation")
    payment.status = "authorised" if approved else "refused"
    _tell(books, payment)


def _tell(books: Books, payment: Payment) -> None:
    """The AUTHORISATION notification (Webhooks), and the money of a payment that is captured at once.

    Page "Capture": without manual capture it is captured automatically, and no CAPTURE notification tells of it.
    """
    card = payment.card
    if payment.status != "authorised":
        _, reason, _ = REFUSALS.get(card.does, ("", "Refused", ""))
        books.notify("AUTHORISATION", payment, payment.asked, success=False, reason=reason)
        return
    payment.authorised = payment.asked // 2 if card.does == "part" else payment.asked
    more = {"cardSummary": card.last4, "expiryDate": card.expires, "authCode": "043210"}
    if payment.link:
        more["paymentLinkId"] = payment.link
    books.notify("AUTHORISATION", payment, payment.authorised, more=more, reason=f"043210:{card.last4}:{card.expires}")
    if payment.authorised and not payment.manual:
        payment.claimed = payment.captured = payment.authorised
        books.move(payment, "capture", payment.authorised)
        if card.does == "capture_fails":
            books.late.append((books.now() + _LATE_S, lambda: capture_failed(books, payment, payment.authorised)))


def _answer(payment: Payment) -> Doc:
    """PaymentResponse; page "Payment result codes"."""
    card = payment.card
    doc: Doc = {"pspReference": payment.psp, "merchantReference": payment.reference}
    if payment.status == "pending":
        return {**doc, "resultCode": "Received"}
    if payment.status != "authorised":
        result, reason, _ = REFUSALS[card.does]
        return {**doc, "resultCode": result, "refusalReason": reason, "refusalReasonCode": card.does}
    return {
        **doc,
        "resultCode": "PartiallyAuthorised" if payment.authorised < payment.asked else "Authorised",
        "amount": {"currency": payment.currency, "value": payment.authorised},
        "paymentMethod": {"type": "scheme", "brand": card.brand},
        "additionalData": {"cardSummary": card.last4, "expiryDate": card.expires, "authCode": "043210"},
    }


# ── modifications ─────────────────────────────────────────────────────────────────────────────────────────────────


def modify(books: Books, kind: str, psp: str, request: Doc) -> Doc:
    """POST /payments/{psp}/captures, refunds, cancels, reversals: 201 with status `received`, whatever comes of it."""
    check_account(books, request["merchantAccount"])
    payment = books.payments.get(psp)
    if payment is None or payment.status in ("refused", "error"):
        raise invalid("167", "Original pspReference is invalid for this environment!")  # error codes, 167
    amount = request.get("amount")
    if amount is not None:
        _check_amount(amount)
        if amount["currency"] != payment.currency:
            raise invalid("139", "The currency of a modification is that of the payment")
    due = books.now() + books.settings["modifications_s"]
    value = amount["value"] if amount else payment.authorised
    made = Modification(books.psp(), kind, payment, value, request.get("reference", ""), due)
    books.modifications.append(made)
    doc: Doc = {
        "merchantAccount": request["merchantAccount"],
        "paymentPspReference": psp,
        "pspReference": made.psp,
        "status": "received",
    }
    return doc | {name: request[name] for name in ("amount", "reference") if name in request}


def tick(books: Books) -> None:
    """What time brings about: modifications carried out, late turns, links and authorisations that end."""
    now = books.now()
    for one in [one for one in books.modifications if not one.done and one.due <= now]:
        one.done = True
        _CARRY_OUT[one.kind](books, one)
    due = [one for one in books.late if one[0] <= now]
    books.late = [one for one in books.late if one not in due]
    for _, perform in due:
        perform()
    for link in books.links.values():
        if link.status == "active" and link.expires_at <= now:
            link.status, link.updated_at = "expired", link.expires_at
    for payment in books.payments.values():
        held = payment.status == "authorised" and payment.manual and not payment.claimed
        if held and payment.at + books.settings["hold_s"] <= now:
            # Webhooks, EXPIRE: the remaining uncaptured amount expired
            payment.status = "expired"
            books.notify("EXPIRE", payment, payment.authorised)


def _capture(books: Books, one: Modification) -> None:
    """Page "Capture": at most what was authorised, once; what is left is cancelled. CAPTURE tells."""
    payment, why = one.payment, ""
    if payment.status != "authorised":
        why = "Transaction is not in a state to be captured"
    elif payment.claimed or one.amount > payment.authorised:
        why = "Insufficient balance on payment"
    _told(books, one, "CAPTURE", one.amount, why)
    if not why:
        payment.claimed = payment.captured = one.amount
        books.move(payment, "capture", one.amount, one.psp, one.reference)
        if payment.card.does == "capture_fails":
            books.late.append((books.now() + _LATE_S, lambda: capture_failed(books, payment, one.amount, one)))


def capture_failed(books: Books, payment: Payment, amount: int, one: Modification | None = None) -> None:
    """Page "Capture", failed capture: rejected by the card scheme after it had been said to be done."""
    payment.captured -= amount
    psp, reference = (one.psp, one.reference) if one else (books.psp(), "")
    books.move(payment, "capture_failed", -amount, psp, reference)
    books.notify("CAPTURE_FAILED", payment, amount, psp=psp, reference=reference, reason="Capture Failed")


def _cancel(books: Books, one: Modification) -> None:
    """Page "Cancel": only what has not been captured. CANCELLATION tells."""
    payment, why = one.payment, ""
    if payment.claimed:
        why = "Transaction has been captured, cancel not possible"
    elif payment.status not in ("authorised", "pending"):
        why = "Transaction is not in a state to be cancelled"
    if not why:
        payment.status = "cancelled"
    _told(books, one, "CANCELLATION", payment.asked, why)


def _refund(books: Books, one: Modification) -> None:
    """Page "Refund": in parts, never more than was captured. REFUND tells; a rejection days later REFUND_FAILED."""
    payment, why = one.payment, ""
    if not payment.captured:
        why = "Transaction hasn't been captured, refund not possible"
    elif payment.refunded + one.amount > payment.captured:
        why = "Insufficient balance on payment"
    _told(books, one, "REFUND", one.amount, why)
    if not why:
        payment.refunded += one.amount
        books.move(payment, "refund", -one.amount, one.psp, one.reference)
        if payment.card.does == "refund_fails":
            books.late.append((books.now() + _LATE_S, lambda: refund_failed(books, one)))


def refund_failed(books: Books, one: Modification, code: str = "REFUND_FAILED") -> None:
    """Page "Refund", REFUND_FAILED and REFUNDED_REVERSED: the amount came back."""
    one.payment.refunded -= one.amount
    books.move(one.payment, "refund_failed", one.amount, one.psp, one.reference)
    books.notify(code, one.payment, one.amount, psp=one.psp, reference=one.reference, reason="Refund Failed")


def _reverse(books: Books, one: Modification) -> None:
    """Page "Reversal": the whole is refunded where it was captured, else cancelled; which of both `modification.action`
    tells, which is not signed. CANCEL_OR_REFUND tells."""
    payment = one.payment
    if payment.captured and not payment.refunded:
        payment.refunded = payment.captured
        books.move(payment, "refund", -payment.captured, one.psp, one.reference)
        action, why = "refund", ""
    elif payment.claimed or payment.status not in ("authorised", "pending"):
        action, why = "", "Transaction is not in a state to be reversed"
    else:
        payment.status, action, why = "cancelled", "cancel", ""
    more = {"modification.action": action} if action else {}
    _told(books, one, "CANCEL_OR_REFUND", one.amount, why, more)


def _told(books: Books, one: Modification, code: str, amount: int, why: str, more: Doc | None = None) -> None:
    reference = one.reference
    books.notify(code, one.payment, amount, success=not why, psp=one.psp, reference=reference, reason=why, more=more)


_CARRY_OUT = {"captures": _capture, "cancels": _cancel, "refunds": _refund, "reversals": _reverse}


# ── links ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def open_link(books: Books, request: Doc, base_url: str) -> Doc:
    """POST /paymentLinks (page "Pay by Link", create a link)."""
    check_account(books, request["merchantAccount"])
    stores = request.get("storePaymentMethodMode", "disabled") != "disabled"
    _check_amount(request["amount"], least=0 if stores else 1)
    if stores and not (request.get("shopperReference") and request.get("recurringProcessingModel")):
        raise invalid("702", "shopperReference and recurringProcessingModel are needed to store a payment method")
    now = books.now()
    ends = now + _LINK_LIVES_S
    if "expiresAt" in request:
        try:
            at = datetime.fromisoformat(request["expiresAt"])
        except ValueError:
            raise invalid("702", "expiresAt is not a date") from None
        if at.tzinfo is None or not now < at.timestamp() <= now + _LONGEST_LINK_S:
            raise invalid("702", "expiresAt is within the next 70 days, with its offset")
        ends = at.timestamp()
    link = Link(f"PL{books.psp()}", request, "active", ends, now)
    books.links[link.id] = link
    return show_link(books, link, base_url)


def show_link(books: Books, link: Link, base_url: str) -> Doc:
    """PaymentLinkResponse. It names no payment: only the notification does."""
    return {
        **link.request,
        "id": link.id,
        "url": f"{base_url}/pay/{link.id}",
        "status": link.status,
        "expiresAt": books.stamp(link.expires_at),
        "updatedAt": books.stamp(link.updated_at),
    }


def end_link(books: Books, link: Link) -> None:
    """PATCH /paymentLinks/{id}: only an active link is forced to expire."""
    if link.status != "active":
        raise invalid("702", f"A payment link that is {link.status} can't be expired")
    link.status, link.updated_at = "expired", books.now()


def pay_link(books: Books, link: Link, number: str, holder: str) -> str:
    """The payer's try on the page; why it came to nothing. A refusal leaves the link open (page "Pay by Link")."""
    if link.status != "active":
        return f"This link is {link.status}"
    card = typed(number, holder)
    if card is None:
        return "Unknown card"
    request = link.request
    payment = _authorise(
        books,
        request["reference"],
        request["amount"],
        card,
        manual=bool(request.get("manualCapture")),
        link=link.id,
    )
    link.payments.append(payment.psp)
    if payment.status != "authorised":
        return "Refused"
    link.status, link.updated_at = "completed", books.now()
    if request.get("storePaymentMethodMode", "disabled") != "disabled":
        token = books.psp()
        stored = Card(token, card.brand, card.last4, card.expires, shopper=request["shopperReference"])
        books.cards[token] = stored
    return ""


def stored_cards(books: Books, params: dict[str, Any]) -> Doc:
    """GET /storedPaymentMethods?merchantAccount&shopperReference."""
    check_account(books, params.get("merchantAccount", ""))
    shopper = params.get("shopperReference", "")
    if not shopper:
        raise invalid("702", "Required field 'shopperReference' is not provided.")
    listed = [
        {
            "brand": card.brand,
            "expiryMonth": card.expires.partition("/")[0].zfill(2),
            "expiryYear": card.expires.partition("/")[2][-2:],
            "id": card.id,
            "lastFour": card.last4,
            "name": card.brand.upper(),
            "supportedRecurringProcessingModels": ["CardOnFile", "Subscription", "UnscheduledCardOnFile"],
            "type": "scheme",
        }
        for card in books.cards.values()
        if card.shopper == shopper
    ]
    return {
        "merchantAccount": books.merchant_account,
        "shopperReference": shopper,
        "storedPaymentMethods": listed,
    }

"""Test payment methods and cards: what each does (Testing: Cards by brand, Declined payments, Refunds, 3D Secure).

A `pm_…` name of the Testing page makes a new PaymentMethod each time it is used, unattached to a customer. A number is
what a payer types on the Checkout page. To add one: a line in `TABLE`.
"""

from __future__ import annotations

from dataclasses import dataclass

from .books import Books
from .errors import Doc


@dataclass(frozen=True, slots=True)
class Card:
    number: str
    brand: str = "visa"
    does: str = "succeed"  # succeed, decline, authenticate, authenticate_then_decline, bank
    code: str = ""  # of a bank account: NACHA's, with which its debit comes back
    decline_code: str = ""
    refund: str = "succeed"  # succeed, pend, fail

    @property
    def last4(self) -> str:
        return self.number[-4:]


# Error codes and Decline codes: the sentence that a customer may be shown.
MESSAGES = {
    "card_declined": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
    "card_velocity_exceeded": "Your card was declined for making repeated attempts too frequently or exceeding its "
    "amount limit.",
}

_DECLINED = {"does": "decline", "code": "card_declined"}
TABLE: dict[str, Card] = {
    "pm_card_visa": Card("4242424242424242"),
    "pm_card_visa_debit": Card("4000056655665556"),
    "pm_card_mastercard": Card("5555555555554444", "mastercard"),
    "pm_card_mastercard_debit": Card("5200828282828210", "mastercard"),
    "pm_card_amex": Card("378282246310005", "amex"),
    "pm_card_discover": Card("6011111111111117", "discover"),
    "pm_card_us": Card("4242424242424242"),
    "pm_card_bypassPending": Card("4000000000000077"),
    "pm_card_chargeDeclined": Card("4000000000000002", **_DECLINED, decline_code="generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": Card("4000000000009995", **_DECLINED, decline_code="insufficient_funds"),
    "pm_card_chargeDeclinedLostCard": Card("4000000000009987", **_DECLINED, decline_code="lost_card"),
    "pm_card_chargeDeclinedStolenCard": Card("4000000000009979", **_DECLINED, decline_code="stolen_card"),
    "pm_card_chargeDeclinedExpiredCard": Card(
        "4000000000000069", does="decline", code="expired_card", decline_code="expired_card"
    ),
    "pm_card_chargeDeclinedIncorrectCvc": Card(
        "4000000000000127", does="decline", code="incorrect_cvc", decline_code="incorrect_cvc"
    ),
    "pm_card_chargeDeclinedProcessingError": Card(
        "4000000000000119", does="decline", code="processing_error", decline_code="processing_error"
    ),
    "pm_card_chargeDeclinedVelocityLimitExceeded": Card(
        "4000000000006975", **_DECLINED, decline_code="card_velocity_exceeded"
    ),
    "pm_card_chargeCustomerFail": Card("4000000000000341", **_DECLINED, decline_code="generic_decline"),
    "pm_card_radarBlock": Card("4100000000000019", **_DECLINED, decline_code="fraudulent"),
    "pm_card_authenticationRequired": Card("4000002760003184", does="authenticate"),
    "pm_card_threeDSecure2Required": Card("4000000000003220", does="authenticate"),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": Card(
        "4000008260003178", does="authenticate_then_decline", code="card_declined", decline_code="insufficient_funds"
    ),
    "pm_card_pendingRefund": Card("4000000000007726", refund="pend"),
    "pm_card_refundFail": Card("4000000000005126", refund="fail"),
}
# Testing, Declined payments: the page's newer names of the same cards
TABLE |= {name.replace("pm_card_charge", "pm_card_visa_charge"): card for name, card in TABLE.items() if "Decl" in name}

# ACH Direct Debit, Test: bank accounts whose debit is processing and then succeeds or fails
BANKS = {
    "pm_usBankAccount_success": Card("000123456789", "", "bank"),
    "pm_usBankAccount_accountClosed": Card("000111111113", "", "bank", "R02"),
    "pm_usBankAccount_noAccount": Card("000111111116", "", "bank", "R03"),
    "pm_usBankAccount_insufficientFunds": Card("000222222227", "", "bank", "R01"),
    "pm_usBankAccount_debitNotAuthorized": Card("000333333335", "", "bank", "R10"),
}
NUMBERS = {card.number: card for card in (*TABLE.values(), *BANKS.values())}


def known_test_method(name: str) -> bool:
    return name in TABLE or name in BANKS


def make_method(books: Books, name: str) -> Doc:
    """A new PaymentMethod object for a test name. API reference, The PaymentMethod object."""
    return method_for(books, BANKS.get(name) or TABLE[name])


def method_for(books: Books, card: Card) -> Doc:
    if card.does == "bank":
        return _method(books, "us_bank_account", _bank(card.last4), acts=card)
    details = {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": card.brand,
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": f"fp{card.number[-8:]}",
        "funding": "credit",
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
    return _method(books, "card", details, acts=card)


def _bank(last4: str) -> Doc:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": f"fpbank{last4}",
        "last4": last4,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": None,
    }


def card_present(books: Books, card: Card) -> Doc:
    """One that a reader has read. API reference, The PaymentMethod object, card_present."""
    names = {"brand": card.brand, "country": "US", "exp_month": 12, "exp_year": 2034, "funding": "credit"}
    details = {**names, "fingerprint": f"fp{card.number[-8:]}", "last4": card.last4, "read_method": "contactless_emv"}
    details |= {"networks": {"available": [card.brand], "preferred": None}, "cardholder_name": None}
    return _method(books, "card_present", details, acts=card)


def _method(books: Books, type_: str, details: Doc, *, acts: Card) -> Doc:
    address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    doc = {
        "id": books.id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {"address": address, "email": None, "name": None, "phone": None, "tax_id": None},
        "created": books.now(),
        "customer": None,
        "livemode": False,
        "metadata": {},
        "type": type_,
        type_: details,
    }
    return books.add(doc, acts=acts, spent="")

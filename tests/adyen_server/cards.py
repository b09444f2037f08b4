"""Stored cards of this account, and what a payer may type on a page (pages "Test card numbers" and "Testing result
codes and refusal reasons": a holder's name, or a RequestedTestAcquirerResponseCode, asks for a refusal)."""

from __future__ import annotations

from dataclasses import dataclass

SHOPPER = "shopper0123456789abcdef"
# refusalReasonCode → resultCode, refusalReason, and the holder's name that asks for it (page "Refusal reasons", too)
REFUSALS = {
    "2": ("Refused", "Refused", "DECLINED"),
    "3": ("Refused", "Referral", "REFERRAL"),
    "4": ("Error", "Acquirer Error", "ERROR"),
    "5": ("Refused", "Blocked Card", "BLOCK_CARD"),
    "6": ("Refused", "Expired Card", "CARD_EXPIRED"),
    "8": ("Refused", "Invalid Card Number", "INVALID_CARD"),
    "9": ("Refused", "Issuer Unavailable", "ISSUER_UNAVAILABLE"),
    "11": ("Refused", "3D Not Authenticated", "NOT_3D_AUTHENTICATED"),
    "12": ("Refused", "Not enough balance", "NOT_ENOUGH_BALANCE"),
    "20": ("Refused", "FRAUD", "FRAUD"),
    "24": ("Refused", "CVC Declined", "CVC_DECLINED"),
    "25": ("Refused", "Restricted Card", "RESTRICTED_CARD"),
    "26": ("Refused", "Revocation Of Auth", "REVOCATION_OF_AUTH"),
    "28": ("Refused", "Withdrawal amount exceeded", "WITHDRAWAL_AMOUNT_EXCEEDED"),
    "29": ("Refused", "Withdrawal count exceeded", "WITHDRAWAL_COUNT_EXCEEDED"),
    "38": ("Refused", "Authentication required", "AUTHENTICATION_REQUIRED"),
}
BY_HOLDER = {name: code for code, (_, _, name) in REFUSALS.items()}


@dataclass(frozen=True, slots=True)
class Card:
    """`does`: a refusalReasonCode, or empty (approved), `pending`, `capture_fails`, `refund_fails`, `part`."""

    id: str
    brand: str = "visa"
    last4: str = "1111"
    expires: str = "3/2030"
    does: str = ""
    shopper: str = SHOPPER


STORED = (
    Card("M5N7TQ4TG5PFWR50"),
    Card("M5N7TQ4TG5PFWR51", does="2"),
    Card("M5N7TQ4TG5PFWR52", does="12"),
    Card("M5N7TQ4TG5PFWR53", does="38"),
    Card("M5N7TQ4TG5PFWR54", does="pending"),
    Card("M5N7TQ4TG5PFWR55", "mc", "4444", does="capture_fails"),
    Card("M5N7TQ4TG5PFWR56", "mc", "4444", does="refund_fails"),
    Card("M5N7TQ4TG5PFWR57", does="6"),
    Card("M5N7TQ4TG5PFWR58", does="4"),
    Card("M5N7TQ4TG5PFWR59", does="part"),
)
NUMBERS = {"4111111111111111": "visa", "4444333322221111": "visa", "5555444433331111": "mc"}


def typed(number: str, holder: str) -> Card | None:
    """What a payer typed on a page; None where no network knows the number."""
    brand = NUMBERS.get(number.replace(" ", ""))
    return Card("", brand, number[-4:], does=BY_HOLDER.get(holder, "")) if brand else None

"""The screen that keeps a payer's names and addresses out of what is stored of a processor's events.

An event is kept for what it is about, by ids; who paid is the processor's to know. What stands under a listed name is
removed whole, an e-mail address wherever it stands; all else stays to the letter. Called where events are kept. To
keep another field out, add its name: those of Stripe's, Square's and Authorize.Net's API references are here.
"""

from __future__ import annotations

import json
import re

_PERSONAL = (
    # Stripe: Charge, PaymentIntent, Checkout Session, Customer
    "billing_details receipt_email shipping shipping_details customer_details customer_email collected_information "
    "custom_fields email name phone address individual_name business_name "
    # Square: Payment, Refund, Card, Customer
    "buyer_email_address billing_address shipping_address cardholder_name given_name family_name email_address "
    "phone_number account_owner_name "
    # Authorize.Net: customerProfile and its payment profiles
    "billTo shipTo firstName lastName merchantCustomerId"
).split()
_NAMED = re.compile(rf'"(?:{"|".join(_PERSONAL)})"\s*:(?!\s*null\b)\s*')
_EMAIL = re.compile(r'[^\s"@<>,;:\\]+@[^\s"@<>,;:\\]+\.[A-Za-z]{2,}')
_REMOVED = "[removed]"
_decoder = json.JSONDecoder()


def without_payer(text: str) -> str:
    """JSON as it came, without what tells who paid. What can't be read after a listed name is removed to its end."""
    kept: list[str] = []
    at = 0
    while found := _NAMED.search(text, at):
        kept += [text[at : found.end()], f'"{_REMOVED}"']
        try:
            _, at = _decoder.raw_decode(text, found.end())
        except (ValueError, RecursionError):
            at = len(text)
    return _EMAIL.sub(_REMOVED, "".join([*kept, text[at:]]))

"""What Stripe's errors mean in our words: declines by `decline_code`, refusals by `code`, advice on trying again. Pure.

Called by stripe_wire.py alone. A code that isn't here is a plain decline: Stripe adds codes at any time.
Source: https://docs.stripe.com/declines/codes
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..declines import NETWORK_STOPS, DeclineCode
from ..port import Declined, Reference

Doc = dict[str, Any]
_C = DeclineCode

# decline_code (of the bank) or code (of the error) → ours.
DECLINES: Mapping[str, DeclineCode] = {
    "call_issuer": _C.CALL_BANK,
    "approve_with_id": _C.CALL_BANK,
    "insufficient_funds": _C.INSUFFICIENT_FUNDS,
    "card_velocity_exceeded": _C.OVER_LIMIT,
    "withdrawal_count_limit_exceeded": _C.OVER_LIMIT,
    "expired_card": _C.METHOD_EXPIRED,
    "invalid_expiry_month": _C.DETAILS_INVALID,
    "invalid_expiry_year": _C.DETAILS_INVALID,
    "incorrect_cvc": _C.DETAILS_INVALID,
    "invalid_cvc": _C.DETAILS_INVALID,
    "incorrect_zip": _C.DETAILS_INVALID,
    "incorrect_address": _C.DETAILS_INVALID,
    "incorrect_number": _C.METHOD_INVALID,
    "invalid_number": _C.METHOD_INVALID,
    "incorrect_pin": _C.PIN_INVALID,
    "invalid_pin": _C.PIN_INVALID,
    "offline_pin_required": _C.PIN_INVALID,
    "online_or_offline_pin_required": _C.PIN_INVALID,
    "pin_try_exceeded": _C.PIN_INVALID,
    "card_not_supported": _C.METHOD_NOT_ACCEPTED,
    "transaction_not_allowed": _C.METHOD_NOT_ACCEPTED,
    "service_not_allowed": _C.METHOD_NOT_ACCEPTED,
    "not_permitted": _C.METHOD_NOT_ACCEPTED,
    "currency_not_supported": _C.CURRENCY_UNSUPPORTED,
    "invalid_amount": _C.OVER_LIMIT,
    "issuer_not_available": _C.TRY_LATER,
    "processing_error": _C.TRY_LATER,
    "reenter_transaction": _C.TRY_LATER,
    "try_again_later": _C.TRY_LATER,
    "duplicate_transaction": _C.DUPLICATE,
    "payment_intent_authentication_failure": _C.NOT_CONFIRMED,
    "invalid_account": _C.METHOD_CLOSED,
    "new_account_information_available": _C.METHOD_CLOSED,
    "revocation_of_all_authorizations": _C.STOPPED_BY_PAYER,
    "revocation_of_authorization": _C.STOPPED_BY_PAYER,
    "stop_payment_order": _C.STOPPED_BY_PAYER,
    "do_not_try_again": _C.DO_NOT_RETRY,
    "no_action_taken": _C.DO_NOT_RETRY,
    "lost_card": _C.DO_NOT_RETRY,
    "stolen_card": _C.DO_NOT_RETRY,
    "pickup_card": _C.DO_NOT_RETRY,
    "restricted_card": _C.DO_NOT_RETRY,
    "security_violation": _C.DO_NOT_RETRY,
    "fraudulent": _C.DO_NOT_RETRY,
    "merchant_blacklist": _C.DO_NOT_RETRY,
}
# A bank debit above what Stripe debits at once, or in a week (Error codes): the account is as good as before.
LIMITS: Mapping[str, DeclineCode] = dict.fromkeys(
    ("charge_exceeds_source_limit", "charge_exceeds_transaction_limit", "charge_exceeds_weekly_limit"), _C.OVER_LIMIT
)
# Refusals of a request as such (type `invalid_request_error`): nothing was done, and asking again would not help.
REFUSALS: Mapping[str, DeclineCode] = {
    "amount_too_small": _C.AMOUNT_TOO_SMALL,
    "amount_too_large": _C.AMOUNT_TOO_LARGE,
    "charge_already_refunded": _C.ALREADY_REFUNDED,
    "charge_disputed": _C.DISPUTED,
    "payment_method_bank_account_blocked": _C.DO_NOT_RETRY,
    "payment_intent_mandate_invalid": _C.METHOD_UNKNOWN,
    **LIMITS,
}


def declined(error: Doc, reference: Reference | None = None) -> Declined:
    """A card error: the bank's own code before the error's, and Stripe's or the network's advice on trying again."""
    codes = [str(error.get(name) or "") for name in ("decline_code", "code")]
    said = next((code for code in codes if code in DECLINES), next(filter(None, codes), ""))
    stop = error.get("advice_code") == "do_not_try_again" or str(error.get("network_advice_code")) in NETWORK_STOPS
    return Declined.of(said, DECLINES, reference, stop=stop)


def refused(error: Doc) -> Declined:
    """A request that Stripe did not act on. Its own words stay out of ours: they may repeat what was sent."""
    code = str(error.get("code") or "")
    if code == "resource_missing" and error.get("param") in ("payment_method", "customer"):
        return Declined(_C.METHOD_UNKNOWN, said=code)
    return Declined(REFUSALS.get(code, _C.REFUSED), said=code)

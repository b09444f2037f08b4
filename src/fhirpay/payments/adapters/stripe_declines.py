"""What Stripe's errors mean, as data: declines by `decline_code`, refusals by `code`, advice on trying again. Pure.

Called by stripe_wire.py alone. A code that isn't here is a plain decline: Stripe adds codes at any time. A person at
the desk is never told that a card was reported lost or stolen: that is between the bank and the cardholder.
"""

from __future__ import annotations

from typing import Any

from ..port import Declined, Reference

Doc = dict[str, Any]

_PLAIN = ("declined", "The card was declined by the bank.")
_LATER = ("try_later", "The bank could not be asked just now. Try again later.")
_OTHER = ("method_not_accepted", "This card can't be used for this payment. Another one is needed.")
_NUMBER = ("method_invalid", "The details of the card are not right. It has to be entered anew.")
_STOP = ("do_not_retry", "The card was declined, and the bank asks not to try it again.")

# decline_code (of the bank) or code (of the error) → our word and the sentence that the desk may read out.
DECLINES = {
    "insufficient_funds": ("insufficient_funds", "The card has insufficient funds."),
    "card_velocity_exceeded": ("over_limit", "The card's limit is exceeded."),
    "withdrawal_count_limit_exceeded": ("over_limit", "The card's limit is exceeded."),
    "expired_card": ("method_expired", "The card has expired."),
    "invalid_expiry_month": _NUMBER,
    "invalid_expiry_year": _NUMBER,
    "incorrect_number": _NUMBER,
    "invalid_number": _NUMBER,
    "incorrect_cvc": _NUMBER,
    "invalid_cvc": _NUMBER,
    "incorrect_zip": _NUMBER,
    "incorrect_address": _NUMBER,
    "card_not_supported": _OTHER,
    "currency_not_supported": _OTHER,
    "transaction_not_allowed": _OTHER,
    "service_not_allowed": _OTHER,
    "not_permitted": _OTHER,
    "issuer_not_available": _LATER,
    "processing_error": _LATER,
    "reenter_transaction": _LATER,
    "try_again_later": _LATER,
    "approve_with_id": _LATER,
    "duplicate_transaction": (
        "duplicate",
        "The bank has seen the same payment a moment ago. Look before trying again.",
    ),
    "payment_intent_authentication_failure": ("not_confirmed", "The payer did not confirm the payment."),
    # What says that this card is at its end here; read out as a plain decline.
    "do_not_try_again": _STOP,
    "invalid_account": _STOP,
    "new_account_information_available": _STOP,
    "no_action_taken": _STOP,
    "lost_card": _STOP,
    "stolen_card": _STOP,
    "pickup_card": _STOP,
    "restricted_card": _STOP,
    "revocation_of_all_authorizations": _STOP,
    "revocation_of_authorization": _STOP,
    "stop_payment_order": _STOP,
    "fraudulent": _STOP,
    "merchant_blacklist": _STOP,
}
# Our words after which the same method is not tried again, whatever the advice.
_ENDS = frozenset({_STOP[0], "method_expired"})

# Refusals of a request as such (type `invalid_request_error`): nothing was done, and asking again would not help.
REFUSALS = {
    "amount_too_small": ("amount_too_small", "The amount is smaller than what the processor takes."),
    "amount_too_large": ("amount_too_large", "The amount is larger than what the processor allows."),
    "charge_already_refunded": ("already_refunded", "The payment has been given back already."),
    "charge_disputed": ("disputed", "The payment is disputed: it can't be given back meanwhile."),
}


def declined(error: Doc, reference: Reference | None = None) -> Declined:
    """A card error: the bank's own code before the error's, and the advice on trying again."""
    code, reason = DECLINES.get(str(error.get("decline_code"))) or DECLINES.get(str(error.get("code"))) or _PLAIN
    again = code not in _ENDS and error.get("advice_code") != "do_not_try_again"
    return Declined(reason, code, reference, again=again)


def refused(error: Doc) -> Declined:
    """A request that Stripe did not act on. Its own words stay out of ours: they may repeat what was sent."""
    code = str(error.get("code") or "")
    if code == "resource_missing" and error.get("param") in ("payment_method", "customer"):
        return Declined("The stored method does not exist any more.", "method_unknown", again=False)
    ours, reason = REFUSALS.get(code, ("refused", f"The processor refused the request ({code or 'no code'})."))
    return Declined(reason, ours)

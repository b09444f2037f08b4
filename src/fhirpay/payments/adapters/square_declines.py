"""What Square's errors mean in our words: declines and refusals by `code`. Pure. Called by square_wire.py alone.

A code that isn't here is a plain decline or a plain refusal: Square adds codes at any time. Its `detail` stays out of
ours: it may repeat what was sent. Source: https://developer.squareup.com/reference/square/enums/ErrorCode
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..declines import DeclineCode
from ..port import ActionNeeded, Declined, Outcome, Reference

Doc = dict[str, Any]
_C = DeclineCode

# The code of an error of category PAYMENT_METHOD_ERROR → ours.
DECLINES: Mapping[str, DeclineCode] = {
    "INSUFFICIENT_FUNDS": _C.INSUFFICIENT_FUNDS,
    "GIFT_CARD_AVAILABLE_AMOUNT": _C.INSUFFICIENT_FUNDS,
    "TRANSACTION_LIMIT": _C.OVER_LIMIT,
    "AMOUNT_TOO_HIGH": _C.OVER_LIMIT,
    "VOICE_FAILURE": _C.CALL_BANK,
    "CARD_DECLINED_CALL_ISSUER": _C.CALL_BANK,
    "TEMPORARY_ERROR": _C.TRY_LATER,
    "CARD_EXPIRED": _C.METHOD_EXPIRED,
    "EXPIRATION_FAILURE": _C.DETAILS_INVALID,  # invalid, or expired: it isn't said which
    "BAD_EXPIRATION": _C.DETAILS_INVALID,
    "INVALID_EXPIRATION": _C.DETAILS_INVALID,
    "INVALID_EXPIRATION_YEAR": _C.DETAILS_INVALID,
    "INVALID_EXPIRATION_DATE": _C.DETAILS_INVALID,
    "CVV_FAILURE": _C.DETAILS_INVALID,
    "VERIFY_CVV_FAILURE": _C.DETAILS_INVALID,
    "ADDRESS_VERIFICATION_FAILURE": _C.DETAILS_INVALID,
    "VERIFY_AVS_FAILURE": _C.DETAILS_INVALID,
    "INVALID_POSTAL_CODE": _C.DETAILS_INVALID,
    "PAN_FAILURE": _C.METHOD_INVALID,
    "INVALID_CARD": _C.METHOD_INVALID,
    "INVALID_CARD_DATA": _C.METHOD_INVALID,
    "INVALID_ACCOUNT": _C.METHOD_INVALID,
    "INVALID_PIN": _C.PIN_INVALID,
    "MISSING_PIN": _C.PIN_INVALID,
    "ALLOWABLE_PIN_TRIES_EXCEEDED": _C.PIN_INVALID,
    "CARD_NOT_SUPPORTED": _C.METHOD_NOT_ACCEPTED,
    "UNSUPPORTED_CARD_BRAND": _C.METHOD_NOT_ACCEPTED,
    "UNSUPPORTED_ENTRY_METHOD": _C.METHOD_NOT_ACCEPTED,
    "UNSUPPORTED_INSTRUMENT_TYPE": _C.METHOD_NOT_ACCEPTED,
    "UNSUPPORTED_SOURCE_TYPE": _C.METHOD_NOT_ACCEPTED,
    "CARDHOLDER_INSUFFICIENT_PERMISSIONS": _C.METHOD_NOT_ACCEPTED,
    "CARD_PRESENCE_REQUIRED": _C.METHOD_NOT_ACCEPTED,
    "CHIP_INSERTION_REQUIRED": _C.METHOD_NOT_ACCEPTED,
    "MANUALLY_ENTERED_PAYMENT_NOT_SUPPORTED": _C.METHOD_NOT_ACCEPTED,
    "CURRENCY_MISMATCH": _C.CURRENCY_UNSUPPORTED,
    "CARD_TOKEN_EXPIRED": _C.METHOD_UNKNOWN,
    "CARD_TOKEN_USED": _C.METHOD_UNKNOWN,
    "SOURCE_EXPIRED": _C.METHOD_UNKNOWN,
    "SOURCE_USED": _C.METHOD_UNKNOWN,
    "PAYMENT_LIMIT_EXCEEDED": _C.AMOUNT_TOO_LARGE,
    "INSUFFICIENT_PERMISSIONS": _C.NOT_SET_UP,
    "INVALID_LOCATION": _C.NOT_SET_UP,
    "CARD_PROCESSING_NOT_ENABLED": _C.NOT_SET_UP,
}
# Refusals of a request as such: nothing was done, and asking again would not help.
REFUSALS: Mapping[str, DeclineCode] = {
    "INVALID_CARD": _C.METHOD_UNKNOWN,  # one on file that was disabled
    "CUSTOMER_NOT_FOUND": _C.METHOD_UNKNOWN,
    "VALUE_TOO_LOW": _C.AMOUNT_TOO_SMALL,
    "VALUE_TOO_HIGH": _C.AMOUNT_TOO_LARGE,
    "AMOUNT_TOO_HIGH": _C.AMOUNT_TOO_LARGE,
    "PAYMENT_LIMIT_EXCEEDED": _C.AMOUNT_TOO_LARGE,
    "UNSUPPORTED_CURRENCY": _C.CURRENCY_UNSUPPORTED,
    "CURRENCY_MISMATCH": _C.CURRENCY_UNSUPPORTED,
    "INVALID_LOCATION": _C.NOT_SET_UP,
    "CARD_PROCESSING_NOT_ENABLED": _C.NOT_SET_UP,
    "INSUFFICIENT_PERMISSIONS_FOR_REFUND": _C.NOT_SET_UP,
    "REFUND_AMOUNT_INVALID": _C.ALREADY_REFUNDED,
    "REFUND_ALREADY_PENDING": _C.REFUND_PENDING,
    "PAYMENT_NOT_REFUNDABLE": _C.NOT_REFUNDABLE,
    "REFUND_DECLINED": _C.NOT_REFUNDABLE,
    "RESERVATION_DECLINED": _C.NOT_REFUNDABLE,
    "REFUND_ERROR_PAYMENT_NEEDS_COMPLETION": _C.NOT_REFUNDABLE,
    "PAYMENT_NOT_REFUNDABLE_DUE_TO_DISPUTE": _C.DISPUTED,
}


def failed(errors: Sequence[Doc], reference: Reference | None) -> Outcome:
    """A payment that the bank or Square declined. Several errors may come: the first that we know speaks."""
    codes = [str(error.get("code") or "") for error in errors]
    if "CARD_DECLINED_VERIFICATION_REQUIRED" in codes:
        return ActionNeeded(reference=reference)
    said = next((code for code in codes if code in DECLINES), next(iter(codes), ""))
    return Declined.of(said, DECLINES, reference)


def refused(errors: Sequence[Doc]) -> Declined:
    """A request that Square did not act on."""
    said = next((str(error.get("code") or "") for error in errors), "")
    if said == "NOT_FOUND":  # whatever else isn't there is none of the payer's: square_wire.elsewhere
        return Declined(_C.METHOD_UNKNOWN, said=said)
    return Declined(REFUSALS.get(said, _C.REFUSED), said=said)

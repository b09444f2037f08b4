"""What Adyen's refusals mean in our words: `refusalReasonCode` of a payment, `errorCode` of a request. Pure.

Called by adyen_wire.py alone. A code that isn't here is a plain decline, or a plain refusal of the request.
Sources: https://docs.adyen.com/development-resources/refusal-reasons and …/error-codes
"""

from __future__ import annotations

from collections.abc import Mapping

from ..declines import DeclineCode

_C = DeclineCode

DECLINES: Mapping[str, DeclineCode] = {
    "2": _C.DECLINED,  # Refused
    "3": _C.CALL_BANK,  # Referral
    "4": _C.TRY_LATER,  # Acquirer Error
    "5": _C.DO_NOT_RETRY,  # Blocked Card
    "6": _C.METHOD_EXPIRED,  # Expired Card
    "7": _C.OVER_LIMIT,  # Invalid Amount
    "8": _C.METHOD_INVALID,  # Invalid Card Number
    "9": _C.TRY_LATER,  # Issuer Unavailable
    "10": _C.METHOD_NOT_ACCEPTED,  # Not supported
    "11": _C.NOT_CONFIRMED,  # 3D Not Authenticated
    "12": _C.INSUFFICIENT_FUNDS,  # Not enough balance
    "14": _C.DO_NOT_RETRY,  # Acquirer Fraud
    "15": _C.NOT_CONFIRMED,  # Cancelled
    "16": _C.NOT_CONFIRMED,  # Shopper Cancelled
    "17": _C.PIN_INVALID,  # Invalid Pin
    "18": _C.PIN_INVALID,  # Pin tries exceeded
    "19": _C.PIN_INVALID,  # Pin validation not possible
    "20": _C.DO_NOT_RETRY,  # FRAUD
    "21": _C.TRY_LATER,  # Not Submitted
    "22": _C.DO_NOT_RETRY,  # FRAUD-CANCELLED
    "23": _C.METHOD_NOT_ACCEPTED,  # Transaction Not Permitted
    "24": _C.DETAILS_INVALID,  # CVC Declined
    "25": _C.METHOD_NOT_ACCEPTED,  # Restricted Card
    "26": _C.STOPPED_BY_PAYER,  # Revocation Of Auth
    "27": _C.DECLINED,  # Declined Non Generic
    "28": _C.OVER_LIMIT,  # Withdrawal amount exceeded
    "29": _C.OVER_LIMIT,  # Withdrawal count exceeded
    "31": _C.DO_NOT_RETRY,  # Issuer Suspected Fraud
    "32": _C.DETAILS_INVALID,  # AVS Declined
    "33": _C.PIN_INVALID,  # Card requires online pin
    "42": _C.TRY_LATER,  # 3DS Authentication Error
}
CONFIRM = frozenset({"38"})  # Authentication required: the bank wants to ask the payer, who isn't there
# Requests that were not acted on, by errorCode. Not listed: plainly refused.
REFUSALS: Mapping[str, DeclineCode] = {
    "137": _C.REFUSED,  # Invalid amount specified
    "138": _C.CURRENCY_UNSUPPORTED,  # Unsupported currency specified
    "800": _C.METHOD_UNKNOWN,  # Contract not found
    "803": _C.METHOD_UNKNOWN,  # PaymentDetail not found
    "905": _C.NOT_SET_UP,  # Payment details are not supported
}
IN_PROGRESS = "704"  # the same key is being worked on: no refusal

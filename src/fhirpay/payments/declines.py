"""Why a payment was declined: one vocabulary for all processors, as data. port.py's `Declined` carries the code.

An adapter maps its processor's codes to `DeclineCode` (a mapping named `DECLINES`) and says nothing else of a decline:
what a person reads, and whether the method may be tried again, stands here once. To add a reason: a code and its row.

The desk is told what to do, the patient what to do, neither of them why a bank suspects something: that a card was
reported lost or stolen, or that a payment looks like fraud, is `do_not_retry` and reads like any other refusal.

Sources: ISO 8583 response codes as Visa and Mastercard publish them for merchants; Visa's decline response categories
(1: the issuer will never approve) and Mastercard's merchant advice codes (03, 21: do not try again).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class DeclineCode(StrEnum):
    """Our word for it: stable, shown by the API, kept with the payment."""

    DECLINED = "declined"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    OVER_LIMIT = "over_limit"
    CALL_BANK = "call_bank"
    TRY_LATER = "try_later"
    DUPLICATE = "duplicate"
    NOT_CONFIRMED = "not_confirmed"
    CONFIRMATION_NEEDED = "confirmation_needed"
    PIN_INVALID = "pin_invalid"
    DETAILS_INVALID = "details_invalid"
    METHOD_INVALID = "method_invalid"
    METHOD_EXPIRED = "method_expired"
    METHOD_CLOSED = "method_closed"
    METHOD_UNKNOWN = "method_unknown"
    METHOD_NOT_ACCEPTED = "method_not_accepted"
    CURRENCY_UNSUPPORTED = "currency_unsupported"
    STOPPED_BY_PAYER = "stopped_by_payer"
    DO_NOT_RETRY = "do_not_retry"
    AMOUNT_TOO_SMALL = "amount_too_small"
    AMOUNT_TOO_LARGE = "amount_too_large"
    NOT_SET_UP = "not_set_up"
    REFUSED = "refused"
    FAILED = "failed"  # accepted at first, came to nothing later: a bank debit, a refund
    CAPTURED = "captured"
    ALREADY_REFUNDED = "already_refunded"
    DISPUTED = "disputed"
    NOT_REFUNDABLE = "not_refundable"
    REFUND_PENDING = "refund_pending"
    NOT_SETTLED = "not_settled"
    READER_OFFLINE = "reader_offline"
    READER_BUSY = "reader_busy"
    READER_UNKNOWN = "reader_unknown"


class Advice(StrEnum):
    """What to do now."""

    RETRY_LATER = "retry_later"
    OTHER_METHOD = "other_method"
    UPDATE_CARD = "update_card"
    CALL_BANK = "call_bank"
    DO_NOT_RETRY = "do_not_retry"
    SEND_LINK = "send_link"
    LOOK_FIRST = "look_first"
    REFUND_INSTEAD = "refund_instead"
    CONTACT_US = "contact_us"  # whoever runs fhirpay, or the processor's support: nothing that the payer can mend


@dataclass(frozen=True, slots=True)
class Decline:
    """`hard`: the same method is never tried again for the same. `ends`: nor for anything else, so it is not kept."""

    code: DeclineCode
    hard: bool
    advice: Advice
    desk: str
    patient: str
    ends: bool = False


_C, _A = DeclineCode, Advice
_ANOTHER = "The payment did not go through. Please use another card or account."
_ENTER = "The payment did not go through. Please check the details, or use another card or account."
_LATER = "The payment did not go through. Please try again later."
_PRACTICE = "The payment could not be made. Please contact the practice."
_READER = "The card reader is not ready. Nothing was taken."

TABLE: Mapping[DeclineCode, Decline] = {
    row.code: row
    for row in (
        Decline(
            _C.DECLINED, False, _A.OTHER_METHOD, "The bank declined the payment. Another method may work.", _ANOTHER
        ),
        Decline(
            _C.INSUFFICIENT_FUNDS, False, _A.OTHER_METHOD, "There are insufficient funds for this amount.", _ANOTHER
        ),
        Decline(_C.OVER_LIMIT, False, _A.OTHER_METHOD, "The amount is over the method's limit for now.", _ANOTHER),
        Decline(
            _C.CALL_BANK,
            False,
            _A.CALL_BANK,
            "The bank wants to hear from the payer before it approves.",
            "The payment did not go through. Please call your bank, or use another card or account.",
        ),
        Decline(_C.TRY_LATER, False, _A.RETRY_LATER, "The bank could not be asked just now. Try again later.", _LATER),
        Decline(
            _C.DUPLICATE,
            False,
            _A.LOOK_FIRST,
            "The same payment was seen a moment ago. Look before trying again.",
            "This payment was seen a moment ago. Please check before you pay again.",
        ),
        Decline(
            _C.NOT_CONFIRMED,
            False,
            _A.OTHER_METHOD,
            "The payer did not confirm the payment.",
            "The payment was not confirmed. Please try again, or use another card or account.",
        ),
        Decline(
            _C.CONFIRMATION_NEEDED,
            False,
            _A.SEND_LINK,
            "The payer's bank wants the payer to confirm the payment: send a link.",
            "Your bank wants you to confirm this payment. Please pay on the page that you were sent.",
        ),
        Decline(_C.PIN_INVALID, False, _A.OTHER_METHOD, "The PIN was not right, or is needed.", _ENTER),
        Decline(
            _C.DETAILS_INVALID, False, _A.UPDATE_CARD, "The details entered are not right. Enter them anew.", _ENTER
        ),
        Decline(
            _C.METHOD_INVALID, True, _A.UPDATE_CARD, "The bank knows no such card or account. Enter it anew.", _ENTER
        ),
        Decline(
            _C.METHOD_EXPIRED, True, _A.UPDATE_CARD, "The method has expired: a new one is needed.", _ENTER, ends=True
        ),
        Decline(_C.METHOD_CLOSED, True, _A.UPDATE_CARD, "The card or account was closed.", _ANOTHER, ends=True),
        Decline(
            _C.METHOD_UNKNOWN,
            True,
            _A.UPDATE_CARD,
            "The stored method does not exist any more: a new one is needed.",
            _ANOTHER,
            ends=True,
        ),
        Decline(
            _C.METHOD_NOT_ACCEPTED,
            True,
            _A.OTHER_METHOD,
            "This method can't be used for this payment. Another one is needed.",
            _ANOTHER,
        ),
        Decline(_C.CURRENCY_UNSUPPORTED, True, _A.CONTACT_US, "This currency is not taken here.", _PRACTICE),
        Decline(
            _C.STOPPED_BY_PAYER,
            True,
            _A.DO_NOT_RETRY,
            "The payer has told the bank to stop these payments. Ask the payer.",
            "Your bank was told to stop these payments. Please contact the practice.",
            ends=True,
        ),
        Decline(
            _C.DO_NOT_RETRY,
            True,
            _A.DO_NOT_RETRY,
            "The bank declined the payment, and this method is not to be tried again.",
            _ANOTHER,
            ends=True,
        ),
        Decline(
            _C.AMOUNT_TOO_SMALL, True, _A.CONTACT_US, "The amount is smaller than what the processor takes.", _PRACTICE
        ),
        Decline(
            _C.AMOUNT_TOO_LARGE, True, _A.CONTACT_US, "The amount is larger than what the processor allows.", _PRACTICE
        ),
        Decline(
            _C.NOT_SET_UP,
            True,
            _A.CONTACT_US,
            "The practice's account at the processor is not set up for this payment.",
            _PRACTICE,
        ),
        Decline(_C.REFUSED, True, _A.CONTACT_US, "The processor refused the request as it was made.", _PRACTICE),
        Decline(_C.FAILED, False, _A.OTHER_METHOD, "It was accepted at first and failed later.", _ANOTHER),
        Decline(
            _C.CAPTURED,
            True,
            _A.REFUND_INSTEAD,
            "It has been captured: it can only be refunded.",
            "The payment has been made. Please contact the practice to have it given back.",
        ),
        Decline(_C.ALREADY_REFUNDED, True, _A.LOOK_FIRST, "The payment has been given back already.", _PRACTICE),
        Decline(
            _C.NOT_SETTLED,
            False,
            _A.RETRY_LATER,
            "The payment has not settled yet: it can be given back after that.",
            "The payment can be given back once it has settled. Please contact the practice.",
        ),
        Decline(
            _C.DISPUTED, True, _A.CONTACT_US, "The payment is disputed: it can't be given back meanwhile.", _PRACTICE
        ),
        Decline(
            _C.NOT_REFUNDABLE,
            True,
            _A.CONTACT_US,
            "The processor gives nothing more of this payment back: it has to be given back another way.",
            _PRACTICE,
        ),
        Decline(
            _C.REFUND_PENDING,
            False,
            _A.RETRY_LATER,
            "An earlier refund of the payment is still on its way. Ask again when it has ended.",
            _PRACTICE,
        ),
        Decline(
            _C.READER_OFFLINE,
            False,
            _A.RETRY_LATER,
            "The card reader can't be reached: see that it is on and has a network.",
            _READER,
        ),
        Decline(
            _C.READER_BUSY,
            False,
            _A.RETRY_LATER,
            "The card reader is busy with something else. Try again when it is free.",
            _READER,
        ),
        Decline(
            _C.READER_UNKNOWN,
            True,
            _A.CONTACT_US,
            "The processor knows no such card reader: its id in the configuration is wrong.",
            _READER,
        ),
    )
}

# What an issuer answered (ISO 8583 field 39), for processors that pass it on beside or in place of a code of their own.
# Not listed: plainly declined.
NETWORK: Mapping[str, DeclineCode] = {
    "01": _C.CALL_BANK,
    "02": _C.CALL_BANK,
    "03": _C.NOT_SET_UP,
    "04": _C.DO_NOT_RETRY,
    "05": _C.DECLINED,
    "07": _C.DO_NOT_RETRY,
    "12": _C.METHOD_NOT_ACCEPTED,
    "13": _C.REFUSED,
    "14": _C.METHOD_INVALID,
    "15": _C.METHOD_INVALID,
    "19": _C.TRY_LATER,
    "1A": _C.CONFIRMATION_NEEDED,
    "41": _C.DO_NOT_RETRY,
    "43": _C.DO_NOT_RETRY,
    "46": _C.METHOD_CLOSED,
    "51": _C.INSUFFICIENT_FUNDS,
    "54": _C.METHOD_EXPIRED,
    "55": _C.PIN_INVALID,
    "57": _C.METHOD_NOT_ACCEPTED,
    "58": _C.METHOD_NOT_ACCEPTED,
    "59": _C.DO_NOT_RETRY,
    "61": _C.OVER_LIMIT,
    "62": _C.METHOD_NOT_ACCEPTED,
    "63": _C.DO_NOT_RETRY,
    "65": _C.OVER_LIMIT,
    "70": _C.PIN_INVALID,
    "75": _C.PIN_INVALID,
    "78": _C.METHOD_INVALID,
    "82": _C.DETAILS_INVALID,
    "86": _C.PIN_INVALID,
    "91": _C.TRY_LATER,
    "94": _C.DUPLICATE,
    "96": _C.TRY_LATER,
    "N7": _C.DETAILS_INVALID,
    "R0": _C.STOPPED_BY_PAYER,
    "R1": _C.STOPPED_BY_PAYER,
    "R3": _C.STOPPED_BY_PAYER,
}
_BY_NAME = {str(code): row for code, row in TABLE.items()}
# The card network's advice beside an answer: this chain of tries ends here, whatever the answer was.
NETWORK_STOPS = frozenset({"03", "21"})
_READABLE = re.compile(r"[A-Za-z0-9 _./:-]{1,60}\Z")
_LONG_NUMBER = re.compile(r"(?:\d[ ./:_-]*){9,}")


def code_of(said: str, codes: Mapping[str, DeclineCode], *, stop: bool = False) -> DeclineCode:
    """Our code for a processor's, the plain one where it isn't listed. `stop`: bank or network forbid another try."""
    found = codes.get(said, DeclineCode.DECLINED)
    return DeclineCode.DO_NOT_RETRY if stop and not TABLE[found].ends else found


def as_it_came(said: str) -> str:
    """A processor's code, fit to be kept: no long sentence, no number that might be one of a card or account."""
    return said if _READABLE.match(said) and not _LONG_NUMBER.search(said) else ""


def find(code: str) -> Decline | None:
    """The row of a kept code; None for what is no decline: canceled, expired, no longer owed."""
    return _BY_NAME.get(code)

"""Refusals, in Authorize.Net's words (API reference, "API Response Codes"). A refusal of a whole request carries a code
`E…` and an HTTP 200; a transaction that isn't done says so in `transactionResponse.errors` beside E00027.
"""

from __future__ import annotations

from typing import Any

Doc = dict[str, Any]
OK = {"resultCode": "Ok", "message": [{"code": "I00001", "text": "Successful."}]}
_TEXTS = {
    "E00001": "An error occurred during processing. Please try again.",
    "E00003": "An error occurred while parsing the XML request.",
    "E00006": "The API user name is invalid or not present.",
    "E00007": "User authentication failed due to invalid authentication values.",
    "E00013": "The field is invalid.",
    "E00014": "A required field is not present.",
    "E00039": "A duplicate record already exists.",
    "E00040": "The record cannot be found.",
    "E00053": "The server is currently too busy, please try again later.",
}
# "Response Reason Codes": code → text. Their response code (2 declined, 3 error, 4 held) is said where they are used.
REASONS = {
    "1": "This transaction has been approved.",
    "2": "This transaction has been declined.",
    "4": "This transaction has been declined.",
    "5": "A valid amount is required.",
    "8": "The credit card has expired.",
    "11": "A duplicate transaction has been submitted.",
    "16": "The transaction cannot be found.",
    "27": "The transaction has been declined because of an AVS mismatch.",
    "39": "The supplied currency code is either invalid, not supported, not allowed for this merchant or doesn't have "
    "an exchange rate.",
    "47": "The amount requested for settlement cannot be greater than the original amount authorized.",
    "54": "The referenced transaction does not meet the criteria for issuing a credit.",
    "55": "The sum of credits against the referenced transaction would exceed original debit amount.",
    "251": "This transaction has been declined.",
    "252": "Your order has been received. Thank you for your business!",
    "253": "Your order has been received. Thank you for your business!",
    "310": "This transaction has already been voided.",
    "311": "This transaction has already been captured.",
}


class Refused(Exception):
    """A request that is not acted on."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(text or _TEXTS[code])
        self.code = code

    @property
    def body(self) -> Doc:
        return {"messages": {"resultCode": "Error", "message": [{"code": self.code, "text": str(self)}]}}


class NotDone(Exception):
    """A transaction that ends in an error (response code 3). `known` is what the answer names beside it."""

    def __init__(self, reason: str, **known: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason
        self.known = known

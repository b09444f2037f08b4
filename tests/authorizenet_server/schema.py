"""What a request may look like: the sequences of AnetApiSchema.xsd, as data. Raises E00003 as the schema's parser does.

JSON is read as the XML would be: a child that comes out of the order of its `xs:sequence` is an error, as is one that
the type hasn't got. Only the types that a practice's card payments need are here; another request is E00004's business.
A type is `(name, content, at least once)` in sequence; content is a type's name, a pattern, or `(least, most)` length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from .errors import Doc, Refused

_NS = "AnetApi/xml/v1/schema/AnetApiSchema.xsd"
Content = str | tuple[int, int]
Field = tuple[str, Content, bool]
TEXT: Content = (0, 100_000)
NUMERIC = "[0-9]+"  # numericString
DECIMAL, BOOLEAN, DATETIME = "decimal", "boolean", "dateTime"


def _opt(name: str, content: Content = TEXT) -> Field:
    return name, content, False


def _must(name: str, content: Content = TEXT) -> Field:
    return name, content, True


# ANetApiRequest
_REQUEST = (_must("merchantAuthentication", "merchantAuthenticationType"), _opt("clientId", (0, 30)))
_REQUEST = (*_REQUEST, _opt("refId", (0, 20)))
_SORTED = (_opt("sorting", "TransactionListSorting"), _opt("paging", "Paging"))
REQUESTS: Mapping[str, tuple[Field, ...]] = {
    "authenticateTestRequest": _REQUEST,
    "createTransactionRequest": (*_REQUEST, _must("transactionRequest", "transactionRequestType")),
    "getTransactionDetailsRequest": (*_REQUEST, _must("transId", NUMERIC)),
    "getUnsettledTransactionListRequest": (*_REQUEST, _opt("status", "any|pendingApproval"), *_SORTED),
    "getSettledBatchListRequest": (
        *_REQUEST,
        _opt("includeStatistics", BOOLEAN),
        _opt("firstSettlementDate", DATETIME),
        _opt("lastSettlementDate", DATETIME),
    ),
    "getMerchantDetailsRequest": _REQUEST,
    "getTransactionListRequest": (*_REQUEST, _opt("batchId", NUMERIC), *_SORTED),
    "getHostedPaymentPageRequest": (
        *_REQUEST,
        _must("transactionRequest", "transactionRequestType"),
        _opt("hostedPaymentSettings", "ArrayOfSetting"),
    ),
    "createCustomerProfileRequest": (
        *_REQUEST,
        _must("profile", "customerProfileType"),
        _opt("validationMode", "none|testMode|liveMode|oldLiveMode"),
    ),
    "getHostedProfilePageRequest": (
        *_REQUEST,
        _must("customerProfileId", NUMERIC),
        _opt("hostedProfileSettings", "ArrayOfSetting"),
    ),
    "getCustomerProfileRequest": (
        *_REQUEST,
        _opt("customerProfileId", NUMERIC),
        _opt("merchantCustomerId", (0, 20)),
        _opt("email"),
        _opt("unmaskExpirationDate", BOOLEAN),
        _opt("includeIssuerInfo", BOOLEAN),
    ),
    "getCustomerPaymentProfileRequest": (
        *_REQUEST,
        _must("customerProfileId", NUMERIC),
        _opt("customerPaymentProfileId", NUMERIC),
        _opt("unmaskExpirationDate", BOOLEAN),
        _opt("includeIssuerInfo", BOOLEAN),
    ),
    "deleteCustomerPaymentProfileRequest": (
        *_REQUEST,
        _must("customerProfileId", NUMERIC),
        _must("customerPaymentProfileId", NUMERIC),
    ),
    "updateHeldTransactionRequest": (*_REQUEST, _must("heldTransactionRequest", "heldTransactionRequestType")),
}
TYPES: Mapping[str, tuple[Field, ...]] = {
    "merchantAuthenticationType": (_opt("name", (0, 25)), _must("transactionKey", (0, 16))),
    "transactionRequestType": (
        _must("transactionType"),
        _opt("amount", DECIMAL),
        _opt("currencyCode"),
        _opt("payment", "paymentType"),
        _opt("profile", "customerProfilePaymentType"),
        _opt("solution", "solutionType"),
        _opt("terminalNumber"),
        _opt("authCode"),
        _opt("refTransId"),
        _opt("splitTenderId"),
        _opt("order", "orderType"),
        _opt("poNumber"),
        _opt("customer", "customerDataType"),
        _opt("customerIP"),
        _opt("transactionSettings", "ArrayOfSetting"),
        _opt("merchantDescriptor"),
        _opt("processingOptions", "processingOptions"),
        _opt("subsequentAuthInformation", "subsequentAuthInformation"),
    ),
    "solutionType": (_must("id"), _opt("name"), _opt("vendorName")),
    "paymentType": (_opt("creditCard", "creditCardType"), _opt("opaqueData", "opaqueDataType")),
    "creditCardType": (_must("cardNumber", (4, 16)), _must("expirationDate", (4, 7)), _opt("cardCode", NUMERIC)),
    "opaqueDataType": (_must("dataDescriptor"), _must("dataValue"), _opt("dataKey")),
    "customerProfilePaymentType": (
        _opt("createProfile", BOOLEAN),
        _opt("customerProfileId", NUMERIC),
        _opt("paymentProfile", "paymentProfile"),
        _opt("shippingProfileId", NUMERIC),
    ),
    "paymentProfile": (_must("paymentProfileId", NUMERIC), _opt("cardCode", NUMERIC)),
    "orderType": (_opt("invoiceNumber", (0, 20)), _opt("description", (0, 255))),
    "customerDataType": (_opt("type", "individual|business"), _opt("id", (0, 20)), _opt("email", (0, 255))),
    "processingOptions": tuple(
        _opt(name, BOOLEAN)
        for name in ("isFirstRecurringPayment", "isFirstSubsequentAuth", "isSubsequentAuth", "isStoredCredentials")
    ),
    "subsequentAuthInformation": (
        _opt("originalNetworkTransId", (0, 255)),
        _opt("originalAuthAmount", DECIMAL),
        _opt("reason", "resubmission|delayedCharge|reauthorization|noShow"),
    ),
    "ArrayOfSetting": (_opt("setting", "[]settingType"),),
    "settingType": (_opt("settingName"), _opt("settingValue")),
    "TransactionListSorting": (_must("orderBy", "id|submitTimeUTC"), _must("orderDescending", BOOLEAN)),
    "Paging": (_must("limit", "[1-9][0-9]{0,2}|1000"), _must("offset", "[1-9][0-9]{0,4}|100000")),
    "heldTransactionRequestType": (_must("action", "approve|decline"), _must("refTransId")),
    "customerProfileType": (
        _opt("merchantCustomerId", (0, 20)),
        _opt("description", (0, 255)),
        _opt("email", (0, 255)),
        _opt("paymentProfiles", "[]customerPaymentProfileType"),
        _opt("profileType", "regular|guest"),
    ),
    "customerPaymentProfileType": (
        _opt("customerType", "individual|business"),
        _opt("billTo", "customerAddressType"),
        _opt("payment", "paymentType"),
        _opt("defaultPaymentProfile", BOOLEAN),
    ),
    "customerAddressType": (
        *(_opt(name, (0, 50)) for name in ("firstName", "lastName", "company")),
        *(_opt(name, (0, 60)) for name in ("address", "city", "state", "zip", "country")),
        *(_opt(name, (0, 25)) for name in ("phoneNumber", "faxNumber")),
        _opt("email"),
    ),
}


def checked(root: str, body: Any) -> Doc:
    """The request, as it is, when the schema allows it. Raises Refused: E00003."""
    return _fields(root, REQUESTS[root], body)


def _fields(name: str, sequence: tuple[Field, ...], given: Any) -> Doc:
    if not isinstance(given, dict):
        raise _unreadable(f"The '{_NS}:{name}' element is invalid.")
    at = 0
    for child, value in given.items():
        places = [place for place, (known, _, _) in enumerate(sequence) if known == child]
        skipped = [known for known, _, must in sequence[at : places[0] if places else None] if must]
        if not places or places[0] < at or skipped:
            expected = ", ".join(known for known, _, _ in sequence[at:])
            raise _unreadable(
                f"The element '{name}' in namespace '{_NS}' has invalid child element '{child}' in namespace '{_NS}'. "
                f"List of possible elements expected: '{expected}' in namespace '{_NS}'."
            )
        at = places[0] + 1
        _content(child, sequence[places[0]][1], value)
    if missing := [known for known, _, must in sequence[at:] if must]:
        raise _unreadable(
            f"The element '{name}' in namespace '{_NS}' has incomplete content. List of possible elements expected: "
            f"'{missing[0]}' in namespace '{_NS}'."
        )
    return given


def _content(name: str, content: Content, value: Any) -> None:
    if isinstance(content, tuple):
        text = _text(name, value)
        if len(text) < content[0]:
            raise _datatype(name, text, "The actual length is less than the MinLength value.")
        if len(text) > content[1]:
            raise _datatype(name, text, "The actual length is greater than the MaxLength value.")
    elif content.startswith("[]"):
        for one in value if isinstance(value, list) else [value]:
            _fields(name, TYPES[content[2:]], one)
    elif content in TYPES:
        _fields(name, TYPES[content], value)
    elif not _fits(content, _text(name, value)):
        raise _datatype(name, str(value), f"The value is not one of {content}.")


def _fits(content: str, text: str) -> bool:
    if content == BOOLEAN:
        return text in ("true", "false", "1", "0")
    if content == DATETIME:
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", text))
    if content == DECIMAL:
        try:
            return Decimal(text).is_finite() and "e" not in text.lower()
        except InvalidOperation:
            return False
    return bool(re.fullmatch(content, text))


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float | Decimal):
        raise _datatype(name, str(value), "It is no simple type.")
    return str(value)


def _datatype(name: str, value: str, why: str) -> Refused:
    text = f"The '{_NS}:{name}' element is invalid - The value '{value}' is invalid according to its datatype. - {why}"
    return _unreadable(text)


def _unreadable(text: str) -> Refused:
    return Refused("E00003", text)

"""What a body or a query may hold: every field is named here, with its type and length, or it is refused.

API reference, ErrorCode: UNKNOWN_BODY_PARAMETER, UNKNOWN_QUERY_PARAMETER, MISSING_REQUIRED_PARAMETER, EXPECTED_…,
VALUE_TOO_LONG, VALUE_TOO_SHORT, VALUE_EMPTY, VALUE_TOO_LOW, VALUE_TOO_HIGH. Lengths are those of the OpenAPI file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .errors import invalid

Check = Callable[[Any, str], None]
_CURRENCY = re.compile(r"[A-Z]{3}\Z")
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?\Z")


def string(longest: int = 16384, shortest: int = 0) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise invalid("EXPECTED_STRING", "Expected a string value.", path)
        if shortest and not value:
            raise invalid("VALUE_EMPTY", "Field must not be blank", path)
        if len(value) > longest:
            raise invalid("VALUE_TOO_LONG", f"Field must not be greater than {longest} in length", path)

    return check


def url(value: Any, path: str) -> None:
    string(2048, 1)(value, path)
    if not re.match(r"https?://[^\s/]+", value):
        raise invalid("INVALID_VALUE", "The URL is not valid.", path)


def integer(value: Any, path: str) -> None:
    if type(value) is not int:
        raise invalid("EXPECTED_INTEGER", "Expected an integer value.", path)


def boolean(value: Any, path: str) -> None:
    if type(value) is not bool:
        raise invalid("EXPECTED_BOOLEAN", "Expected a boolean value.", path)


def money(value: Any, path: str) -> None:
    """API reference, Money: a whole number of the smallest denomination, and the currency in capitals."""
    obj({"amount": integer, "currency": string(3)}, ("amount", "currency"))(value, path)
    if not _CURRENCY.match(value["currency"]):
        raise invalid("INVALID_ENUM_VALUE", "Currency is not one of ISO 4217's.", f"{path}.currency")
    if value["amount"] < 1:
        raise invalid("VALUE_TOO_LOW", "The amount must be greater than zero.", f"{path}.amount")


def one_of(*allowed: str) -> Check:
    def check(value: Any, path: str) -> None:
        string()(value, path)
        if value not in allowed:
            raise invalid("INVALID_ENUM_VALUE", f"`{value}` is not a valid enum value.", path)

    return check


def array(of: Check, most: int = 500) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise invalid("EXPECTED_ARRAY", "Expected an array.", path)
        if len(value) > most:
            raise invalid("ARRAY_LENGTH_TOO_LONG", "The array has too many elements.", path)
        for number, item in enumerate(value):
            of(item, f"{path}[{number}]")

    return check


def obj(fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise invalid("EXPECTED_OBJECT" if path else "EXPECTED_JSON_BODY", "Expected an object.", path)
        for name, inner in value.items():
            where = f"{path}.{name}" if path else name
            if name not in fields:
                raise invalid("UNKNOWN_BODY_PARAMETER", f"Unrecognized field `{name}`.", where)
            if inner is not None:
                fields[name](inner, where)
        for name in required:
            if value.get(name) is None:
                where = f"{path}.{name}" if path else name
                raise invalid("MISSING_REQUIRED_PARAMETER", "Missing required parameter.", where)

    return check


def query(params: Mapping[str, str], allowed: tuple[str, ...]) -> None:
    for name in params:
        if name not in allowed:
            raise invalid("UNKNOWN_QUERY_PARAMETER", f"Unrecognized query parameter `{name}`.", name)


def seconds(duration: str, path: str) -> int:
    """Of a time duration in RFC 3339 format, such as P2DT12H30M15S."""
    found = _DURATION.match(duration)
    if not found or not any(found.groups()):
        raise invalid("INVALID_TIME", "The duration is not in RFC 3339 format.", path)
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


KEY = string(45, 1)  # CreatePayment, RefundPayment, CreateCard: 1 to 45 characters
LONG_KEY = string(192, 1)  # CreateOrder, PayOrder, CreatePaymentLink
LINE_ITEM = obj(
    {
        "uid": string(60),
        "name": string(512),
        "quantity": string(12, 1),
        "note": string(2000),
        "base_price_money": money,
    },
    ("quantity",),
)
ORDER = {
    "location_id": string(50, 1),
    "reference_id": string(40),
    "customer_id": string(191),
    "line_items": array(LINE_ITEM),
}

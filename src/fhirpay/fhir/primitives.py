"""How FHIR's primitive values may be written (FHIR R4 and R5, datatypes.html). Used by validation.py for every value.

`fault_of(kind)` says what is wrong with a value in words, or None. Each kind is one row: its JSON type and its format.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal

Test = Callable[[object], str | None]
_YEAR = r"([0-9]{4})"
_DATE = re.compile(rf"{_YEAR}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?\Z")
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_MOMENT = re.compile(rf"{_YEAR}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T{_TIME}{_ZONE}\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_STRING_MAX = 1_048_576  # characters: "not to exceed 1MB"


def _format(pattern: str, says: str) -> Callable[[str], str | None]:
    match = re.compile(pattern + r"\Z").match
    return lambda text: None if match(text) else says


def _string(text: str) -> str | None:
    if text.isprintable() and not text.isspace() and text and len(text) <= _STRING_MAX:  # nearly always
        return None
    if not text.strip():
        return "a text is left out rather than empty"
    if len(text) > _STRING_MAX:
        return "longer than 1 MB"
    return "holds a control character" if _CONTROL.search(text) else None


def _date(text: str) -> str | None:
    if not _DATE.match(text):
        return "not a date such as 2026-11-20, 2026-11 or 2026"
    return _calendar(text)


def _moment(text: str) -> str | None:
    if not _MOMENT.match(text):
        return "not a moment such as 2026-11-20T14:05:09-05:00"
    return _calendar(text[:10])


def _date_time(text: str) -> str | None:
    return _moment(text) if "T" in text else _date(text)


def _calendar(text: str) -> str | None:
    try:
        date.fromisoformat((text + "-01-01")[:10])
    except ValueError:
        return "not a day of the calendar"
    return None


def _integer64(text: str) -> str | None:
    """Of R5, whose JSON has it as a text (json.html): a number there loses digits in many programs."""
    if re.fullmatch(r"0|[-+]?[1-9][0-9]{0,18}", text) and -(2**63) <= int(text) < 2**63:
        return None
    return "not a whole number of 64 bits"


_TEXT: dict[str, Callable[[str], str | None]] = {
    "string": _string,
    "markdown": _string,
    "code": _format(r"[^\s]+(\s[^\s]+)*", "not a code: no spaces around it, one between words"),
    "id": _format(r"[A-Za-z0-9\-.]{1,64}", "not an id: 1 to 64 of A-Z, a-z, 0-9, '-' and '.'"),
    "uri": _format(r"\S+", "not a URI: it has no spaces"),
    "url": _format(r"\S+", "not a URL: it has no spaces"),
    "canonical": _format(r"\S+", "not a canonical URL: it has no spaces"),
    "oid": _format(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+", "not an OID such as urn:oid:1.2.3"),
    "uuid": _format(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "not a UUID such as urn:uuid:…"),
    "base64Binary": _format(r"[0-9A-Za-z+/\s]*={0,2}\s*", "not base64"),
    "date": _date,
    "dateTime": _date_time,
    "instant": _moment,
    "time": _format(_TIME, "not a time such as 14:05:09"),
    "integer64": _integer64,
    "xhtml": lambda text: None if text.lstrip().startswith("<div") else "not an XHTML <div>",
}


def _text(fault: Callable[[str], str | None]) -> Test:
    return lambda value: fault(value) if isinstance(value, str) else "not a text"


def _whole(least: int, most: int) -> Test:
    def test(value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return "not a whole number"
        return None if least <= value <= most else f"not between {least} and {most}"

    return test


def _number(value: object) -> str | None:
    return "not a number" if isinstance(value, bool) or not isinstance(value, int | Decimal) else None


_TESTS: dict[str, Test] = {
    "boolean": lambda value: None if isinstance(value, bool) else "not true or false",
    "integer": _whole(-(2**31), 2**31 - 1),
    "unsignedInt": _whole(0, 2**31 - 1),
    "positiveInt": _whole(1, 2**31 - 1),
    "decimal": _number,
    **{kind: _text(fault) for kind, fault in _TEXT.items()},
}


def fault_of(kind: str) -> Test:
    """What says of a value what is wrong with it as a FHIR `kind`, in words that finish "is …"; None: it is right."""
    return _TESTS[kind]


def fault(kind: str, value: object) -> str | None:
    """The same of one value."""
    return _TESTS[kind](value)

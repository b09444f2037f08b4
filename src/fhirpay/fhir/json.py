"""JSON whose numbers keep every written digit. Used wherever FHIR is read, kept or sent; there is no float here.

`loads` refuses what two parsers could read differently (a key twice, NaN, half a surrogate pair) or what can't be
stored (NUL), with the place of it. `dumps` writes a Decimal with its own digits: 125.00 stays 125.00. `reread` takes
what `dumps` wrote, where there is nothing left to refuse.
To change a limit, change the constant; the tests name each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from ..errors import MessageInvalid, ValueInvalid

DEPTH_MAX = 64  # objects and lists inside each other; FHIR in the wild stays under 20
NUMBER_LENGTH_MAX = 100  # characters of one number
EXPONENT_MAX = 40  # 1e41 and beyond is no amount, quantity or factor

_SURROGATE = re.compile("[\ud800-\udfff]")
# Text that may hold a NUL or half a pair: worth the walk that finds out where.
_SUSPECT = re.compile("\\\\u(?:0000|[dD][89a-fA-F])|[\x00\ud800-\udfff]")


class _Twice(dict[str, Any]):
    """An object that named `key` more than once; the walk that comes across it knows where it is."""

    def __init__(self, key: str, content: dict[str, Any]) -> None:
        super().__init__(content)
        self.key = key


class _Doubled(Exception):
    """An object named a key more than once."""


def loads(text: str | bytes | bytearray) -> dict[str, Any]:
    """The JSON object in `text`. Raises MessageInvalid with a line and column, or with the element's address."""
    if not isinstance(text, str):
        try:
            text = bytes(text).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise MessageInvalid("the body is not UTF-8", location=f"byte {error.start + 1}") from None
    doubled = False
    try:
        try:
            found = _STRICT.decode(text)
        except _Doubled:
            doubled, found = True, _MARKING.decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise MessageInvalid(f"the body is not JSON: {error.msg}", location=place) from None
    except RecursionError:
        raise MessageInvalid(f"more than {DEPTH_MAX} levels of nesting") from None
    if not isinstance(found, dict):
        raise MessageInvalid("the body is not a JSON object")
    if doubled or _SUSPECT.search(text) or _too_deep(text, found):
        _refuse(found)
    return found


def reread(text: str) -> dict[str, Any]:
    """The object that `dumps` wrote as `text`."""
    return _OWN.decode(text)


def dumps(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """`value` as JSON text, compact unless `indent`. With `sort_keys` the same content gives the same text."""
    parts: list[str] = []
    _write(parts.append, value, indent, sort_keys, "\n" if indent is not None else "")
    return "".join(parts)


def _decimal(text: str) -> Decimal:
    number = Decimal(text) if len(text) <= NUMBER_LENGTH_MAX else None
    if number is None or abs(number.adjusted()) > EXPONENT_MAX:
        raise ValueInvalid(f"the number {text[:20]}… is too long or too large")
    return number


def _integer(text: str) -> int | Decimal:
    if len(text) > NUMBER_LENGTH_MAX:
        raise ValueInvalid(f"the number {text[:20]}… is too long")
    return Decimal(text) if text == "-0" else int(text)


def _constant(text: str) -> Any:
    raise ValueInvalid(f"{text} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Doubled
    return found


def _marked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    return _Twice(next(key for key, _ in pairs if key in seen or seen.add(key)), found)


_NUMBERS: dict[str, Any] = {"parse_float": _decimal, "parse_int": _integer, "parse_constant": _constant}
_STRICT = json.JSONDecoder(**_NUMBERS, object_pairs_hook=_unique)
_MARKING = json.JSONDecoder(**_NUMBERS, object_pairs_hook=_marked)
_OWN = json.JSONDecoder(**_NUMBERS)


def _too_deep(text: str, root: dict[str, Any]) -> bool:
    if text.count("{") + text.count("[") <= DEPTH_MAX:
        return False
    level: list[Any] = [root]
    for _ in range(DEPTH_MAX):
        inner = (one for outer in level for one in (outer.values() if isinstance(outer, dict) else outer))
        level = [one for one in inner if isinstance(one, dict | list)]
        if not level:
            return False
    return True


def _refuse(root: dict[str, Any]) -> None:
    """Raises for what a parser lets through and we don't, with its address. Not recursive: it measures depth."""
    waiting: list[tuple[str, Any, int]] = [(str(root.get("resourceType", "")), root, 1)]
    while waiting:
        at, value, depth = waiting.pop()
        if isinstance(value, str):
            if "\x00" in value:
                raise ValueInvalid("the character U+0000 can't be stored", location=_place(at))
            if _SURROGATE.search(value):
                raise ValueInvalid("half of a surrogate pair is no character", location=_place(at))
            continue
        if depth > DEPTH_MAX:
            raise MessageInvalid(f"more than {DEPTH_MAX} levels of nesting", location=_place(at))
        if isinstance(value, _Twice):
            raise MessageInvalid(
                f"'{value.key[:60]}' is stated twice in one object", location=_place(_child(at, value.key))
            )
        if isinstance(value, dict):
            for key, inner in value.items():
                if "\x00" in key or _SURROGATE.search(key):
                    raise ValueInvalid("a name holds a character that can't be stored", location=_place(at))
                if isinstance(inner, str | dict | list):
                    waiting.append((_child(at, key), inner, depth + 1))
        elif isinstance(value, list):
            waiting.extend(
                (f"{at}[{i}]", inner, depth + 1)
                for i, inner in enumerate(value)
                if isinstance(inner, str | dict | list)
            )


def _place(at: str) -> str | None:
    """An address that somebody can read; a longer one says nothing."""
    return at if 0 < len(at) <= 300 else None


def _child(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _write(put: Callable[[str], None], value: Any, indent: int | None, sort_keys: bool, newline: str) -> None:
    if isinstance(value, str):
        put(encode_basestring(value))
    elif value is None:
        put("null")
    elif isinstance(value, bool):
        put("true" if value else "false")
    elif isinstance(value, int):
        put(str(value))
    elif isinstance(value, Decimal):
        if not value.is_finite():
            raise TypeError("a JSON number is finite")
        put(f"{value:f}")
    elif isinstance(value, dict):
        inner = newline + " " * (indent or 0)
        items = sorted(value.items()) if sort_keys else value.items()
        separator, opening = "{" + inner, ": " if indent is not None else ":"
        for key, one in items:
            put(f"{separator}{encode_basestring(key)}{opening}")
            _write(put, one, indent, sort_keys, inner)
            separator = "," + inner
        put(newline + "}" if value else "{}")
    elif isinstance(value, list | tuple):
        inner = newline + " " * (indent or 0)
        separator = "[" + inner
        for one in value:
            put(separator)
            _write(put, one, indent, sort_keys, inner)
            separator = "," + inner
        put(newline + "]" if value else "[]")
    else:
        raise TypeError(f"{type(value).__name__} has no exact JSON form")

"""What comes in: form encoding with brackets, and a strict reading of it (API reference, Introduction and Errors).

A `Form` names each parameter that the page of an endpoint lists. An unknown one, a missing one, a wrong type: 400 with
the code and the parameter, as Stripe's error codes say. `unmodelled` are documented, and nothing here acts on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from .errors import Doc, limit, unreadable

Kind = Callable[[Any, str], Any]
_PART = re.compile(r"\[([^\[\]]*)\]")
_INTEGER = re.compile(r"-?\d{1,15}\Z")


def parse(text: str) -> Doc:
    """`a[b][]=1&a[b][]=2&c=3` → `{"a": {"b": ["1", "2"]}, "c": "3"}`; indexed arrays stay mappings until read."""
    tree: Doc = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, bracket, _ = name.partition("[")
        path = [head, *_PART.findall(name[len(head) :])] if bracket else [name]
        node: Any = tree
        for step, following in zip(path, [*path[1:], None], strict=True):
            if following is None:
                if isinstance(node, list):
                    node.append(value)
                else:
                    node[step] = value
                break
            fresh: Any = [] if following == "" else {}
            node = node.setdefault(step, fresh) if isinstance(node, dict) else node
            if not isinstance(node, dict | list):
                raise unreadable(f"Invalid request: {name} is given in two shapes", param=name)
    return tree


# ── kinds of values ───────────────────────────────────────────────────────────────────────────────────────────────


def integer(least: int | None = None, most: int | None = None) -> Kind:
    def read(raw: Any, param: str) -> int:
        # Error codes: parameter_invalid_integer
        if not isinstance(raw, str) or not _INTEGER.match(raw):
            raise unreadable(f"Invalid integer: {raw}", code="parameter_invalid_integer", param=param)
        value = int(raw)
        if least is not None and value < least:
            message = f"This value must be greater than or equal to {least}."
            raise unreadable(message, code="parameter_invalid_integer", param=param)
        if most is not None and value > most:
            message = f"This value must be less than or equal to {most} (it currently is '{value}')."
            raise unreadable(message, code="parameter_invalid_integer", param=param)
        return value

    return read


def string(most: int = 5000, *, may_be_empty: bool = False) -> Kind:
    def read(raw: Any, param: str) -> str:
        if not isinstance(raw, str):
            raise unreadable(f"Invalid string: {raw}", param=param)
        if not raw and not may_be_empty:
            # Error codes: parameter_invalid_empty
            message = (
                f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset a field; "
                f"however '{param}' cannot be unset. You should remove '{param}' from your request or supply a "
                "non-empty value."
            )
            raise unreadable(message, code="parameter_invalid_empty", param=param)
        if len(raw) > most:
            raise unreadable(f"Invalid string: {raw[:20]}…; must be at most {most} characters", param=param)
        return raw

    return read


def boolean(raw: Any, param: str) -> bool:
    if raw not in ("true", "false"):
        raise unreadable(f"Invalid boolean: {raw}", param=param)
    return raw == "true"


def one_of(*values: str) -> Kind:
    def read(raw: Any, param: str) -> str:
        if raw not in values:
            raise unreadable(f"Invalid {param}: must be one of {', '.join(values)}", param=param)
        return raw

    return read


def array(kind: Kind, most: int = 100) -> Kind:
    def read(raw: Any, param: str) -> list[Any]:
        if isinstance(raw, dict) and all(str(key).isdigit() for key in raw):
            raw = [raw[key] for key in sorted(raw, key=int)]
        if not isinstance(raw, list) or len(raw) > most:
            raise unreadable("Invalid array", param=param)
        return [kind(item, f"{param}[{index}]") for index, item in enumerate(raw)]

    return read


def hash_of(form: Form) -> Kind:
    def read(raw: Any, param: str) -> Doc:
        if not isinstance(raw, dict):
            raise unreadable("Invalid object", param=param)
        return form.read(raw, inside=param)

    return read


def metadata(raw: Any, param: str) -> dict[str, str]:
    """Metadata: at most 50 keys, names up to 40 characters, values up to 500 characters."""
    if raw == "":
        return {}
    if not isinstance(raw, dict):
        raise unreadable("Invalid metadata: metadata must be a hash", param=param)
    if len(raw) > 50:
        raise unreadable("You can have up to 50 metadata keys.", param=param)
    for key, value in raw.items():
        if not isinstance(value, str):
            raise unreadable("Metadata values must be strings.", param=f"{param}[{key}]")
        if len(key) > 40:
            raise unreadable(f"Metadata keys can have up to 40 characters: {key}", param=f"{param}[{key}]")
        if len(value) > 500:
            message = f"Metadata values can have up to 500 characters, but you passed in one of {len(value)}."
            raise unreadable(message, param=f"{param}[{key}]")
    return dict(raw)


def currency(raw: Any, param: str) -> str:
    """API reference, Create a PaymentIntent: three-letter ISO currency code, in lowercase, a supported one."""
    if raw not in MINIMUM:
        raise unreadable(f"Invalid currency: {raw}. Supported here: {', '.join(MINIMUM)}", param=param)
    return raw


# Currencies, Minimum and maximum charge amounts: what a charge must at least be, in the smallest unit.
MINIMUM = {"usd": 50, "eur": 50, "gbp": 30, "cad": 50, "aud": 50, "jpy": 50, "chf": 50}
MOST = 99_999_999  # API reference, Create a PaymentIntent: amount supports up to eight digits


def amount(raw: Any, param: str) -> int:
    return integer(1)(raw, param)


CREATED = ("gt", "gte", "lt", "lte")


def created(raw: Any, param: str) -> Doc:
    """API reference, lists: `created` is a timestamp or an interval of gt, gte, lt, lte."""
    if isinstance(raw, dict):
        return Form(dict.fromkeys(CREATED, integer())).read(raw, inside=param)
    return {"gte": integer()(raw, param), "lte": integer()(raw, param)}


# ── forms ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Form:
    fields: Mapping[str, Kind]
    required: tuple[str, ...] = ()
    unmodelled: frozenset[str] = field(default_factory=frozenset)

    def read(self, given: Doc, *, inside: str = "") -> Doc:
        def name(key: str) -> str:
            return f"{inside}[{key}]" if inside else key

        # Error codes: parameter_unknown
        if unknown := [name(key) for key in given if key not in self.fields and key not in self.unmodelled]:
            words = f"Received unknown parameter{'s' if len(unknown) > 1 else ''}: {', '.join(unknown)}"
            raise unreadable(words, code="parameter_unknown", param=unknown[0])
        # Error codes: parameter_missing
        for key in self.required:
            if key not in given:
                raise unreadable(f"Missing required param: {name(key)}.", code="parameter_missing", param=name(key))
        for key in given:
            if key in self.unmodelled:
                raise limit(name(key))
        return {key: self.fields[key](raw, name(key)) for key, raw in given.items()}


EXPAND = array(string())
PAGE: dict[str, Kind] = {  # API reference, Pagination: limit between 1 and 100
    "limit": integer(1, 100),
    "starting_after": string(),
    "ending_before": string(),
    "created": created,
    "expand": EXPAND,
}

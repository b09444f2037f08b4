"""How values in a FHIR search are written: lists, escapes, tokens, references, moments (FHIR R4, search.html).

Used by search.py alone. Pure: text in, clauses out; what SQL a clause becomes is the clause's own business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select

from ..db.types import fitted
from ..db.unit import Tx
from ..errors import MessageUnsupported, ValueInvalid
from .models import structure_of
from .moments import as_text, span
from .params import Param, index_rows, plain_reference
from .store import Stored, indexed, resources

VALUES_MAX = 100  # alternatives in one parameter
_PIECE = re.compile(r"\\.|.", re.DOTALL)  # an escaped character, or a character
_ESCAPED = re.compile(r"\\(.)")

Token = tuple[str | None, str | None]  # system, value; None: any
Span = tuple[str, datetime, datetime]  # prefix, start, end (exclusive)


class SearchUnsupported(MessageUnsupported):
    """A parameter or modifier that we don't have: 400, as search.html asks of a server that is strict."""

    http_status = 400


@dataclass(frozen=True, slots=True)
class InIndex:
    """The index has one of `tokens` under `param`."""

    param: str
    tokens: tuple[Token, ...]

    def condition(self, tx: Tx, resource_type: str) -> ColumnElement[bool]:
        alternatives = []
        for system, value in self.tokens:
            parts: list[ColumnElement[bool]] = []
            if value is not None:
                parts.append(indexed.c.value == fitted(value))
            if system is not None:
                parts.append(indexed.c.system == fitted(system))
            alternatives.append(and_(*parts))
        found = select(indexed.c.resource_id).where(
            indexed.c.tenant_id == tx.tenant,
            indexed.c.type == resource_type,
            indexed.c.param == self.param,
            or_(*alternatives),
        )
        return resources.c.resource_id.in_(found)

    def met_by(self, one: Stored) -> bool:
        """The same said of a resource in hand."""
        held = {(system, value) for param, system, value in index_rows(one.resource) if param == self.param}
        return any(
            (system is None or fitted(system) == s) and (value is None or fitted(value) == v)
            for system, value in self.tokens
            for s, v in held
        )


@dataclass(frozen=True, slots=True)
class HasId:
    """The resource has one of these ids."""

    ids: tuple[str, ...]

    def condition(self, tx: Tx, resource_type: str) -> ColumnElement[bool]:
        return resources.c.resource_id.in_(self.ids)

    def met_by(self, one: Stored) -> bool:
        return one.id in self.ids


@dataclass(frozen=True, slots=True)
class Updated:
    """lastUpdated stands in one of these relations to a span of time."""

    spans: tuple[Span, ...]

    def condition(self, tx: Tx, resource_type: str) -> ColumnElement[bool]:
        return self.within(resources.c.updated)

    def within(self, column: ColumnElement[datetime]) -> ColumnElement[bool]:
        return or_(*(_related(column, *one) for one in self.spans))

    def met_by(self, one: Stored) -> bool:
        return any(_relates(one.updated, *span) for span in self.spans)


@dataclass(frozen=True, slots=True)
class Moment:
    """A date of the resource, as the index has it, stands in one of these relations to a span of time."""

    param: str
    spans: tuple[Span, ...]

    def condition(self, tx: Tx, resource_type: str) -> ColumnElement[bool]:
        value = indexed.c.value
        found = select(indexed.c.resource_id).where(
            indexed.c.tenant_id == tx.tenant,
            indexed.c.type == resource_type,
            indexed.c.param == self.param,
            or_(*(_related(value, prefix, as_text(start), as_text(end)) for prefix, start, end in self.spans)),
        )
        return resources.c.resource_id.in_(found)

    def met_by(self, one: Stored) -> bool:
        held = [value for param, _, value in index_rows(one.resource) if param == self.param]
        return any(
            _relates(value, prefix, as_text(start), as_text(end)) for value in held for prefix, start, end in self.spans
        )


def _related(column: ColumnElement[Any], prefix: str, start: Any, end: Any) -> ColumnElement[bool]:
    relations = {
        "eq": and_(column >= start, column < end),
        "ne": or_(column < start, column >= end),
        "gt": column >= end,
        "sa": column >= end,
        "ge": column >= start,
        "lt": column < start,
        "eb": column < start,
        "le": column < end,
    }
    return relations[prefix]


def _relates(at: Any, prefix: str, start: Any, end: Any) -> bool:
    relations = {
        "eq": start <= at < end,
        "ne": not start <= at < end,
        "gt": at >= end,
        "sa": at >= end,
        "ge": at >= start,
        "lt": at < start,
        "eb": at < start,
        "le": at < end,
    }
    return relations[prefix]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The resource meets every clause of one of these alternatives."""

    alternatives: tuple[tuple[Clause, ...], ...]

    def condition(self, tx: Tx, resource_type: str) -> ColumnElement[bool]:
        return or_(*(and_(*(one.condition(tx, resource_type) for one in every)) for every in self.alternatives))

    def met_by(self, one: Stored) -> bool:
        return any(all(clause.met_by(one) for clause in every) for every in self.alternatives)


Clause = InIndex | HasId | Updated | Moment | AnyOf


def parameter(name: str) -> tuple[str, str]:
    """How a parameter's name may be shown in an error, and the address of it."""
    if re.fullmatch(r"[A-Za-z_.\-]{1,40}", name):
        return name, f"http.{name}"
    return "that name", "http"


def split(name: str, value: str) -> list[str]:
    """The parts between commas that aren't escaped; escapes stay. Raises ValueInvalid for an empty part."""
    pieces: list[list[str]] = [[]]
    for piece in _PIECE.findall(value):
        if piece == ",":
            pieces.append([])
        else:
            pieces[-1].append(piece)
    parts = ["".join(one) for one in pieces]
    if not all(parts) or len(parts) > VALUES_MAX:
        raise ValueInvalid(f"{name} needs one to {VALUES_MAX} values", location=f"http.{name}")
    return parts


def plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def tokens(name: str, value: str) -> tuple[Token, ...]:
    """`value` of any system, `system|value`, `|value` without a system, `system|` with any value."""
    read: list[Token] = []
    for part in split(name, value):
        match = re.match(r"((?:\\.|[^|\\])*)\|(.*)\Z", part, re.DOTALL)
        if match is None:
            read.append((None, plain(part)))
        elif match[1] or match[2]:
            read.append((plain(match[1]), plain(match[2]) or None))
        else:
            raise ValueInvalid("a token is value, system|value, |value or system|", location=f"http.{name}")
    return tuple(read)


def references(
    resource_type: str, name: str, param: Param, value: str, *, only: str, base_url: str
) -> tuple[Token, ...]:
    """`Type/id`, an absolute URL (ours is shortened), or an id of any type that the element may name."""
    read: list[Token] = []
    for part in split(name, value):
        literal = plain_reference(plain(part).removeprefix(f"{base_url}/") if base_url else plain(part))
        if "/" in literal or ":" in literal:
            read.append(("", literal))
        else:
            read += [("", f"{target}/{literal}") for target in sorted(_targets(resource_type, param, only))]
    return tuple(read)


def updated(name: str, value: str) -> Updated:
    """As `moments`, of lastUpdated."""
    return Updated(moments(name, value))


def moments(name: str, value: str) -> tuple[Span, ...]:
    """A date or a moment with a prefix, as precise as it is written: `ge2026-11-20`, `2026-11-20T14:05Z`."""
    spans = []
    for part in split(name, value):
        prefix, rest = (part[:2], part[2:]) if part[:1].isalpha() else ("eq", part)
        if prefix not in ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"):
            raise SearchUnsupported(f"no prefix '{prefix}' here", location=f"http.{name}")
        try:
            spans.append((prefix, *span(rest)))
        except (ValueError, OverflowError):
            raise ValueInvalid("not a date such as ge2026-11-20", location=f"http.{name}") from None
    return tuple(spans)


def _targets(resource_type: str, param: Param, only: str) -> frozenset[str]:
    if only or param.only:
        return frozenset({only or param.only})
    structure: dict[str, Any] = structure_of(resource_type) or {}
    element = structure.get(param.path)
    return element.targets if element is not None else frozenset({resource_type})

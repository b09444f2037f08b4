"""`_include`: what the matches of a search name, beside them in the same page (FHIR R4, search.html#include).

Called by search.py. Each public reference parameter can be followed, one step: no `:iterate`, no `_revinclude`, no `*`.
What isn't kept here, or is named by an identifier alone, has nothing to show.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..db.unit import Tx
from ..errors import TooLarge
from .params import PARAMS, TYPES, index_rows
from .search_values import SearchUnsupported
from .store import Stored, several

INCLUDED_MAX = 1_000  # in a page, whose matches are at most 200
_LITERAL = re.compile(r"([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})\Z")


@dataclass(frozen=True, slots=True)
class Include:
    """Follow `param`; with `target` only to resources of that type."""

    param: str
    target: str = ""


def followed(resource_type: str) -> tuple[str, ...]:
    """The parameters that can be followed from a type."""
    return tuple(name for name, param in PARAMS[resource_type].items() if param.public and param.kind == "reference")


def parse(resource_type: str, value: str) -> Include:
    """`ChargeItem:account`, `ChargeItem:subject:Patient`. Raises SearchUnsupported at `http._include`."""
    source, _, rest = value.partition(":")
    param, _, target = rest.partition(":")
    if source != resource_type or param not in followed(resource_type):
        there = ", ".join(f"{resource_type}:{name}" for name in followed(resource_type))
        raise SearchUnsupported(f"what can be included here: {there}", location="http._include")
    if target and target not in TYPES:
        raise SearchUnsupported("resources of this type are not kept here", location="http._include")
    return Include(param, target)


def run(tx: Tx, matches: Sequence[Stored], includes: Iterable[Include]) -> list[Stored]:
    """What the matches name, each once, by type and id; nothing that is a match itself. Raises TooLarge."""
    wanted: dict[str, set[str]] = {}
    asked = frozenset(includes)
    for resource in matches:
        for param, _, reference in index_rows(resource.resource):
            found = _LITERAL.match(reference)
            if found and found[1] in TYPES and asked & {Include(param), Include(param, found[1])}:
                wanted.setdefault(found[1], set()).add(found[2])
    for match in matches:
        wanted.get(match.type, set()).discard(match.id)
    if sum(map(len, wanted.values())) > INCLUDED_MAX:
        says = f"more than {INCLUDED_MAX} resources to include: ask for a smaller page by _count"
        raise TooLarge(says, location="http._include")
    return [one for kind in sorted(wanted) for one in several(tx, kind, wanted[kind])]

"""References made real: `urn:uuid` inside a Bundle, a condition, an identifier. Called before a resource is stored,
by bundles.py and the FHIR server.

A reference to something that isn't here yet is kept as it is: charges come before their patients, and order of
arrival must not matter. Only what can never become real is refused: a `urn:uuid` that no entry has, a condition that
nothing meets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..db.unit import Tx
from ..errors import MessageInvalid, PreconditionFailed, TooLarge
from . import replaced
from .conditional import criteria, match
from .models import references
from .params import PARAMS

LOOKED_UP_MAX = 1_000  # references of one resource by an identifier or a condition: each is looked for in the unit


@dataclass(frozen=True, slots=True)
class Known:
    """What the entries of this Bundle will be: by fullUrl, and by (type, system, value) of their identifiers."""

    urls: Mapping[str, str] = field(default_factory=dict)
    identifiers: Mapping[tuple[str, str, str], str] = field(default_factory=dict)


def resolved(tx: Tx, resource: dict[str, Any], known: Known | None = None, *, root: str = "") -> dict[str, Any]:
    """A copy of `resource` whose references are literal where they can be. Raises at the address of one that can't.

    `root` is what relative references stand under in its Bundle (FHIR R4, bundle.html#references).
    """
    known = known or Known()
    resource, named, logical = _copied(resource)
    _few_enough(resource, named, logical)
    for reference in named:
        literal = reference["reference"]
        if literal in known.urls:
            reference["reference"] = known.urls[literal]
        elif root and root + literal in known.urls:
            reference["reference"] = known.urls[root + literal]
        elif literal.startswith("urn:uuid:"):
            raise MessageInvalid("no entry has this fullUrl", location=_address(resource, reference))
        elif _is_condition(literal):
            reference["reference"] = _conditional(tx, literal, _address(resource, reference))
    for _, reference, targets in references(resource) if logical else ():
        if "reference" not in reference:
            _logical(tx, reference, targets, known)
            if "reference" in reference:
                named.append(reference)
    _to_survivors(tx, resource, named)
    return resource


def _copied(resource: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]], bool]:
    """A copy, what in it names another resource, and whether something may name one by its identifier alone.

    In one pass, and without addresses: every resource comes by here, and hardly any has something to say about one.
    """
    named: list[dict[str, Any]] = []
    logical = False

    def copied(value: Any) -> Any:
        nonlocal logical
        if isinstance(value, dict):
            made = {key: copied(one) if isinstance(one, dict | list) else one for key, one in value.items()}
            if isinstance(made.get("reference"), str):
                named.append(made)
            elif isinstance(made.get("identifier"), dict):
                logical = True
            return made
        return [copied(one) if isinstance(one, dict | list) else one for one in value]

    return copied(resource), named, logical


def _few_enough(resource: dict[str, Any], named: list[dict[str, Any]], logical: bool) -> None:
    """Raises TooLarge for more than the writer can be kept with: nobody else's message would be stored meanwhile."""
    count = sum(_is_condition(one["reference"]) for one in named)
    count += sum("reference" not in one for _, one, _ in references(resource)) if logical else 0
    if count > LOOKED_UP_MAX:
        says = f"at most {LOOKED_UP_MAX} references by an identifier or a condition, and these are {count}"
        raise TooLarge(says, location=str(resource["resourceType"]))


def _to_survivors(tx: Tx, resource: dict[str, Any], named: list[dict[str, Any]]) -> None:
    """What names one that was merged into another means that other. Links between the two of them stay."""
    links = {id(one) for one in _named(resource.get("link"))} if resource["resourceType"] == "Patient" else set[int]()
    named = [one for one in named if one["reference"].partition("/")[0] in replaced.TYPES and id(one) not in links]
    ends = replaced.survivors(tx, {reference["reference"] for reference in named})
    for reference in named:
        reference["reference"] = ends[reference["reference"]]


def _address(resource: dict[str, Any], reference: dict[str, Any]) -> str:
    places = _literal(str(resource["resourceType"]), resource)
    return next(f"{address}.reference" for address, one in places if one is reference)


def conditions(resource: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Every reference by a condition: the type, its search parameters, and where it stands."""
    if any(_is_condition(one["reference"]) for one in _named(resource)):
        for address, reference in _literal(str(resource["resourceType"]), resource):
            if _is_condition(reference["reference"]):
                kind, _, params = reference["reference"].partition("?")
                yield kind, params, f"{address}.reference"


def _is_condition(literal: str) -> bool:
    """`Patient?identifier=http://…`: what has a server before its parameters is somebody's own address."""
    kind, mark, _ = literal.partition("?")
    return bool(mark) and "://" not in kind


def localized(resource: dict[str, Any], base_url: str) -> dict[str, Any]:
    """`resource` with references to `base_url` made relative: they are ours, however they are written."""
    if not base_url:
        return resource
    prefix = f"{base_url}/"
    ours = [one for one in _named(resource) if one["reference"].startswith(prefix)]
    for reference in ours:
        reference["reference"] = reference["reference"].removeprefix(prefix)
    return resource


def _conditional(tx: Tx, literal: str, address: str) -> str:
    resource_type, _, params = literal.partition("?")
    if resource_type not in PARAMS:
        raise MessageInvalid(f"{resource_type} is not kept here", location=address)
    found = match(tx, criteria(resource_type, params, at=address), at=address)
    if found is None:
        raise PreconditionFailed("nothing meets the condition", location=address)
    return found.reference


def _logical(tx: Tx, reference: dict[str, Any], targets: frozenset[str], known: Known) -> None:
    """Says which resource an identifier means, when exactly one of a known type carries it."""
    identifier = reference.get("identifier")
    named = reference.get("type") or (next(iter(targets)) if len(targets) == 1 else "")
    if named not in PARAMS or not isinstance(identifier, dict) or "value" not in identifier:
        return
    key = named, identifier.get("system", ""), identifier["value"]
    if key in known.identifiers:
        reference["reference"] = known.identifiers[key]
    elif len(found := replaced.find(tx, *key)) == 1:
        reference["reference"] = found[0].reference


def _named(value: Any) -> Iterator[dict[str, Any]]:
    """What `_literal` finds, without the addresses that nearly nobody asks for."""
    waiting: list[Any] = [value] if isinstance(value, dict | list) else []
    for one in waiting:  # it grows
        if isinstance(one, dict):
            if isinstance(one.get("reference"), str):
                yield one
            one = one.values()
        waiting += [inner for inner in one if isinstance(inner, dict | list)]


def _literal(at: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield at, value
        for key, inner in value.items():
            yield from _literal(f"{at}.{key}", inner)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _literal(f"{at}[{i}]", inner)

"""References made real: `urn:uuid` inside a Bundle, a condition, an identifier. Called before a resource is stored,
by bundles.py and the FHIR server.

A reference to something that isn't here yet is kept as it is: charges come before their patients, and order of
arrival must not matter. Only what can never become real is refused: a `urn:uuid` that no entry has, a condition that
nothing meets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from ..db.unit import Tx
from ..errors import MessageInvalid, PreconditionFailed
from . import replaced
from .conditional import criteria, match
from .models import references
from .params import PARAMS


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
    resource = deepcopy(resource)
    for address, reference in _literal(str(resource["resourceType"]), resource):
        literal = reference["reference"]
        if literal in known.urls:
            reference["reference"] = known.urls[literal]
        elif root and root + literal in known.urls:
            reference["reference"] = known.urls[root + literal]
        elif literal.startswith("urn:uuid:"):
            raise MessageInvalid("no entry has this fullUrl", location=f"{address}.reference")
        elif "?" in literal and "://" not in literal:
            reference["reference"] = _conditional(tx, literal, f"{address}.reference")
    for _, reference, targets in references(resource):
        if "reference" not in reference:
            _logical(tx, reference, targets, known)
    _to_survivors(tx, resource)
    return resource


def _to_survivors(tx: Tx, resource: dict[str, Any]) -> None:
    """What names one that was merged into another means that other. Links between the two of them stay."""
    kind = str(resource["resourceType"])
    named = [
        reference
        for address, reference in _literal(kind, resource)
        if not address.startswith("Patient.link") and reference["reference"].partition("/")[0] in replaced.TYPES
    ]
    ends = replaced.survivors(tx, {reference["reference"] for reference in named})
    for reference in named:
        reference["reference"] = ends[reference["reference"]]


def conditions(resource: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Every reference by a condition: the type, its search parameters, and where it stands."""
    for address, reference in _literal(str(resource.get("resourceType", "")), resource):
        kind, mark, params = reference["reference"].partition("?")
        if mark and "://" not in kind:
            yield kind, params, f"{address}.reference"


def localized(resource: dict[str, Any], base_url: str) -> dict[str, Any]:
    """`resource` with references to `base_url` made relative: they are ours, however they are written."""
    prefix = f"{base_url}/"
    ours = [one for _, one in _literal("", resource) if base_url and one["reference"].startswith(prefix)]
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


def _literal(at: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield at, value
        for key, inner in value.items():
            yield from _literal(f"{at}.{key}", inner)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _literal(f"{at}[{i}]", inner)

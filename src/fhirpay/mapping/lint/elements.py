"""FHIR elements that R4 doesn't have, values that can't stand in them, and codes outside a required binding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...fhir.models import Element, element_of
from ..compile import Rule
from .finding import Finding
from .parts import Part, parts

_REFERENCE, _CONCEPT = frozenset({"Reference"}), frozenset({"CodeableConcept"})
_TEXT = frozenset({"string", "markdown", "code", "uri", "url", "id", "canonical"})
_DATES = frozenset({"date", "dateTime"})
GIVES: Mapping[str, frozenset[str]] = {
    "string": _TEXT,
    "displayName": _TEXT,
    "code": _TEXT,
    "boolean": frozenset({"boolean"}),
    "integer": frozenset({"integer", "unsignedInt", "positiveInt"}),
    "positiveInt": frozenset({"integer", "unsignedInt", "positiveInt"}),
    "decimal": frozenset({"decimal"}),
    "money": frozenset({"Money"}),
    "date": _DATES,
    "dateTime": frozenset({"dateTime"}),
    "instant": frozenset({"instant", "dateTime"}),
    "birthTime": frozenset({"dateTime"}),
    "VisitIdentifier": frozenset({"Identifier"}),
    "OldIdentifier": frozenset({"Identifier"}),
    "EntityIdentifier": frozenset({"Identifier"}),
    "OrganizationIdentifier": frozenset({"Identifier"}),
    "Organization": _REFERENCE,
    "Department": _REFERENCE,
    "Practitioner": _REFERENCE,
    "Location": _REFERENCE,
    "DischargedTo": _REFERENCE,
    "Device": _REFERENCE,
    "NamedOrganization": _REFERENCE,
    "NamedLocation": _REFERENCE,
    "endpoint": frozenset({"url", "uri"}),
    "OneHumanName": frozenset({"HumanName"}),
    "LengthOfStay": frozenset({"Duration"}),
    "FinancialClass": _CONCEPT,
}
"""What a datatype of `as:` may stand in, where that isn't the FHIR type of its own name."""


def check(rule: Rule, made: str) -> Iterator[Finding]:
    """`made` is what the rule makes, or adds to."""
    for part in parts(rule):
        if part.kind == "condition":
            continue
        resource = part.within or made
        element = element_of(resource, part.path)
        if element is None:
            if element_of(resource, part.path[:-1]) is not None or len(part.path) == 1:  # else it was said before
                name = ".".join((resource, *part.path))
                yield Finding("error", "unknown-path", part.at, f"{name}: FHIR R4 has no such element")
            continue
        for says in (*_shape(part, element), *_kind(part, element)):
            yield Finding("error", "unknown-path", part.at, f"{'.'.join((resource, *part.path))}: {says}")
        for says in _codes(part, element):
            yield Finding("error", "wrong-code", part.at, f"{'.'.join((resource, *part.path))}: {says}")


def _shape(part: Part, element: Element) -> Iterator[str]:
    if part.kind == "list" and not element.many:
        yield "one value at most in FHIR, so no list"
    elif part.kind == "object" and part.raw.get("each") and not element.many:
        yield "one value at most in FHIR, so no `each`"
    elif part.kind == "expression" and not part.listed and element.many and part.spec.from_ is not None:
        yield "a list in FHIR: write `- ` before it, or `each` instead of `from`"


def _kind(part: Part, element: Element) -> Iterator[str]:
    if part.kind == "object":
        if element.kind[0].islower():
            yield f"a {element.kind} in FHIR, so no object"
        return
    if part.kind != "expression":
        return
    spec = part.spec
    if spec.ref is not None:
        given, name = _REFERENCE, "ref"
    elif spec.key is not None:
        given, name = frozenset({"Identifier"}), "key"
    elif spec.from_ is not None or spec.each is not None:
        given, name = GIVES.get(spec.as_, frozenset({spec.as_})), spec.as_
    else:
        return
    if element.kind not in given:
        yield f"a {element.kind} in FHIR, which `{name}` doesn't give"


def _codes(part: Part, element: Element) -> Iterator[str]:
    if element.codes is None:
        return
    allowed = ", ".join(sorted(element.codes))
    if part.kind == "literal" and part.raw not in element.codes:
        yield f"'{part.raw}' is none of its codes: {allowed}"
    if part.kind != "expression":
        return
    spec = part.spec
    for word in (spec.default, spec.assume):
        if isinstance(word, str) and word not in element.codes:
            yield f"'{word}' is none of its codes: {allowed}"
    if spec.from_ is not None and not spec.map and spec.as_ in ("code", "string"):  # a table's codes: tables.py
        yield f"a field's own code isn't one of its codes ({allowed}): name a code table with `map`"

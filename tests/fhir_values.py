"""Hypothesis: resources of a FHIR version, drawn from its own definitions. Most are sound; `resources` keeps those."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

from hypothesis import strategies as st

from fhirpay.fhir.models import Element, Structure, elements_of, structure_of
from fhirpay.fhir.statement import FhirVersion
from fhirpay.fhir.validation import problems

Json = dict[str, Any]
_EXTENSION = {"url": "urn:test:said", "valueString": "x"}
_PRIMITIVES: dict[str, tuple[Any, ...]] = {
    "boolean": (True, False),
    "integer": (0, -3),
    "positiveInt": (1, 7),
    "unsignedInt": (0, 9),
    "decimal": (Decimal("1.50"), Decimal("-0.10"), Decimal("100")),
    "string": ("a", "b c"),
    "markdown": ("*a*",),
    "code": ("a", "b-c"),
    "id": ("i1",),
    "uri": ("urn:x",),
    "url": ("https://x.example",),
    "canonical": ("http://x.example/c|1",),
    "oid": ("urn:oid:1.2.3",),
    "uuid": ("urn:uuid:c757873d-ec9a-4326-a141-556f43239520",),
    "date": ("2026-11-20", "2026"),
    "dateTime": ("2026-11-20T10:00:00Z", "2026-11"),
    "instant": ("2026-11-20T10:00:00.000Z",),
    "time": ("10:00:00",),
    "base64Binary": ("QUJD",),
    "xhtml": ('<div xmlns="http://www.w3.org/1999/xhtml">x</div>',),
    "integer64": ("5", "123456"),
}
_LEFT_OUT = {"implicitRules", "modifierExtension", "contained", "resourceType"}


def resources(kind: str, version: FhirVersion) -> st.SearchStrategy[Json]:
    """Sound resources of a type: few elements or many, extensions of others, primitives and what is beside."""
    structure = structure_of(kind, version)
    assert structure is not None
    drawn = _objects(kind, version, 3).map(lambda content: {"resourceType": kind, **content})
    return drawn.filter(lambda one: not problems(one, version=version))


@cache
def _objects(kind: str, version: FhirVersion, depth: int) -> st.SearchStrategy[Json]:
    structure = structure_of(kind, version)
    assert structure is not None
    return _object(kind, structure, version, depth)


@st.composite
def _object(draw: st.DrawFn, kind: str, structure: Structure, version: FhirVersion, depth: int) -> Json:
    if kind == "Extension":
        return dict(draw(st.sampled_from((_EXTENSION, {"url": "urn:test:n", "valueDecimal": Decimal("2.0")}))))
    if kind == "Money":
        return {"value": draw(st.sampled_from((Decimal("3.10"), Decimal("0"), Decimal("-7.25")))), "currency": "USD"}
    if kind == "Reference":
        return {"display": "somebody"}
    names = [name for name, one in structure.items() if name not in _LEFT_OUT and not one.choice]
    choices = sorted({one.choice for one in structure.values() if one.choice})
    wanted = [name for name in names if structure[name].required]
    wanted += draw(st.lists(st.sampled_from(names), max_size=4, unique=True)) if names else []
    for choice in choices:
        members = [name for name, one in structure.items() if one.choice == choice]
        if structure[members[0]].choice_required or draw(st.booleans()):
            wanted.append(draw(st.sampled_from(members)))
    made: Json = {}
    for name in dict.fromkeys(wanted):
        element = structure[name]
        if element.model is not None and depth == 0 and not element.required:
            continue
        made |= draw(_element(element, version, depth))
    return made or draw(_filler(kind, version))


def _filler(kind: str, version: FhirVersion) -> st.SearchStrategy[Json]:
    return st.just({"id": "x"} if kind in ("Element", "Narrative") else {"extension": [dict(_EXTENSION)]})


@st.composite
def _element(draw: st.DrawFn, element: Element, version: FhirVersion, depth: int) -> Json:
    count = draw(st.integers(1, 2)) if element.many else 1
    if element.kind == "Reference":
        values: list[Any] = [draw(_references(element)) for _ in range(count)]
    elif element.model is not None:
        inside = elements_of(element.model, element.kind)
        values = [draw(_object(element.kind, inside, version, max(depth - 1, 0))) for _ in range(count)]
    else:
        codes = tuple(sorted(element.codes)) if element.codes else _PRIMITIVES[element.kind]
        values = [draw(st.sampled_from(codes)) for _ in range(count)]
        if not element.many and draw(st.integers(0, 5)) == 0:
            beside = {f"_{element.name}": {"extension": [dict(_EXTENSION)]}}
            return beside if draw(st.booleans()) and not element.codes else {element.name: values[0], **beside}
    return {element.name: values if element.many else values[0]}


@st.composite
def _references(draw: st.DrawFn, element: Element) -> Json:
    kinds = sorted(element.targets) or ["Patient"]
    kind = draw(st.sampled_from(["Patient" if one == "Resource" else one for one in kinds]))
    return draw(
        st.sampled_from(
            ({"reference": f"{kind}/1"}, {"type": kind, "identifier": {"value": "7"}}, {"display": "somebody"})
        )
    )

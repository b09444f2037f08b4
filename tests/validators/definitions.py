"""HL7's own definitions of R4 and R5, as the validators' packages bring them: which elements there are, and what they
hold. For mutants.py and extensions.py; nothing of ours is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from node_running import NPM

_R4 = NPM / "node_modules" / "@medplum" / "definitions" / "dist" / "fhir" / "r4"
_R5 = NPM / "node_modules" / "hl7.fhir.r5.core"
# hl7.fhir.uv.extensions.r4 5.3.0-ballot-tc1 says so; npm can't install it, since what it depends on isn't there.
_PACK = {
    "annotationType": ("Annotation", "CodeableConcept", "*"),
    "identifier-checkDigit": ("Identifier", "string", "1"),
    "resource-instance-description": ("Resource", "markdown", "1"),
    "subject-locationClassification": ("Encounter.location", "CodeableConcept", "1"),
}
_PRIMITIVE = "http://hl7.org/fhirpath/System."


@dataclass(frozen=True)
class Element:
    """One element by its definition. `types` are codes; `targets` the types that a Reference may name, where said."""

    path: str
    min: int
    max: str
    types: tuple[str, ...]
    targets: frozenset[str]
    required_binding: bool
    same_as: str  # the path whose children it has, too

    @property
    def many(self) -> bool:
        return self.max != "1"


@dataclass(frozen=True)
class Place:
    """Where a value stands: the way to it, its definition, the type that it is of."""

    way: tuple[str | int, ...]
    element: Element
    type: str
    value: Any


@cache
def _r4() -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name in ("profiles-types.json", "profiles-resources.json"):
        for entry in json.loads((_R4 / name).read_bytes())["entry"]:
            if entry["resource"]["resourceType"] == "StructureDefinition":
                found[entry["resource"]["id"]] = entry["resource"]
    return found


@cache
def hl7_extensions() -> Mapping[str, Any]:
    """The extensions of the R4 specification by URL, and those of HL7's extensions pack that we use."""
    entries = json.loads((_R4 / "extension-definitions.json").read_bytes())["entry"]
    found = [one["resource"] for one in entries if one["resource"]["resourceType"] == "StructureDefinition"]
    return {one["url"]: one for one in [*found, *_of_the_pack()]}


def _of_the_pack() -> Iterator[Any]:
    for name, (context, of, most) in _PACK.items():
        yield {
            "url": f"http://hl7.org/fhir/StructureDefinition/{name}",
            "context": [{"expression": context}],
            "differential": {
                "element": [
                    {"id": "Extension", "path": "Extension", "max": most},
                    {"id": "Extension.value[x]", "path": "Extension.value[x]", "type": [{"code": of}]},
                ]
            },
        }


def definition(version: str, type: str) -> Any:
    """The StructureDefinition; None where that version has no such type."""
    if version == "R4":
        return _r4().get(type)
    path = _R5 / f"StructureDefinition-{type}.json"
    return json.loads(path.read_bytes()) if path.exists() else None


@cache
def elements(version: str, type: str) -> Mapping[str, Element]:
    """The elements of a type by path; the type itself has its own name."""
    found = definition(version, type)
    return {} if found is None else {one["path"]: _element(one) for one in found["snapshot"]["element"]}


def _element(said: Mapping[str, Any]) -> Element:
    types, targets = [], set()
    for one in said.get("type", ()):
        code = one["code"]
        extension = next((e for e in one.get("extension", ()) if e["url"].endswith("-fhir-type")), None)
        types.append(
            extension["valueUrl"]
            if extension
            else code.removeprefix(_PRIMITIVE).lower()
            if _PRIMITIVE in code
            else code
        )
        targets |= {profile.rpartition("/")[2] for profile in one.get("targetProfile", ())}
    bound = said.get("binding", {}).get("strength") == "required" and types[:1] == ["code"]
    return Element(
        said["path"],
        said["min"],
        said["max"],
        tuple(types),
        frozenset(targets),
        bound,
        said.get("contentReference", ""),
    )


def places(version: str, resource: Mapping[str, Any]) -> Iterator[Place]:
    """Every value of a resource, from the outside in, with its definition. What is undefined is left out."""
    kind = str(resource["resourceType"])
    yield from _below(version, kind, kind, resource, ())


def _below(version: str, type: str, path: str, value: Mapping[str, Any], way: tuple[str | int, ...]) -> Iterator[Place]:
    known = elements(version, type)
    for name, inner in value.items():
        if (found := _named(known, path, name)) is None:
            continue
        element, of = found
        many = inner if isinstance(inner, list) else [inner]
        for index, one in enumerate(many):
            here = (*way, name, index) if isinstance(inner, list) else (*way, name)
            yield Place(here, element, of, one)
            if not isinstance(one, dict):
                continue
            if of == "Resource":
                yield from _below(version, one["resourceType"], one["resourceType"], one, here)
            elif of in ("BackboneElement", "Element") or element.same_as:
                inside = element.same_as.removeprefix("#") or element.path
                yield from _below(version, type, inside, one, here)
            else:
                yield from _below(version, of, of, one, here)


def _named(known: Mapping[str, Element], path: str, name: str) -> tuple[Element, str] | None:
    if element := known.get(f"{path}.{name}"):
        return element, element.types[0] if element.types else ""
    for other, element in known.items():
        start = other.removesuffix("[x]")
        if other != start and start.rpartition(".")[0] == path and name.startswith(start.rpartition(".")[2]):
            suffix = name.removeprefix(start.rpartition(".")[2])
            for of in element.types:
                if of[:1].upper() + of[1:] == suffix:
                    return element, of
    return None

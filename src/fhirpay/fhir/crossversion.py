"""A resource of R5 in R4 and back, by declared rules: what we keep is R4, what an R5 client says and hears is R5.

`to_r4` and `to_r5` are pure and undo each other. An element that both have goes over as it is; what differs has a rule
in crossversion_rules.py; anything else is refused by name (MessageUnsupported), never left out. What R5 says and R4
has no element for is kept in HL7's cross-version extensions (`…/5.0/StructureDefinition/extension-Account.balance`),
and the other way round (`…/4.0/…`). Both expect a resource that is sound by its own version; what they give still has
to be checked by the other one (validation.py), since an element that R4 requires may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from .crossversion_extensions import KINDS, URL_4, URL_5, Converter, Way
from .crossversion_rules import RULES, TYPES
from .models import Element, Structure, elements_of, structure_of
from .rules import reference_type

__all__ = ["TYPES", "to_r4", "to_r5"]

Json = dict[str, Any]


def to_r4(resource: Json) -> Json:
    """Raises MessageUnsupported at the address of what R4 can't hold."""
    return _Walk(Way.DOWN).resource(resource, str(resource.get("resourceType")))


def to_r5(resource: Json) -> Json:
    """Raises MessageUnsupported at the address of what R5 can't say."""
    return _Walk(Way.UP).resource(resource, str(resource.get("resourceType")))


# Of R4B, whose definitions stand for R4's.
_NOT_OF_R4 = frozenset({"valueCodeableReference", "valueRatioRange"})


class _Walk(Converter):
    """One conversion; rules call back into it for what stands inside."""

    def resource(self, resource: Any, at: str) -> Json:
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        source = structure_of(kind, self.source) if kind in TYPES else None
        target = structure_of(kind, self.target) if kind in TYPES else None
        if source is None or target is None:
            raise self.refusal("there is no conversion of this type", at)
        content = {name: value for name, value in resource.items() if name != "resourceType"}
        return {"resourceType": kind, **self.object(str(kind), (source, target), content, at)}

    def object(self, kind: str, shapes: tuple[Structure, Structure], value: Any, at: str) -> Json:
        """An object of `kind` (R5's name): first what the rules take, then what is the same in both."""
        rest: Json = dict(value)
        made: Json = {}
        added: list[Json] = []
        for rule in RULES.get(kind, ()):
            taken = {name: rest.pop(name) for name in rule.names(self.way) if name in rest}
            taken |= {f"_{name}": rest.pop(f"_{name}") for name in rule.names(self.way) if f"_{name}" in rest}
            extensions = _take(rest, rule.urls(self.way))
            if taken or extensions or rule.always(self.way):
                elements, more = rule.convert(self, taken, extensions, at)
                made |= elements
                added += more
        for name, inner in rest.items():
            made[name] = self._same(shapes, name, inner, at)
        self._check_extensions(rest, at)
        if added:
            made["extension"] = [*made.get("extension", ()), *added]
        return made

    def value(self, elements: tuple[Element, Element], value: Any, at: str) -> Any:
        """The value of an element that both versions have, once or as a list."""
        source, target = elements
        if not isinstance(value, list):
            return self._one(source, target, value, at)
        return [None if one is None else self._one(source, target, one, f"{at}[{i}]") for i, one in enumerate(value)]

    def beside(self, sibling: Any, at: str) -> Any:
        """What stands beside a primitive: its id and extensions."""
        element = structure_of("Element", self.source), structure_of("Element", self.target)
        assert element[0] is not None
        assert element[1] is not None
        shapes = element[0], element[1]
        if isinstance(sibling, list):
            return [None if one is None else self.object("Element", shapes, one, at) for one in sibling]
        return self.object("Element", shapes, sibling, at)

    def _same(self, shapes: tuple[Structure, Structure], name: str, value: Any, at: str) -> Any:
        source, target = (shape.get(name.removeprefix("_")) for shape in shapes)
        beyond = self.way is Way.DOWN and name.removeprefix("_") in _NOT_OF_R4
        if beyond or source is None or target is None or source.many != target.many or not _alike(source, target):
            raise self.refusal(f"FHIR {self.target} has no such element", f"{at}.{name}")
        return self.beside(value, at) if name.startswith("_") else self.value((source, target), value, f"{at}.{name}")

    def _one(self, source: Element, target: Element, value: Any, at: str) -> Any:
        if source.kind == "Resource":
            return self.resource(value, at)
        if source.model is None or target.model is None:
            if target.codes is not None and value not in target.codes:
                raise self.refusal(f"FHIR {self.target} has no such code here", at)
            return value
        if source.kind == "Reference" and not fits(target, value):
            raise self.refusal(f"FHIR {self.target} has no such reference here", at)
        shapes = elements_of(source.model, source.kind), elements_of(target.model, target.kind)
        return self.object(source.kind if self.way is Way.DOWN else target.kind, shapes, value, at)

    def _check_extensions(self, rest: Json, at: str) -> None:
        """An element of the sender's own version is stated as that element, else it would mean two things."""
        own = URL_5 if self.way is Way.DOWN else URL_4
        for i, extension in enumerate(rest.get("extension", ())):
            if str(extension.get("url", "")).startswith(own):
                says = f"FHIR {self.source} has an element for this"
                raise self.refusal(says, f"{at}.extension[{i}]")


def fits(element: Element, reference: Mapping[str, Any]) -> bool:
    """Whether what it names may be named there."""
    literal = reference.get("reference")
    named = reference_type(literal) if isinstance(literal, str) else None
    return named is None or not element.targets or "Resource" in element.targets or named in element.targets


def _alike(source: Element, target: Element) -> bool:
    texts = {"string", "markdown"}
    if source.kind == target.kind or {source.kind, target.kind} <= texts:
        return True
    return (source.kind, target.kind) in KINDS or (target.kind, source.kind) in KINDS


def _take(rest: Json, urls: frozenset[str]) -> list[Json]:
    """The extensions that are elements in the other version, out of `rest`."""
    found = [one for one in rest.get("extension", ()) if one.get("url") in urls] if urls else []
    if found:
        left = [one for one in rest["extension"] if one.get("url") not in urls]
        rest.pop("extension")
        if left:
            rest["extension"] = left
    return deepcopy(found)

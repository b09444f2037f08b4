"""What is wrong with a resource, element by element. The only importer of fhir.resources, whose R4B classes say which
elements FHIR R4 has (the same for the resources we take), how often, of which type, and what a reference may name.

Called by the FHIR server before a write, by `fhirpay map` and by write-back on what we send. The library's own
validation passes amounts through float, coerces "true" to true and checks no codes, so the walk over the JSON is
ours: formats in primitives.py, codes in bindings.py, rules over several elements in rules.py.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.resource import Resource

from ..errors import CodeInvalid, FhirpayError, MessageInvalid, MessageUnsupported, RequiredMissing, ValueInvalid
from .bindings import REQUIRED
from .outcome import ResourceInvalid
from .primitives import fault
from .rules import RULES, reference_type

PROBLEMS_MAX = 50  # enough to act on; a hostile body gets no longer answer
# An element we don't understand but must not ignore (FHIR R4, extensibility.html and resource.html).
_NOT_IGNORABLE = {"modifierExtension", "implicitRules"}
_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}\Z")
_CODE = re.compile(r"[A-Za-z0-9-]{1,24}\Z")  # may be shown back: too short for anybody's name and address
_PRIMITIVES = {"Base64Binary": "base64Binary", "DateTime": "dateTime", "UnsignedInt": "unsignedInt"}
_PRIMITIVES |= {"PositiveInt": "positiveInt", "UuidVersion": "uuid"}


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a resource or data type. `kind` is a primitive, a data type, or the path of a backbone element."""

    name: str
    kind: str
    model: type[Any] | None  # None: primitive
    many: bool
    required: bool
    choice: str  # "occurrence" of occurrenceDateTime; "" when there is no choice
    choice_required: bool
    targets: frozenset[str]  # the resource types that a reference may name
    codes: frozenset[str] | None  # the only ones allowed


Structure = dict[str, Element]


def validate(resource: dict[str, Any]) -> None:
    """Returns when `resource` is sound. Raises the error it has, or ResourceInvalid when there are several."""
    found = problems(resource)
    if len(found) == 1:
        raise found[0]
    if found:
        raise ResourceInvalid(found)


def problems(resource: dict[str, Any], *, at: str = "") -> list[FhirpayError]:
    """Everything that is wrong with `resource`, each with its address below `at` (by default its resource type)."""
    found: list[FhirpayError] = []
    for problem in _resource(at or str(resource.get("resourceType") or "Resource"), resource):
        found.append(problem)
        if len(found) >= PROBLEMS_MAX:
            break
    # What is malformed comes first: it may be why the sums don't add up.
    return sorted(found, key=lambda problem: not isinstance(problem, MessageInvalid))


def references(resource: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], frozenset[str]]]:
    """Every Reference in `resource`: its path without indexes (`account`, `guarantor.party`), itself, its targets."""
    structure = structure_of(str(resource.get("resourceType")))
    if structure is not None:
        yield from _references("", resource, structure)


def is_resource_type(name: str) -> bool:
    """Whether FHIR R4 has a resource type of that name, ours or not."""
    model = _model(name)
    return model is not None and issubclass(model, Resource)


@lru_cache(maxsize=1024)
def structure_of(kind: str) -> Structure | None:
    """The elements of a resource type or data type; None when FHIR has none of that name."""
    model = _model(kind)
    return None if model is None else _structure(model, kind)


def element_of(kind: str, path: Sequence[str]) -> Element | None:
    """The element at `path` of a resource type or data type: `Account`, (`guarantor`, `party`); None if R4 has none.

    `_birthDate` is what may be said beside a primitive: an Element.
    """
    structure = structure_of(kind)
    for number, name in enumerate(path):
        found = structure.get(name.removeprefix("_")) if structure is not None else None
        if found is not None and name.startswith("_"):
            beside = replace(found, name=name, kind="Element", model=_model("Element"), codes=None)
            found = beside if found.model is None else None
        if found is None or number == len(path) - 1:
            return found
        structure = _structure(found.model, found.kind) if found.model is not None else None
    return None


def _model(kind: str) -> type[Any] | None:
    if not re.fullmatch(r"[A-Z][A-Za-z]{1,63}", kind):
        return None
    try:
        return get_fhir_model_class(kind)
    except (KeyError, ValueError):
        return None


@lru_cache(maxsize=2048)
def _structure(model: type[Any], kind: str) -> Structure:
    elements: Structure = {}
    for field in model.model_fields.values():
        about = field.json_schema_extra or {}
        if not about.get("element_property"):
            continue
        many, inner = _unwrapped(field.annotation)
        of, target = _kind(inner, kind, str(field.alias), model)
        elements[str(field.alias)] = Element(
            name=str(field.alias),
            kind=of,
            model=target,
            many=many,
            required=bool(field.is_required() or about.get("element_required")),
            choice=str(about.get("one_of_many", "")),
            choice_required=bool(about.get("one_of_many_required")),
            targets=frozenset(about.get("enum_reference_types", ())),
            codes=REQUIRED.get(f"{kind}.{field.alias}"),
        )
    return elements


def _unwrapped(annotation: Any) -> tuple[bool, Any]:
    """Whether it repeats, and the annotation of one of it."""
    many = False
    while not hasattr(annotation, "__metadata__"):
        arguments = [one for one in typing.get_args(annotation) if one not in (type(None), None)]
        if not arguments:
            break
        many = many or typing.get_origin(annotation) is list
        annotation = arguments[0]
    return many, annotation


def _kind(annotation: Any, owner: str, name: str, model: type[Any]) -> tuple[str, type[Any] | None]:
    if metadata := getattr(annotation, "__metadata__", None):
        written = type(metadata[-1]).__name__
        return _PRIMITIVES.get(written, written.lower()), None
    if path := getattr(annotation, "_model_klass", None):
        module, _, cls = path.rpartition(".")
        target = getattr(import_module(module), cls)
        # BundleEntryRequest inside BundleEntry is Bundle.entry.request; anything else goes by its own name.
        return (f"{owner}.{name}" if cls.startswith(model.__name__) and cls != model.__name__ else cls), target
    return ("boolean" if annotation is bool else "string"), None


def _resource(at: str, resource: Any, *, inside: bool = False) -> Iterator[FhirpayError]:
    """`inside`: it is contained; what it names by `#` stands beside it, and its container sees to that."""
    if not isinstance(resource, dict):
        yield MessageInvalid("a resource is a JSON object", location=at)
        return
    kind = resource.get("resourceType")
    if kind is None:
        yield RequiredMissing("a resource says its resourceType", location=f"{at}.resourceType")
        return
    structure = structure_of(kind) if isinstance(kind, str) and is_resource_type(kind) else None
    if structure is None:
        yield MessageInvalid("this is no FHIR R4 resource type", location=f"{at}.resourceType")
        return
    content = {key: value for key, value in resource.items() if key != "resourceType"}
    yield from _object(at, str(kind), structure, content, of_resource=True)
    if not inside:
        yield from _contained(at, content)


def _contained(at: str, resource: dict[str, Any]) -> Iterator[FhirpayError]:
    contained = resource.get("contained")
    inside = [one for one in contained if isinstance(one, dict)] if isinstance(contained, list) else []
    for i, one in enumerate(inside):
        if "contained" in one:  # dom-2
            yield MessageInvalid("a contained resource contains none", location=f"{at}.contained[{i}].contained")
    ids = {f"#{one.get('id')}" for one in inside}
    for address, reference in _literals(at, resource):
        if reference.startswith("#") and reference not in ids and reference != "#":
            yield ValueInvalid("no such contained resource", location=f"{address}.reference")


def _literals(at: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if isinstance(literal := value.get("reference"), str):
            yield at, literal
        for key, inner in value.items():
            if key != "resource":  # a Bundle's entries look after themselves
                yield from _literals(f"{at}.{key}", inner)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _literals(f"{at}[{i}]", inner)


def _object(
    at: str, kind: str, structure: Structure, value: Any, *, of_resource: bool = False
) -> Iterator[FhirpayError]:
    if not isinstance(value, dict):
        yield MessageInvalid("an object is expected here", location=at)
        return
    if not value and not of_resource:  # ele-1
        yield MessageInvalid("an element is left out rather than empty", location=at)
        return
    for key, inner in value.items():
        element = structure.get(key.removeprefix("_"))
        if element is None or (key.startswith("_") and element.model is not None):
            place = f"{at}.{key}" if _NAME.match(key) else at
            yield MessageInvalid(f"{kind} has no such element", location=place)
        elif key in _NOT_IGNORABLE:
            yield MessageUnsupported("this may change the meaning, and we don't know it", location=f"{at}.{key}")
        elif key.startswith("_"):
            yield from _siblings(f"{at}.{key}", element, inner)
        else:
            yield from _element(f"{at}.{key}", element, inner, value.get(f"_{key}"))
    yield from _absent(at, kind, structure, value)
    for rule in RULES.get(kind, ()):
        yield from rule(at, value)


def _absent(at: str, kind: str, structure: Structure, value: dict[str, Any]) -> Iterator[FhirpayError]:
    choices: dict[str, list[Element]] = {}
    for name, element in structure.items():
        if element.choice:
            choices.setdefault(element.choice, []).append(element)
        elif element.required and name not in value and (f"_{name}" not in value or element.codes):
            # An extension may say why a value is missing (extensibility.html), but not that of a status or a type:
            # what it means for money would be a guess.
            yield RequiredMissing(f"{name} is required", location=f"{at}.{name}")
    for choice, elements in choices.items():
        stated = [one.name for one in elements if one.name in value or f"_{one.name}" in value]
        if len(stated) > 1:
            yield MessageInvalid(f"only one of {', '.join(stated)}", location=f"{at}.{stated[1]}")
        elif not stated and elements[0].choice_required:
            names = " or ".join(one.name for one in elements)
            yield RequiredMissing(f"{names} is required", location=f"{at}.{choice}")


def _element(at: str, element: Element, value: Any, sibling: Any) -> Iterator[FhirpayError]:
    if not element.many:
        if isinstance(value, list):
            yield MessageInvalid("this element does not repeat", location=at)
        else:
            yield from _one(at, element, value)
        return
    if not isinstance(value, list):
        yield MessageInvalid("this element repeats: a list is expected", location=at)
    elif not value:
        yield MessageInvalid("a list is left out rather than empty", location=at)
    else:
        for i, one in enumerate(value):
            excused = isinstance(sibling, list) and len(sibling) > i and sibling[i] is not None
            if not (one is None and element.model is None and excused):
                yield from _one(f"{at}[{i}]", element, one)


def _one(at: str, element: Element, value: Any) -> Iterator[FhirpayError]:
    if value is None:
        yield MessageInvalid("an element is left out rather than null", location=at)
    elif element.kind == "Resource":
        yield from _resource(at, value, inside=element.name == "contained")
    elif element.model is not None:
        yield from _object(at, element.kind, _structure(element.model, element.kind), value)
        if element.targets and isinstance(value, dict):
            yield from _target(at, element, value)
    elif wrong := fault(element.kind, value):
        yield ValueInvalid(f"this is {wrong}", location=at)
    elif element.codes is not None and value not in element.codes:
        shown = f"'{value}'" if _CODE.match(value) else "this"
        yield CodeInvalid(f"{shown} is not one of {', '.join(sorted(element.codes))}", location=at)


def _siblings(at: str, element: Element, value: Any) -> Iterator[FhirpayError]:
    """`_birthDate`: the id and extensions of a primitive, as a list where the primitive repeats."""
    inside = structure_of("Element") or {}
    if element.many and isinstance(value, list):
        for i, one in enumerate(value):
            if one is not None:
                yield from _object(f"{at}[{i}]", "Element", inside, one)
    elif element.many or isinstance(value, list):
        yield MessageInvalid("this repeats exactly as the element does", location=at)
    else:
        yield from _object(at, "Element", inside, value)


def _target(at: str, element: Element, reference: dict[str, Any]) -> Iterator[FhirpayError]:
    literal = reference.get("reference")
    named = reference_type(literal) if isinstance(literal, str) else None
    if named and named not in element.targets and "Resource" not in element.targets:
        wanted = " or ".join(sorted(element.targets))
        yield ValueInvalid(f"this names {wanted}, not {named}", location=f"{at}.reference")


def _references(
    path: str, value: dict[str, Any], structure: Structure
) -> Iterator[tuple[str, dict[str, Any], frozenset[str]]]:
    for key, inner in value.items():
        element = structure.get(key)
        if element is None or element.model is None or element.kind == "Resource":
            continue
        below = f"{path}.{key}" if path else key
        for one in inner if isinstance(inner, list) else (inner,):
            if not isinstance(one, dict):
                continue
            if element.kind == "Reference":
                yield below, one, element.targets
            yield from _references(below, one, _structure(element.model, element.kind))

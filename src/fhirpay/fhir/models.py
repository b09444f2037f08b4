"""Which elements FHIR has, how often, of which type, and what a reference may name. The only importer of
fhir.resources, whose R4B classes say it for R4 (the same for the resources we take), and those at its root for R5.

Called by validation.py, by search, merge and links, and by `fhirpay map lint`. R4 is meant where no version is given.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from typing import Any

from fhir.resources import get_fhir_model_class as _model_of_r5
from fhir.resources.R4B import get_fhir_model_class as _model_of_r4b

from .bindings import REQUIRED, REQUIRED_R5
from .statement import FhirVersion

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


def references(resource: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], frozenset[str]]]:
    """Every Reference in `resource`: its path without indexes (`account`, `guarantor.party`), itself, its targets."""
    structure = structure_of(str(resource.get("resourceType")))
    if structure is not None:
        yield from _references("", resource, structure)


def is_resource_type(name: str, version: FhirVersion = FhirVersion.R4) -> bool:
    """Whether FHIR has a resource type of that name, ours or not."""
    model, resource = model_of(name, version), model_of("Resource", version)
    return model is not None and resource is not None and issubclass(model, resource)


@lru_cache(maxsize=1024)
def structure_of(kind: str, version: FhirVersion = FhirVersion.R4) -> Structure | None:
    """The elements of a resource type or data type; None when FHIR has none of that name."""
    model = model_of(kind, version)
    return None if model is None else elements_of(model, kind)


def element_of(kind: str, path: Sequence[str]) -> Element | None:
    """The element at `path` of a resource type or data type: `Account`, (`guarantor`, `party`); None if R4 has none.

    `_birthDate` is what may be said beside a primitive: an Element.
    """
    structure = structure_of(kind)
    for number, name in enumerate(path):
        found = structure.get(name.removeprefix("_")) if structure is not None else None
        if found is not None and name.startswith("_"):
            beside = replace(found, name=name, kind="Element", model=model_of("Element"), codes=None)
            found = beside if found.model is None else None
        if found is None or number == len(path) - 1:
            return found
        structure = elements_of(found.model, found.kind) if found.model is not None else None
    return None


def model_of(kind: str, version: FhirVersion = FhirVersion.R4) -> type[Any] | None:
    """The library's class of a resource type or data type."""
    if not re.fullmatch(r"[A-Z][A-Za-z]{1,63}", kind):
        return None
    try:
        return _model_of_r5(kind) if version is FhirVersion.R5 else _model_of_r4b(kind)
    except (KeyError, ValueError):
        return None


def version_of_model(model: type[Any]) -> FhirVersion:
    """Whose definitions a class of the library holds: R4 for what R4 and R4B share."""
    return FhirVersion.R4 if model.__module__.startswith("fhir.resources.R4B.") else FhirVersion.R5


@lru_cache(maxsize=2048)
def elements_of(model: type[Any], kind: str) -> Structure:
    """The elements of a kind that the library has as `model`: `kind` names it in paths."""
    elements: Structure = {}
    required = REQUIRED if version_of_model(model) is FhirVersion.R4 else REQUIRED_R5
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
            codes=required.get(f"{kind}.{field.alias}"),
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
            yield from _references(below, one, elements_of(element.model, element.kind))

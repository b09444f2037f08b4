"""What is wrong with a resource, element by element. Called by the FHIR server before a write (R4), and by write-back
on what we send (R4, R5).

The library that knows the elements passes amounts through float, coerces "true" to true and checks no codes, so the
walk over the JSON is ours: elements in models.py, formats in primitives.py, codes in bindings.py, rules over several
elements in rules.py. Nearly everything is sound, so a check costs what it looks at: it gives nothing, or the problems
below it, addressed from there, and whoever called it puts its own name before them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import CodeInvalid, FhirpayError, MessageInvalid, MessageUnsupported, RequiredMissing, ValueInvalid
from .models import Element, Structure, elements_of, is_resource_type, model_of, version_of_model
from .outcome import ResourceInvalid
from .primitives import fault_of
from .rules import RULES, Rule, reference_type
from .statement import FhirVersion

PROBLEMS_MAX = 50  # enough to act on; a hostile body gets no longer answer
# An element we don't understand but must not ignore (FHIR R4, extensibility.html and resource.html).
_NOT_IGNORABLE = {"modifierExtension", "implicitRules"}
_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}\Z")
_CODE = re.compile(r"[A-Za-z0-9-]{1,24}\Z")  # may be shown back: too short for anybody's name and address

Found = Sequence[FhirpayError]
Check = Callable[[Any, dict[str, Any]], Found]  # of a value and the object that it stands in
_NOTHING: Found = ()


def validate(resource: dict[str, Any], *, version: FhirVersion = FhirVersion.R4) -> None:
    """Returns when `resource` is sound. Raises the error it has, or ResourceInvalid when there are several."""
    found = problems(resource, version=version)
    if len(found) == 1:
        raise found[0]
    if found:
        raise ResourceInvalid(found)


def problems(resource: dict[str, Any], *, at: str = "", version: FhirVersion = FhirVersion.R4) -> list[FhirpayError]:
    """Everything that is wrong with `resource`, each with its address below `at` (by default its resource type)."""
    found = _below(at or str(resource.get("resourceType") or "Resource"), _resource(resource, version)[:PROBLEMS_MAX])
    # What is malformed comes first: it may be why the sums don't add up.
    return sorted(found, key=lambda problem: not isinstance(problem, MessageInvalid))


@dataclass(frozen=True, slots=True)
class _Shape:
    """What an object of one kind is checked against, made once."""

    kind: str
    version: FhirVersion
    structure: Structure
    checks: dict[str, Check]
    required: frozenset[str]
    choices: frozenset[str]  # names that exclude each other, `_name` too
    chosen: bool  # one of such names is required
    rules: tuple[Rule, ...]


@lru_cache(maxsize=2048)
def _shape(model: type[Any], kind: str) -> _Shape:
    structure, version = elements_of(model, kind), version_of_model(model)
    choices = [name for name, element in structure.items() if element.choice]
    return _Shape(
        kind=kind,
        version=version,
        structure=structure,
        checks={name: _check(element, version) for name, element in structure.items() if name not in _NOT_IGNORABLE},
        required=frozenset(name for name, one in structure.items() if one.required and not one.choice),
        choices=frozenset((*choices, *(f"_{name}" for name in choices))),
        chosen=any(element.choice_required for element in structure.values()),
        rules=RULES.get(kind, ()),
    )


@lru_cache(maxsize=1024)
def _shape_of_resource(kind: str, version: FhirVersion) -> _Shape | None:
    model = model_of(kind, version) if is_resource_type(kind, version) else None
    return None if model is None else _shape(model, kind)


def _below(name: str, found: Found) -> Found:
    for problem in found:
        problem.location = f"{name}{problem.location or ''}"
    return found


def _resource(resource: Any, version: FhirVersion, *, inside: bool = False) -> Found:
    """`inside`: it is contained; what it names by `#` stands beside it, and its container sees to that."""
    if not isinstance(resource, dict):
        return [MessageInvalid("a resource is a JSON object")]
    kind = resource.get("resourceType")
    if kind is None:
        return [RequiredMissing("a resource says its resourceType", location=".resourceType")]
    shape = _shape_of_resource(kind, version) if isinstance(kind, str) else None
    if shape is None:
        return [MessageInvalid(f"this is no FHIR {version} resource type", location=".resourceType")]
    found = _object(shape, resource, of_resource=True)
    if not inside and ("contained" in resource or _names_inside(resource)):
        return [*found, *_contained(resource)]
    return found


def _names_inside(resource: dict[str, Any]) -> bool:
    """Whether a reference names something contained."""
    waiting: list[Any] = [resource]
    for one in waiting:  # it grows: no recursion, for every resource comes by here
        if isinstance(one, dict):
            literal = one.get("reference")
            if isinstance(literal, str) and literal.startswith("#"):
                return True
            one = one.values()
        waiting += [inner for inner in one if isinstance(inner, dict | list)]
    return False


def _contained(resource: dict[str, Any]) -> Iterator[FhirpayError]:
    contained = resource.get("contained")
    inside = [one for one in contained if isinstance(one, dict)] if isinstance(contained, list) else []
    for i, one in enumerate(inside):
        if "contained" in one:  # dom-2
            yield MessageInvalid("a contained resource contains none", location=f".contained[{i}].contained")
    ids = {f"#{one.get('id')}" for one in inside}
    for address, reference in _literals("", resource):
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


def _object(shape: _Shape, value: Any, *, of_resource: bool = False) -> Found:
    if not isinstance(value, dict):
        return [MessageInvalid("an object is expected here")]
    if not value and not of_resource:  # ele-1
        return [MessageInvalid("an element is left out rather than empty")]
    found: list[FhirpayError] = []
    checks = shape.checks
    for key, inner in value.items():
        check = checks.get(key)
        if check is not None:
            wrong = check(inner, value)
            if not wrong:
                continue
            found += _below(f".{key}", wrong)
        elif key != "resourceType" or not of_resource:
            found += _unusual(shape, key, inner)
        if len(found) >= PROBLEMS_MAX:
            return found
    if not shape.required <= value.keys():
        found += _missing(shape, value)
    if shape.chosen or (shape.choices and len(shape.choices.intersection(value)) > 1):
        found += _choices(shape, value)
    for rule in shape.rules:
        found += rule(value)
    return found


def _unusual(shape: _Shape, key: str, value: Any) -> Found:
    """What stands beside a primitive (`_birthDate`), and what may not stand there at all."""
    element = shape.structure.get(key.removeprefix("_"))
    if element is None or (key.startswith("_") and element.model is not None):
        return [MessageInvalid(f"{shape.kind} has no such element", location=f".{key}" if _NAME.match(key) else None)]
    if key in _NOT_IGNORABLE:
        return [MessageUnsupported("this may change the meaning, and we don't know it", location=f".{key}")]
    return _below(f".{key}", _siblings(element, value, shape.version))


def _missing(shape: _Shape, value: dict[str, Any]) -> Iterator[FhirpayError]:
    for name, element in shape.structure.items():
        # An extension may say why a value is missing (extensibility.html), but not that of a status or a type:
        # what it means for money would be a guess.
        if name in shape.required and name not in value and (f"_{name}" not in value or element.codes):
            yield RequiredMissing(f"{name} is required", location=f".{name}")


def _choices(shape: _Shape, value: dict[str, Any]) -> Iterator[FhirpayError]:
    choices: dict[str, list[Element]] = {}
    for element in shape.structure.values():
        if element.choice:
            choices.setdefault(element.choice, []).append(element)
    for choice, elements in choices.items():
        stated = [one.name for one in elements if one.name in value or f"_{one.name}" in value]
        if len(stated) > 1:
            yield MessageInvalid(f"only one of {', '.join(stated)}", location=f".{stated[1]}")
        elif not stated and elements[0].choice_required:
            names = " or ".join(one.name for one in elements)
            yield RequiredMissing(f"{names} is required", location=f".{choice}")


def _check(element: Element, version: FhirVersion) -> Check:
    one = _check_one(element, version)
    return _each(element, one) if element.many else one


def _each(element: Element, one: Check) -> Check:
    def each(value: Any, owner: dict[str, Any]) -> Found:
        if not isinstance(value, list):
            return [MessageInvalid("this element repeats: a list is expected")]
        if not value:
            return [MessageInvalid("a list is left out rather than empty")]
        found: list[FhirpayError] = []
        for i, inner in enumerate(value):
            if inner is None and element.model is None and _excused(owner.get(f"_{element.name}"), i):
                continue
            if wrong := one(inner, owner):
                found += _below(f"[{i}]", wrong)
                if len(found) >= PROBLEMS_MAX:
                    break
        return found

    return each


def _excused(siblings: Any, i: int) -> bool:
    return isinstance(siblings, list) and len(siblings) > i and siblings[i] is not None


def _check_one(element: Element, version: FhirVersion) -> Check:
    if element.kind == "Resource":
        return lambda value, _: _unfit(element, value) or _resource(value, version, inside=element.name == "contained")
    if (model := element.model) is not None:
        targets = element.targets if "Resource" not in element.targets else frozenset[str]()
        shape: _Shape | None = None  # made when it is wanted: kinds stand inside each other

        def an_object(value: Any, owner: dict[str, Any]) -> Found:
            nonlocal shape
            if not isinstance(value, dict):
                return _unfit(element, value) or [MessageInvalid("an object is expected here")]
            if shape is None:
                shape = _shape(model, element.kind)
            found = _object(shape, value)
            if targets and (wrong := _target(targets, value)):
                return [*found, *wrong]
            return found

        return an_object
    test, codes = fault_of(element.kind), element.codes

    def a_primitive(value: Any, owner: dict[str, Any]) -> Found:
        wrong = test(value)
        if wrong is None and (codes is None or value in codes):
            return _NOTHING
        if unfit := _unfit(element, value):
            return unfit
        if wrong is not None:
            return [ValueInvalid(f"this is {wrong}")]
        shown = f"'{value}'" if _CODE.match(value) else "this"
        return [CodeInvalid(f"{shown} is not one of {', '.join(sorted(codes or ()))}")]

    return a_primitive


def _unfit(element: Element, value: Any) -> Found:
    if isinstance(value, list) and not element.many:
        return [MessageInvalid("this element does not repeat")]
    return [MessageInvalid("an element is left out rather than null")] if value is None else _NOTHING


def _siblings(element: Element, value: Any, version: FhirVersion) -> Found:
    """`_birthDate`: the id and extensions of a primitive, as a list where the primitive repeats."""
    model = model_of("Element", version)
    assert model is not None
    inside = _shape(model, "Element")
    if element.many and isinstance(value, list):
        return [
            problem
            for i, one in enumerate(value)
            if one is not None
            for problem in _below(f"[{i}]", _object(inside, one))
        ]
    if element.many or isinstance(value, list):
        return [MessageInvalid("this repeats exactly as the element does")]
    return _object(inside, value)


def _target(targets: frozenset[str], reference: dict[str, Any]) -> Found:
    literal = reference.get("reference")
    named = reference_type(literal) if isinstance(literal, str) else None
    if named and named not in targets:
        wanted = " or ".join(sorted(targets))
        return [ValueInvalid(f"this names {wanted}, not {named}", location=".reference")]
    return _NOTHING

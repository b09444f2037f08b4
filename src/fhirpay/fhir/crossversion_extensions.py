"""What the rules between R4 and R5 have in common: the way, what a rule is, an element kept as an extension. Pure.

Used by crossversion_values.py, whose rules are for elements whose values differ, and by the walk, crossversion.py. Each
rule undoes itself: `convert` one way and then the other gives what was there. What it can't turn it refuses at its
address.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from ..errors import MessageUnsupported
from .models import Element, Structure, elements_of, structure_of
from .statement import FhirVersion

Json = dict[str, Any]
Converted = tuple[Json, list[Json]]  # elements, and extensions to add

URL_5 = "http://hl7.org/fhir/5.0/StructureDefinition/extension-"
URL_4 = "http://hl7.org/fhir/4.0/StructureDefinition/extension-"

# Elements that the versions call differently though they hold the same: (R4, R5).
KINDS = frozenset(
    {
        ("Invoice.lineItem.priceComponent", "MonetaryComponent"),
        ("Invoice.totalPriceComponent", "MonetaryComponent"),
        ("PaymentReconciliation.detail", "PaymentReconciliation.allocation"),
    }
)


class Way(Enum):
    DOWN = "R5 to R4"
    UP = "R4 to R5"


@dataclass(frozen=True, slots=True)
class Converter:
    """What rules ask back: crossversion.py does the walking."""

    way: Way

    @property
    def source(self) -> FhirVersion:
        return FhirVersion.R5 if self.way is Way.DOWN else FhirVersion.R4

    @property
    def target(self) -> FhirVersion:
        return FhirVersion.R4 if self.way is Way.DOWN else FhirVersion.R5

    def refusal(self, says: str, at: str) -> MessageUnsupported:
        return MessageUnsupported(says, location=at)

    def object(self, kind: str, shapes: tuple[Structure, Structure], value: Any, at: str) -> Json:
        raise NotImplementedError

    def value(self, elements: tuple[Element, Element], value: Any, at: str) -> Any:
        raise NotImplementedError

    def beside(self, sibling: Any, at: str) -> Any:
        raise NotImplementedError

    def of_type(self, kind: str, value: Any, at: str) -> Any:
        """A value of a data type that both versions have."""
        source, target = structure_of(kind, self.source), structure_of(kind, self.target)
        assert source is not None
        assert target is not None
        return self.object(kind, (source, target), value, at)


class Rule(Protocol):
    def names(self, way: Way) -> tuple[str, ...]:
        """The elements that it takes on this way."""
        ...

    def urls(self, way: Way) -> frozenset[str]:
        """The extensions that it turns back into elements on this way."""
        ...

    def always(self, way: Way) -> bool:
        """Whether it has something to say where it finds nothing."""
        ...

    def convert(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted: ...


class Plain:
    """Most rules read no extension, and say nothing of nothing."""

    def urls(self, way: Way) -> frozenset[str]:
        return frozenset()

    def always(self, way: Way) -> bool:
        return False


def element_at(kind: str, name: str, version: FhirVersion) -> Element:
    """An element by the name of its owner: `Account`, `Invoice.lineItem`, `Attachment`."""
    first, *rest = kind.split(".")
    structure = structure_of(first, version)
    for step in rest:
        assert structure is not None
        inner = structure[step]
        assert inner.model is not None
        structure = elements_of(inner.model, inner.kind)
    assert structure is not None
    return structure[name]


@dataclass(frozen=True, slots=True)
class Renamed(Plain):
    """The same under another name."""

    kind: str
    five: str
    four: str

    def names(self, way: Way) -> tuple[str, ...]:
        return (self.five,) if way is Way.DOWN else (self.four,)

    def convert(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted:
        old, new = (self.five, self.four) if walk.way is Way.DOWN else (self.four, self.five)
        elements = element_at(self.kind, old, walk.source), element_at(self.kind, new, walk.target)
        made: Json = {}
        if old in taken:
            made[new] = walk.value(elements, taken[old], f"{at}.{old}")
        if f"_{old}" in taken:
            made[f"_{new}"] = walk.beside(taken[f"_{old}"], f"{at}._{old}")
        return made, []


@dataclass(frozen=True, slots=True)
class Kept:
    """An element of R5, or the names of a choice, that R4 keeps as an extension; with `older` the other way round."""

    kind: str
    five: tuple[str, ...]
    older: bool = False

    @property
    def url(self) -> str:
        name = self.five[0] if len(self.five) == 1 else _shared(self.five)
        return f"{URL_4 if self.older else URL_5}{self.kind}.{name}"

    def names(self, way: Way) -> tuple[str, ...]:
        return self.five if (way is Way.DOWN) != self.older else ()

    def urls(self, way: Way) -> frozenset[str]:
        return frozenset({self.url}) if (way is Way.UP) != self.older else frozenset()

    def always(self, way: Way) -> bool:
        return False

    def convert(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted:
        version = FhirVersion.R4 if self.older else FhirVersion.R5
        if not self.names(walk.way):
            return _decoded(walk, self.kind, self.five, version, extensions, at), []
        made: list[Json] = []
        for name in self.five:
            element = element_at(self.kind, name, version)
            made += _encoded(walk, element, taken.get(name), taken.get(f"_{name}"), self.url, f"{at}.{name}")
        return {}, made


def _shared(names: Iterable[str]) -> str:
    """`period` of periodDate and periodPeriod."""
    first, *others = names
    length = next(i for i in range(len(first), 0, -1) if all(one.startswith(first[:i]) for one in others))
    return first[:length]


# ── elements as extensions ────────────────────────────────────────────────────────────────────────────────────────


def _encoded(walk: Converter, element: Element, value: Any, beside: Any, url: str, at: str) -> list[Json]:
    if element.many:
        if beside is not None:
            raise walk.refusal("there is no conversion of what stands beside a list", at)
        return [_extension(walk, element, one, None, url, f"{at}[{i}]") for i, one in enumerate(value or ())]
    return [_extension(walk, element, value, beside, url, at)] if value is not None or beside is not None else []


def _extension(walk: Converter, element: Element, value: Any, beside: Any, url: str, at: str) -> Json:
    """The extension that stands for one value: with a value[x] where an extension of the target may have it, else with
    an extension for each element inside."""
    name = f"value{element.kind[0].upper()}{element.kind[1:]}"
    shape = structure_of("Extension", walk.target) or {}
    if element.model is None:
        if name not in shape:
            raise walk.refusal(f"FHIR {walk.target} has no extension with a {element.kind}", at)
        made: Json = {"url": url}
        made |= {} if value is None else {name: value}
        return made | ({} if beside is None else {f"_{name}": walk.beside(beside, at)})
    if name in shape and structure_of(element.kind, walk.target) is not None and element.kind != "CodeableReference":
        return {"url": url, name: walk.of_type(element.kind, value, at)}
    inside = elements_of(element.model, element.kind)
    if "_id" in value or not value.keys() - {"id"}:
        raise walk.refusal("there is no conversion of an id with extensions, nor of an id alone", f"{at}.id")
    parts: list[Json] = []
    for key, inner in value.items():
        bare = key.removeprefix("_")
        if key == "id" or (bare in value and key != bare):
            continue
        if key == "extension":
            parts += [walk.of_type("Extension", one, f"{at}.extension[{i}]") for i, one in enumerate(inner)]
        else:
            plain = value.get(bare)
            parts += _encoded(walk, inside[bare], plain, value.get(f"_{bare}"), bare, f"{at}.{bare}")
    return {"url": url, **({"id": value["id"]} if "id" in value else {}), "extension": parts}


def _decoded(
    walk: Converter, kind: str, names: tuple[str, ...], version: FhirVersion, extensions: list[Json], at: str
) -> Json:
    made: Json = {}
    for extension in extensions:
        element = _named(walk, kind, names, version, extension, at)
        if (element.name in made or f"_{element.name}" in made) and not element.many:
            raise walk.refusal("this extension stands here twice", f"{at}.extension")
        _put(walk, made, element, extension, at)
    return made


def _named(
    walk: Converter, kind: str, names: tuple[str, ...], version: FhirVersion, extension: Json, at: str
) -> Element:
    elements = [element_at(kind, name, version) for name in names]
    if len(elements) == 1:
        return elements[0]
    for element in elements:
        name = f"value{element.kind[0].upper()}{element.kind[1:]}"
        if name in extension or f"_{name}" in extension:
            return element
    raise walk.refusal("this extension holds no value that the element may have", f"{at}.extension")


def _put(walk: Converter, made: Json, element: Element, extension: Json, at: str) -> None:
    """The value of one extension into the object that it stands for."""
    at = f"{at}.extension"
    name = f"value{element.kind[0].upper()}{element.kind[1:]}"
    if element.model is None:
        if extension.keys() - {"url", name, f"_{name}"} or len(extension) < 2:
            raise walk.refusal(f"this extension holds no {element.kind}", at)
        if f"_{name}" in extension:
            made[f"_{element.name}"] = walk.beside(extension[f"_{name}"], at)
        if name not in extension:
            return
        value = extension[name]
    elif name in extension:
        if extension.keys() - {"url", name}:
            raise walk.refusal("this extension holds more than its value", at)
        value = walk.of_type(element.kind, extension[name], at)
    else:
        value = _object(walk, element, extension, at)
    if element.many:
        made.setdefault(element.name, []).append(value)
    else:
        made[element.name] = value


def _object(walk: Converter, element: Element, extension: Json, at: str) -> Json:
    if extension.keys() - {"url", "id", "extension"} or not extension.get("extension"):
        raise walk.refusal(f"this extension holds no {element.kind}", at)
    assert element.model is not None
    inside = elements_of(element.model, element.kind)
    made: Json = {"id": extension["id"]} if "id" in extension else {}
    own: list[Json] = []
    for one in extension["extension"]:
        part = inside.get(str(one.get("url")))
        if part is None or part.name in ("id", "extension", "modifierExtension"):
            own.append(walk.of_type("Extension", one, at))
        elif part.name in made and not part.many:
            raise walk.refusal("this extension stands here twice", at)
        else:
            _put(walk, made, part, one, at)
    return made | ({"extension": own} if own else {})

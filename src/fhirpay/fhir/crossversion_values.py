"""Elements that R4 and R5 have both and whose values differ: a rule for each. Read by crossversion_rules.py. Pure."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar

from .crossversion_extensions import Converted, Converter, Json, Kept, Plain, Way, element_at
from .rules import reference_type
from .statement import FhirVersion

_PARENT = {"coding": [{"system": "http://hl7.org/fhir/account-relationship", "code": "parent"}]}
_UNKNOWN = {
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]
}


@dataclass(frozen=True, slots=True)
class Context:
    """ChargeItem.context (R4: a visit or an episode of care) and .encounter (R5: a visit)."""

    episode: ClassVar[Kept] = Kept("ChargeItem", ("context",), older=True)

    def names(self, way: Way) -> tuple[str, ...]:
        return ("encounter",) if way is Way.DOWN else ("context",)

    def urls(self, way: Way) -> frozenset[str]:
        return self.episode.urls(way)

    def always(self, way: Way) -> bool:
        return False

    def convert(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted:
        if walk.way is Way.UP:
            if _type_of(taken["context"]) == "EpisodeOfCare":
                return self.episode.convert(walk, taken, [], at)
            return {"encounter": walk.of_type("Reference", taken["context"], f"{at}.context")}, []
        if extensions and taken:
            raise walk.refusal("FHIR R4 has one context, not an encounter beside it", f"{at}.encounter")
        if extensions:
            return self.episode.convert(walk, {}, extensions, at)
        return {"context": walk.of_type("Reference", taken["encounter"], f"{at}.encounter")}, []


def _type_of(reference: Json) -> str | None:
    literal = reference.get("reference")
    named = reference_type(literal) if isinstance(literal, str) else None
    stated = reference.get("type")
    return named or (stated if isinstance(stated, str) else None)


@dataclass(frozen=True, slots=True)
class Prices:
    """ChargeItem.priceOverride and .factorOverride (R4) are amount and factor of .totalPriceComponent (R5).

    R4's price is the whole charge, so a component of another type than `base` isn't one. What else the component says
    stands in its extension. A unit price stands in one too: it is no whole, and we don't multiply.
    """

    total: ClassVar[Kept] = Kept("ChargeItem", ("totalPriceComponent",))
    unit: ClassVar[Kept] = Kept("ChargeItem", ("unitPriceComponent",))

    def names(self, way: Way) -> tuple[str, ...]:
        return ("totalPriceComponent", "unitPriceComponent") if way is Way.DOWN else ("priceOverride", "factorOverride")

    def urls(self, way: Way) -> frozenset[str]:
        return self.total.urls(way) | self.unit.urls(way)

    def always(self, way: Way) -> bool:
        return False

    def convert(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted:
        if walk.way is Way.DOWN:
            made, kept = self._down(walk, taken, at) if "totalPriceComponent" in taken else ({}, [])
            if "unitPriceComponent" in taken and "priceOverride" not in made:
                says = "state the amount of totalPriceComponent too: what is owed is not worked out from a unit price"
                raise walk.refusal(says, f"{at}.unitPriceComponent")
            units = {name: value for name, value in taken.items() if name == "unitPriceComponent"}
            return made, kept + self.unit.convert(walk, units, [], at)[1]
        of_unit = [one for one in extensions if one["url"] == self.unit.url]
        of_total = [one for one in extensions if one["url"] == self.total.url]
        made = self.unit.convert(walk, {}, of_unit, at)[0]
        return made | (self._up(walk, taken, of_total, at) if taken or of_total else {}), []

    def _down(self, walk: Converter, taken: Json, at: str) -> Converted:
        here = f"{at}.totalPriceComponent"
        component: Json = dict(taken["totalPriceComponent"])
        if component.get("type") != "base":
            says = "FHIR R4 has the whole price of a charge alone: a component of type base"
            raise walk.refusal(says, f"{here}.type")
        made: Json = {}
        if "amount" in component:
            made["priceOverride"] = walk.of_type("Money", component.pop("amount"), f"{here}.amount")
        if "factor" in component:
            made["factorOverride"] = component.pop("factor")
        if "_factor" in component:
            made["_factorOverride"] = walk.beside(component.pop("_factor"), f"{here}._factor")
        if made and component == {"type": "base"}:
            return made, []
        return made, self.total.convert(walk, {"totalPriceComponent": component}, [], at)[1]

    def _up(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Json:
        component: Json = {"type": "base"}
        if extensions:
            component = self.total.convert(walk, {}, extensions, at)[0]["totalPriceComponent"]
            if {"amount", "factor", "_factor"} & component.keys() or component.get("type") != "base":
                raise walk.refusal("FHIR R4 has elements for this amount", f"{at}.extension")
        if "priceOverride" in taken:
            component["amount"] = walk.of_type("Money", taken["priceOverride"], f"{at}.priceOverride")
        if "factorOverride" in taken:
            component["factor"] = taken["factorOverride"]
        if "_factorOverride" in taken:
            component["_factor"] = walk.beside(taken["_factorOverride"], f"{at}._factorOverride")
        return {"totalPriceComponent": component}


@dataclass(frozen=True, slots=True)
class OverrideReason:
    """ChargeItem.overrideReason: a text in R4, a CodeableConcept in R5."""

    kept: ClassVar[Kept] = Kept("ChargeItem", ("overrideReason",))

    def names(self, way: Way) -> tuple[str, ...]:
        return ("overrideReason",)

    def urls(self, way: Way) -> frozenset[str]:
        return self.kept.urls(way)

    def always(self, way: Way) -> bool:
        return False

    def convert(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted:
        if walk.way is Way.UP:
            return self._up(walk, taken, extensions, at)
        concept = taken["overrideReason"]
        text = _text(concept)
        made: Json = {"overrideReason": text} if text else {}
        if "_text" in concept and concept.keys() <= {"text", "_text"}:
            return made | {"_overrideReason": walk.beside(concept["_text"], at)}, []
        if concept.keys() == {"text"}:
            return made, []
        _, kept = self.kept.convert(walk, taken, [], at)
        return made, kept

    def _up(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted:
        if not extensions:
            concept: Json = {"text": taken["overrideReason"]} if "overrideReason" in taken else {}
            if "_overrideReason" in taken:
                concept["_text"] = walk.beside(taken["_overrideReason"], at)
            return {"overrideReason": concept}, []
        made, _ = self.kept.convert(walk, {}, extensions, at)
        if "_overrideReason" in taken or taken.get("overrideReason", "") != _text(made["overrideReason"]):
            raise walk.refusal("this says something else than its extension", f"{at}.overrideReason")
        return made, []


def _text(concept: Json) -> str:
    """What R4 says of it in words."""
    codings = concept.get("coding") or [{}]
    return str(concept.get("text") or codings[0].get("display") or codings[0].get("code") or "")


@dataclass(frozen=True, slots=True)
class Product:
    """ChargeItem.product: one concept or reference in R4, a list of CodeableReference in R5."""

    kept: ClassVar[Kept] = Kept("ChargeItem", ("product",))

    def names(self, way: Way) -> tuple[str, ...]:
        return ("product",) if way is Way.DOWN else ("productCodeableConcept", "productReference")

    def urls(self, way: Way) -> frozenset[str]:
        return self.kept.urls(way)

    def always(self, way: Way) -> bool:
        return False

    def convert(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted:
        if walk.way is Way.DOWN:
            products = taken["product"]
            only = products[0] if len(products) == 1 else {}
            if only.keys() == {"concept"}:
                inner = walk.of_type("CodeableConcept", only["concept"], f"{at}.product[0].concept")
                return {"productCodeableConcept": inner}, []
            if only.keys() == {"reference"} and _may_name("ChargeItem", "productReference", only["reference"]):
                inner = walk.of_type("Reference", only["reference"], f"{at}.product[0].reference")
                return {"productReference": inner}, []
            return self.kept.convert(walk, taken, [], at)
        products: list[Json] = []
        for name, kind, inside in (
            ("productCodeableConcept", "CodeableConcept", "concept"),
            ("productReference", "Reference", "reference"),
        ):
            if name in taken:
                products.append({inside: walk.of_type(kind, taken[name], f"{at}.{name}")})
        if extensions:
            products += self.kept.convert(walk, {}, extensions, at)[0]["product"]
        return {"product": products}, []


@dataclass(frozen=True, slots=True)
class Services:
    """ChargeItem.service: references in R4, CodeableReferences in R5. One that R4 can't have keeps all in extensions,
    so that their order stays."""

    kept: ClassVar[Kept] = Kept("ChargeItem", ("service",))

    def names(self, way: Way) -> tuple[str, ...]:
        return ("service",)

    def urls(self, way: Way) -> frozenset[str]:
        return self.kept.urls(way)

    def always(self, way: Way) -> bool:
        return False

    def convert(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted:
        services = taken.get("service", ())
        if walk.way is Way.UP:
            found = [
                {"reference": walk.of_type("Reference", one, f"{at}.service[{i}]")} for i, one in enumerate(services)
            ]
            if extensions:
                found += self.kept.convert(walk, {}, extensions, at)[0]["service"]
            return {"service": found}, []
        if all(
            one.keys() == {"reference"} and _may_name("ChargeItem", "service", one["reference"]) for one in services
        ):
            found = [
                walk.of_type("Reference", one["reference"], f"{at}.service[{i}].reference")
                for i, one in enumerate(services)
            ]
            return {"service": found}, []
        return self.kept.convert(walk, taken, [], at)


def _may_name(kind: str, name: str, reference: Json, version: FhirVersion = FhirVersion.R4) -> bool:
    """Whether an element of a version may name what this reference names."""
    targets, named = element_at(kind, name, version).targets, _type_of(reference)
    return named is None or not targets or "Resource" in targets or named in targets


@dataclass(frozen=True, slots=True)
class Parent:
    """Account.partOf (R4) is the .relatedAccount (R5) whose relationship is `parent`; others R4 keeps as extensions."""

    kept: ClassVar[Kept] = Kept("Account", ("relatedAccount",))

    def names(self, way: Way) -> tuple[str, ...]:
        return ("relatedAccount",) if way is Way.DOWN else ("partOf",)

    def urls(self, way: Way) -> frozenset[str]:
        return self.kept.urls(way)

    def always(self, way: Way) -> bool:
        return False

    def convert(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted:
        if walk.way is Way.UP:
            related: list[Json] = []
            if "partOf" in taken:
                account = walk.of_type("Reference", taken["partOf"], f"{at}.partOf")
                related.append({"relationship": {"coding": [dict(_PARENT["coding"][0])]}, "account": account})
            if extensions:
                related += self.kept.convert(walk, {}, extensions, at)[0]["relatedAccount"]
            return {"relatedAccount": related}, []
        first, *others = taken["relatedAccount"]
        if first.keys() != {"relationship", "account"} or first["relationship"] != _PARENT:
            return self.kept.convert(walk, taken, [], at)
        made = {"partOf": walk.of_type("Reference", first["account"], f"{at}.relatedAccount[0].account")}
        kept = self.kept.convert(walk, {"relatedAccount": others}, [], at)[1] if others else []
        return made, kept


@dataclass(frozen=True, slots=True)
class AbsentType:
    """PaymentReconciliation.type, which R5 requires and R4 hasn't: where nobody has said it, R5 says so."""

    kept: ClassVar[Kept] = Kept("PaymentReconciliation", ("type",))

    def names(self, way: Way) -> tuple[str, ...]:
        return ("type",) if way is Way.DOWN else ()

    def urls(self, way: Way) -> frozenset[str]:
        return self.kept.urls(way)

    def always(self, way: Way) -> bool:
        return way is Way.UP

    def convert(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted:
        if walk.way is Way.UP and not extensions:
            return {"type": deepcopy(_UNKNOWN)}, []
        if taken.get("type") == _UNKNOWN:
            return {}, []
        return self.kept.convert(walk, taken, extensions, at)


@dataclass(frozen=True, slots=True)
class LineType(Plain):
    """PaymentReconciliation.detail.type, which R4 requires and R5 doesn't."""

    def names(self, way: Way) -> tuple[str, ...]:
        return ("type",)

    def always(self, way: Way) -> bool:
        return way is Way.DOWN

    def convert(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted:
        if "type" not in taken:
            return {"type": deepcopy(_UNKNOWN)}, []
        if walk.way is Way.UP and taken["type"] == _UNKNOWN:
            return {}, []
        return {"type": walk.of_type("CodeableConcept", taken["type"], f"{at}.type")}, []


@dataclass(frozen=True, slots=True)
class LineReference:
    """PaymentReconciliation.detail.request and .response (R4: anything); .allocation.target and .response (R5: what can
    be paid, a ClaimResponse). What R5 may not name it keeps as an extension."""

    five: str
    four: str

    @property
    def kept(self) -> Kept:
        return Kept("PaymentReconciliation.detail", (self.four,), older=True)

    def names(self, way: Way) -> tuple[str, ...]:
        return (self.five,) if way is Way.DOWN else (self.four,)

    def urls(self, way: Way) -> frozenset[str]:
        return self.kept.urls(way)

    def always(self, way: Way) -> bool:
        return False

    def convert(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted:
        if walk.way is Way.UP:
            named = taken[self.four]
            if not _may_name("PaymentReconciliation.allocation", self.five, named, FhirVersion.R5):
                return self.kept.convert(walk, taken, [], at)
            return {self.five: walk.of_type("Reference", named, f"{at}.{self.four}")}, []
        if extensions and taken:
            raise walk.refusal("FHIR R4 has one reference here", f"{at}.{self.five}")
        if extensions:
            return self.kept.convert(walk, {}, extensions, at)
        return {self.four: walk.of_type("Reference", taken[self.five], f"{at}.{self.five}")}, []


@dataclass(frozen=True, slots=True)
class Size(Plain):
    """Attachment.size: a number in R4, in R5 an integer64, which JSON has as a text."""

    def names(self, way: Way) -> tuple[str, ...]:
        return ("size",)

    def convert(self, walk: Converter, taken: Json, extensions: list[Json], at: str) -> Converted:
        made: Json = {"_size": walk.beside(taken["_size"], at)} if "_size" in taken else {}
        if "size" in taken and walk.way is Way.UP:
            made["size"] = str(taken["size"])
        elif "size" in taken:
            if not taken["size"].isdigit() or not int(taken["size"]) < 2**31:
                raise walk.refusal("FHIR R4 has no such size", f"{at}.size")
            made["size"] = int(taken["size"])
        return made, []

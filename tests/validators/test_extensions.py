"""No extension that we emit is unknown: each is R5's element in R4 by HL7's scheme, or one that HL7 defines, or has its
StructureDefinition in conformance/; it stands where it may, holds what it may, and not more often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from definitions import Element, elements, hl7_extensions
from emitted import defined, mapped, posted, served

from fhirpay.db.unit import Units
from fhirpay.domain import fhir_urls
from node_running import needs_npm

pytestmark = needs_npm
CROSS_VERSION = "http://hl7.org/fhir/5.0/StructureDefinition/extension-"
# R4 path → R5's, where R5 calls it otherwise
RENAMED = {
    "PaymentReconciliation.detail": "PaymentReconciliation.allocation",
    "Basic": "SubscriptionTopic",  # which R4 hasn't: Subscriptions R5 Backport, "Subscription Topics in R4"
}

# Named by others, with no definition in a package that we could ask, or against it.
EXCUSED = {
    # SMART App Launch 1.0, "Declaring support for OAuth2 endpoints": in CapabilityStatement.rest.security
    "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
    # HL7's v2-to-FHIR guide, IN1[Coverage], rows IN1-10 and IN1-49: the guide's URL for R5's Coverage.subscriberId
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-subscriberId",
    # The same guide, CX[Identifier], row CX.3, puts it on an Identifier; its definition says NamingSystem
    "http://hl7.org/fhir/StructureDefinition/namingsystem-checkDigit",
    # The same guide, PV1[Encounter], row PV1-53, gives it a valueString; its definition says markdown
    "http://hl7.org/fhir/StructureDefinition/resource-instance-description",
    # Subscriptions R5 Backport: in CapabilityStatement.rest.resource, the canonical URL of a topic
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capabilitystatement-subscriptiontopic-canonical",
}


@dataclass(frozen=True)
class Use:
    """An extension where it stands: `path` is of the element that it extends."""

    url: str
    path: str
    value: str  # valueString; empty: it has extensions inside
    inside: tuple[tuple[str, str], ...]
    count: int


def uses(resource: Mapping[str, Any]) -> Iterator[Use]:
    yield from _uses(resource, str(resource.get("resourceType")))


def _uses(value: Any, path: str) -> Iterator[Use]:
    if isinstance(value, dict):
        said = value.get("extension", ())
        counted = Counter(one["url"] for one in said)
        for one in said:
            inside = tuple((inner["url"], _value(inner)) for inner in one.get("extension", ()))
            yield Use(one["url"], path, _value(one), inside, counted[one["url"]])
            yield from (
                use for key, inner in one.items() if key.startswith("value") for use in _uses(inner, _type(key))
            )
        for name, inner in value.items():
            if isinstance(inner, dict) and "resourceType" in inner:
                yield from uses(inner)
            elif name == "contained":
                yield from (use for one in inner for use in uses(one))
            elif name != "extension":
                yield from _uses(inner, f"{path}.{name.removeprefix('_')}")
    elif isinstance(value, list):
        for inner in value:
            yield from uses(inner) if isinstance(inner, dict) and "resourceType" in inner else _uses(inner, path)


def _value(extension: Mapping[str, Any]) -> str:
    return next((key for key in extension if key.startswith("value")), "")


def _type(key: str) -> str:
    return key.removeprefix("value")


def unknown(used: Sequence[Use]) -> list[str]:
    """What is wrong with the extensions, each fault once."""
    ours = {one["url"]: one for one in defined() if one["resourceType"] == "StructureDefinition"}
    found: dict[str, None] = {}
    for use in used:
        if use.url in EXCUSED:
            continue
        if use.url.startswith(CROSS_VERSION):
            fault = cross_version_fault(use)
        elif one := (ours if use.url.startswith(fhir_urls.EXTENSION) else hl7_extensions()).get(use.url):
            fault = fault_by(one, use)
        else:
            fault = "nobody defines it"
        if fault:
            found[f"{use.url} on {use.path}: {fault}"] = None
    return list(found)


def cross_version_fault(use: Use) -> str:
    """By HL7's scheme: an element of R5 that R4 hasn't, on what stands for its owner, with a value of its type."""
    path = use.url.removeprefix(CROSS_VERSION)
    kind, owner = path.split(".")[0], path.rpartition(".")[0]
    element = elements("R5", kind).get(path)
    if element is None:
        return "R5 has no such element"
    if use.path != next((old for old, new in RENAMED.items() if new == owner), owner):
        return f"its element stands in {owner}"
    if f"{use.path}.{path.rpartition('.')[2]}" in elements("R4", kind):
        return "R4 has an element for it"
    if use.count > 1 and not element.many:
        return f"it is there {use.count} times"
    if not use.value:
        return _parts_fault(path, use)
    return "" if _may_hold(element, use) else f"it holds {use.value}, not {' or '.join(element.types)}"


def _parts_fault(path: str, use: Use) -> str:
    """Of an element with elements inside, which are extensions named by them alone."""
    known = elements("R5", path.split(".")[0])
    for name, value in use.inside:
        part = known.get(f"{path}.{name}")
        if part is None:
            return f"it has no part '{name}'"
        if value not in {"value" + of[:1].upper() + of[1:] for of in part.types}:
            return f"its part '{name}' holds {value}, not {' or '.join(part.types)}"
    return ""


def _may_hold(element: Element, use: Use) -> bool:
    return use.value in {"value" + of[:1].upper() + of[1:] for of in element.types}


def fault_by(definition: Mapping[str, Any], use: Use) -> str:
    contexts = {one["expression"] for one in definition["context"]}
    if not contexts & {use.path, "Element", "Resource", *_types_at(use.path)}:
        return f"it may stand on {' or '.join(sorted(contexts))}"
    said = definition.get("snapshot", definition["differential"])["element"]
    if said[0]["max"] == "1" and use.count > 1:
        return f"it is there {use.count} times"
    if not use.value:
        return _inside_fault(said, use)
    (value,) = [one for one in said if one["path"] == "Extension.value[x]" and "." not in one["id"].partition(".")[2]]
    allowed = {"value" + of["code"][:1].upper() + of["code"][1:] for of in value["type"]}
    return "" if use.value in allowed else f"it holds {use.value}, not {' or '.join(sorted(allowed))}"


def _types_at(path: str) -> Iterator[str]:
    """`Identifier` for Account.identifier, `HumanName.family` for Patient.name.family: a context may name the type."""
    kind, _, rest = path.partition(".")
    known = elements("R4", kind)
    names = rest.split(".") if rest else []
    for depth in range(1, len(names) + 1):
        element = known.get(".".join([kind, *names[:depth]]))
        for of in element.types if element else ():
            inner = ".".join([of, *names[depth:]])
            yield inner
            if depth < len(names) and of in ("BackboneElement", "Element"):
                continue
            if depth < len(names):
                yield from _types_at(inner)


def _inside_fault(said: Sequence[Mapping[str, Any]], use: Use) -> str:
    """Of one with extensions inside: which there may be, and of what."""
    parts = {one["sliceName"]: one for one in said if one.get("sliceName")}
    values = {one["id"]: one["type"][0]["code"] for one in said if one["id"].endswith(".value[x]") and one.get("type")}
    for name, value in use.inside:
        if name not in parts:
            return f"it has no part '{name}'"
        of = values[f"Extension.extension:{name}.value[x]"]
        if value != "value" + of[:1].upper() + of[1:]:
            return f"its part '{name}' holds {value}, not {of}"
    missing = [name for name, one in parts.items() if one["min"] and name not in dict(use.inside)]
    return f"it has no '{missing[0]}'" if missing else ""


def test_every_extension_of_a_posting_is_known() -> None:
    used = [use for one in posted("R4").values() for use in uses(one)]
    assert unknown(used) == []
    assert len({use.url for use in used}) >= 11
    assert not [use for one in posted("R5").values() for use in uses(one)]


def test_every_extension_of_what_hl7v2_becomes_is_known() -> None:
    assert unknown([use for one in mapped() for use in uses(one)]) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_every_extension_of_what_our_endpoint_answers_is_known(units: Units) -> None:
    assert unknown([use for one in [*await served(units), *defined()] for use in uses(one)]) == []


def test_each_of_ours_has_its_definition_and_no_other_is_defined() -> None:
    ours = [one for one in defined() if one.get("type") == "Extension"]
    assert {one["url"] for one in ours} == fhir_urls.OURS
    for one in ours:
        assert one["url"] == fhir_urls.EXTENSION + one["id"]
        fixed = [said["fixedUri"] for said in one["differential"]["element"] if said["id"] == "Extension.url"]
        assert fixed == [one["url"]]


@pytest.mark.parametrize(
    ("extension", "path", "says"),
    [
        ({"url": fhir_urls.SELF_PAY, "valueString": "yes"}, "Account", "it holds valueString, not valueBoolean"),
        ({"url": fhir_urls.SELF_PAY, "valueBoolean": True}, "Patient", "it may stand on Account"),
        ({"url": fhir_urls.EXTENSION + "nobodys", "valueBoolean": True}, "Account", "nobody defines it"),
        ({"url": fhir_urls.COPAY_DUE, "extension": [{"url": "sum", "valueMoney": {}}]}, "Account", "no part 'sum'"),
        ({"url": fhir_urls.COPAY_DUE, "extension": [{"url": "date", "valueDateTime": ""}]}, "Account", "no 'amount'"),
        (
            {"url": CROSS_VERSION + "PaymentReconciliation.brand", "valueString": ""},
            "PaymentReconciliation",
            "R5 has no",
        ),
        ({"url": CROSS_VERSION + "PaymentReconciliation.date", "valueDate": ""}, "PaymentNotice", "stands in"),
        (
            {"url": CROSS_VERSION + "PaymentReconciliation.status", "valueCode": ""},
            "PaymentReconciliation",
            "R4 has an",
        ),
        ({"url": CROSS_VERSION + "PaymentReconciliation.kind", "valueCode": ""}, "PaymentReconciliation", "it holds"),
        ({"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": ""}, "Patient", "may"),
    ],
)
def test_one_that_is_unknown_or_out_of_place_is_found(extension: dict[str, Any], path: str, says: str) -> None:
    (found,) = unknown(list(_uses({"extension": [extension]}, path)))
    assert says in found

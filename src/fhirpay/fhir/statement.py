"""What a FHIR server says of itself: its CapabilityStatement, read by client.py and `fhirpay conformance check`.

Pure. What isn't stated isn't offered. FHIR versions by hl7.org/fhir/versions.html: R4 is 4.0.x, R4B 4.3.x (4.1 was its
ballot), R5 5.0.x; what lies between them (4.2, 4.4 to 4.6) were drafts of R5 and are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..errors import MessageInvalid
from .json import loads
from .loose import objects, text

_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
TOPIC_BASED = _BACKPORT + "backport-subscription"  # the profile of a Subscription to a topic, in R4 and R4B
TOPIC_OFFERED = _BACKPORT + "capabilitystatement-subscriptiontopic-canonical"


class FhirVersion(StrEnum):
    """The versions that we know. R4 and R4B have the same elements for what we read and write."""

    R4 = "R4"
    R4B = "R4B"
    R5 = "R5"


_BY_NUMBER = {"4.0": FhirVersion.R4, "4.1": FhirVersion.R4B, "4.3": FhirVersion.R4B, "5.0": FhirVersion.R5}
_OTHERS = {"0.5": "DSTU2", "1.0": "DSTU2", "3.0": "STU3", "6.0": "R6"}


def version_of(stated: str) -> FhirVersion | None:
    """The version of a number such as 4.0.1, also of one with a suffix; None for what we don't know."""
    return _BY_NUMBER.get(".".join(stated.strip().split(".")[:2]))


def name_of(stated: str) -> str:
    """How a person calls a version: `4.0.1 (R4)`."""
    short = ".".join(stated.strip().split(".")[:2])
    name = _BY_NUMBER.get(short) or _OTHERS.get(short, "")
    return f"{stated[:20]} ({name})" if name else stated[:20]


@dataclass(frozen=True, slots=True)
class Capability:
    """What the server says it can do with one resource type, as far as our scopes let us. `withheld` is what they
    don't: letters of `cruds`. `versioned`: it keeps versions, by which an update says what it may replace."""

    read: bool = False
    create: bool = False
    update_create: bool = False
    conditional_create: bool = False
    search: bool = False
    update: bool = False  # of what is there
    patch: bool = False
    versioned: bool = False
    withheld: str = ""

    def within(self, granted: frozenset[str] | None) -> Capability:
        """What is left of it under the scopes that were granted, as letters; None: nobody says."""
        if granted is None:
            return self
        updates = {"c", "u"} <= granted  # an update that creates is both
        updated = self.update_create or self.update or self.patch
        wanted = {"r": self.read, "c": self.create, "u": updated, "s": self.search}
        return Capability(
            read=self.read and "r" in granted,
            create=self.create and "c" in granted,
            update_create=self.update_create and updates,
            conditional_create=self.conditional_create and "c" in granted,
            search=self.search and "s" in granted,
            update=self.update and "u" in granted,
            patch=self.patch and "u" in granted,
            versioned=self.versioned,
            withheld="".join(letter for letter in "crus" if wanted[letter] and letter not in granted),
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """`stated` is its fhirVersion as it stands there; `version` what that is, None for what we don't know.

    `updated` are the types that can be updated; `topics` those that it lists by URL, where it is `topic_based`.
    """

    stated: str = ""
    version: FhirVersion | None = None
    software: str = ""
    formats: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    resources: Mapping[str, Capability] = field(default_factory=dict[str, Capability])
    searched_by: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    updated: frozenset[str] = frozenset()
    topic_based: bool = False
    topics: tuple[str, ...] = ()
    exports: bool = False  # a bulk export, of the system, of patients or of a Group

    def of(self, resource_type: str) -> Capability:
        return self.resources.get(resource_type, Capability())


def read_statement(body: bytes) -> Statement:
    """Raises MessageInvalid when it is no CapabilityStatement: a page, an OperationOutcome, anything else."""
    doc = loads(body)
    kind = doc.get("resourceType")
    if kind != "CapabilityStatement":
        raise MessageInvalid(f"a CapabilityStatement is expected, not {_word(kind) or 'this'}", location="/metadata")
    stated = _word(doc.get("fhirVersion"))
    resources: dict[str, Capability] = {}
    searched_by: dict[str, frozenset[str]] = {}
    security: list[str] = []
    updated: set[str] = set()
    topics: list[str] = []
    topic_based = False
    operations: list[str] = []
    for rest in objects(doc.get("rest")):
        if rest.get("mode") != "server":
            continue
        about = rest.get("security")
        for service in objects(about.get("service")) if isinstance(about, dict) else ():
            security += [_word(coding.get("code")) for coding in objects(service.get("coding"))]
        operations += [_word(one.get("name")) for one in objects(rest.get("operation"))]
        for resource in objects(rest.get("resource")):
            operations += [_word(one.get("name")) for one in objects(resource.get("operation"))]
            name = _word(resource.get("type"))
            resources[name] = _capability(resource)
            searched_by[name] = frozenset(_word(one.get("name")) for one in objects(resource.get("searchParam")))
            if "update" in _codes(resource):
                updated.add(name)
            if name == "Subscription":
                topics += filter(None, map(_topic, objects(resource.get("extension"))))
                profiles = resource.get("supportedProfile")
                named = [text(one).partition("|")[0] for one in profiles] if isinstance(profiles, list) else []
                topic_based = topic_based or bool(topics) or TOPIC_BASED in named
            topic_based = topic_based or name == "SubscriptionTopic"
    software = doc.get("software")
    formats = doc.get("format")
    return Statement(
        stated=stated,
        version=version_of(stated),
        software=_word(software.get("name")) if isinstance(software, dict) else "",
        formats=tuple(_word(one) for one in formats) if isinstance(formats, list) else (),
        security=tuple(dict.fromkeys(filter(None, security))),
        resources=resources,
        searched_by=searched_by,
        updated=frozenset(updated),
        topic_based=topic_based,
        topics=tuple(topics),
        exports=any(one.endswith("export") for one in operations),
    )


def _topic(extension: Mapping[str, Any]) -> str:
    return text(extension.get("valueCanonical"))[:500] if extension.get("url") == TOPIC_OFFERED else ""


def _capability(resource: Mapping[str, Any]) -> Capability:
    codes = _codes(resource)
    return Capability(
        read="read" in codes,
        create="create" in codes,
        update_create=resource.get("updateCreate") is True and "update" in codes,
        conditional_create=resource.get("conditionalCreate") is True and "create" in codes,
        search="search-type" in codes,
        update="update" in codes,
        patch="patch" in codes,
        versioned=resource.get("versioning") in ("versioned", "versioned-update"),
    )


def _codes(resource: Mapping[str, Any]) -> set[str]:
    return {_word(one.get("code")) for one in objects(resource.get("interaction"))}


def _word(value: Any) -> str:
    return value[:100] if isinstance(value, str) else ""

"""What a mapped message is: a transaction Bundle, and what could not or need not go into it.

Made by `engine`; read by the use case that applies it, by `fhirpay map` and by the tests. Bundle entries state what
*this message* says. HL7's rules for what it doesn't say are for whoever applies it (`fhir.bundles.apply`, which takes
`deletes`, `assumed` and `adds` as they are):

* an element that isn't stated keeps its stored value: a group that is absent means "no change";
* `deletes` names what `""` takes away;
* a repeating field or segment that is present replaces its whole set (identifiers are added to, since an old number
  is how a late message finds its resource; copays replace those of their own number);
* `adds` names the lists that are no whole set: what they hold is new, changed, or (our extension `removed`) taken out;
* `assumed` names what stands there only because FHIR requires it: it never overwrites a stored value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from .spec import AccountRule


class MissingCode(NamedTuple):
    """A code table has no line for a value: with one, the message is tried again."""

    table: str
    value: str


@dataclass(frozen=True, slots=True)
class Parked:
    """A line that waits for a human, while the rest of its message applies."""

    location: str  # FT1[2]-11.1
    reason: str
    code: str
    missing: MissingCode | None = None


class ElementRef(NamedTuple):
    """An element of one entry: `Patient.telecom` of `full_url`; an extension is `extension:<url>`."""

    full_url: str
    element: str


@dataclass(frozen=True, slots=True)
class Mapped:
    bundle: dict[str, Any]
    parked: tuple[Parked, ...] = ()
    warnings: tuple[str, ...] = ()
    account_key: str | None = None  # account:<system>|<value>
    patient_key: str | None = None  # patient:<system>|<value>
    deletes: tuple[ElementRef, ...] = ()
    assumed: tuple[ElementRef, ...] = ()
    adds: tuple[ElementRef, ...] = ()
    account: AccountRule = "any"  # whether the message makes its account known, or expects that it is
    lines: Mapping[str, str] = field(default_factory=dict[str, str])  # full_url → the segment that said it

    @classmethod
    def together(cls, parts: Sequence[Mapped]) -> Mapped:
        """The groups of one message in one Bundle, to look at: who applies them takes one after the other."""
        if len(parts) == 1:
            return parts[0]
        entries: dict[str, dict[str, Any]] = {}
        for entry in (one for part in parts for one in part.bundle.get("entry", ())):
            had = entries.setdefault(entry["fullUrl"], {**entry, "resource": dict(entry["resource"])})["resource"]
            for name, value in entry["resource"].items():
                if isinstance(value, list) and isinstance(had.get(name), list):
                    had[name] = had[name] + [one for one in value if one not in had[name]]
                else:
                    had.setdefault(name, value)
        return replace(
            parts[0],
            bundle={**parts[0].bundle, "entry": list(entries.values())},
            parked=tuple(one for part in parts for one in part.parked),
            warnings=tuple(dict.fromkeys(one for part in parts for one in part.warnings)),
            deletes=tuple(dict.fromkeys(one for part in parts for one in part.deletes)),
            assumed=tuple(dict.fromkeys(one for part in parts for one in part.assumed)),
            adds=tuple(dict.fromkeys(one for part in parts for one in part.adds)),
            lines={url: line for part in reversed(parts) for url, line in part.lines.items()},
        )

    def resources(self, kind: str = "") -> list[dict[str, Any]]:
        """The resources of the Bundle, all or those of one type, in order."""
        entries: list[dict[str, Any]] = self.bundle.get("entry", [])
        return [entry["resource"] for entry in entries if not kind or entry["resource"]["resourceType"] == kind]

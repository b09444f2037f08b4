"""SMART scopes: what a caller may do, by resource type, interaction and search parameter.

    system/(Type|*).[cruds][?param=value&…]     SMART App Launch 2.2, "Scopes for requesting FHIR resources"
    system/(Type|*).(read|write|*)              the same in version 1: rs, cud, cruds
    hl7v2, payments, staff, introspect          our endpoints that are no FHIR
    patient/… and user/… are written the same: an EHR grants them to us when a person launches us (launch.py)

One vocabulary for tokens of the configuration, tokens of ours and tokens of another issuer. Pure: what a parameter
means is said by web/fhir_server/access.py. To open another endpoint to clients: its word in `ENDPOINTS`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

ENDPOINTS = ("hl7v2", "payments", "staff", "webhooks", "introspect")
EVERY_LETTER = "cruds"
_VERSION_1 = {"read": "rs", "write": "cud", "*": EVERY_LETTER}
_SCOPE = re.compile(
    r"(?P<context>patient|user|system)/(?P<type>[A-Z][A-Za-z]+|\*)\."
    r"(?:(?P<v1>read|write|\*)|(?P<letters>(?=[cruds])c?r?u?d?s?)(?:\?(?P<query>[^\s]+))?)\Z"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope about FHIR resources. `params` all have to be met; `v1`: it was written as read, write or `*`."""

    type: str
    letters: str
    params: tuple[tuple[str, str], ...] = ()
    v1: bool = False
    context: str = "system"

    @classmethod
    def parse(cls, text: str, contexts: Collection[str] = ("system",)) -> Scope | None:
        """None for what is no scope of these contexts: `openid`, letters out of order, mostly `patient/…` too."""
        match = _SCOPE.match(text)
        if match is None or match["context"] not in contexts:
            return None
        if match["v1"]:
            return cls(match["type"], _VERSION_1[match["v1"]], v1=True, context=match["context"])
        try:
            params = tuple(parse_qsl(match["query"] or "", keep_blank_values=True, strict_parsing=bool(match["query"])))
        except ValueError:
            return None
        return cls(match["type"], match["letters"], params, context=match["context"])

    def __str__(self) -> str:
        """As its holder writes scopes: in version 1 where it did, and where version 1 can say it."""
        if self.v1 and not self.params and self.letters in _VERSION_1.values():
            said = next(word for word, letters in _VERSION_1.items() if letters == self.letters)
        else:
            said = self.letters
        query = urlencode(self.params, safe="|/:,", quote_via=quote)
        return f"{self.context}/{self.type}.{said}" + (f"?{query}" if query else "")

    def overlap(self, other: Scope) -> Scope | None:
        """What both of them allow, written as this one is."""
        kind = other.type if self.type == "*" else self.type
        letters = "".join(letter for letter in self.letters if letter in other.letters)
        if other.type not in ("*", kind) or not letters or other.context != self.context:
            return None
        return Scope(kind, letters, tuple(dict.fromkeys((*other.params, *self.params))), self.v1, self.context)

    def covers(self, other: Scope) -> bool:
        wide = self.type in ("*", other.type) and set(self.letters) >= set(other.letters)
        return wide and self.context == other.context and set(self.params) <= set(other.params)


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a caller may do in all. Nothing, when empty."""

    fhir: tuple[Scope, ...] = ()
    endpoints: tuple[str, ...] = ()

    @classmethod
    def read(cls, texts: Iterable[str]) -> Scopes:
        """Those of `texts` that are scopes of ours; the rest allows nothing."""
        found, endpoints = dict[Scope, None](), dict[str, None]()
        for text in texts:
            if text in ENDPOINTS:
                endpoints[text] = None
            elif (scope := Scope.parse(text)) is not None:
                found[scope] = None
        return cls(tuple(found), tuple(endpoints))

    def __str__(self) -> str:
        return " ".join((*map(str, self.fhir), *self.endpoints))

    def __bool__(self) -> bool:
        return bool(self.fhir or self.endpoints)

    def within(self, held: Scopes) -> Scopes:
        """What of this the holder of `held` may have: each scope narrowed to what is held, none that adds nothing."""
        both = [found for one in self.fhir for other in held.fhir if (found := one.overlap(other)) is not None]
        kept: list[Scope] = []
        for one in dict.fromkeys(both):
            if not any(other.covers(one) for other in kept):
                kept = [*(other for other in kept if not one.covers(other)), one]
        return Scopes(tuple(kept), tuple(word for word in self.endpoints if word in held.endpoints))

    def allowing(self, resource_type: str, letter: str) -> tuple[Scope, ...]:
        """The scopes that allow this interaction with a type, each within its own parameters."""
        return tuple(one for one in self.fhir if one.type in ("*", resource_type) and letter in one.letters)

"""What a mapped message says of merges, taken out of its Bundle: the rest is written as any other message is.

The maps say it in FHIR's own words: a Patient that is `replaced-by` another one, an Account or Encounter with our
extension of that name, an Account that is `moved-from` a patient, an identifier whose use is `old`, a Patient with a
link to another one (`seealso`) or `unlinked-from` it. A prior resource is never written as such: where its number is
the survivor's by now, that would end the survivor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..domain import fhir_urls as urls
from ..fhir.replaced import TYPES

Resource = dict[str, Any]
Number = tuple[str, str]  # system, value


@dataclass(frozen=True, slots=True)
class Replaces:
    """The prior resource, as the message describes it, and the entry that stands for it."""

    prior: Resource
    by_url: str

    @property
    def type(self) -> str:
        return str(self.prior["resourceType"])

    @property
    def numbers(self) -> list[Number]:
        return numbers_of(self.prior)


@dataclass(frozen=True, slots=True)
class Moves:
    """An account that another patient has now: its entry, and the entries of both patients."""

    account_url: str
    from_url: str
    to_url: str


@dataclass(frozen=True, slots=True)
class Renumbers:
    """An entry with the numbers that it had before."""

    url: str
    type: str
    numbers: tuple[Number, ...]
    prior: tuple[Number, ...]
    identifiers: tuple[Resource, ...]  # those that it has now


@dataclass(frozen=True, slots=True)
class Links:
    """Two patients that may be one person, by their entries, or that are known not to be (`ends`)."""

    url: str
    other_url: str
    ends: bool


@dataclass(frozen=True, slots=True)
class Stated:
    bundle: Resource
    replaces: tuple[Replaces, ...] = ()
    moves: tuple[Moves, ...] = ()
    renumbers: tuple[Renumbers, ...] = ()
    links: tuple[Links, ...] = ()

    @property
    def any(self) -> bool:
        return bool(self.replaces or self.moves or self.renumbers or self.links)


def read(bundle: Resource) -> Stated:
    """The Bundle without what is said of merges, and what is said."""
    entries: list[Resource] = bundle.get("entry", [])
    kept: list[Resource] = []
    replaces: list[Replaces] = []
    moves: list[Moves] = []
    renumbers: list[Renumbers] = []
    links: list[Links] = []
    for entry in entries:
        resource: Resource = entry["resource"]
        if resource["resourceType"] not in TYPES:
            kept.append(entry)
        elif by := _replaced_by(resource):
            replaces.append(Replaces(_plain(resource), by))
        else:
            if taken_from := _extension(resource, urls.MOVED_FROM):
                moves.append(Moves(entry["fullUrl"], taken_from, resource["subject"][0]["reference"]))
                entry = {**entry, "resource": _plain(resource)}
            if found := [*_linked(entry["fullUrl"], resource)]:
                links += found
                entry = {**entry, "resource": _plain(resource)}
            prior, own = _old_and_own(resource)
            if prior:
                old, numbers = (tuple(numbers_of({"identifier": some})) for some in (prior, own))
                renumbers.append(Renumbers(entry["fullUrl"], resource["resourceType"], numbers, old, tuple(own)))
            if len(prior) + len(own) < len(resource.get("identifier", ())):
                entry = {**entry, "resource": {**entry["resource"], "identifier": [*own, *prior]}}
            kept.append(entry)
    if not (replaces or moves or renumbers or links):
        return Stated(bundle)
    return Stated({**bundle, "entry": kept}, tuple(replaces), tuple(moves), tuple(renumbers), tuple(links))


def numbers_of(resource: Resource) -> list[Number]:
    return [(one.get("system", ""), one["value"]) for one in resource.get("identifier", ()) if "value" in one]


def _old_and_own(resource: Resource) -> tuple[list[Resource], list[Resource]]:
    """The identifiers that it had, and those that it has: many senders name among the first what is still valid."""
    held: list[Resource] = resource.get("identifier", [])
    own = [one for one in held if one.get("use") != "old"]
    valid = set(numbers_of({"identifier": own}))
    return [one for one in held if one.get("use") == "old" and valid.isdisjoint(numbers_of({"identifier": [one]}))], own


def _replaced_by(resource: Resource) -> str:
    for link in resource.get("link", ()):
        if link.get("type") == "replaced-by":
            return str(link["other"].get("reference", ""))
    return _extension(resource, urls.REPLACED_BY)


def _linked(url: str, resource: Resource) -> Iterator[Links]:
    for one in resource.get("link", ()):
        if one.get("type") == "seealso":
            yield Links(url, str(one["other"].get("reference", "")), ends=False)
    if other := _extension(resource, urls.UNLINKED_FROM):
        yield Links(url, other, ends=True)


def _extension(resource: Resource, url: str) -> str:
    for one in resource.get("extension", ()):
        if one.get("url") == url:
            return str(one.get("valueReference", {}).get("reference", ""))
    return ""


def _plain(resource: Resource) -> Resource:
    """Without what is said of the merge or the link itself."""
    ours = (urls.MOVED_FROM, urls.REPLACED_BY, urls.UNLINKED_FROM)
    rest = [one for one in resource.get("extension", ()) if one.get("url") not in ours]
    kept = {name: value for name, value in resource.items() if name not in ("link", "extension")}
    return {**kept, **({"extension": rest} if rest else {})}

"""Two patients that may be one person are linked (A24), or are known to be two after all (A37). No money moves.

Called by apply_message.py. Each gets FHIR's link to look at the other one; whatever else it says stays. To link twice,
or to end a link that isn't there, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..db.unit import Tx
from ..fhir import replaced, store
from ..parties import resources
from ..parties.statements import Links, Resource, Stated, numbers_of


def apart(tx: Tx, stated: Stated) -> tuple[Stated, list[str]]:
    """Without the links between two numbers of one patient, who is written once then; and what to tell of it."""
    entries: list[Resource] = stated.bundle.get("entry", [])
    by_url = {entry["fullUrl"]: entry["resource"] for entry in entries}
    one = [link for link in stated.links if _are_one(tx, by_url[link.url], by_url[link.other_url])]
    if not one:
        return stated, []
    gone = {link.other_url for link in one}
    bundle = {**stated.bundle, "entry": [entry for entry in entries if entry["fullUrl"] not in gone]}
    kept = tuple(link for link in stated.links if link not in one)
    return replace(stated, bundle=bundle, links=kept), ["both numbers are one patient's here: there is nothing to link"]


def _are_one(tx: Tx, first: Resource, second: Resource) -> bool:
    """By the identifiers that they are written under."""
    known = [
        {found.reference for found in replaced.find(tx, "Patient", *numbers_of(one)[0])} for one in (first, second)
    ]
    return not known[0].isdisjoint(known[1])


def carry_out(tx: Tx, link: Links, urls: Mapping[str, str], *, source: str) -> list[str]:
    """`urls` are the entries as they were written: fullUrl → reference. What to tell of it."""
    refs = sorted((urls[link.url], urls[link.other_url]))
    changed = [_changed(tx, ref, other, link.ends, source) for ref, other in (refs, reversed(refs))]
    return [f"{refs[0]} and {refs[1]} are not linked"] if link.ends and not any(changed) else []


def _changed(tx: Tx, reference: str, other: str, ends: bool, source: str) -> bool:
    stored = store.locked(tx, *reference.split("/"))
    assert stored is not None
    had = stored.resource.get("link", [])
    rest = [one for one in had if one.get("type") != "seealso" or one["other"].get("reference") != other]
    links = rest if ends else [*rest, {"other": {"reference": other}, "type": "seealso"}]
    if len(links) == len(had):
        return False
    kept = {name: value for name, value in stored.resource.items() if name != "link"}
    return bool(resources.change(tx, stored, {**kept, **({"link": links} if links else {})}, source=source))

"""A profile of ours with its snapshot, as a validator wants it: HL7's definition with the profile's differences in it.

As far as our profiles go: elements of the type or of its data types made narrower, and extensions named as slices.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from definitions import definition

Json = dict[str, Any]


def with_snapshot(profile: Json) -> Json:
    elements: list[Json] = deepcopy(definition("R4", profile["type"])["snapshot"]["element"])
    for said in profile["differential"]["element"]:
        there = next((one for one in elements if one["id"] == said["id"]), None)
        if there is not None:
            there.update(deepcopy(said))
        else:
            at, made = _new(elements, said)
            elements[at:at] = [made, *_url_of(said)]
    return {**profile, "snapshot": {"element": elements}}


def _new(elements: list[Json], said: Json) -> tuple[int, Json]:
    """Where a slice or an element inside a data type comes, and what it is."""
    if said.get("sliceName"):
        like = next(one for one in elements if one["id"] == said["path"])
        after = said["path"]
    else:
        owner = next(one for one in elements if one["id"] == said["id"].rpartition(".")[0])
        of, name = owner["type"][0]["code"], said["path"].rpartition(".")[2]
        like = next(one for one in definition("R4", of)["snapshot"]["element"] if one["path"] == f"{of}.{name}")
        after = owner["id"]
    inside = (after + ".", after + ":")
    at = max(index for index, one in enumerate(elements) if one["id"] == after or one["id"].startswith(inside)) + 1
    return at, {**deepcopy(like), **deepcopy(said)}


def _url_of(said: Json) -> list[Json]:
    """What the definition of an extension that a slice names says of itself: by that a validator knows the slice."""
    named = [url for one in said.get("type", ()) if one["code"] == "Extension" for url in one.get("profile", ())]
    like = next(one for one in definition("R4", "Extension")["snapshot"]["element"] if one["path"] == "Extension.url")
    return [
        {**deepcopy(like), "id": said["id"] + ".url", "path": said["path"] + ".url", "fixedUri": url} for url in named
    ]

"""docs/profiles/ from the StructureDefinitions in conformance/. Pure: definitions in, text out.

`test_profiles.py` keeps the pages as they are made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

Json = Mapping[str, Any]
WIDTH = 120
ENDPOINT = "/fhir/R4/StructureDefinition"


def page_of(profile: Json, example: str) -> str:
    """A profile: what it is for, each element that it says something of, an example."""
    lines = [
        f"# {profile['title']}",
        "",
        *wrap(profile["description"], WIDTH),
        "",
        f"`{profile['url']}`, of {profile['type']} (FHIR R4),",
        f"served at `{ENDPOINT}/{profile['id']}`. What isn't named here may be there, as FHIR has it. **Bold** is",
        "what we read, or what a reader can rely on.",
        "",
        "| element | how often | what |",
        "|---|---|---|",
        *(_element(one) for one in profile["differential"]["element"][1:] if not one.get("slicing")),
        "",
        "An example:",
        "",
        "```json",
        example.strip(),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _element(said: Json) -> str:
    name = said["id"].partition(".")[2]
    if said.get("sliceName"):
        url = said["type"][0]["profile"][0]
        name = f"{name.rpartition('extension:')[0]}extension `{url.rpartition('/')[2]}`"
    low, high = said.get("min"), said.get("max")
    often = "never" if high == "0" else f"{'' if low is None else low}..{high or ''}" if low is not None or high else ""
    return f"| {f'**{name}**' if said.get('mustSupport') else name} | {often} | {'; '.join(_what(said))} |"


def _what(said: Json) -> Iterator[str]:
    if short := said.get("short"):
        yield short.replace("|", "\\|")
    for name in ("fixedUri", "fixedCode"):
        if name in said:
            yield f"`{said[name]}`"
    for one in said.get("type", ()):
        if one.get("targetProfile"):
            yield "names " + " or ".join(url.rpartition("/")[2] for url in one["targetProfile"])


def page_of_extensions(extensions: Sequence[Json]) -> str:
    """All of ours in one table."""
    lines = [
        "# Our extensions",
        "",
        f"Each is defined at `{ENDPOINT}/<name>`; its URL is `https://fhirpay.dev/fhir/StructureDefinition/<name>`.",
        "",
        "| name | on | holds | what |",
        "|---|---|---|---|",
    ]
    for one in extensions:
        on = ", ".join(context["expression"] for context in one["context"])
        said = one["differential"]["element"]
        many = " (repeats)" if said[0]["max"] == "*" else ""
        lines.append(f"| `{one['id']}` | {on}{many} | {_holds(said)} | {one['description']} |")
    return "\n".join(lines) + "\n"


def _holds(said: Sequence[Json]) -> str:
    types = {one["id"]: one["type"][0]["code"] for one in said if one.get("type")}
    if parts := [one for one in said if one.get("sliceName")]:
        named = (f"{one['sliceName']} ({types[one['id'] + '.value[x]']})" for one in parts)
        return ", ".join(named)
    return types["Extension.value[x]"]

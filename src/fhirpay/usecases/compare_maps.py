"""A folder of messages through two sets of maps: what differs in FHIR, and what in money. Called by `fhirpay map`.

Both sides are trials of the real program (trial.py) on the same day, so a difference comes from the maps alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ..config import Facility, Interface, Tenant
from ..fhir.json import dumps
from ..mapping.loader import Maps
from ..mapping.preview import MappedResult, files_in, map_file
from .trial import Tried, trial


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the two sides say differently. Empty: that side says nothing of it."""

    what: str
    released: str
    working: str

    def __str__(self) -> str:
        return f"{self.what}: {self.released or '(nothing)'} → {self.working or '(nothing)'}"


@dataclass(frozen=True, slots=True)
class MessageDifference:
    """What one message becomes on each side, where that isn't the same."""

    file: str
    position: int
    control_id: str
    fhir: tuple[Difference, ...]


@dataclass(slots=True)
class Comparison:
    messages: int = 0
    differing: list[MessageDifference] = field(default_factory=list[MessageDifference])
    money: list[Difference] = field(default_factory=list[Difference])  # on accounts, after the last message


async def compare(
    folder: Path,
    tenant: Tenant,
    interface: Interface,
    facility: Facility,
    *,
    released: Maps,
    working: Maps,
    now: datetime,
) -> Comparison:
    """The files of the folder, by name, as one feed. Raises ConfigInvalid when there are none."""
    found, files = Comparison(), files_in(folder)
    owed: tuple[dict[str, str], dict[str, str]] = {}, {}
    async with (
        trial(tenant, interface, released, now=now) as before,
        trial(tenant, interface, working, now=now) as after,
    ):
        for path in files:
            sides = (map_file(path, interface, facility, maps=maps) for maps in (released, working))
            for one, other in zip(*sides, strict=True):
                tried = await before.run(one.data), await after.run(other.data)
                found.messages += 1
                if differences := tuple(_differences(_says(one, tried[0]), _says(other, tried[1]))):
                    found.differing.append(MessageDifference(path.name, one.position, one.control_id, differences))
                for side, what in zip(owed, tried, strict=True):
                    _note(side, what)
    found.money = list(_differences(*owed))
    return found


def _note(side: dict[str, str], tried: Tried) -> None:
    """What stands on the accounts of a message now, in place of what stood there: nothing, where nothing is owed."""
    for account in tried.accounts:
        for key in [key for key in side if key.startswith(f"account {account}, ")]:
            del side[key]
    for one in tried.owed:
        key = f"account {one.account}, {one.kind} {one.basis}"
        side[key] = f"{side[key]}; {one.says}" if key in side else one.says


def _says(result: MappedResult, tried: Tried) -> dict[str, str]:
    """Everything that a message says on one side, by address."""
    said = {"message": tried.state if result.error is None else f"{result.error.code}: {result.error}"}
    if tried.detail:
        said["message detail"] = tried.detail
    for entry in result.bundle.get("entry", ()) if result.bundle is not None else ():
        resource: dict[str, Any] = entry["resource"]
        name = next((str(one.get("value", "")) for one in resource.get("identifier", ())), "")
        said.update(_flat(f"{resource['resourceType']} {name}", resource))
    return said


def _flat(address: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _flat(f"{address}.{name}", member)
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from _flat(f"{address}[{number}]", member)
    else:
        yield address, value if isinstance(value, str) else dumps(value)


def _differences(released: dict[str, str], working: dict[str, str]) -> Iterator[Difference]:
    for what in dict.fromkeys((*released, *working)):
        one, other = released.get(what, ""), working.get(what, "")
        if one != other:
            yield Difference(what, one, other)

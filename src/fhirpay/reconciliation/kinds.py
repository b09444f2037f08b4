"""Every kind of line that waits for a person: who sees to it, what to do, and the one command that does it.

The kinds are data (kinds.toml); whoever opens a new kind adds its row there. Called by usecases/desk_list.py.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal, get_args

from ..errors import InvariantBroken

Leg = Literal["ehr", "ledger", "payout", "bank"]
Owner = Literal["front desk", "billing office", "controller", "integrator"]
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Kind:
    """`legs` are the sides that disagree; none where nothing is compared. `command` has places for ids in braces."""

    name: str
    legs: tuple[Leg, ...]
    owner: Owner
    next: str
    command: str

    def command_for(self, ids: Mapping[str, str]) -> str:
        """The command with a line's own ids, quoted for a shell; a place that the line has no id for stays a word."""
        return _PLACE.sub(lambda place: shlex.quote(ids.get(place[1], "") or place[1].upper()), self.command)


def _read() -> dict[str, Kind]:
    rows = tomllib.loads((resources.files("fhirpay.reconciliation") / "kinds.toml").read_text(encoding="utf-8"))
    kinds: dict[str, Kind] = {}
    for name, row in rows.items():
        legs, owner = tuple(row.get("legs", ())), row["owner"]
        if owner not in get_args(Owner) or not set(legs) <= set(get_args(Leg)):
            raise InvariantBroken(f"kinds.toml: the owner or a leg of {name} is none that there is")
        kinds[name] = Kind(name, legs, owner, row["next"], row["command"])
    return kinds


KINDS: Mapping[str, Kind] = _read()
# What an older version opened, and this one doesn't know any more.
UNKNOWN_KIND = Kind("", (), "controller", "Look at it, then mark it done.", "fhirpay explain {subject}")


def kind(name: str) -> Kind:
    return KINDS.get(name, UNKNOWN_KIND)

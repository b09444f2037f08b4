"""`fhirpay map lint`: everything that is wrong with the mapping files of a site, base and overlays, as findings.

Nothing is changed or stored. Without messages it says what the files themselves show; with messages also what these
messages don't reach and which of their values have no line in a code table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ...config import Facility, Interface
from ...data import data_root
from ...errors import ConfigInvalid
from ..loader import Layers, Maps, Sources
from . import dead, elements, fields, messages, overlays, tables
from .finding import RANK, Finding
from .messages import Given, Reached
from .parts import with_resources


def lint(
    interface: Interface,
    facility: Facility,
    given: Iterable[Given] = (),
    *,
    root: Path | None = None,
    own: Path | None = None,
) -> list[Finding]:
    """Of the maps of `interface.mapping`: by severity, file and line. One that can't be loaded is the only finding."""
    try:
        maps, layers = read(interface.mapping, root, own)
    except ConfigInvalid as error:
        return [Finding("error", "unusable", error.location or interface.mapping, error.message)]
    found = list(static(maps, layers))
    if given:
        reached = Reached()
        messages.run(maps, interface, facility, given, reached)
        found += messages.check(maps, layers, reached)
    return in_order(found)


def read(site: str, root: Path | None = None, own: Path | None = None) -> tuple[Maps, Layers]:
    """Raises ConfigInvalid."""
    sources = Sources(root or data_root("mappings"), site, own)
    maps = sources.maps()  # all that counts is read before `layers` says which files were
    return maps, sources.layers()


def static(maps: Maps, layers: Layers) -> Iterator[Finding]:
    """What the files show by themselves."""
    done: set[tuple[str, str]] = set()  # most messages share most rules
    for rules in maps.all():
        for rule, resource in with_resources(rules):
            if (rule.file, resource) not in done:
                done.add((rule.file, resource))
                yield from fields.check(rule)
                yield from elements.check(rule, resource) if resource else ()
    yield from dead.check(maps)
    yield from tables.check(maps, layers)
    yield from overlays.check(layers)


def in_order(found: Iterable[Finding]) -> list[Finding]:
    """Each once, the worst first."""

    def rank(one: Finding) -> tuple[int, str, int, str]:
        file, _, line = one.at.rpartition(":")
        return RANK[one.severity], file, int(line) if line.isdecimal() else 0, one.says

    return sorted(set(found), key=rank)

"""How a posting is made once and only once at a given EHR: by the best of the ways that its CapabilityStatement names.

Called by usecases/post_back.py. An EHR's quirk that data can't say becomes an override here.
"""

from __future__ import annotations

from enum import StrEnum

from ..fhir.statement import Capability


class Way(StrEnum):
    """The ladder, best rung first."""

    PUT = "put"  # to an id that follows from ours: sending it twice is sending it once
    IF_NONE_EXIST = "if-none-exist"  # the server looks for our identifier in the same transaction
    SEARCH = "search"  # we look for our identifier, create, and after a lost answer look again, later
    BLIND = "blind"  # once; a lost answer is for a person


def ways(capability: Capability) -> tuple[Way, ...]:
    """The ways that this EHR offers, best first; none when it takes no such resource. A server may refuse one that it
    announces: then the next."""
    offered = {
        Way.PUT: capability.update_create,
        Way.IF_NONE_EXIST: capability.conditional_create,
        Way.SEARCH: capability.create and capability.search,
        Way.BLIND: capability.create and not capability.search,
    }
    return tuple(way for way in Way if offered[way])

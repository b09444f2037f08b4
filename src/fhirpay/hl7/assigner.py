"""The namespace of an identifier: who assigned it (HD) as the URI that FHIR calls `system`.

The gate's lane keys and the mapping's identifiers both come from here, so that they are the same text. Changing a
rule renames every stored identifier: add cases, don't alter them.
"""

from __future__ import annotations

import re
from functools import lru_cache

from .reader import Segment

_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")


@lru_cache(maxsize=1024)  # who assigns numbers is the same few in all messages
def hd_system(namespace: str, universal: str, kind: str, default_system: str) -> str:
    """The system of an HD: universal id when its type makes it a URI, else the namespace under the default system.

    An id of type ISO that is no OID, or of another type (DNS, HCD, L), is not globally unique by itself and stays
    under the default system too.
    """
    namespace, universal, kind = namespace.strip(), universal.strip(), kind.strip().upper()
    if kind == "ISO" and _OID.fullmatch(universal):
        return f"urn:oid:{universal}"
    if kind in ("UUID", "GUID") and _UUID.fullmatch(universal):
        return f"urn:uuid:{universal.lower()}"
    if kind in ("URI", "URL") and _URI.fullmatch(universal):
        return universal
    local = namespace or universal
    return f"{default_system}:{_urn_part(local)}" if local else default_system


def assigner_system(segment: Segment, field: int, repetition: int, default_system: str, *, component: int = 4) -> str:
    """The system of the identifier in one repetition: CX-4 by default; XCN and XON name it in other components."""
    parts = segment.subcomponents(field, component, repetition)
    namespace, universal, kind = (*parts, "", "", "")[:3]
    return hd_system(namespace, universal, kind, default_system)


def sender_system(segment: Segment, field: int, default_system: str) -> str:
    """The system of an HD that is a field of its own, such as MSH-3 and MSH-4."""
    namespace, universal, kind = (segment.get(field, component) for component in (1, 2, 3))
    return hd_system(namespace, universal, kind, default_system)


def _urn_part(text: str) -> str:
    """A namespace as written may hold blanks, which a URI can't (`GOOD HEALTH HOSPITAL`)."""
    return re.sub(r"[\s|\"<>\\^`{}]+", "_", text)

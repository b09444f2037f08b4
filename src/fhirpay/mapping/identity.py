"""Who a resource is: its business identifier, and the Bundle-wide URL that follows from it.

The same identifier gives the same `urn:uuid` on every run and every machine (RFC 9562 §5.5, version 5), so mapping
a message twice gives the same Bundle to the last byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import quote

_SEPARATOR = re.compile(r"[\\|,$]")  # of search values (FHIR R4 search.html#escaping)
_NAMESPACE = bytes.fromhex("7b6a1f0e3c5d4e9a8b2f6d1c0a9e8f7d")


def full_url(kind: str, system: str, value: str) -> str:
    """`urn:uuid:…` for the resource of this type with this identifier."""
    digest = bytearray(
        hashlib.sha1(_NAMESPACE + f"{kind}|{system}|{value}".encode(), usedforsecurity=False).digest()[:16]
    )
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"urn:uuid:{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def conditional_url(kind: str, system: str, value: str) -> str:
    """`ChargeItem?identifier=<system>|<value>`, escaped as FHIR search asks (`\\|`) and as URLs ask."""
    parts = (_SEPARATOR.sub(r"\\\g<0>", part) for part in (system, value))
    return f"{kind}?identifier=" + "|".join(quote(part, safe="/:") for part in parts)


def key_value(parts: Iterable[str]) -> str:
    """Key parts as one value, `IMMAPP/GHH|4000776|12345|CG`; a part's own bar can't be taken for the separator."""
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)

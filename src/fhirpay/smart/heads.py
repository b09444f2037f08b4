"""Heads of the ledger, signed: whoever has our public keys sees that it was we who printed one, and when.

A signature is a compact JWS (RFC 7515) by the key that signs now, over tenant, head and moment; the public halves are
our JWK Set (`fhirpay keys jwks`). It proves what no chain can: an export that was written anew as a whole, every hash
right, has no signature of ours. Called by `fhirpay ledger export`,
`verify` and `head`, and by the day close; knows of the ledger only text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from ..errors import MessageInvalid, ValueInvalid
from .keys import Algorithm, KeyRing

TYPE = "fhirpay-ledger-head"  # so that no other signature of ours passes for one


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature says: whose ledger stood at which head, and when it was signed (in whole seconds)."""

    tenant: str
    head: str
    at: datetime


def sign(ring: KeyRing, tenant: str, head: str, now: datetime) -> str:
    """The signature, as text without spaces. Raises ConfigInvalid when no key signs by now."""
    key = ring.signing(now)
    claims = {"tenant": tenant, "head": head, "at": int(now.timestamp())}
    protected = {"alg": key.algorithm.value, "kid": key.kid, "typ": TYPE}
    return jws.serialize_compact(protected, json.dumps(claims), key.jwk, algorithms=[key.algorithm.value])


def signer(ring: KeyRing, tenant: str, now: datetime) -> Callable[[object], str] | None:
    """Signs a head as it is printed; None where no key signs by now."""
    if not any(one.signs_at(now) for one in ring.keys):
        return None
    return lambda head: sign(ring, tenant, str(head), now)


def public_keys(text: str) -> KeySet:
    """A JWK Set as `fhirpay keys jwks` prints it. Raises ValueInvalid."""
    try:
        found: Any = json.loads(text)
        return KeySet.import_key_set(found)
    except (JoseError, ValueError, KeyError, TypeError):
        raise ValueInvalid("that is no JWK Set: it is what `fhirpay keys jwks` prints") from None


def read(signature: str, keys: KeySet) -> Signed:
    """What was signed, by one of these keys. Raises MessageInvalid for anything else."""
    try:
        found = jws.deserialize_compact(signature.encode(), keys, algorithms=[one.value for one in Algorithm])
        claims: Any = json.loads(found.payload or b"")
    except (JoseError, ValueError, KeyError, TypeError):
        raise MessageInvalid("it is not signed by one of these keys") from None
    headers: Mapping[str, Any] = found.headers()
    match claims:
        case {"tenant": str(tenant), "head": str(head), "at": int(at)} if headers.get("typ") == TYPE:
            return Signed(tenant, head, datetime.fromtimestamp(at, UTC))
        case _:
            raise MessageInvalid("it is signed by one of these keys, and is no head of a ledger")

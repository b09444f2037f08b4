"""An EHR's id_token: who it is that comes from there (OpenID Connect Core 1.0 §3.1.3.7; SMART 2.2, "fhirUser").

Called by launch.py. Nothing of it counts before its signature holds by a key of the issuer; each refusal is a
sentence for whoever looks at the screen, and no claim stands in one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError

from ..config_launch import normal_base
from ..errors import LaunchRefused
from .issuers import BySignature
from .key_sets import KeySet

SKEW_S = 60  # between its clock and ours
_LENGTH_MAX = 16_000
_USER = re.compile(r"(?P<base>.*/)?(?P<user>[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?\Z")
_SAYS = {
    "iss": "The EHR's word for who you are was given by somebody else than the EHR.",
    "aud": "The EHR's word for who you are was meant for another program.",
    "exp": "The EHR's word for who you are had run out when it came: are the clocks right?",
    "iat": "The EHR's word for who you are is of the future: are the clocks right?",
    "nbf": "The EHR's word for who you are is of the future: are the clocks right?",
    "nonce": "The EHR's word for who you are belongs to another sign-in.",
    "sub": "The EHR vouches for somebody else now.",
}


@dataclass(frozen=True, slots=True)
class Who:
    """`fhir_user` is a reference at that EHR, such as `Practitioner/123`; empty where it isn't said."""

    subject: str
    fhir_user: str

    @property
    def type(self) -> str:
        return self.fhir_user.partition("/")[0]


async def read_id_token(
    token: object,
    keys: KeySet,
    *,
    issuer: str,
    client_id: str,
    base_url: str,
    now: datetime,
    nonce: str | None = None,
    subject: str | None = None,
) -> Who:
    """`nonce` is that of the sign-in, `subject` of the session that is renewed. Raises LaunchRefused, and
    UpstreamUnavailable when the issuer's keys can't be read."""
    if not isinstance(token, str) or not token or len(token) > _LENGTH_MAX or not token.isascii():
        raise LaunchRefused("The EHR doesn't say who you are: it gave no id_token.", reason="id-token-missing")
    claims = await BySignature(keys).claims(token)
    if claims is None:
        raise LaunchRefused(
            "The EHR's word for who you are isn't signed by a key that it publishes.", reason="id-token-signature"
        )
    registry = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=SKEW_S,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
    )
    try:
        registry.validate(dict(claims))
    except JoseError as error:
        claim = str(getattr(error, "claim", ""))
        raise _refused(claim) from None
    for name, wanted in (("nonce", nonce), ("sub", subject)):
        if wanted is not None and claims.get(name) != wanted:
            raise _refused(name)
    party, several = claims.get("azp"), isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if party != client_id and (party is not None or several):
        raise _refused("aud")
    return Who(str(claims["sub"]), _fhir_user(claims, base_url))


def _refused(claim: str) -> LaunchRefused:
    says = _SAYS.get(claim, "The EHR's word for who you are can't be read.")
    return LaunchRefused(says, reason=f"id-token-{claim}" if claim in _SAYS else "id-token")


def _fhir_user(claims: Mapping[str, Any], base_url: str) -> str:
    """By `fhirUser`, or `profile` as SMART 1 has it. One of another server is nobody here."""
    said = claims.get("fhirUser") or claims.get("profile")
    match = _USER.match(said) if isinstance(said, str) else None
    if match is None or (match["base"] and normal_base(match["base"]) != normal_base(base_url)):
        return ""
    return match["user"]

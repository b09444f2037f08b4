"""What a launch needs of an EHR's smart-configuration: where people sign in, and by whose keys it says who they are.

SMART App Launch 2.2, conformance. Pure; called by launch.py with what was answered, and by `fhirpay conformance check`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import MessageInvalid
from ..net.http import Response
from .configuration import document, endpoint, lacking, words
from .keys import Algorithm

_CAPABILITY = {
    "public": "client-public",
    "client_secret_basic": "client-confidential-symmetric",
    "private_key_jwt": "client-confidential-asymmetric",
}


@dataclass(frozen=True, slots=True)
class LaunchConfiguration:
    """`names_itself`: its answers carry `iss` (RFC 9207). `doubts` is what it doesn't say that it can, in words."""

    authorize_url: str
    token_url: str
    issuer: str
    jwks_url: str
    algorithms: frozenset[str]
    capabilities: frozenset[str]
    names_itself: bool
    doubts: tuple[str, ...] = ()

    @property
    def v2(self) -> bool:
        """Whether it takes scopes in the syntax of v2; one that doesn't say takes those of v1."""
        return "permission-v2" in self.capabilities


def read_launch_configuration(answer: Response, *, private: bool, auth: str) -> LaunchConfiguration:
    """Raises MessageInvalid, in words for whoever set up the connection, when nobody can be let in by it."""
    doc = document(answer)
    authorize_url = endpoint(doc, "authorization_endpoint", private=private)
    token_url = endpoint(doc, "token_endpoint", private=private)
    issuer = doc.get("issuer")
    if not isinstance(issuer, str) or not issuer or not doc.get("jwks_uri"):
        raise MessageInvalid(
            "it names no issuer and jwks_uri (sso-openid-connect): it doesn't say who it is that comes from there"
        )
    jwks_url = endpoint(doc, "jwks_uri", private=private)
    grants = words(doc.get("grant_types_supported"))
    if grants and "authorization_code" not in grants:
        raise MessageInvalid("it grants no authorization_code, which a launch needs")
    challenges = words(doc.get("code_challenge_methods_supported"))
    if challenges and "S256" not in challenges:
        raise MessageInvalid("it takes no code_challenge by S256, and we send no other")
    methods = words(doc.get("token_endpoint_auth_methods_supported"))
    if auth != "public" and methods and auth not in methods:
        raise MessageInvalid(f"its clients authenticate by {', '.join(sorted(methods))}, and launch_auth is {auth}")
    stated = words(doc.get("token_endpoint_auth_signing_alg_values_supported"))
    ours = frozenset[str](Algorithm)
    if auth == "private_key_jwt" and stated and not stated & ours:
        raise MessageInvalid(f"it takes assertions in {', '.join(sorted(stated))}, and we sign RS384 or ES384")
    capabilities = words(doc.get("capabilities"))
    return LaunchConfiguration(
        authorize_url,
        token_url,
        issuer,
        jwks_url,
        algorithms=(stated & ours) or ours,
        capabilities=capabilities,
        names_itself=doc.get("authorization_response_iss_parameter_supported") is True,
        doubts=_doubts(capabilities, auth, lacking(doc)),
    )


def _doubts(capabilities: frozenset[str], auth: str, lacks: tuple[str, ...]) -> tuple[str, ...]:
    needs = ("launch-ehr", "sso-openid-connect", "context-ehr-patient", _CAPABILITY[auth])
    unsaid = [f"it doesn't list the capability {one}" for one in needs if one not in capabilities]
    return (*unsaid, *(f"it lacks {one}" for one in lacks))

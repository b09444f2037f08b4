"""The CapabilityStatement as served: that of the version in conformance/, with this server's addresses in it. And the
SMART configuration, which says where tokens come from and what they may say.

To declare something, edit that file; a test exercises every line of it, and looks for what works undeclared.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from ...data import data_root
from ...fhir.json import loads
from ...fhir.params import OWN, WRITABLE
from ...smart.assertions import ALGORITHMS
from ...smart.authserver import GRANT
from ...smart.scopes import ENDPOINTS
from .access import SUBSCRIPTION
from .spoken import R4, Spoken

# The addresses of an authorization server in a CapabilityStatement, as SMART App Launch 1 had them.
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_IN_STATEMENT = {
    "token": "token_endpoint",
    "introspect": "introspection_endpoint",
    "revoke": "revocation_endpoint",
}


def capability_statement(base_url: str, endpoints: Mapping[str, str], spoken: Spoken = R4) -> dict[str, Any]:
    statement = loads((data_root("conformance") / spoken.statement).read_bytes())
    statement["url"] = f"{base_url}/metadata"
    statement["software"]["version"] = version("fhirpay")
    statement["implementation"]["url"] = base_url
    uris = [{"url": name, "valueUri": endpoints[place]} for name, place in _IN_STATEMENT.items()]
    statement["rest"][0]["security"]["extension"] = [{"url": _OAUTH_URIS, "extension": uris}]
    return statement


def smart_configuration(endpoints: Mapping[str, str]) -> dict[str, Any]:
    """SMART App Launch 2.2, conformance. No user launch of our own, so there is nowhere to send a user to; the code
    challenge is named because the field is required, and names what we would ask.
    """
    return {
        **endpoints,
        "grant_types_supported": [GRANT],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "scopes_supported": [
            *(f"system/{name}.cruds" for name in ("*", *WRITABLE)),
            *(f"system/{name}.rs" for name in sorted(OWN)),
            f"system/{SUBSCRIPTION}.cruds",
            *ENDPOINTS,
        ],
        "response_types_supported": [],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }

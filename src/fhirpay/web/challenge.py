"""`WWW-Authenticate` of a 401 or 403, by RFC 6750 §3. Called by problem.py and by the FHIR server's answering.py."""

from __future__ import annotations

from ..errors import FhirpayError


def challenge(error: FhirpayError) -> dict[str, str]:
    """The header that the error's status asks for: 401 always, 403 where a wider token would help."""
    said = [f'{name}="{error.ids[name]}"' for name in ("error", "scope") if name in error.ids]
    if error.http_status == 401 or (error.http_status == 403 and said):
        return {"WWW-Authenticate": ", ".join(['Bearer realm="fhirpay"', *said])}
    return {}

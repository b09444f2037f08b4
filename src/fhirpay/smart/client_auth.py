"""How we prove to a token endpoint who we are: by a secret, or by a signed assertion. Pure.

SMART App Launch 2.2, client-confidential-symmetric and -asymmetric (RFC 6749 §2.3.1, RFC 7523). Called by backend.py,
launch.py and issuers.py. Neither may stand in a log line or an error.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from urllib.parse import quote

from authlib.oauth2.rfc7523 import private_key_jwt_sign

from .keys import Key

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIVES_S = 240  # five minutes at most, less what clocks may differ by


def basic(client_id: str, secret: str) -> str:
    """The Authorization header of client_secret_basic."""
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return "Basic " + b64encode(pair.encode()).decode()


def assertion(key: Key, client_id: str, token_url: str, *, now: datetime, jti: str) -> dict[str, str]:
    """The parameters of private_key_jwt: iss = sub = client_id, aud = the token endpoint to the letter."""
    signed: object = private_key_jwt_sign(
        key.jwk,
        client_id,
        token_url,
        alg=key.algorithm.value,
        claims={"jti": jti},
        header={"kid": key.kid, "typ": "JWT"},
        issued_at=int(now.timestamp()),
        expires_in=ASSERTION_LIVES_S,
    )
    assert isinstance(signed, str)
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}

"""Text that only its owner's secret opens: sealed before it is stored, so that a database alone gives nothing away.

The key is made of our `hash_key` and a secret that we don't keep, such as a browser's cookie: neither opens it alone.
Used for the refresh tokens of EHRs (usecases/launch_session.py) and for files that are kept as they came. AES-256-GCM,
as compact JWE (RFC 7516) by joserfc.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode, urlsafe_b64encode

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from ..errors import InvariantBroken

_HEADER = {"alg": "dir", "enc": "A256GCM"}


class _Sizes(jwe.JWERegistry):
    """The library opens 64 KiB at most, for strangers' sake: what we open we have sealed, files of 20 MB too."""

    max_ciphertext_length = 40_000_000


_SIZES = _Sizes()


def derived(key: bytes, purpose: str, secret: str) -> str:
    """43 URL-safe characters that follow from the secret, for one purpose alone, and say nothing of it."""
    return urlsafe_b64encode(_digest(key, purpose, secret)).decode().rstrip("=")


def seal(key: bytes, secret: str, text: str) -> str:
    return jwe.encrypt_compact(_HEADER, text.encode(), _key(key, secret))


def unseal(key: bytes, secret: str, sealed: str) -> str | None:
    """The text; None where it isn't this secret's."""
    try:
        opened = jwe.decrypt_compact(sealed, _key(key, secret), registry=_SIZES).plaintext
    except (JoseError, ValueError):
        return None
    return None if opened is None else opened.decode()


def seal_file(key: bytes, file_id: str, data: bytes) -> str:
    """A file as it came, under the id by which it is kept."""
    return seal(key, file_id, b64encode(data).decode())


def unseal_file(key: bytes, file_id: str, sealed: str) -> bytes:
    """Its bytes. Raises InvariantBroken where it was sealed with another key."""
    text = unseal(key, file_id, sealed)
    if text is None:
        raise InvariantBroken(f"file {file_id} was sealed with another hash_key")
    return b64decode(text)


def _key(key: bytes, secret: str) -> OctKey:
    return OctKey.import_key(_digest(key, "sealed", secret))


def _digest(key: bytes, purpose: str, secret: str) -> bytes:
    return hmac.digest(key, f"{purpose}\x00{secret}".encode(), "sha256")

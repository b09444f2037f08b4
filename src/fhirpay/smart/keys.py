"""The keys that we sign with as a client of EHRs, and their public halves, which EHRs fetch as a JWK Set.

RSA signs RS384, EC on P-384 signs ES384: those are what SMART wants of clients (client-confidential-asymmetric). A key
is named by its thumbprint (RFC 7638), so that its name follows from it wherever it stands. All keys are published;
of those that sign by now, the latest does. So a key is replaced without a gap: the new one is published at once and
signs from a day later on, the old one stays until nobody can hold an assertion of it any more. Nothing here shows or
logs a private half. Called by `wiring`, `fhirpay keys` and the JWKS endpoint.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from ..config import SigningKey
from ..errors import ConfigInvalid


class Algorithm(StrEnum):
    RS384 = "RS384"
    ES384 = "ES384"


CACHED_FOR = timedelta(hours=1)  # how long an EHR may keep our JWK Set, by its Cache-Control
PUBLISHED_BEFORE = timedelta(days=1)  # a new key, before it signs: some EHRs fetch at times of their own
KEPT_AFTER = timedelta(hours=1)  # an old key, after the new one signs: an assertion lives five minutes
_RSA_BITS_MIN = 2048


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `jwk` has both halves; `signs_from` is None for the one that has always signed."""

    kid: str
    algorithm: Algorithm
    signs_from: datetime | None
    jwk: RSAKey | ECKey = field(repr=False)

    @property
    def public(self) -> dict[str, Any]:
        """The public half as it is published (RFC 7517)."""
        half = self.jwk.as_dict(private=False)
        return {"kid": self.kid, "alg": self.algorithm.value, "use": "sig", "key_ops": ["verify"], **half}

    def signs_at(self, now: datetime) -> bool:
        return self.signs_from is None or self.signs_from <= now


class KeyRing:
    """A tenant's keys, the one that signs longest first. Raises ConfigInvalid for what is no key for this."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        read = [_read(one, number) for number, one in enumerate(keys, start=1)]
        self.keys = tuple(sorted(read, key=lambda one: (one.signs_from is not None, one.signs_from or 0)))
        kids = [one.kid for one in self.keys]
        if twice := next((kid for kid in kids if kids.count(kid) > 1), ""):
            raise ConfigInvalid(f"the key {twice} stands twice in [[tenants.keys]]")
        for algorithm in Algorithm:
            if sum(one.signs_from is None and one.algorithm == algorithm for one in self.keys) > 1:
                raise ConfigInvalid(
                    f"two {algorithm} keys have no signs_from: give the new one a moment, a day from now, so that EHRs "
                    "know it before it signs"
                )

    def signing(self, now: datetime, algorithms: Collection[str] = tuple(Algorithm)) -> Key:
        """The key that signs now, of an algorithm that is taken. Raises ConfigInvalid when there is none."""
        usable = [one for one in self.keys if one.algorithm in algorithms and one.signs_at(now)]
        if not usable:
            have = ", ".join(sorted({one.algorithm for one in self.keys if one.signs_at(now)})) or "none that signs yet"
            raise ConfigInvalid(f"it takes {' or '.join(sorted(algorithms))}, and our keys are {have}")
        return usable[-1]

    def published(self) -> dict[str, Any]:
        """The JWK Set: the public half of every key, of those that sign later too."""
        return {"keys": [one.public for one in self.keys]}

    def may_go(self, key: Key, now: datetime) -> datetime | None:
        """When an old key can be taken out; None while nothing has taken its place."""
        after = [
            one.signs_from
            for one in self.keys[self.keys.index(key) + 1 :]
            if one.algorithm == key.algorithm and one.signs_from is not None and one.signs_at(now)
        ]
        return min(after) + KEPT_AFTER if after else None


def new_private_key(algorithm: Algorithm) -> str:
    """A new key as PEM (PKCS 8)."""
    made = RSAKey.generate_key(3072) if algorithm is Algorithm.RS384 else ECKey.generate_key("P-384")
    return made.as_pem(private=True).decode()


def _read(setting: SigningKey, number: int) -> Key:
    """Nothing of the key itself may stand in what is raised."""
    where = f"key {number} in [[tenants.keys]]"
    text = setting.private_key.strip().replace("\\n", "\n")  # as some write a PEM into an environment variable
    if not text.startswith(("-----BEGIN", "{")):
        try:
            text = Path(text).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            raise ConfigInvalid(f"{where} is neither a PEM, a JWK nor a file that can be read") from None
    jwk = _imported(text)
    if isinstance(jwk, RSAKey) and jwk.raw_value.key_size >= _RSA_BITS_MIN:
        algorithm = Algorithm.RS384
    elif isinstance(jwk, ECKey) and jwk.curve_name == "P-384":
        algorithm = Algorithm.ES384
    else:
        raise ConfigInvalid(f"{where} is no RSA key of {_RSA_BITS_MIN} bits or more and no EC key on P-384")
    if not jwk.is_private:
        raise ConfigInvalid(f"{where} is a public key: we sign with the private one")
    return Key(jwk.thumbprint(), algorithm, setting.signs_from, jwk)


def _imported(text: str) -> RSAKey | ECKey | None:
    try:
        material: Any = json.loads(text) if text.startswith("{") else text
    except ValueError:
        return None
    for kind in (RSAKey, ECKey):
        try:
            return kind.import_key(material)
        except (JoseError, ValueError, TypeError):
            continue
    return None

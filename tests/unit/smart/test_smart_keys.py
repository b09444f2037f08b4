"""What we sign with, what is published of it, and how one key takes another's place without a gap."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, RSAKey

from fhirpay.cli.keys import state_of
from fhirpay.config import SigningKey
from fhirpay.errors import ConfigInvalid
from fhirpay.smart.keys import KEPT_AFTER, Algorithm, KeyRing, new_private_key
from smart_world import EC, EC_2, RSA, ring

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
TOMORROW = NOW + timedelta(days=1)
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def changing() -> KeyRing:
    return KeyRing([SigningKey(private_key=EC_2, signs_from=TOMORROW), SigningKey(private_key=EC)])


def test_only_public_halves_are_published() -> None:
    for jwk in ring(EC, RSA).published()["keys"]:
        assert not PRIVATE & jwk.keys()
        assert (jwk["use"], jwk["key_ops"]) == ("sig", ["verify"])
        assert jwk["kid"]
    assert [(one["kty"], one["alg"]) for one in ring(EC, RSA).published()["keys"]] == [
        ("EC", "ES384"),
        ("RSA", "RS384"),
    ]


def test_a_new_key_is_published_before_it_signs_and_the_old_one_stays() -> None:
    keys = changing()
    old, new = keys.keys
    assert [one["kid"] for one in keys.published()["keys"]] == [old.kid, new.kid]
    assert keys.signing(NOW) is old
    assert keys.signing(TOMORROW) is new
    assert state_of(keys, new, NOW) == f"published; signs from {TOMORROW.isoformat()}"
    assert state_of(keys, old, NOW) == "signs"
    assert state_of(keys, old, TOMORROW).startswith("published still; may be taken out from")
    assert state_of(keys, old, TOMORROW + KEPT_AFTER) == "may be taken out"


def test_a_key_has_the_same_name_wherever_it_is_written() -> None:
    as_jwk = json.dumps(ECKey.import_key(EC).as_dict(private=True))
    kid = ring(EC).keys[0].kid
    assert ring(as_jwk).keys[0].kid == kid
    assert ring(EC.replace("\n", "\\n")).keys[0].kid == kid


def test_the_algorithm_that_the_server_takes_decides() -> None:
    keys = ring(EC, RSA)
    assert keys.signing(NOW, {"RS384"}).algorithm is Algorithm.RS384
    assert keys.signing(NOW, {"ES384"}).algorithm is Algorithm.ES384
    with pytest.raises(ConfigInvalid, match="it takes RS384, and our keys are ES384"):
        ring(EC).signing(NOW, {"RS384"})


def _short() -> str:
    with warnings.catch_warnings(action="ignore"):
        return RSAKey.generate_key(1024).as_pem(private=True).decode()


WRONG = {
    "no key": ("not-a-file-of-a-key", "neither a PEM, a JWK nor a file"),
    "a broken PEM": ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "no RSA key of 2048 bits"),
    "no JSON": ("{", "no RSA key of 2048 bits"),
    "a short RSA key": (_short(), "no RSA key of 2048 bits"),
    "another curve": (ECKey.generate_key("P-256").as_pem(private=True).decode(), "no EC key on P-384"),
    "a symmetric key": ('{"kty": "oct", "k": "c2VjcmV0LXNlY3JldA"}', "no RSA key"),
    "a public key": (ECKey.import_key(EC).as_pem(private=False).decode(), "is a public key"),
}


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_key_is_named_by_its_place_and_never_shown(name: str) -> None:
    text, says = WRONG[name]
    with pytest.raises(ConfigInvalid, match=says) as caught:
        ring(EC, text)
    assert "key 2 in [[tenants.keys]]" in str(caught.value)
    assert "AAAA" not in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)


def test_two_keys_that_sign_at_once_are_refused() -> None:
    with pytest.raises(ConfigInvalid, match="two ES384 keys have no signs_from"):
        ring(EC, EC_2)
    with pytest.raises(ConfigInvalid, match="stands twice"):
        KeyRing([SigningKey(private_key=EC), SigningKey(private_key=EC, signs_from=TOMORROW)])


def test_no_private_key_shows_where_settings_are_shown(tmp_path: Path) -> None:
    pem = new_private_key(Algorithm.ES384)
    body = pem.splitlines()[1]
    (tmp_path / "k.pem").write_text(pem, encoding="utf-8")
    setting = SigningKey(private_key=pem)
    assert body not in repr(setting)
    assert body not in repr(ring(str(tmp_path / "k.pem")).keys)

"""Equal after normalising is equal in the index; nothing can be read from it without the key."""

from __future__ import annotations

import pytest

from fhirpay.security.blind_index import Kind, blind_index, keyed_hash

KEY = b"k" * 32


def test_keyed_hash_is_hmac_sha_256() -> None:
    # RFC 4231, test case 2
    assert keyed_hash(b"Jefe", b"what do ya want for nothing?") == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("name", "O'Brien-Müller", "OBRIEN MULLER"),
        ("name", "Straße", "STRASSE"),
        ("phone", "+1 (555) 010-0199", "555.010.0199"),
        ("phone", "0049 30 1234567", "+49301234567"),
        ("birthdate", "19800229", "1980-02-29T00:00:00Z"),
        ("birthdate", "19800229120000", "1980-02-29"),
        ("identifier", " A-77 ", "A-77"),
    ],
)
def test_same_thing_written_otherwise(kind: Kind, one: str, other: str) -> None:
    assert blind_index(KEY, kind, one) == blind_index(KEY, kind, other) != ""


def test_kinds_and_keys_never_match_each_other() -> None:
    values = {
        blind_index(key, kind, "19800229")
        for key in (KEY, b"other")
        for kind in ("name", "phone", "birthdate", "identifier")
    }
    assert len(values) == 8


@pytest.mark.parametrize(("kind", "value"), [("name", " -- "), ("phone", "none"), ("birthdate", "1980-02")])
def test_nothing_left_is_no_index(kind: Kind, value: str) -> None:
    assert blind_index(KEY, kind, value) == ""

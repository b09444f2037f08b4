"""Keyed hashes: finding and comparing what must not be readable. Used by the inbox, the FHIR store and search.

A plain hash of a name or a phone number can be guessed by trying them all; with a key it can't. What is normalised
away decides what is found together: a change here makes old rows unfindable until they are written again.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from typing import Literal

Kind = Literal["name", "phone", "birthdate", "identifier"]


def keyed_hash(key: bytes, data: bytes) -> str:
    """HMAC-SHA-256 in hexadecimal: equal data, equal text; says nothing without the key."""
    return hmac.digest(key, data, "sha256").hex()


def blind_index(key: bytes, kind: Kind, value: str) -> str:
    """What to store and look up instead of `value`; '' when nothing is left of it. Kinds never match each other."""
    normal = _NORMALISERS[kind](value)
    return keyed_hash(key, f"{kind}\x00{normal}".encode()) if normal else ""


def normal_name(value: str) -> str:
    """Letters and digits, without case, accents, blanks or punctuation: `O'Brien-Müller` is `obrienmuller`."""
    # NFKC on the way out: casefolding can undo NFKD for a few letters.
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", value).casefold())
    return "".join(character for character in plain if character.isalnum())


def normal_phone(value: str) -> str:
    """Digits alone, without an international prefix of North America: `+1 (555) 010-0199` is `5550100199`."""
    digits = re.sub(r"[^0-9]", "", value)
    digits = digits.removeprefix("00") if len(digits) > 11 else digits
    return digits[1:] if len(digits) == 11 and digits.startswith("1") else digits


def normal_birthdate(value: str) -> str:
    """YYYYMMDD from an HL7 or FHIR date or date-time; '' unless it names a day."""
    digits = re.sub(r"[^0-9]", "", value[:10])[:8]
    return digits if len(digits) == 8 else ""


_NORMALISERS = {
    "name": normal_name,
    "phone": normal_phone,
    "birthdate": normal_birthdate,
    "identifier": str.strip,
}

"""An export's verifier finds any changed byte, a lost entry, a lost tail, and a head that isn't signed by us."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from fhirpay.config import SigningKey
from fhirpay.db.types import micros
from fhirpay.errors import FhirpayError
from fhirpay.ledger.chain import FORMAT, Head, canonical, digest
from fhirpay.ledger.entry import Entry
from fhirpay.ledger.verify import verify_export
from fhirpay.smart import heads
from fhirpay.smart.keys import Algorithm, KeyRing, new_private_key
from strategies import books

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
RING, OTHERS = (
    KeyRing([SigningKey(private_key=one)])
    for one in (new_private_key(Algorithm.ES384), new_private_key(Algorithm.ES384))
)
KEYS = heads.public_keys(json.dumps(RING.published()))


def exported(entries: list[Entry], *, ring: KeyRing = RING, tenant: str = "main") -> tuple[list[str], Head]:
    """The lines that the store would write of these, without a database; and the head."""
    head, lines = Head(), [json.dumps({"ledger": FORMAT, "tenant": tenant})]
    for entry in entries:
        seq = head.seq + 1
        legs = [
            {
                "account": leg.account,
                "side": str(leg.side),
                "minor": leg.amount.minor,
                "currency": leg.amount.currency,
                "dims": dict(leg.dims),
            }
            for leg in entry.postings
        ]
        text = canonical(
            {
                "v": FORMAT,
                "tenant": tenant,
                "seq": seq,
                "prev": head.hash,
                "entry_id": f"ent{seq}",
                "kind": str(entry.kind),
                "key": f"fact/{seq}",
                "occurred_at": micros(entry.occurred_at),
                "recorded_at": micros(NOW),
                "business_date": entry.business_date.isoformat(),
                "refs": dict(entry.refs),
                "postings": legs,
            }
        )
        head = Head(seq, digest(text))
        lines.append(json.dumps({"seq": seq, "hash": head.hash, "body": text}))
    signature = heads.sign(ring, tenant, str(head), NOW)
    return [*lines, json.dumps({"head": str(head), "signature": signature})], head


def whole(lines: list[str], head: Head) -> bool:
    try:
        return verify_export(lines, known=[head], keys=KEYS).ok
    except FhirpayError:
        return False


@settings(max_examples=100)
@given(entries=books(most=4), data=st.data())
def test_any_changed_byte_and_any_lost_entry_is_found(entries: list[Entry], data: st.DataObject) -> None:
    lines, head = exported(entries)
    assert whole(lines, head)
    changed_line = data.draw(st.integers(0, len(lines) - 1), label="line")
    line = lines[changed_line]
    at = data.draw(st.integers(0, len(line) - 1), label="byte")
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda one: one != line[at]))
    for changed in (line[:at] + other + line[at + 1 :], line[:at] + other + line[at:], line[:at] + line[at + 1 :]):
        assert changed == line or not whole([*lines[:changed_line], changed, *lines[changed_line + 1 :]], head)
    number = data.draw(st.integers(1, len(entries)), label="entry")
    assert not whole(lines[:number] + lines[number + 1 :], head)
    assert not whole(lines[:number], head)
    shorter, _ = exported(entries[: number - 1])  # whole in itself, and signed by us
    assert verify_export(shorter, keys=KEYS).ok
    assert not whole(shorter, head)


@settings(max_examples=10)
@given(entries=books(most=4))
def test_books_written_anew_are_not_signed_by_us(entries: list[Entry]) -> None:
    forged, _ = exported(entries, ring=OTHERS)
    assert verify_export(forged).ok
    assert [one.kind for one in verify_export(forged, keys=KEYS).problems] == ["signature"]
    unsigned = [*forged[:-1], json.dumps({"head": json.loads(forged[-1])["head"]})]
    assert [one.kind for one in verify_export(unsigned, keys=KEYS).problems] == ["signature"]
    ours, _ = exported(entries[:-1])
    mixed = json.dumps({"head": json.loads(forged[-1])["head"], "signature": json.loads(ours[-1])["signature"]})
    assert [one.kind for one in verify_export([*forged[:-1], mixed], keys=KEYS).problems] == ["signature"]

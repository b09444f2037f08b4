"""Who paid isn't kept with a processor's event; what it is about is, to the letter."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from fhirpay.security.payer import without_payer

SQUARE = {
    "event_id": "e1",
    "data": {
        "object": {
            "payment": {
                "id": "p1",
                "amount_money": {"amount": 50_00, "currency": "USD"},
                "buyer_email_address": "canary@example.org",
                "billing_address": {"address_line_1": "1 Canary Street", "lines": ["a", {"b": "}"}]},
                "note": "pay01; write to canary@example.org",
                "shipping_address": None,
                "ratio": 1.10,
            }
        }
    },
}


def test_names_and_addresses_are_gone_and_all_else_stays() -> None:
    came = json.dumps(SQUARE, indent=2)
    stored = without_payer(came)
    assert "anary" not in stored
    payment = json.loads(stored)["data"]["object"]["payment"]
    assert payment["id"] == "p1"
    assert payment["amount_money"] == {"amount": 50_00, "currency": "USD"}
    assert payment["buyer_email_address"] == payment["billing_address"] == "[removed]"
    assert payment["shipping_address"] is None
    assert '"ratio": 1.1' in stored
    assert without_payer(stored) == stored


def test_what_can_not_be_read_after_a_listed_name_is_removed_to_its_end() -> None:
    assert without_payer('{"a": 1, "receipt_email": "cana') == '{"a": 1, "receipt_email": "[removed]"'
    assert "anary" not in without_payer('{"name": ' + "[" * 100_000 + '"Canary"')


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner)
    )
)
def test_other_json_is_still_json(doc: object) -> None:
    stored = without_payer(json.dumps({"event": doc, "phone": doc}))
    assert json.loads(stored).keys() == {"event", "phone"}

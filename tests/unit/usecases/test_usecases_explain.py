"""From any id in the chain, the whole chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from chain_built import Built, charged, paid, refunded, tenant

from fhirpay.db.unit import Tx, Units
from fhirpay.errors import NotFound
from fhirpay.inbox.store import Incoming, record
from fhirpay.ledger import store as ledger
from fhirpay.payments import store as payments
from fhirpay.usecases.explain import Chain, explain
from fhirpay.usecases.explain_text import Node
from fhirpay.writeback import store as writeback

OWNER = tenant()
REQUEST = "Invoice/inv-1/_history/1"


def whole(tx: Tx) -> tuple[Built, dict[str, str]]:
    """A chain to its end, and every id by which it may be asked for."""
    built = refunded(tx, OWNER, paid(tx, OWNER, charged(tx, OWNER)))
    for number, posting in enumerate(writeback.of_payment(tx, built.payment), start=1):
        writeback.posted(tx, posting.posting_id, remote_id=f"ehr-{number}", remote_version="1", body=None)
    (share,) = payments.allocations(tx, built.payment)
    (entry, *_) = ledger.entries_for(tx, payment=built.payment)
    (operation, *_) = payments.operations_of(tx, built.payment)
    meta = {"our_reference": built.payment}
    key = ("simulated", "main", "evt_1")
    record(tx, Incoming("webhook", "simulated/main", "webhook", key, b"-", "hash", label="payment.captured", meta=meta))
    return built, {
        "event of the processor": "evt_1",
        "message id": built.fhir,
        "id of the request": REQUEST,
        "invoice": built.invoice,
        "invoice's id": "inv-1",
        "invoice's identifier": "urn:ehr:invoice|9",
        "account": built.account,
        "account number": "A100",
        "obligation": share.obligation_id,
        "payment": built.payment,
        "processor's payment": "pi_1",
        "processor's capture": "ch_1",
        "refund": built.refund,
        "processor's refund": "re_1",
        "operation": operation.operation_id,
        "entry": entry.entry_id,
        "posting at the EHR": "PaymentReconciliation/ehr-1",
        "its id": "ehr-1",
        "its identifier": f"https://fhirpay.dev/payment|{built.payment}",
        "posting of the refund": "ehr-2",
    }


def kinds(nodes: tuple[Node, ...]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        yield node.kind, node.id
        yield from kinds(node.children)


async def test_every_id_leads_to_the_whole_chain(units: Units) -> None:
    built, asked = await units.write(whole)
    for name, some_id in asked.items():
        chain = await units.read(explain, some_id)
        found = set(kinds(chain.roots))
        assert {("payment", built.payment), ("refund", built.refund), ("Invoice", "inv-1")} <= found, name
        assert {("message", REQUEST), ("message", "MSG00017")} <= found, name
        assert ("ChargeItem", built.charge.partition("/")[2]) in found, name
        assert {"obligation", "operation", "entry", "PaymentReconciliation"} <= {kind for kind, _ in found}, name


async def test_each_thing_is_drawn_in_full_once(units: Units) -> None:
    built, _ = await units.write(whole)
    chain = await units.read(explain, built.account)
    drawn = [one for one in kinds(chain.roots) if one[0] != "mention"]
    assert len(drawn) == len(set(drawn))


async def test_the_tree_reads_from_the_message_down(units: Units) -> None:
    built, _ = await units.write(whole)
    text = (await units.read(explain, REQUEST)).as_text()
    order = [f"message {REQUEST}", "─ Invoice/inv-1 80.00", "obligation obl", "because", f"payment {built.payment}"]
    order += ["call opn", "payment captured", "PaymentReconciliation/ehr-1", f"refund {built.refund}"]
    text = text[text.index(order[0]) :]  # the request; before it the DFT has its own charge
    places = [text.index(part) for part in order]
    assert places == sorted(places), text
    assert "posted, version 1" in text
    assert "└─ " in text


async def test_why_a_charge_is_not_collected_is_said(units: Units) -> None:
    built = await units.write(charged, OWNER)
    chain = await units.read(explain, "MSG00017")
    assert ("ChargeItem", built.charge.partition("/")[2]) in set(kinds(chain.roots))
    charge = await units.read(explain, built.charge)
    assert "because" in charge.as_text()


async def test_json_says_the_same_without_a_name_or_a_body(units: Units) -> None:
    built, _ = await units.write(whole)
    shown = (await units.read(explain, built.payment)).as_json()
    text = json.dumps(shown)
    assert shown["asked"] == built.payment
    assert '"amount": "80.00"' in text
    assert "urn:mrn" not in text


async def test_an_id_that_is_nowhere_is_said_to_be_nowhere(units: Units) -> None:
    for some_id in ("nothing", "", "Invoice/nothing", "100%", "a,b|c"):
        with pytest.raises(NotFound, match="is no message"):
            await units.read(explain, some_id)


def test_a_tree_has_its_lines() -> None:
    leaf = Node("entry", "e", "leaf", ("a note",))
    tree = Node(
        "message", "m", "top", ("first",), {"state": "applied"}, (Node("x", "x", "branch", (), {}, (leaf,)), leaf)
    )
    chain = Chain("m", "a message", (tree,))
    assert chain.as_text().splitlines() == [
        "m is a message",
        "",
        "top",
        "│  first",
        "├─ branch",
        "│  └─ leaf",
        "│        a note",
        "└─ leaf",
        "      a note",
    ]
    shown: dict[str, Any] = chain.as_json()["chain"][0]
    assert (shown["state"], shown["then"][1]["notes"]) == ("applied", ["a note"])

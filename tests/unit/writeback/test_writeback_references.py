"""Each EHR is spoken to in its own ids."""

from __future__ import annotations

from typing import Any

from fhirpay.db.unit import Tx, Units
from fhirpay.fhir import store as fhir
from fhirpay.inbox.store import Incoming, record
from fhirpay.writeback.references import as_known_by, sources

INVOICE: dict[str, Any] = {
    "resourceType": "Invoice",
    "status": "issued",
    "identifier": [{"system": "urn:i", "value": "9"}],
}


def message(tx: Tx, kind: str, client: str) -> str:
    """A message of this client, as the source of what it wrote."""
    feed, source = f"{client}-feed", "fhir" if kind == "fhir" else "mllp"
    key = (client, "PUT", tx.ids.new("x"))
    incoming = Incoming(source, feed, kind, key, b"{}", "hash")  # type: ignore[arg-type]
    return f"urn:fhirpay:{feed}#{record(tx, incoming).message_id}"


def keep(tx: Tx, kind: str, client: str, **more: Any) -> str:
    """A resource and the message behind it."""
    return fhir.put(tx, INVOICE | more, source=message(tx, kind, client))[0].reference


async def test_what_the_ehr_wrote_under_its_own_id_is_named_by_that_id(units: Units) -> None:
    reference = await units.write(keep, "fhir", "ehr", id="inv-1")
    assert reference == "Invoice/inv-1"
    assert await units.read(as_known_by, reference, "ehr") == {"reference": "Invoice/inv-1"}


async def test_every_entry_of_a_transaction_counts(units: Units) -> None:
    def transaction(tx: Tx) -> None:
        source = message(tx, "fhir", "ehr")
        for id in ("inv-1", "inv_2"):
            fhir.put(tx, INVOICE | {"id": id}, source=source)
        fhir.put(tx, INVOICE | {"id": "invX2"})

    await units.write(transaction)
    assert await units.read(as_known_by, "Invoice/inv_2", "ehr") == {"reference": "Invoice/inv_2"}
    logical = await units.read(as_known_by, "Invoice/invX2", "ehr")
    assert logical is not None
    assert "identifier" in logical


async def test_everything_else_is_named_by_its_identifier(units: Units) -> None:
    logical = {"type": "Invoice", "identifier": {"system": "urn:i", "value": "9"}}
    another = await units.write(keep, "fhir", "ehr", id="inv-1")
    assert await units.read(as_known_by, another, "other-ehr") == logical
    ours = await units.write(keep, "fhir", "ehr")
    assert await units.read(as_known_by, ours, "ehr") == logical
    over_hl7 = await units.write(keep, "hl7", "ehr", id="inv-2")
    assert await units.read(as_known_by, over_hl7, "ehr") == logical


async def test_what_an_ehr_changed_and_another_made_is_not_named_by_the_others_id(units: Units) -> None:
    reference = await units.write(keep, "fhir", "other-ehr", id="inv-1")
    assert await units.write(keep, "fhir", "ehr", id="inv-1", status="issued", note=[{"text": "mine"}]) == reference
    logical = {"type": "Invoice", "identifier": {"system": "urn:i", "value": "9"}}
    assert await units.read(as_known_by, reference, "ehr") == logical
    assert await units.read(as_known_by, reference, "other-ehr") == {"reference": reference}


async def test_what_nobody_can_name_is_not_named(units: Units) -> None:
    assert await units.read(as_known_by, "Invoice/nothing", "ehr") is None
    nameless = await units.write(keep, "fhir", "ehr", identifier=[])
    assert await units.read(as_known_by, nameless, "ehr") is None


async def test_a_resource_knows_the_messages_that_wrote_it(units: Units) -> None:
    def twice(tx: Tx) -> tuple[list[str], list[str]]:
        first, second = message(tx, "hl7", "adt"), message(tx, "fhir", "ehr")
        for source, status in ((first, "draft"), (second, "issued"), (first, "balanced")):
            fhir.put(tx, INVOICE | {"id": "inv-1", "status": status}, source=source)
        return [one.partition("#")[2] for one in (first, second)], sources(tx, "Invoice", "inv-1")

    expected, found = await units.write(twice)
    assert found == expected

"""What a DFT of ours says follows from what was captured and owed, in the fields that the EHR itself has sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from chain_built import Built, charged, paid, refunded, tenant

from dft_world import receiving
from fhirpay.config import Interface, Tenant
from fhirpay.config_destination import Destination
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.fhir import store as fhir
from fhirpay.flow.worker import Worker
from fhirpay.hl7.mllp import MllpClient
from fhirpay.hl7.reader import Message
from fhirpay.simulators.ehr_dft import DftFault, DftReceiver
from fhirpay.usecases.echoes import confirm_echo, echo_of
from fhirpay.usecases.parked import note_parked_call
from fhirpay.usecases.post_dft import PostDft
from fhirpay.usecases.postings import kind_of
from fhirpay.usecases.unposted import Unposted, resolve, unposted
from fhirpay.writeback import store
from fhirpay.writeback.as_received import chart_of, transaction_id

DFT = (
    b"MSH#*~\\$#LAB#CLINIC#####DFT*P03#MSG00017#P#2.5.1\r"
    b"PID#1##M1***HOSP$2.16.840.1$ISO*MR~\\F\\7##O\\S\\Brien*Ruth#############A100*5*M10*LAB*AN\r"
    b"PV1#1#E#################V-77***LAB*VN\r"
    b"FT1#1#T1##20261120##CG#99213\r"
)


def owner(receiver: DftReceiver | None = None, **profile: Any) -> Tenant:
    to = Destination(name="engine", host="127.0.0.1", port=receiver.port if receiver else 1, **profile)
    lab = Interface(name="lab", account_key="PID-18")
    return tenant().model_copy(update={"connections": (), "destinations": (to,), "interfaces": (lab,)})


@asynccontextmanager
async def posting(database: Database, units: Units, receiver: DftReceiver, whose: Tenant) -> AsyncIterator[Worker]:
    client = MllpClient("127.0.0.1", receiver.port, timeout_s=20)
    post = PostDft(units, whose, whose.destinations[0], client)
    try:
        yield Worker(
            database, units, queue="outbox", handlers={kind_of("engine"): post.run}, on_parked=note_parked_call
        )
    finally:
        await client.close()


async def test_account_visit_and_patient_go_back_as_they_came(database: Database, units: Units) -> None:
    async with receiving() as receiver:
        whose = owner(receiver)

        def all_of_it(tx: Tx) -> Built:
            return refunded(tx, whose, paid(tx, whose, charged(tx, whose, DFT)))

        built = await units.write(all_of_it)
        async with posting(database, units, receiver, whose) as worker:
            await worker.drain()
    payment, refund = (Message.parse(one) for one in receiver.read)
    assert payment.first("PID").raw(3) == "M1^^^HOSP&2.16.840.1&ISO^MR~#7"  # type: ignore[union-attr]
    assert payment.first("PID").raw(5) == r"O*Brien^Ruth"  # type: ignore[union-attr]  (their escape was of `*`)
    assert payment.first("PID").raw(18) == "A100^5^M10^LAB^AN"  # type: ignore[union-attr]
    assert payment.first("PV1").raw(19) == "V-77^^^LAB^VN"  # type: ignore[union-attr]
    assert (payment.get("PV1-2"), payment.get("MSH-4")) == ("E", "main")
    assert (payment.get("FT1-2"), payment.get("FT1-11")) == (f"{built.payment}-1", "80.00")
    assert (payment.get("FT1-30"), payment.get("FT1-30.4")) == ("ch_1", "simulated")
    assert (refund.get("FT1-2"), refund.get("FT1-11")) == (f"{built.refund}-1", "-30.00")
    assert refund.get("NTE-3") == f"TAKES BACK {built.payment}-1"


async def test_what_never_came_over_hl7_is_written_from_its_resources(units: Units) -> None:
    def chart(tx: Tx) -> Any:
        built = charged(tx, owner())
        return chart_of(tx, built.account, built.charge, {})

    found = await units.write(chart)
    assert found.patient == [("M1", "", "", ("", "urn:mrn", "URI"), "")]
    assert found.account == ("A100", "", "", ("", "urn:lab", "URI"), "")
    assert found.visit == ("V1", "", "", ("", "urn:lab", "URI"), "")


async def test_a_charges_own_number_is_the_one_it_came_with(units: Units) -> None:
    def numbers(tx: Tx) -> tuple[str, str]:
        item = {"resourceType": "ChargeItem", "identifier": [{"system": "urn:fhirpay:lab:transaction", "value": "T-9"}]}
        reference = fhir.put(tx, item, source="urn:fhirpay:lab#m")[0].reference
        return transaction_id(tx, reference), transaction_id(tx, "Invoice/i")

    assert await units.write(numbers) == ("T-9", "")


@pytest.mark.warns("call.parked", "work.parked")
async def test_what_is_unknown_is_listed_and_a_persons_word_is_taken(database: Database, units: Units) -> None:
    async with receiving(dedupes=False, faults=[DftFault("close_posted")]) as receiver:
        whose = owner(receiver)
        built = await units.write(lambda tx: paid(tx, whose, charged(tx, whose, DFT)))
        async with posting(database, units, receiver, whose) as worker:
            await worker.drain()
            (one,) = await units.read(unposted)
            assert isinstance(one, Unposted)
            assert (str(one.amount), one.posting.state, one.waits_for_a_person) == ("80.00 USD", "unknown", True)
            assert f"FT1-2 {built.payment}-" in one.todo
            await resolve(units, {}, some_id=built.payment, found="their 4711", absent=False)
            await worker.drain()
    assert await units.read(unposted) == []
    assert len(receiver.book) == 1


@pytest.mark.warns("call.parked", "work.parked")
async def test_an_echo_is_known_and_clears_up_what_was_unknown(database: Database, units: Units) -> None:
    async with receiving(dedupes=False, faults=[DftFault("close_posted")]) as receiver:
        whose = owner(receiver)
        built = await units.write(lambda tx: paid(tx, whose, charged(tx, whose, DFT)))
        async with posting(database, units, receiver, whose) as worker:
            await worker.drain()
            echo = await units.read(echo_of, transaction=f"{built.payment}-1".upper())
            assert echo is not None
            assert (echo.payment_id, echo.refund_id, str(echo.amount)) == (built.payment, "", "80.00 USD")
            assert await units.write(confirm_echo, echo) == [echo.postings[0].posting_id]
            await worker.drain()
    (posted,) = await units.read(store.of_payment, built.payment)
    assert posted.state == "posted"
    assert await units.read(unposted) == []
    by_reference = await units.read(echo_of, transaction="77", reference="ch_1")
    assert by_reference is not None
    assert (by_reference.payment_id, by_reference.amount) == (built.payment, None)
    for transaction, reference in (("", ""), (f"{built.payment}-2", ""), ("pay9-1", ""), ("T1", "ch_9")):
        assert await units.read(echo_of, transaction=transaction, reference=reference) is None

"""What is posted follows from what was captured, allocated and owed, in the words of the EHR that gets it."""

from __future__ import annotations

import pytest
from chain_built import Built, charged, paid, refunded, tenant

from ehr_running import TOKEN, running_ehr
from fhirpay.config import Tenant
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.errors import RuleBroken
from fhirpay.fhir.access import FixedToken
from fhirpay.fhir.client import FhirClient
from fhirpay.fhir.json import dumps
from fhirpay.flow.worker import Worker
from fhirpay.net.http import client
from fhirpay.usecases.post_back import PostBack
from fhirpay.usecases.posted_facts import posted_facts
from fhirpay.writeback import store
from fhirpay.writeback.posted import PostedPayment

OWNER = tenant()
ACCOUNT = {"type": "Account", "identifier": {"system": "urn:lab", "value": "A100"}}


def facts_of(tx: Tx, subject: str, owner: Tenant = OWNER) -> PostedPayment:
    (posting,) = [one for one in store.find(tx, subject) if one.subject == subject]
    return posted_facts(tx, posting, owner)


async def test_an_allocation_pays_the_invoice_by_the_id_that_the_ehr_gave_it(units: Units) -> None:
    built = await units.write(lambda tx: paid(tx, OWNER, charged(tx, OWNER)))
    posted = await units.read(facts_of, built.payment)
    (line,) = posted.lines
    assert line.pays == {"reference": "Invoice/inv-1"}
    assert line.account == ACCOUNT
    assert (str(posted.amount), posted.reference, posted.channel) == ("80.00 USD", "ch_1", "online")
    assert (posted.brand, posted.last4, posted.authorization) == ("visa", "4242", "A1B2C3")


async def test_a_partial_approval_is_posted_with_what_was_taken(units: Units) -> None:
    built = await units.write(lambda tx: paid(tx, OWNER, charged(tx, OWNER), captured="50.00"))
    posted = await units.read(facts_of, built.payment)
    assert [str(line.amount) for line in posted.lines] == [str(posted.amount)] == ["50.00 USD"]


async def test_a_refund_names_the_allocation_that_it_takes_back(units: Units) -> None:
    built = await units.write(lambda tx: refunded(tx, OWNER, paid(tx, OWNER, charged(tx, OWNER))))
    posted = await units.read(facts_of, built.refund)
    (line,) = posted.lines
    assert (line.takes_back, str(line.amount)) == (f"{built.payment}-1", "30.00 USD")
    assert (posted.refund_of, posted.whole, posted.reference) == (built.payment, False, "re_1")


async def test_what_was_never_captured_has_nothing_to_post(units: Units) -> None:
    def unpaid(tx: Tx) -> None:
        built = paid(tx, OWNER, charged(tx, OWNER))
        (posting,) = store.of_payment(tx, built.payment)
        from fhirpay.payments import store as payments

        payments.change(tx, built.payment, captured_minor=0)
        posted_facts(tx, posting, OWNER)

    with pytest.raises(RuleBroken, match="nothing to post"):
        await units.write(unpaid)


async def test_settling_posts_payment_and_refund_to_the_ehr_without_a_word_of_health(
    database: Database, units: Units
) -> None:
    async with running_ehr() as ehr:
        for kind, id in (("Patient", "p-1"), ("Invoice", "inv-1")):
            resource = {"resourceType": kind, "id": id} | ({"status": "issued"} if kind == "Invoice" else {})
            assert (await ehr.call("PUT", f"/{kind}/{id}", resource)).status_code == 201
        owner = tenant(ehr.base_url, TOKEN)

        def all_of_it(tx: Tx) -> Built:
            return refunded(tx, owner, paid(tx, owner, charged(tx, owner)))

        built = await units.write(all_of_it)
        fhir = FhirClient("ehr", client(ehr.base_url, allow_private=True), FixedToken(TOKEN))
        post_back = PostBack(units, owner, {"ehr": fhir})
        await Worker(database, units, queue="outbox", handlers={"writeback": post_back.run}).drain()
        await fhir.aclose()
        payment, refund = ehr.stored("PaymentReconciliation")
    assert (payment["id"], refund["id"]) == (built.payment, built.refund)
    assert payment["detail"][0]["request"] == {"reference": "Invoice/inv-1"}
    assert refund["detail"][0]["predecessor"] == payment["detail"][0]["identifier"]
    assert [str(one["paymentAmount"]["value"]) for one in (payment, refund)] == ["80.00", "-30.00"]
    for word in ("p-1", "urn:mrn", "99213", "M1"):
        assert f'"{word}' not in dumps(payment) + dumps(refund)

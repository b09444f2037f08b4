"""A whole chain made through our own units: messages, charges, a payment, its refund. For explain and post-back."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from fhirpay.billing.store import reassess
from fhirpay.config import Connection, Facility, Merchant, Tenant
from fhirpay.db.unit import Tx
from fhirpay.domain.money import Money
from fhirpay.domain.refund import RefundState
from fhirpay.fhir import store as fhir
from fhirpay.inbox.store import Incoming, note_outcome, record
from fhirpay.payments import refunds
from fhirpay.payments import store as payments
from fhirpay.payments.port import Approved, Details, OperationKind, Reference
from fhirpay.usecases import refund
from fhirpay.usecases.settle_outcome import settle
from fhirpay.usecases.start_payment import NewPayment, start


def usd(text: str) -> Money:
    return Money.of(text, "USD")


def tenant(base_url: str = "http://ehr.example/fhir", token: str = "") -> Tenant:
    return Tenant(
        name="main",
        facilities=(Facility(name="main", zone="America/New_York"),),
        merchants=(Merchant(name="main", processor="simulated", base_url="https://processor.example", secret_key="k"),),
        connections=(
            Connection(name="ehr", base_url=base_url, token=token, organization="clinic", private_network=True),
        ),
    )


@dataclass(frozen=True)
class Built:
    """The ids along the chain."""

    hl7: str
    fhir: str
    account: str
    charge: str
    invoice: str
    payment: str = ""
    refund: str = ""


def charged(tx: Tx, owner: Tenant, body: bytes = b"-") -> Built:
    """A DFT with a charge that insurance may cover, and an Invoice of 80.00 that the EHR wrote under its own id."""
    dft = Incoming("mllp", "lab", "hl7", ("LAB", "MSG00017"), body, "hash of a DFT", label="DFT^P03")
    hl7 = record(tx, dft).message_id
    over_fhir = tx.ids.new("msg")

    def put(source: str, **resource: Any) -> str:
        return fhir.put(tx, resource, source=f"urn:fhirpay:lab#{source}")[0].reference

    mrn = {"system": "urn:mrn", "value": "M1"}
    patient = {"reference": put(over_fhir, resourceType="Patient", id="p-1", identifier=[mrn])}
    account = put(
        hl7,
        resourceType="Account",
        status="active",
        identifier=[{"system": "urn:lab", "value": "A100"}],
        subject=[patient],
    )
    visit = put(
        hl7,
        resourceType="Encounter",
        status="in-progress",
        identifier=[{"system": "urn:lab", "value": "V1"}],
        subject=patient,
        account=[{"reference": account}],
    )
    charge = put(
        hl7,
        resourceType="ChargeItem",
        status="billable",
        identifier=[{"system": "urn:lab:charge", "value": "A100-1"}],
        code={"coding": [{"code": "99213"}]},
        subject=patient,
        account=[{"reference": account}],
        context={"reference": visit},
        priceOverride={"value": usd("125.00").decimal, "currency": "USD"},
    )
    invoice = put(
        over_fhir,
        resourceType="Invoice",
        id="inv-1",
        status="issued",
        identifier=[{"system": "urn:ehr:invoice", "value": "9"}],
        subject=patient,
        account={"reference": account},
        totalNet={"value": usd("80.00").decimal, "currency": "USD"},
        lineItem=[{"sequence": 1, "chargeItemReference": {"reference": charge}}],
    )
    note_outcome(tx, hl7, "applied", "", [account, charge])
    versions = ["Invoice/inv-1/_history/1", "Patient/p-1/_history/1"]
    key, meta = ("ehr", "POST", versions[0]), {"versions": json.dumps(versions)}
    sent = Incoming("fhir", "ehr-feed", "fhir", key, b"-", "hash of a Bundle", label="POST transaction", meta=meta)
    assert record(tx, replace(sent, message_id=over_fhir)).message_id == over_fhir
    note_outcome(tx, over_fhir, "applied", "", [])
    reassess(tx, account, owner)
    return Built(hl7, over_fhir, account, charge, invoice)


def paid(tx: Tx, owner: Tenant, built: Built, captured: str = "80.00", *, number: str = "1") -> Built:
    """All that is owed of the Invoice asked for, `captured` taken."""
    payment_id = start(tx, NewPayment(built.account, "desk"), owner)
    (operation,) = payments.operations_of(tx, payment_id)
    payments.sent(tx, operation, processor_ref=f"cs_{number}")
    details = Details(brand="visa", last4="4242", authorization="A1B2C3", expires="2031-12")
    outcome = Approved(Reference(f"ch_{number}"), usd(captured), details=details, payment=Reference(f"pi_{number}"))
    settle(tx, owner, operation.operation_id, outcome, source=f"operation:{operation.operation_id}")
    return replace(built, payment=payment_id)


def refunded(tx: Tx, owner: Tenant, built: Built, amount: str = "30.00") -> Built:
    """Part of it given back."""
    refund_id = refund.request(tx, refund.NewRefund(built.payment, "asked for it", "desk", usd(amount)), owner)
    operation_id = payments.add_operation(tx, built.payment, OperationKind.REFUND, usd(amount), refund_id=refund_id)
    refunds.move(tx, refunds.get(tx, refund_id), RefundState.SUBMITTED)
    payments.sent(tx, payments.operation(tx, operation_id))
    outcome = Approved(Reference("re_1"), usd(amount))
    refund.settle(tx, owner, operation_id, outcome, source=f"operation:{operation_id}")
    return replace(built, refund=refund_id)

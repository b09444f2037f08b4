"""One practice with a till, a check's drawer and an EHR that is told: for tests of what a front desk takes.

No processor and no network: postings are read as they would be rendered.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fhirpay.billing import money as billing
from fhirpay.billing import store as obligations
from fhirpay.config import Connection, Facility, Merchant, Tenant, Till
from fhirpay.config_destination import Destination
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.money import Money
from fhirpay.fhir import store as fhir
from fhirpay.fhir.statement import FhirVersion
from fhirpay.ledger import store as ledger
from fhirpay.payments import store, till_sessions
from fhirpay.payments.records import Payment
from fhirpay.usecases import desk, tills
from fhirpay.usecases.collect import reassess_accounts
from fhirpay.usecases.doctor import examine
from fhirpay.usecases.posted_facts import posted_facts
from fhirpay.writeback import store as writeback
from fhirpay.writeback.payment_reconciliation import render
from fhirpay.writeback.posted import all_lines, takes

USD = "USD"


def usd(minor: int) -> Money:
    return Money(minor, USD)


TENANT = Tenant(
    name="main",
    facilities=(Facility(name="main", merchant="main"), Facility(name="other", merchant="main")),
    merchants=(Merchant(name="main", processor="simulated", base_url="http://127.0.0.1:1", secret_key="k"),),
    tills=(
        Till(name="front", facility="main"),
        Till(name="back", facility="main"),
        Till(name="other", facility="other"),
    ),
    connections=(Connection(name="ehr", base_url="http://127.0.0.1:1", organization="clinic"),),
    destinations=(Destination(name="engine", host="127.0.0.1", port=1),),
)


def invoice(tx: Tx, name: str, number: int, minor: int, *, status: str = "issued", day: int = 0) -> None:
    """An issued Invoice of the account `Account/<name>`, and what follows from it. Again, it is that one changed."""
    total = {"value": Decimal(minor).scaleb(-2), "currency": USD}
    bill = {
        "resourceType": "Invoice",
        "id": f"{name}-{number}",
        "status": status,
        "subject": {"reference": f"Patient/{name}"},
        "recipient": {"reference": f"Patient/{name}"},
        "account": {"reference": f"Account/{name}"},
        "date": f"2026-11-{day or number:02d}",
        "totalNet": total,
        "totalGross": total,
    }
    fhir.put(tx, bill)
    reassess_accounts(tx, [f"Account/{name}"], TENANT)


def open_tills(tx: Tx) -> None:
    """All that aren't, without a float."""
    for till in TENANT.tills:
        if till_sessions.open_at(tx, till.name) is None:
            tills.open_till(tx, till.name, TENANT, by="ann")


def account(tx: Tx, name: str, *amounts: int) -> str:
    """A patient with an account and an issued Invoice for each amount; the account. All tills are open then."""
    open_tills(tx)
    fhir.put(tx, {"resourceType": "Patient", "id": name, "name": [{"family": "Canary-Family"}]})
    kept: dict[str, Any] = {"resourceType": "Account", "id": name, "status": "active"}
    fhir.put(tx, {**kept, "subject": [{"reference": f"Patient/{name}"}]})
    reassess_accounts(tx, [f"Account/{name}"], TENANT)
    for number, minor in enumerate(amounts, start=1):
        invoice(tx, name, number, minor)
    return f"Account/{name}"


def cash(till: str = "front", tendered: int | None = None) -> desk.Handed:
    return desk.Handed("cash", till, "ann", tendered=None if tendered is None else usd(tendered))


def check(number: str = "1041", payer: str = "") -> desk.Handed:
    return desk.Handed("check", "front", "ann", check_number=number, payer=payer)


def card(code: str = "A1B2C3") -> desk.Handed:
    return desk.Handed("external_card", "front", "ann", brand="visa", last4="4242", authorization=code)


def balances(tx: Tx) -> dict[str, int]:
    return {one.account: one.amount.minor for one in ledger.balances(tx) if one.amount.minor}


def credits_of(tx: Tx, ref: str) -> dict[str, int]:
    return {one.payment_id: one.amount.minor for one in billing.credits_of(tx, ref)}


def owed(tx: Tx, ref: str) -> list[int]:
    """What each obligation of the account has left to ask for, in the order of their Invoices."""
    found = sorted(obligations.obligations_of(tx, ref), key=lambda one: one.basis_key)
    return [one.askable.minor for one in found]


def obligation_ids(tx: Tx, ref: str) -> list[str]:
    return [one.obligation_id for one in sorted(obligations.obligations_of(tx, ref), key=lambda one: one.basis_key)]


def told(tx: Tx, payment_id: str) -> list[dict[str, Any]]:
    """What the EHR is told of the payment, in its order."""
    mine = [one for one in writeback.of_payment(tx, payment_id) if one.connection == "ehr"]
    return [render(posted_facts(tx, one, TENANT), organization="clinic", version=FhirVersion.R4) for one in mine]


def standing(tx: Tx, payment_id: str) -> dict[str, int]:
    """What the EHR has of the payment when all that it was told counts: by what is paid (`advance`: nothing yet)."""
    sums: dict[str, int] = {}
    for one in (one for one in writeback.of_payment(tx, payment_id) if one.connection == "ehr"):
        posted = posted_facts(tx, one, TENANT)
        for line in all_lines(posted):
            name = "advance" if line.advance else line.target
            minor = -line.amount.minor if takes(posted, line) else line.amount.minor
            sums[name] = sums.get(name, 0) + minor
        resource = render(posted, organization="clinic", version=FhirVersion.R4)
        assert sum(line["amount"]["value"] for line in resource["detail"]) == resource["paymentAmount"]["value"]
    return {name: minor for name, minor in sums.items() if minor}


async def take(units: Units, ref: str, handed: desk.Handed, minor: int | None = None, **more: Any) -> str:
    wish = desk.DeskPayment(ref, handed, None if minor is None else usd(minor), **more)
    return await units.write(desk.take, wish, TENANT)


async def payment(units: Units, payment_id: str) -> Payment:
    return await units.read(store.get, payment_id)


async def sound(units: Units) -> None:
    assert [str(one) for one in await units.read(examine)] == []

"""Money that leaves an account as credit, or comes back to it, long after: the account that shares a charge follows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from fhirpay.billing import store as obligations
from fhirpay.db.unit import Database, Tx
from fhirpay.domain import fhir_urls as urls
from fhirpay.domain.clock import FrozenClock
from fhirpay.fhir import store as fhir
from fhirpay.payments import store as payments
from fhirpay.payments.declines import DeclineCode
from fhirpay.payments.port import Approved, Declined, Reference
from fhirpay.usecases.collect import accounts_touched, reassess_accounts
from fhirpay.usecases.refund import adopt, hear_again
from payments_world import World, payments_world, usd

WHO = {"reference": "Patient/p1"}
PRICE = {"value": 100, "currency": "USD"}
PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "p1", "birthDate": "1980-01-01"}
ACCOUNT: dict[str, Any] = {"resourceType": "Account", "status": "active", "subject": [WHO]}
SELF_PAY = [{"url": urls.SELF_PAY, "valueBoolean": True}]
A1 = {**ACCOUNT, "id": "a1", "extension": SELF_PAY}
A2 = {**ACCOUNT, "id": "a2"}
CHARGE: dict[str, Any] = {
    "resourceType": "ChargeItem",
    "id": "c1",
    "status": "billable",
    "code": {"text": "Visit"},
    "subject": WHO,
    "account": [{"reference": "Account/a1"}],
    "occurrenceDateTime": "2026-11-10",
    "priceOverride": PRICE,
}
INVOICE: dict[str, Any] = {
    "resourceType": "Invoice",
    "id": "i1",
    "status": "issued",
    "subject": WHO,
    "account": {"reference": "Account/a2"},
    "date": "2026-11-12",
    "lineItem": [{"chargeItemReference": {"reference": "ChargeItem/c1"}}],
    "totalGross": PRICE,
}
ONCE = {"Invoice/i1": 100_00}


@pytest.fixture
async def world(database: Database, clock: FrozenClock) -> AsyncIterator[World]:
    async with payments_world(database, clock, bill_hold_days=0) as made:
        yield made
        await made.sweep()


async def say(world: World, *resources: dict[str, Any]) -> None:
    """Each in a unit of its own, as it comes in."""

    def keep(tx: Tx, resource: dict[str, Any]) -> None:
        reassess_accounts(tx, accounts_touched(tx, [fhir.put(tx, resource)]), world.tenant)

    for one in resources:
        await world.units.write(keep, one)


async def asked(world: World) -> dict[str, int]:
    """Basis → minor units that may be asked for now, on whatever account."""
    refs = ("Account/a1", "Account/a2", "Account/a3", "Patient/p1")
    found = [one for ref in refs for one in await world.units.read(obligations.owed, ref)]
    assert len({one.basis_key for one in found}) == len(found)
    return {one.basis_key: one.askable.minor for one in found}


@pytest.mark.warns("refund.failed_late")
async def test_an_outside_refund_that_fails_days_later_holds_the_invoice_again(world: World) -> None:
    await say(world, PATIENT, A1, A2, CHARGE)
    payment_id = await world.paid("Account/a1")
    await say(world, INVOICE)
    done, failed = Approved(Reference("re_out"), usd(100_00)), Declined(DeclineCode.METHOD_CLOSED)

    def made(tx: Tx) -> str:
        refund = adopt(tx, world.tenant, payments.lock(tx, payment_id), done, source="event:1")
        assert refund is not None
        return refund.refund_id

    refund_id = await world.units.write(made)
    assert await asked(world) == ONCE
    heard = partial(hear_again, tenant=world.tenant, refund_id=refund_id, outcome=failed, source="event:2")
    await world.units.write(heard)
    assert await asked(world) == {}


async def test_a_void_of_what_is_credit_frees_the_invoice(world: World) -> None:
    await say(world, PATIENT, A1, A2, CHARGE)
    payment_id = await world.paid("Account/a1")
    await say(world, INVOICE)
    assert await asked(world) == {}
    await world.void(payment_id)
    await world.work()
    assert (await world.state(payment_id), await asked(world)) == ("voided", ONCE)

"""Two accounts and more that have to do with the same charge, visit or Invoice: resources as they come in, and what is
asked for and held by then. On a real database, with a simulated processor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fhirpay.billing import store as obligations
from fhirpay.billing import worklist
from fhirpay.billing.bills import PAID_ELSEWHERE
from fhirpay.db.unit import Database, Tx
from fhirpay.domain import fhir_urls as urls
from fhirpay.domain.clock import FrozenClock
from fhirpay.fhir import store as fhir
from fhirpay.ledger.verify import verify
from fhirpay.usecases.collect import accounts_touched, reassess_accounts
from payments_world import World, payments_world

Resource = dict[str, Any]
WHO = {"reference": "Patient/p1"}
PATIENT: Resource = {"resourceType": "Patient", "id": "p1", "birthDate": "1980-01-01"}


def account(name: str, *, self_pay: bool = True) -> Resource:
    made = {"resourceType": "Account", "id": name, "status": "active", "subject": [WHO]}
    return {**made, "extension": [{"url": urls.SELF_PAY, "valueBoolean": self_pay}]}


def charge(name: str, on: str, price: int = 100, **more: Any) -> Resource:
    made = {"resourceType": "ChargeItem", "id": name, "status": "billable", "code": {"text": "Visit"}, "subject": WHO}
    made |= {"account": [{"reference": f"Account/{on}"}], "occurrenceDateTime": "2026-11-01"}
    return {**made, "priceOverride": {"value": price, "currency": "USD"}, **more}


def invoice(name: str, on: str, *charges: str, total: int = 100, day: str = "2026-11-12", **more: Any) -> Resource:
    lines = [{"chargeItemReference": {"reference": f"ChargeItem/{one}"}} for one in charges]
    made = {"resourceType": "Invoice", "id": name, "status": "issued", "subject": WHO, "date": day, "lineItem": lines}
    where = {"account": {"reference": f"Account/{on}"}} if on else {}
    return {**made, **where, "totalGross": {"value": total, "currency": "USD"}, **more}


class Told:
    """Resources come in as a client sends them, and what they touch is assessed."""

    def __init__(self, world: World) -> None:
        self.world, self.units = world, world.units

    async def comes(self, *resources: Resource) -> None:
        def write(tx: Tx) -> None:
            changes = [fhir.put(tx, resource) for resource in resources]
            reassess_accounts(tx, accounts_touched(tx, changes), self.world.tenant)

        await self.units.write(write)
        assert (await self.units.read(verify)).ok

    async def asks(self) -> dict[str, int]:
        """Dollars that may be asked for, by basis."""
        found: dict[str, int] = {}
        for ref in ("Account/a0", "Account/a1", "Account/a2", "Account/a3"):
            for one in await self.units.read(obligations.obligations_of, ref):
                name = one.basis_key.partition("/")[2]
                if one.askable:
                    assert name not in found, f"{name} is asked for twice"
                    found[name] = one.askable.minor // 100
        return found

    async def held(self) -> set[str | None]:
        """The accounts that wait for money of another one."""
        items = await self.units.read(worklist.list_open)
        return {item.account_ref.partition("/")[2] for item in items if item.kind == PAID_ELSEWHERE}


@asynccontextmanager
async def told(database: Database, clock: FrozenClock) -> AsyncIterator[Told]:
    """With the invariant sweep at its end."""
    async with payments_world(database, clock, zone="UTC", bill_hold_days=0) as world:
        yield Told(world)
        await world.sweep()

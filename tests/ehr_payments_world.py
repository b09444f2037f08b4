"""A clinic whose EHR posts payments itself, and to which ours are posted: messages of both, and payments of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fhirpay import wiring
from fhirpay.billing import store as obligations
from fhirpay.config import Settings
from fhirpay.config_destination import Destination
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import Ids
from fhirpay.domain.money import Money
from fhirpay.fhir import replaced
from fhirpay.ledger import store as ledger
from fhirpay.payments import store as payments
from fhirpay.payments.port import Approved, Reference
from fhirpay.usecases.settle_outcome import settle
from fhirpay.usecases.start_payment import NewPayment, start
from intake_world import FEED, SYSTEM, World, ft1, message, tenant

ENGINE = Destination(name="engine", host="127.0.0.1", port=1)
FEED_OF_PAYMENTS = FEED.model_copy(
    update={"payment_sign": "positive", "payments_from": "patient", "adjustment_sign": "positive"}
)


def charge(name: str, number: str, amount: str, account: str = "A100", kind: str = "CG") -> bytes:
    return message(name, ft1(1, kind, f"{amount}&USD", {2: number}), account=account)


def py(name: str, number: str, amount: str, account: str = "A100", fields: Mapping[int, str] | None = None) -> bytes:
    return message(name, ft1(1, "PY", f"{amount}&USD", {2: number, 7: "CASH", **(fields or {})}), account=account)


class Clinic(World):
    """`begin` has a payer on the processor's page, `take` is the processor's word that it took the money."""

    async def say(self, *messages: bytes) -> None:
        for one in messages:
            await self.send(one)
            await self.work()

    async def begin(self, amount: str, account: str = "A100") -> str:
        wish = Money.of(amount, "USD")
        return await self.house.units.write(lambda tx: _begin(tx, wish, account, self.house.tenant))

    async def take(self, payment_id: str) -> None:
        await self.house.units.write(_take, payment_id, self.house.tenant)

    async def breaks(self, kind: str = "") -> list[str]:
        found = await self.house.units.read(payments.breaks)
        return sorted(one.kind if not kind else one.says for one in found if kind in ("", one.kind))

    async def books(self, account: str = "A100") -> dict[str, str]:
        """What is owed, paid, lies loose, and may be asked for; the ledger says the same."""
        return await self.house.units.read(_books, account)


def _begin(tx: Tx, amount: Money, account: str, whose: Any) -> str:
    (known,) = replaced.find(tx, "Account", SYSTEM, account)
    payment_id = start(tx, NewPayment(known.reference, "desk", amount=amount), whose)
    (operation,) = payments.operations_of(tx, payment_id)
    payments.sent(tx, operation, processor_ref=f"cs_{payment_id}")
    return payment_id


def _take(tx: Tx, payment_id: str, whose: Any) -> None:
    (operation,) = payments.operations_of(tx, payment_id)
    outcome = Approved(Reference(f"ch_{payment_id}"), operation.amount, payment=Reference(f"pi_{payment_id}"))
    settle(tx, whose, operation.operation_id, outcome, source=f"operation:{operation.operation_id}")


def _books(tx: Tx, account: str) -> dict[str, str]:
    (known,) = replaced.find(tx, "Account", SYSTEM, account)
    found = obligations.obligations_of(tx, known.reference)

    def total(name: str) -> Money:
        return sum((getattr(one, name) for one in found), Money.zero("USD"))

    credit = Money(obligations.credit_of(tx, known.reference, "USD"), "USD")
    said = {"owed": total("patient"), "paid": total("paid"), "credit": credit, "asks": total("askable")}
    stands = ledger.balance(tx, "ar_patient", account_ref=known.reference)
    assert stands == (said["owed"] - said["paid"]).minor
    return {name: str(amount.decimal) for name, amount in said.items()}


@asynccontextmanager
async def clinic(
    database: Database,
    clock: FrozenClock,
    ids: Ids,
    facility: Mapping[str, Any] | None = None,
    *,
    name: str = "main",
    engine: Destination = ENGINE,
    **feed: Any,
) -> AsyncIterator[Clinic]:
    whose = tenant(facility, feed=FEED_OF_PAYMENTS.model_copy(update=feed))
    whose = whose.model_copy(update={"name": name, "destinations": (engine,)})
    settings = Settings(hash_key="k" * 32, tenants=(whose,))
    system = wiring.build(settings, clock=clock, ids=ids, database=database)
    try:
        yield Clinic(system, clock, name)
    finally:
        await system.close()

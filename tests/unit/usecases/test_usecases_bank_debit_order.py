"""A bank debit told in any order, as often as one likes, ends in the same state, books and postings; and the ledger
balances after each of them. What a processor tells is its payment as it was at some moment: late, twice, or the last
first.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chain_built import charged, tenant, usd

from databases import Databases
from fhirpay.db.unit import Database, Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.ledger import store as ledger
from fhirpay.ledger.verify import verify
from fhirpay.payments import mandates, returns, store, stored_methods
from fhirpay.payments.port import Approved, Details, Method, Notice, Outcome, Pending, Reference, Return
from fhirpay.usecases.settle_outcome import settle
from fhirpay.usecases.start_payment import NewPayment, start
from fhirpay.writeback import store as postings
from invariants import examined

ORDERS = {"sqlite": 5, "postgresql": 1}
OWNER = tenant()
CLEARED = datetime(2026, 11, 24, 15, tzinfo=UTC)
AGREED = {"text": "Yes", "cap": usd("500.00"), "given_at": None, "recorded_by": "test"}


def came_back(number: int, days: int, *, again: bool) -> Return:
    at = CLEARED + timedelta(days=days)
    return Return(
        Reference(f"rt_{number}"),
        usd("80.00"),
        at,
        code="R09",
        fee=usd("4.00"),
        reversed_by=Reference(f"rr_{number}") if again else None,
        reversed_at=at + timedelta(days=1) if again else None,
    )


def cleared(*returned: Return) -> Approved:
    return Approved(
        Reference("ch_1"),
        usd("80.00"),
        details=Details("A BANK", "6789", kind="bank"),
        at=CLEARED,
        payment=Reference("pi_1"),
        returns=returned,
        returnable_until=CLEARED + timedelta(days=60),
        notices=(Notice(Reference("nc_1"), "C01", "Another number.", CLEARED),),
    )


FIRST, REVERSED = came_back(1, 2, again=False), came_back(1, 2, again=True)
LIVES: dict[str, list[Outcome]] = {
    "returned": [Pending(Reference("pi_1")), cleared(), cleared(FIRST)],
    "returned and reversed": [Pending(Reference("pi_1")), cleared(), cleared(FIRST), cleared(REVERSED)],
    "returned twice": [
        Pending(Reference("pi_1")),
        cleared(),
        cleared(FIRST),
        cleared(REVERSED),
        cleared(REVERSED, came_back(2, 9, again=False)),
    ],
}


def begun(tx: Tx) -> str:
    """On its way; its operation."""
    account = charged(tx, OWNER).account
    method = Method("ba_1", "A BANK", "6789", kind="bank", mandate="ma_1")
    kept = stored_methods.keep(tx, method, account_ref=account, debtor_ref="", merchant="main")
    consent = stored_methods.record_consent(tx, kept.method_id, **AGREED)
    mandates.record(tx, kept.method_id, consent_id=consent.consent_id, sec_code="WEB", processor_ref="ma_1")
    payment_id = start(tx, NewPayment(account, "desk", method_id=kept.method_id), OWNER)
    (operation,) = store.operations_of(tx, payment_id)
    store.sent(tx, operation, processor_ref="pi_1")
    return operation.operation_id


def ended(tx: Tx, operation_id: str) -> dict[str, Any]:
    payment = store.get(tx, store.operation(tx, operation_id).payment_id)
    entries = ledger.entries_for(tx, payment=payment.payment_id)
    mandate = mandates.find(tx, payment.method_id or "")
    return {
        "state": str(payment.state),
        "amounts": (payment.captured, payment.returned),
        "balances": {one.account: one.amount.minor for one in ledger.balances(tx) if one.amount.minor},
        "entries": Counter(str(one.entry.kind) for one in entries),
        "returns": [(one.reference, bool(one.booked_at)) for one in returns.of_payment(tx, payment.payment_id)],
        "postings": len(postings.of_payment(tx, payment.payment_id)),
        "mandate": mandate and (str(mandate.state), mandate.code),
    }


async def play(units: Units, told: list[Outcome]) -> dict[str, Any]:
    operation_id = await units.write(begun)
    for number, outcome in enumerate(told):
        await units.write(settle, OWNER, operation_id, outcome, source=f"event:{number}")
        assert (await units.read(verify)).ok
    return await units.read(ended, operation_id)


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("engine", ORDERS)
@pytest.mark.warns("payment.returned")
async def test_any_order_ends_in_the_same_books(
    engine: str, life: str, databases: Databases, open_it: Callable[[str], Database], clock: FrozenClock
) -> None:
    rng = random.Random(f"20261130 {engine} {life}")
    orders = [LIVES[life]]
    for _ in range(ORDERS[engine]):
        told = [*LIVES[life], *rng.choices(LIVES[life], k=2)]
        rng.shuffle(told)
        orders.append(told)
    found: list[dict[str, Any]] = []
    with databases.url(engine) as url:
        database = open_it(url)
        await database.start()
        for number, told in enumerate(orders):
            found.append(await play(database.units(f"t{number}"), told))
        await database.stop()
        assert not examined(url)
    for one in found:
        assert one == found[0]
    last = {"returned": "returned", "returned and reversed": "captured", "returned twice": "returned"}[life]
    assert found[0]["state"] == last
    assert found[0]["mandate"] == ("suspended", "C01")

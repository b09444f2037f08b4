"""The same messages in any order leave the same obligations and the same books.

Each of the stories' accounts, as it is known in the end, comes in several orders, with a reassessment after each
resource, as it does in life; the pure function says once what has to come out.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from databases import Databases
from fhirpay.billing import money, rows, store
from fhirpay.billing.assessment import Basis
from fhirpay.db.unit import Database, Tx
from fhirpay.fhir import store as fhir
from fhirpay.ledger import store as ledger
from fhirpay.ledger.verify import verify
from patients import ACCOUNT, BUILDERS, PureAccount, StoredAccount, Told, read_stories, tenant_of

ORDERS = 2
AT = datetime(2026, 11, 20, 15, tzinfo=UTC)  # the tests' clock
Amounts = dict[tuple[str, str, str], tuple[int, int, int]]  # obligation: pending, patient, discount


def _told() -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    for story in read_stories():
        told, last = Told(), {}
        for day in story["days"]:
            for event in day.get("comes", ()):
                kind, of = next(iter(event.items()))
                if kind in BUILDERS:
                    resource = told.tell(kind, of or {})
                    last[resource["resourceType"], resource["id"]] = resource
        found.append(list(last.values()))
    return found


def _one_by_one(tx: Tx, resource: dict[str, Any]) -> None:
    fhir.put(tx, resource)
    money.carry_out(tx, store.reassess(tx, ACCOUNT, tenant_of()))


def _stored(tx: Tx) -> Amounts:
    return {
        (row["basis_kind"], row["basis_key"], row["currency"]): (
            row["pending_minor"],
            row["patient_minor"],
            row["discount_minor"],
        )
        for row in rows.of_accounts(tx, [ACCOUNT])
        if row["state"] not in rows.ENDS
    }


def _books(tx: Tx) -> dict[tuple[str, str], int]:
    return {(one.account, one.amount.currency): one.amount.minor for one in ledger.balances(tx) if one.amount.minor}


async def test_any_order_of_arrival_ends_the_same(databases: Databases, open_it: Callable[[str], Database]) -> None:
    rng = random.Random(20260302)
    with databases.url("sqlite") as url:
        database = open_it(url)
        await database.start()
        try:
            for number, resources in enumerate(_told()):
                books: list[dict[tuple[str, str], int]] = []
                for order in range(ORDERS):
                    units = database.units(f"t{number}-{order}")
                    for resource in rng.sample(resources, len(resources)):
                        await units.write(_one_by_one, resource)
                    books.append(await units.read(_checked, _expected(resources)))
                assert books == books[:1] * ORDERS
        finally:
            await database.stop()


def _expected(resources: list[dict[str, Any]]) -> Amounts:
    return {
        one.key: (one.pending.minor, one.patient.minor, one.discount.minor if one.discount else 0)
        for one in _pure(resources).assessment.obligations
        if one.state not in rows.ENDS
    }


def _pure(resources: list[dict[str, Any]]) -> PureAccount:
    pure = PureAccount(tenant_of(), AT)
    pure.resources = {f"{one['resourceType']}/{one['id']}": one for one in resources if _ours(one)}
    return pure


def _checked(tx: Tx, expected: Amounts) -> dict[tuple[str, str], int]:
    assert _stored(tx) == expected
    StoredAccount(tenant_of()).check_books(tx)
    assert verify(tx).ok
    return _books(tx)


def _ours(resource: dict[str, Any]) -> bool:
    moved = resource["resourceType"] == "ChargeItem" and resource["account"][0]["reference"] != ACCOUNT
    return not moved


def test_every_basis_is_met_by_some_story() -> None:
    met = {one.basis_kind for resources in _told() for one in _pure(resources).assessment.obligations}
    # What staff enter or import is no resource, and what came back of a payment isn't one either.
    assert met == set(Basis) - {Basis.STAFF, Basis.OPENING, Basis.RECOVERY}

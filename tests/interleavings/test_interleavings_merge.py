"""A merge of two accounts against what takes and books money on them, on PostgreSQL, statement by statement.

The law: what is owed is asked for once, on the survivor; money that comes ends there; nothing stands on what is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from test_interleavings_payments import ACCOUNT, CAPTURED, House, outcomes

from fhirpay.billing import store as obligations
from fhirpay.db.unit import Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir import store as fhir
from fhirpay.fhir.replaced import survivor
from fhirpay.payments import store
from fhirpay.usecases import desk
from fhirpay.usecases.collect import reassess_accounts
from fhirpay.usecases.doctor import examine
from fhirpay.usecases.merge import Merging
from fhirpay.usecases.start_payment import start
from interleaving import Actor, Played, Stage, Write

SURVIVOR = "Account/ben"


@pytest.fixture(scope="module")
def stage(databases: Any) -> Iterator[Stage]:
    clock = FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
    with databases.url("postgresql") as url, Stage(url, clock, CountedIds()).open() as made:
        yield made


@pytest.fixture
def house(stage: Stage) -> House:
    return House(stage)


def _survivor(tx: Tx) -> None:
    fhir.put(tx, {"resourceType": "Account", "id": "ben", "status": "active"})


def _merger(house: House) -> Actor:
    house.write(_survivor)

    def merged(tx: Tx) -> None:
        message: Any = SimpleNamespace(label="ADT^A41", message_id="msg1", interface="clinic")
        merging = Merging(message, "urn:test#msg1", house.tenant)
        merging.merge(tx, ACCOUNT, SURVIVOR)
        reassess_accounts(tx, merging.touched, house.tenant)

    return lambda write: write(merged)


def _stands(tx: Tx) -> tuple[int, int, int]:
    """Of the survivor: in flight, paid, and what may still be asked for. Nothing else may stand anywhere."""
    assert examine(tx) == []
    assert obligations.obligations_of(tx, ACCOUNT) == []
    found = obligations.obligations_of(tx, SURVIVOR)
    return tuple(sum(getattr(one, name).minor for one in found) for name in ("in_flight", "paid", "askable"))  # type: ignore[return-value]


def test_a_payment_starts_while_its_account_is_merged(house: House) -> None:
    def setting() -> list[Actor]:
        wish = house.wish(house.invoiced())
        return [lambda write: write(start, wish, house.tenant), _merger(house)]

    def check(played: Played) -> None:
        started = outcomes(played)[0]
        assert outcomes(played)[1] == "done"
        assert house.write(_stands) == ((80_00, 0, 0) if started == "done" else (0, 0, 80_00))

    house.stage.explore(setting, check, most=8).said("start | merge")


def test_a_desk_has_the_account_that_stands_while_it_is_merged(house: House) -> None:
    def locked(tx: Tx) -> tuple[str, str]:
        had = desk.lock_account(tx, ACCOUNT)
        return had, survivor(tx, ACCOUNT)

    def setting() -> list[Actor]:
        house.invoiced()
        return [lambda write: write(locked), _merger(house)]

    def check(played: Played) -> None:
        assert outcomes(played) == ["done", "done"]
        had, stands = played.values[0]
        assert had == stands

    house.stage.explore(setting, check, most=8).said("desk | merge")


def test_a_payment_is_captured_while_its_account_is_merged(house: House) -> None:
    payment = ""

    def setting() -> list[Actor]:
        nonlocal payment
        payment, work = house.sent()

        def finish(write: Write) -> object:
            return write(house.take._finish, work, CAPTURED)

        return [finish, _merger(house)]

    def check(played: Played) -> None:
        assert outcomes(played) == ["done", "done"]
        assert house.write(_stands) == (0, 80_00, 0)
        assert house.write(store.get, payment).account_ref == SURVIVOR

    house.stage.explore(setting, check, most=8).said("capture | merge")

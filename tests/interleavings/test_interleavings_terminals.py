"""Card readers on PostgreSQL, interleaved statement by statement: two who want one, and a cancel against a card."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from test_interleavings_payments import CAPTURED, House, outcomes, queued, take

from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import Conflict
from fhirpay.payments import store, terminals
from fhirpay.payments.port import ActionNeeded, Canceled, Outcome, Prepared, Reference
from fhirpay.payments.registry import build
from fhirpay.usecases import on_terminal
from fhirpay.usecases.follow_up import FollowUp
from fhirpay.usecases.lookup import settle_any
from fhirpay.usecases.start_payment import NewPayment, start
from interleaving import Actor, Played, Stage, Write
from payments_world import World, usd

READER = ("main", "rd_front")


@pytest.fixture(scope="module")
def stage(databases: Any) -> Iterator[Stage]:
    clock = FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
    with databases.url("postgresql") as url, Stage(url, clock, CountedIds()).open() as made:
        yield made


@pytest.fixture
def house(stage: Stage) -> House:
    return House(stage)


def _wish(house: House, name: str) -> NewPayment:
    house.write(lambda tx: World._invoiced(SimpleNamespace(tenant=house.tenant), tx, name, (usd(80_00),)))  # type: ignore[arg-type]
    return NewPayment(account_ref=f"Account/{name}", requested_by="test", terminal="front")


def test_two_desks_start_on_one_reader(house: House) -> None:
    def setting() -> list[Actor]:
        return [
            lambda write, wish=_wish(house, name): write(start, wish, house.tenant)  # type: ignore[misc]
            for name in ("ana", "bea")
        ]

    def check(played: Played) -> None:
        (lost,) = [error for error in played.errors if error is not None]
        (won,) = [value for value in played.values if value is not None]
        assert isinstance(lost, Conflict)
        assert lost.ids == {"payment_id": won}
        assert house.write(queued, "payment.submit") == 1
        there = house.write(terminals.active_on, *READER)
        assert there is not None
        assert there.payment_id == won

    house.stage.explore(setting, check, most=8).said("start | start on one reader")


def test_a_cancel_against_a_card(house: House) -> None:
    """Whichever the processor hears first; the other one is told what came of it."""
    nobody: Any = None
    follow = FollowUp(nobody, house.tenant, build(house.tenant))
    payment = ""
    first: list[Outcome] = []

    def happens(what: Outcome) -> Outcome:
        if not first:
            first.append(what)
        return first[0]

    def setting() -> list[Actor]:
        nonlocal payment
        first.clear()
        payment = house.write(start, _wish(house, "ana"), house.tenant)
        work = house.write(take, "payment.submit")
        assert house.write(house.take._sending, work, Prepared(Reference("pp_1")))
        house.write(house.take._finish, work, ActionNeeded())

        def desk(write: Write) -> object:
            write(on_terminal.cancel, payment)
            mine = write(take, "payment.void")
            if write(follow._sending, mine) is not None:
                write(follow._finish, mine, happens(Canceled(Reference("vo_1"))))
            return True

        def payer(write: Write) -> object:
            came = happens(CAPTURED)

            def told(tx: Any) -> None:
                store.lock(tx, payment)
                settle_any(tx, house.tenant, store.operations_of(tx, payment)[0], came, source="event:1")

            write(told)
            return True

        return [desk, payer]

    def check(played: Played) -> None:
        outcomes(played)
        found = house.write(store.get, payment)
        paid = first[0] is CAPTURED
        assert (found.state, found.captured) == (("captured", usd(80_00)) if paid else ("canceled", usd(0)))
        assert house.write(terminals.active_on, *READER) is None
        assert house.write(store.unknown_operations) == []
        assert house.write(store.breaks) == []
        house.check(**({"processor_clearing": 80_00} if paid else {"ar_patient": 80_00}))

    house.stage.explore(setting, check, most=12).said("cancel | card")

"""Units that move money against each other on PostgreSQL, interleaved statement by statement.

The law: one effect for each business fact, books that balance and verify, and never more reserved, captured or given
back than there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select

from fhirpay.billing import store as obligations
from fhirpay.config import Tenant
from fhirpay.db.metadata import table
from fhirpay.db.unit import Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import LeaseLost, RuleBroken
from fhirpay.flow.lane import Work
from fhirpay.flow.lease import claim, give_back
from fhirpay.flow.tables import WorkRow
from fhirpay.ledger import store as ledger
from fhirpay.ledger.verify import verify
from fhirpay.payments import refunds, store, stored_methods
from fhirpay.payments.port import Approved, Method, Outcome, Prepared, Reference
from fhirpay.payments.registry import build
from fhirpay.usecases.lookup import settle_any
from fhirpay.usecases.refund import NewRefund, Refunds, request
from fhirpay.usecases.start_payment import NewPayment, start
from fhirpay.usecases.take_payment import TakePayment
from interleaving import Actor, Played, Stage, Write
from payments_world import World, tenant_of, usd
from processor_sides import SIMULATED

ACCOUNT = "Account/ana"
LEASE = timedelta(seconds=60)
CAPTURED = Approved(Reference("ch_1"), usd(80_00))


class House:
    """What units of payments need; no processor is ever called here."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.tenant: Tenant = tenant_of(SIMULATED, "http://127.0.0.1:1", 1)
        nobody: Any = None
        registry = build(self.tenant)
        self.take = TakePayment(nobody, self.tenant, registry, public_url="https://pay.example.org")
        self.refunds = Refunds(nobody, self.tenant, registry)

    def write(self, fn: Callable[..., Any], *args: Any) -> Any:
        return self.stage.write(fn, *args)

    def invoiced(self) -> str:
        """80.00 owed, and a stored method; its id."""
        self.write(lambda tx: World._invoiced(SimpleNamespace(tenant=self.tenant), tx, "ana", (usd(80_00),)))  # type: ignore[arg-type]
        return self.write(_method)

    def wish(self, method: str, **more: Any) -> NewPayment:
        return NewPayment(account_ref=ACCOUNT, requested_by="test", method_id=method, **more)

    def started(self) -> tuple[str, Work]:
        """A payment whose submission a worker has in hand."""
        payment = self.write(start, self.wish(self.invoiced()), self.tenant)
        return payment, self.write(take, "payment.submit")

    def sent(self) -> tuple[str, Work]:
        payment, work = self.started()
        assert self.write(self.take._sending, work, Prepared(Reference("pp_1")))
        return payment, work

    def captured(self) -> str:
        payment, work = self.sent()
        self.write(self.take._finish, work, CAPTURED)
        return payment

    def check(self, **balances: int) -> None:
        report = self.write(verify)
        assert report.ok, report.problems
        found = {one.account: one.amount.minor for one in self.write(ledger.balances) if one.amount.minor}
        assert found == {"charges_control": 80_00, **balances}


def _method(tx: Tx) -> str:
    found = Method(SIMULATED.tokens["approve"], "visa", "4242", "2031-12")
    kept = stored_methods.keep(tx, found, account_ref=ACCOUNT, debtor_ref="", merchant="main")
    stored_methods.record_consent(tx, kept.method_id, text="Yes", cap=usd(500_00), given_at=None, recorded_by="test")
    return kept.method_id


def take(tx: Tx, kind: str) -> Work:
    for work in claim(tx, queue="outbox", kinds=[kind], owner="t", lease=LEASE):
        return work
    raise LeaseLost("it is done already")


def in_flight(tx: Tx) -> tuple[int, int]:
    """What is reserved, and what may still be asked for."""
    found = obligations.obligations_of(tx, ACCOUNT)
    return sum(one.in_flight.minor for one in found), sum(one.askable.minor for one in obligations.owed(tx, ACCOUNT))


def queued(tx: Tx, kind: str) -> int:
    work = table(WorkRow)
    return tx.scalar(select(func.count()).select_from(work).where(work.c.tenant_id == tx.tenant, work.c.kind == kind))


def outcomes(played: Played) -> list[str]:
    """What became of each actor; anything but a refusal by a rule or a lost lease is an error of the test."""
    for error in played.errors:
        if error is not None and not isinstance(error, RuleBroken | LeaseLost):
            raise error
    return [type(error).__name__ if error else "done" for error in played.errors]


@pytest.fixture(scope="module")
def stage(databases: Any) -> Iterator[Stage]:
    clock = FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
    with databases.url("postgresql") as url, Stage(url, clock, CountedIds()).open() as made:
        yield made


@pytest.fixture
def house(stage: Stage) -> House:
    return House(stage)


def test_the_desk_and_autopay_start_on_the_same_obligation(house: House) -> None:
    def setting() -> list[Actor]:
        method = house.invoiced()
        desk = house.wish(method)
        autopay = house.wish(method, initiated_by="merchant", fact_key="autopay:1", amount=usd(80_00))
        return [
            lambda write: write(start, desk, house.tenant),
            lambda write: write(start, autopay, house.tenant),
        ]

    def check(played: Played) -> None:
        assert sorted(outcomes(played)) == ["RuleBroken", "done"]
        assert house.write(in_flight) == (80_00, 0)
        assert house.write(queued, "payment.submit") == 1

    house.stage.explore(setting, check, most=8).said("desk start | autopay start")


def test_the_same_fact_is_started_twice(house: House) -> None:
    def setting() -> list[Actor]:
        wish = house.wish(house.invoiced(), initiated_by="merchant", fact_key="autopay:1", amount=usd(80_00))

        def ask(write: Write) -> str:
            return write(start, wish, house.tenant)

        return [ask, ask]

    def check(played: Played) -> None:
        assert "done" in outcomes(played)
        assert len({value for value in played.values if value}) == 1
        assert house.write(in_flight) == (80_00, 0)
        assert house.write(queued, "payment.submit") == 1

    house.stage.explore(setting, check, most=8).said("start | start of one fact")


def test_a_worker_whose_lease_ran_out_sends_beside_the_one_that_took_over(house: House) -> None:
    """Both stand before the same call: one alone may make it."""

    def setting() -> list[Actor]:
        _, late = house.started()
        prepared = Prepared(Reference("pp_1"))

        def took_over(write: Write) -> object:
            write(give_back, late)  # as expiry does
            return write(house.take._sending, write(take, "payment.submit"), prepared)

        return [lambda write: write(house.take._sending, late, prepared), took_over]

    def check(played: Played) -> None:
        assert sorted(outcomes(played)) == ["LeaseLost", "done"]

    house.stage.explore(setting, check, most=8).said("late sending | sending")


def _settled(house: House, payment: str, outcome: Outcome, source: str) -> Actor:
    """As the handler of events does."""

    def settle(tx: Tx) -> None:
        store.lock(tx, payment)
        operation = store.operations_of(tx, payment)[-1]
        settle_any(tx, house.tenant, operation, outcome, source=source)

    return lambda write: write(settle)


def test_an_answer_beside_the_event_and_a_lookup_of_the_same_capture(house: House) -> None:
    payment = ""

    def setting() -> list[Actor]:
        nonlocal payment
        payment, work = house.sent()
        return [
            lambda write: write(house.take._finish, work, CAPTURED),
            _settled(house, payment, CAPTURED, "event:1"),
            _settled(house, payment, CAPTURED, "lookup:1"),
        ]

    def check(played: Played) -> None:
        assert outcomes(played) == ["done"] * 3
        found = house.write(store.get, payment)
        assert (found.state, found.captured) == ("captured", usd(80_00))
        assert house.write(queued, "writeback") == 1
        assert house.write(store.breaks) == []
        house.check(processor_clearing=80_00)

    house.stage.explore(setting, check, most=8).said("answer | event | lookup")


def test_an_event_is_faster_than_our_own_unit(house: House) -> None:
    """The event of the capture beside the unit that notes that we send."""
    payment = ""

    def setting() -> list[Actor]:
        nonlocal payment
        payment, work = house.started()
        return [
            lambda write: write(house.take._sending, work, Prepared(Reference("pp_1"))),
            _settled(house, payment, CAPTURED, "event:1"),
        ]

    def check(played: Played) -> None:
        assert outcomes(played)[1] == "done"
        assert house.write(store.get, payment).captured == usd(80_00)
        house.check(processor_clearing=80_00)

    house.stage.explore(setting, check, most=8).said("sending | event")


def test_two_refunds_of_more_than_there_is(house: House) -> None:
    payment = ""

    def setting() -> list[Actor]:
        nonlocal payment
        payment = house.captured()
        wish = NewRefund(payment, "a test", "test", usd(50_00))
        return [lambda write: write(request, wish, house.tenant)] * 2

    def check(played: Played) -> None:
        assert sorted(outcomes(played)) == ["RuleBroken", "done"]
        assert len(house.write(refunds.of_payment, payment)) == 1
        assert house.write(verify).ok

    house.stage.explore(setting, check, most=8).said("refund | refund")


def test_a_refund_is_sent_by_two_and_told_by_an_event(house: House) -> None:
    payment = ""
    given_back = Approved(Reference("re_1"), usd(30_00))

    def setting() -> list[Actor]:
        nonlocal payment
        payment = house.captured()
        house.write(request, NewRefund(payment, "a test", "test", usd(30_00)), house.tenant)
        work = house.write(take, "refund.submit")

        def sends(write: Write) -> object:
            call = write(house.refunds._sending, work)
            if call is not None:
                write(house.refunds._finish, work, call, given_back)
            return call is not None

        def took_over(write: Write) -> object:
            write(give_back, work)  # as expiry does
            return write(house.refunds._sending, write(take, "refund.submit")) is not None

        return [sends, took_over]

    def check(played: Played) -> None:
        outcomes(played)
        (refund,) = house.write(refunds.of_payment, payment)
        operations = [one for one in house.write(store.operations_of, payment) if one.refund_id]
        assert len(operations) == 1
        assert operations[0].attempt == 1
        assert house.write(queued, "writeback") == (2 if refund.state == "succeeded" else 1)
        assert house.write(verify).ok

    house.stage.explore(setting, check, most=8).said("refund sending and answer | taken over")


def test_two_payments_settle_at_once(house: House) -> None:
    """They share the ledger's chain, nothing else."""

    def setting() -> list[Actor]:
        method = house.invoiced()
        first = house.write(start, house.wish(method, amount=usd(30_00)), house.tenant)
        second = house.write(start, house.wish(method, amount=usd(50_00)), house.tenant)
        actors: list[Actor] = []
        for number, (payment, minor) in enumerate(((first, 30_00), (second, 50_00))):
            outcome = Approved(Reference(f"ch_{number}"), usd(minor))
            actors.append(_settled(house, payment, outcome, f"event:{number}"))
        return actors

    def check(played: Played) -> None:
        assert outcomes(played) == ["done", "done"]
        house.check(processor_clearing=80_00)

    house.stage.explore(setting, check, most=8).said("settle | settle of another payment")

"""Payouts that are read by two at once, compared meanwhile, and days and periods that are closed, on PostgreSQL.

The law: who reads or closes second adds nothing, and the end is that of somebody who did one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from desk_world import TENANT, account, cash
from fhirpay.close import store as closes
from fhirpay.db.unit import Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.errors import FhirpayError
from fhirpay.ledger import periods, rules
from fhirpay.ledger import store as ledger
from fhirpay.ledger.closed import closed_through
from fhirpay.ledger.month import Month
from fhirpay.ledger.verify import verify
from fhirpay.payments import store
from fhirpay.usecases import day_close, desk, doctor_settlement, tills
from fhirpay.usecases.day_close import Wish
from fhirpay.usecases.reconcile import Reconcile
from interleaving import Actor, Played, Stage, SteppedUnits, Write, ran
from paid_out_world import Listed, charged, line, paid, practice, pull_of

OCTOBER = Month.parse("2026-10")


@pytest.fixture(scope="module")
def stage(databases: Any) -> Iterator[Stage]:
    clock = FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
    with databases.url("postgresql") as url, Stage(url, clock, CountedIds()).open() as made:
        yield made


def outcomes(played: Played) -> list[str]:
    """What became of each actor; anything but a refusal in words is an error of the test."""
    for error in played.errors:
        if error is not None and not isinstance(error, FhirpayError):
            raise error
    return [type(error).__name__ if error else "done" for error in played.errors]


def books(tx: Tx) -> dict[str, int]:
    report = verify(tx)
    assert report.ok, report.problems
    assert list(doctor_settlement.problems(tx)) == []
    return {one.account: one.amount.minor for one in ledger.balances(tx) if one.amount.minor}


def open_kinds(tx: Tx) -> list[str]:
    return sorted(one.kind for one in store.breaks(tx))


# ── payouts ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Practice:
    def __init__(self, stage: Stage) -> None:
        self.stage, self.tenant, self.listed = stage, practice(), Listed()
        self.pulls = pull_of(SteppedUnits(stage), self.tenant, self.listed)  # type: ignore[arg-type]
        self.compares = Reconcile(SteppedUnits(stage), self.tenant)  # type: ignore[arg-type]

    def paid(self, *amounts: int) -> list[str]:
        ref = self.stage.write(charged, "ana", sum(amounts))
        return [self.stage.write(paid, ref, minor) for minor in amounts]

    def pull(self, _: Write) -> object:
        return ran(self.pulls.pull("main"))

    def compare(self, _: Write) -> object:
        return ran(self.compares.look())


def test_one_payout_is_settled_by_two_workers(stage: Stage) -> None:
    house = Practice(stage)

    def setting() -> list[Actor]:
        first, second = house.paid(80_00, 50_00)
        lines = (line("l1", 80_00, 2_62, payment=first), line("l2", 50_00, 1_75, payment=second))
        house.listed.has("po_1", 130_00 - 2_62 - 1_75, *lines)
        return [house.pull, house.pull]

    def check(played: Played) -> None:
        assert outcomes(played) == ["done"] * 2
        assert stage.read(open_kinds) == []
        assert stage.read(books) == {"charges_control": 130_00, "fees": 4_37, "payout_in_transit": 125_63}

    stage.explore(setting, check, most=4).said("pull | pull")


def test_what_differs_is_compared_while_it_is_put_right_and_taken_off_the_list(stage: Stage) -> None:
    """A payment at another amount: its break is open; the processor lists the rest, a person marks it done."""
    house = Practice(stage)
    key = ""

    def setting() -> list[Actor]:
        nonlocal key
        house.listed.payouts.clear()
        (one,) = house.paid(80_00)
        house.listed.has("po_1", 70_00, line("l1", 70_00, 0, payment=one))
        house.pull(stage.write)
        house.compare(stage.write)
        (told,) = stage.read(store.breaks)
        key = told.break_key
        assert told.kind == "amount_differs"
        house.listed.has("po_2", 10_00, line("l2", 10_00, 0, payment=one))
        return [house.compare, house.pull, lambda write: write(store.close_break, key, by="kim", why="it is known")]

    def check(played: Played) -> None:
        assert outcomes(played) == ["done"] * 3
        house.compare(stage.write)
        assert stage.read(open_kinds) == []
        assert stage.read(books) == {"charges_control": 80_00, "payout_in_transit": 80_00}

    stage.explore(setting, check, most=3).said("reconcile | pull | done by a person")


# ── closes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _counted(tx: Tx, minor: int) -> None:
    ref = account(tx, "ana", 300_00)
    desk.take(tx, desk.DeskPayment(ref, cash(), Money(minor, "USD")), TENANT)
    tills.count(tx, "front", Money(minor, "USD"), TENANT, by="ben", close=True)


def _looked(stage: Stage) -> day_close.Looked:
    return stage.read(day_close.look, TENANT, Wish("main", "front", stage.clock.now().date()))


def _signing(looked: day_close.Looked, by: str) -> Actor:
    return lambda write: write(day_close.sign, looked, by=by, reason="seen")


def test_one_till_is_closed_by_two_persons_at_once(stage: Stage) -> None:
    def setting() -> list[Actor]:
        stage.write(_counted, 80_00)
        looked = _looked(stage)
        return [_signing(looked, "ann"), _signing(looked, "eve")]

    def check(played: Played) -> None:
        assert sorted(outcomes(played)) == ["RuleBroken", "done"]
        assert "already: by" in str(next(error for error in played.errors if error))
        assert len(stage.read(closes.of, "main", "front")) == 1

    stage.explore(setting, check, most=4).said("sign | sign")


def test_a_later_day_is_signed_while_an_earlier_one_is_opened_again(stage: Stage) -> None:
    """Looked at before. Either it is refused, or it was signed first, as one after the other would have it."""
    refused: list[bool] = []

    def setting() -> list[Actor]:
        stage.write(_counted, 80_00)
        first = stage.write(day_close.sign, _looked(stage), by="ann", reason="seen").close
        stage.clock.advance(timedelta(days=1))
        looked = _looked(stage)
        assert looked.blocked == ()
        return [
            _signing(looked, "ann"),
            lambda write: write(day_close.reopen, first.close_id, by="eve", why="the count was wrong"),
        ]

    def check(played: Played) -> None:
        signed, opened = outcomes(played)
        assert opened == "done"
        assert signed in ("done", "RuleBroken")
        known = stage.read(closes.of, "main", "front")
        assert [one.stands for one in known] == [False, True][: len(known)]
        refused.append(signed == "RuleBroken")

    stage.explore(setting, check, most=4).said("sign of a later day | reopen")
    assert set(refused) == {False, True}


def _fee(tx: Tx) -> str:
    when = rules.When(occurred_at=tx.now, business_date=OCTOBER.last)
    return ledger.post(tx, rules.fee("main", Money(30, "USD"), **when), key="fee/1")


def test_a_period_is_closed_beside_an_entry_of_its_last_day(stage: Stage) -> None:
    """The entry is of that day and before the head that the step names, or it is late and after it."""

    def setting() -> list[Actor]:
        return [lambda write: write(periods.close, OCTOBER, by="eve"), lambda write: write(_fee)]

    def check(played: Played) -> None:
        assert outcomes(played) == ["done", "done"]
        step: Any = played.values[0]
        (one,) = stage.read(ledger.entries_for, merchant="main")
        in_time = one.entry.business_date == OCTOBER.last
        assert in_time == (one.seq <= step.head.seq)
        assert in_time or one.entry.refs["late_of"] == OCTOBER.last.isoformat()
        assert stage.read(closed_through) == OCTOBER.last
        assert stage.read(verify).ok

    stage.explore(setting, check, most=4).said("period closed | entry of its last day")

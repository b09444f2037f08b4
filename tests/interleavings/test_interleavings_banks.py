"""Payouts and the bank's lines of them, moved by several at once on PostgreSQL, interleaved statement by statement.

The law: a line is of one payout and a payout of one line, the books balance and are what somebody who did one after the
other would have, and whoever comes too late is told so in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from bank_files import CSV, csv_of
from bank_world import KEY, BankWorld
from fhirpay.bank import store as bank
from fhirpay.db.unit import Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.payout import PayoutState
from fhirpay.errors import FhirpayError, RuleBroken
from fhirpay.ledger.verify import verify
from fhirpay.usecases import doctor_settlement
from fhirpay.usecases.decide_bank import match_by_hand
from fhirpay.usecases.match_bank import match_account
from fhirpay.usecases.take_bank_file import Taken
from fhirpay.usecases.unmatch_bank import unmatch
from interleaving import Actor, Played, Stage, SteppedUnits, Write, ran

FILLER = ("2026-11-19", -1_00, "Z", "SERVICE FEE")  # the bank's days are known until then
SAID: dict[str, Any] = {"by": "kim", "why": "the bank's own page"}


class House(BankWorld):
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        super().__init__(SteppedUnits(stage), CSV.model_copy(update={"payouts_only": False}))

    def state_now(self) -> dict[str, Any]:
        return self.stage.read(_state)

    def line(self, minor: int) -> str:
        return self.stage.read(_line, minor)

    def by_rule(self, write: Write) -> int:
        return write(match_account, self.tenant, self.account, KEY)

    def by_person(self, line: str, payout: str) -> Actor:
        return lambda write: write(match_by_hand, self.tenant, KEY, lines=[line], payouts=[payout], **SAID)

    def takes(self, data: bytes) -> Actor:
        return lambda _: ran(self.files.take("main", "statement.csv", data))

    def hears(self, name: str, minor: int, day: str, state: PayoutState = PayoutState.PAID) -> Actor:
        return lambda _: ran(self.pays(name, minor, day, state))

    def sound(self) -> None:
        assert self.stage.read(verify).problems == ()
        assert self.stage.read(lambda tx: list(doctor_settlement.problems(tx))) == []


def _line(tx: Tx, minor: int) -> str:
    (one,) = [one for one in bank.some(tx, "main", unmatched=False, limit=9) if one.amount.minor == minor]
    return one.line_id


def _state(tx: Tx) -> dict[str, Any]:
    from sqlalchemy import text

    def rows(query: str) -> list[tuple[Any, ...]]:
        return sorted(tuple(row) for row in tx.execute(text(query), {"t": tx.tenant}))

    sums = "SELECT account, sum(CASE side WHEN 'debit' THEN amount_minor ELSE -amount_minor END) FROM ledger_posting"
    matched = "SELECT p.processor_ref, d.what, m.rule, l.reference FROM bank_matched d"
    matched += " JOIN payout p ON p.tenant_id = d.tenant_id AND p.payout_id = d.subject"
    matched += " JOIN bank_match m ON m.tenant_id = d.tenant_id AND m.match_id = d.match_id"
    matched += " LEFT JOIN bank_line l ON l.tenant_id = d.tenant_id AND l.match_id = d.match_id"
    return {
        "books": {one: int(minor) for one, minor in rows(f"{sums} WHERE tenant_id = :t GROUP BY account") if minor},
        "payouts": rows("SELECT processor_ref, state FROM payout WHERE tenant_id = :t"),
        "matches": rows(f"{matched} WHERE d.tenant_id = :t"),
        "breaks": [row[0] for row in rows("SELECT kind FROM payment_break WHERE tenant_id = :t AND closed_at IS NULL")],
    }


def outcomes(played: Played) -> list[str]:
    """What became of each actor; anything but a refusal in words is an error of the test."""
    for error in played.errors:
        if error is not None and not isinstance(error, FhirpayError):
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


def test_one_bank_file_is_taken_twice_at_once(house: House) -> None:
    data = csv_of([("2026-11-18", 90_00, "R1", "ACH po_aaaaaa1"), ("2026-11-19", 7_00, "R2", "RENT"), FILLER])

    def setting() -> list[Actor]:
        ran(house.pays("po_aaaaaa1", 90_00, "2026-11-18"))
        return [house.takes(data), house.takes(data)]

    def check(played: Played) -> None:
        assert outcomes(played) == ["done", "done"]
        taken = [one for one in played.values if isinstance(one, Taken)]
        assert len({one.file_id for one in taken}) == 1
        assert (sum(one.new for one in taken), sum(one.matched for one in taken)) == (3, 1)
        state = house.state_now()
        assert state["matches"] == [("po_aaaaaa1", "arrival", "reference", "R1")]
        assert state["books"] == {"bank": 90_00, "processor_clearing": -90_00}
        house.sound()

    house.stage.explore(setting, check, most=4).said("file | the same file")


def test_a_file_beside_the_hourly_match_and_the_payout_that_is_heard_of(house: House) -> None:
    first = csv_of([("2026-11-18", 90_00, "R1", "ACH po_aaaaaa1"), FILLER])
    second = csv_of([("2026-11-18", 40_00, "R2", "ACH po_aaaaaa2"), FILLER])

    def setting() -> list[Actor]:
        ran(house.files.take("main", "first.csv", first))
        ran(house.pays("po_aaaaaa1", 90_00, "2026-11-18"))
        ran(house.pays("po_aaaaaa2", 40_00, "2026-11-18"))
        return [house.takes(second), house.by_rule, house.hears("po_aaaaaa1", 90_00, "2026-11-18")]

    def check(played: Played) -> None:
        assert outcomes(played) == ["done"] * 3
        state = house.state_now()
        assert [row[0] for row in state["matches"]] == ["po_aaaaaa1", "po_aaaaaa2"]
        assert state["books"] == {"bank": 130_00, "processor_clearing": -130_00}
        house.sound()

    house.stage.explore(setting, check, most=5).said("file | hourly match | payout heard")


@pytest.mark.parametrize("said", ["po_aaaaaa2", "po_aaaaaa1"])
def test_a_person_and_a_rule_match_one_line_at_once(house: House, said: str) -> None:
    """The line names the first payout; the person says that it is the second one, or the same."""

    def setting() -> list[Actor]:
        lines = [("2026-11-18", 90_00, "R1", "ACH po_aaaaaa1"), FILLER]
        ran(house.bank(lines))
        for name in ("po_aaaaaa1", "po_aaaaaa2"):
            ran(house.pays(name, 90_00, "2026-11-18"))
        return [house.by_person(house.line(90_00), said), house.by_rule]

    def check(played: Played) -> None:
        first, second = outcomes(played)
        assert first in ("done", "RuleBroken")
        assert second == "done"
        state = house.state_now()
        ((payout, _, rule, _),) = state["matches"]
        assert (payout, rule) == ((said, "by_hand") if first == "done" else ("po_aaaaaa1", "reference"))
        assert state["books"] == {"bank": 90_00, "payout_in_transit": 90_00, "processor_clearing": -180_00}
        house.sound()

    house.stage.explore(setting, check, most=4).said("person | rule")


def test_two_persons_match_one_line_with_two_payouts(house: House) -> None:
    def setting() -> list[Actor]:
        ran(house.bank([("2026-11-18", 90_00, "R1", "DEPOSIT"), FILLER]))
        for name in ("po_aaaaaa1", "po_aaaaaa2"):
            ran(house.pays(name, 90_00, "2026-11-18"))
        line = house.line(90_00)
        return [house.by_person(line, "po_aaaaaa1"), house.by_person(line, "po_aaaaaa2")]

    def check(played: Played) -> None:
        assert sorted(outcomes(played)) == ["RuleBroken", "done"]
        assert len(house.state_now()["matches"]) == 1
        house.sound()

    house.stage.explore(setting, check, most=4).said("person | person")


def test_a_match_is_taken_back_while_its_payout_fails(house: House) -> None:
    def setting() -> list[Actor]:
        ran(house.pays("po_aaaaaa1", 90_00, "2026-11-18"))
        ran(house.bank([("2026-11-18", 90_00, "R1", "ACH po_aaaaaa1"), FILLER]))
        line = house.line(90_00)
        return [
            lambda write: write(unmatch, house.tenant, KEY, line, **SAID),
            house.hears("po_aaaaaa1", 90_00, "2026-11-18", PayoutState.FAILED),
        ]

    def check(played: Played) -> None:
        first, second = outcomes(played)
        assert first in ("done", "RuleBroken")
        assert second == "done"
        state = house.state_now()
        assert state["payouts"] == [("po_aaaaaa1", "failed")]
        assert state["books"] == {}
        assert len(state["matches"]) == (first == "RuleBroken")
        house.sound()

    house.stage.explore(setting, check, most=5).said("unmatch | payout failed")


def test_a_match_is_taken_back_by_two_at_once(house: House) -> None:
    def setting() -> list[Actor]:
        ran(house.pays("po_aaaaaa1", 90_00, "2026-11-18"))
        ran(house.bank([("2026-11-18", 90_00, "R1", "ACH po_aaaaaa1"), FILLER]))
        line = house.line(90_00)
        return [lambda write: write(unmatch, house.tenant, KEY, line, **SAID)] * 2

    def check(played: Played) -> None:
        assert sorted(outcomes(played)) == ["RuleBroken", "done"]
        assert isinstance(next(error for error in played.errors if error), RuleBroken)
        state = house.state_now()
        assert state["matches"] == []
        assert state["books"] == {"payout_in_transit": 90_00, "processor_clearing": -90_00}
        house.sound()

    house.stage.explore(setting, check, most=4).said("unmatch | unmatch")

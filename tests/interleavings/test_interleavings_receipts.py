"""A receipt of nobody that several decide about at once on PostgreSQL, interleaved statement by statement.

The law: no more of it is credited than there is, it is a patient's or a payout's and never both, the books balance, and
whoever comes too late is told so in words.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from test_interleavings_banks import FILLER, SAID, House, outcomes

from desk_world import account
from fhirpay.bank import store as bank
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import RuleBroken
from fhirpay.usecases import doctor_controls
from fhirpay.usecases.decide_bank import book_receipt
from fhirpay.usecases.receipts import NewCredit, credit, uncredit
from interleaving import Actor, Played, Stage, ran


@pytest.fixture(scope="module")
def stage(databases: Any) -> Iterator[Stage]:
    clock = FrozenClock(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
    with databases.url("postgresql") as url, Stage(url, clock, CountedIds()).open() as made:
        yield made


class Receipt(House):
    """100.00 at the bank of nobody, and a payout of as much that may be it."""

    def laid(self) -> str:
        ran(self.bank([("2026-11-12", 100_00, "R1", "DEPOSIT"), FILLER]))
        line = self.line(100_00)
        self.stage.write(lambda tx: book_receipt(tx, self.tenant, line, **SAID))
        for name in ("ann", "ben"):
            self.stage.write(account, name, 80_00)
        return line

    def credits(self, line: str, name: str, amount: str) -> Actor:
        wish = NewCredit(line, f"Account/{name}", amount=amount, facility="main", **SAID)
        return lambda write: write(credit, wish, self.tenant)

    def takes_back(self, paid: str) -> Actor:
        return lambda write: write(uncredit, paid, self.tenant, **SAID)

    def left(self, line: str) -> int:
        return self.stage.read(bank.line, line).uncredited.minor

    def agrees(self) -> None:
        self.sound()
        assert self.stage.read(lambda tx: list(doctor_controls.unidentified(tx))) == []


def test_it_is_credited_by_two_and_matched_by_a_rule_at_once(stage: Stage) -> None:
    house = Receipt(stage)

    def setting() -> list[Actor]:
        line = house.laid()
        ran(house.pays("po_aaaaaa1", 100_00, "2026-11-12"))
        return [house.credits(line, "ann", "70.00"), house.credits(line, "ben", "70.00"), house.by_rule]

    def check(played: Played) -> None:
        found = outcomes(played)
        matched = bool(house.state_now()["matches"])
        assert sorted(found[:2]) == (["RuleBroken"] * 2 if matched else ["RuleBroken", "done"])
        assert found[2] == "done"
        assert house.left(house.line(100_00)) == (100_00 if matched else 30_00)
        house.agrees()

    house.stage.explore(setting, check, most=5).said("credit | credit | hourly match")


def test_it_is_taken_back_by_two_while_a_third_credits_the_rest(stage: Stage) -> None:
    house = Receipt(stage)

    def setting() -> list[Actor]:
        line = house.laid()
        paid = house.stage.write(
            credit, NewCredit(line, "Account/ann", amount="70.00", facility="main", **SAID), house.tenant
        )
        back = house.takes_back(paid)
        return [back, back, house.credits(line, "ben", "80.00")]

    def check(played: Played) -> None:
        found = outcomes(played)
        assert sorted(found[:2]) == ["RuleBroken", "done"]
        assert isinstance(next(error for error in played.errors if error), RuleBroken)
        assert house.left(house.line(100_00)) == (20_00 if found[2] == "done" else 100_00)
        house.agrees()

    house.stage.explore(setting, check, most=5).said("uncredit | uncredit | credit")

"""What we would have posted, compared with what an EHR says that its staff posted."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from adjustments_world import given_up, one_of
from ehr_payments_world import ENGINE, Clinic, charge, clinic, py
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.errors import NotFound
from fhirpay.flow.worker import Worker
from fhirpay.usecases.agreement import ENOUGH, Agreement, Miss, agreement
from fhirpay.usecases.agreement_text import as_facts, as_text
from fhirpay.usecases.confirm_posting import reject
from fhirpay.writeback import store
from fhirpay.writeback.agreement import Item
from intake_world import ft1, message, msh, segment

GOLDEN = Path(__file__).parents[2] / "golden" / "writeback" / "agreement.txt"


@pytest.fixture
async def at(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Clinic]:
    engine = ENGINE.model_copy(update={"stage": "assist", "heard_on": ("clinic",)})
    async with clinic(database, clock, ids, engine=engine, echoes="amount") as made:
        yield made
        await made.check_books()


async def hands(at: Clinic) -> None:
    """The receiver's own: in shadow and assist they call nobody."""
    handlers = dict(at.house.destinations)
    await Worker(at.system.database, at.house.units, queue="outbox", handlers=handlers).drain()


async def paid(at: Clinic, account: str, number: str, amount: str = "100.00") -> None:
    await at.say(charge(f"C{number}", f"C{number}", amount, account))
    await at.take(await at.begin(amount, account))
    await hands(at)


async def found(at: Clinic, **said: Any) -> Agreement:
    return await at.house.units.read(lambda tx: agreement(tx, "engine", at.house.tenant, **said))


def merged(name: str, old: str, new: str) -> bytes:
    pid = segment("PID", {3: "MRN1^^^CLINIC^MR", 18: new})
    mrg = segment("MRG", {1: "MRN1^^^CLINIC^MR", 3: old})
    return "\r".join([msh(name, "ADT^A41"), pid, mrg, ""]).encode()


async def test_golden_report_of_what_both_have_and_of_what_only_one_has(at: Clinic) -> None:
    for number in range(1, 7):
        await paid(at, f"A{number}", str(number))
    await at.say(charge("C8", "C8", "40.00", "A8"), charge("C9", "C9", "10.00", "A9"))
    await given_up(at, (await one_of(at, "A8")).obligation_id, "charity")
    await hands(at)
    written_off = message("E8", ft1(1, "AJ", "40.00&USD", {2: "E8", 7: "CHARITY"}), account="A8")
    await at.say(
        py("E1", "E1", "100.00", "A1"),
        py("E2", "E2", "100.00", "A2", {4: "20261121"}),
        py("E3", "E3", "90.00", "A3"),
        py("E5", "E5", "100.00", "A9"),  # which is A5 by tomorrow
        written_off,
        py("E7", "E7", "55.00", "A1"),
        py("E6", "E6", "100.00", "A6", {4: "20261125"}),
    )
    (fourth,) = [one for one in await at.house.units.read(store.proposed) if one.part == await at.account("A4")]
    await at.house.units.write(reject, fourth.posting_id, by="ann", why="it was paid at the desk")
    assert (await found(at)).recent == 7  # of today: nothing is judged
    at.clock.advance(timedelta(days=7))
    before = await found(at)
    await at.say(merged("M1", "A9", "A5"))
    after = await found(at)
    assert (len(before.matched), len(after.matched)) == (3, 4)
    assert (after.compared, after.permille, after.enough, after.good()) == (7, 400, False, False)
    text = "\n".join(as_text(after)) + "\n"
    if os.environ.get("FHIRPAY_UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")
    facts = as_facts(after)
    assert [len(facts[side]) for side in ("ours", "theirs")] == [3, 3]
    assert facts["ours"][1]["says"] == "rejected by ann: it was paid at the desk"
    later = await found(at, since=date(2026, 11, 24))
    assert (later.compared, [one.item.label for one in later.theirs]) == (0, ["E6"])


async def test_what_is_of_another_feed_or_was_before_is_not_compared(at: Clinic) -> None:
    await at.say(charge("C0", "C0", "70.00", "A1"), py("E0", "E0", "70.00", "A1", {4: "20261101"}))
    assert as_text(await found(at)) == ["'engine': nothing was to be posted there yet, so there is nothing to compare"]
    await paid(at, "A2", "2")
    at.clock.advance(timedelta(days=3))
    assert [str(one.item.day) for one in (await found(at)).ours] == ["2026-11-20"]
    assert (await found(at)).theirs == ()
    await at.say(py("E2", "E2", "100.00", "A2"))
    assert (await found(at)).good(50) is False  # one is too few
    assert (await found(at)).permille == 1000
    other = at.house.tenant.destinations[0].model_copy(update={"heard_on": ("lab",)})
    elsewhere = at.house.tenant.model_copy(update={"destinations": (other,)})
    unheard = await at.house.units.read(agreement, "engine", elsewhere)
    assert (unheard.matched, len(unheard.ours)) == ((), 1)
    with pytest.raises(NotFound, match="defined: engine"):
        await at.house.units.read(agreement, "engin", at.house.tenant)


def test_a_score_is_good_from_two_hundred_on_and_is_never_rounded_up() -> None:
    def item(number: int) -> Item:
        return Item(f"p{number}", "A", "payment", Money(100, "USD"), date(2026, 11, 2))

    pairs = tuple((item(number), item(number)) for number in range(ENOUGH - 1))
    few = Agreement("engine", date(2026, 11, 2), date(2026, 11, 3), pairs, (), (), recent=0, unheard=0)
    assert (few.good(0), few.permille) == (False, 1000)
    assert as_text(few)[0].endswith("100.0 % agree, of too few: 199 of 200")
    enough = replace(few, ours=(Miss(item(999), "-"),))
    assert (enough.good(), enough.good(100), enough.permille) == (True, False, 995)
    low = replace(few, ours=(Miss(item(999), "-"),) * 3, theirs=(Miss(item(999), "-"),) * 2)
    assert (low.good(), low.permille, as_text(low)[0]) == (
        False,
        975,
        "'engine', 2026-11-02 to 2026-11-03: 97.5 % agree",
    )

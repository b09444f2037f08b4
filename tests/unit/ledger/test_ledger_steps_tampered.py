"""No hand in the steps that closed periods goes unseen: each column of each, each byte of an export, and each that is
taken out; of the last ones by a late entry, or by a head that was printed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import text
from test_ledger_verify import WHEN, break_in, post_three, set_head, usd

from fhirpay.config import SigningKey
from fhirpay.db.metadata import table
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import FhirpayError
from fhirpay.ledger import periods, rules, store
from fhirpay.ledger.chain import Head, Mark
from fhirpay.ledger.month import Month
from fhirpay.ledger.tables import LedgerPeriodStep
from fhirpay.ledger.verify import export, verify, verify_export
from fhirpay.smart import heads
from fhirpay.smart.keys import Algorithm, KeyRing, new_private_key
from tampering import changes

pytestmark = pytest.mark.unsound("books that were changed by hand")
STEP = table(LedgerPeriodStep)
MARCH, APRIL = Month.parse("2026-03"), Month.parse("2026-04")


def three_steps(tx: Tx) -> None:
    """March is closed, opened and closed again; what came between the steps is of it."""
    post_three(tx)
    periods.close(tx, MARCH, by="eve", why="it is over")
    periods.reopen(tx, MARCH, by="eve", why="a bill came")
    store.post(tx, rules.capture("pay2", "main", usd(9), **WHEN), key="capture/pay2")
    periods.close(tx, MARCH, by="ann")


def late(tx: Tx) -> None:
    store.post(tx, rules.capture("pay3", "main", usd(9), **WHEN), key="capture/pay3")


def free(tx: Tx) -> None:
    break_in(tx)
    for action in ("update", "delete"):
        on = " ON ledger_period_step" if tx.dialect == "postgresql" else ""
        tx.execute(text(f"DROP TRIGGER ledger_period_step_{action}{on}"))


def lines_of(tx: Tx) -> list[str]:
    return list(export(tx))


def without(tx: Tx, numbers: set[int]) -> tuple[bool, bool]:
    """Whether nothing is found, online and in an export, once these are gone and the rest has closed up."""
    tx.execute(text("SAVEPOINT before"))
    tx.execute(STEP.delete().where(STEP.c.number.in_(numbers)))
    found = verify(tx).ok, verify_export(lines_of(tx)).ok
    tx.execute(text("ROLLBACK TO SAVEPOINT before"))
    return found


async def test_each_column_of_each_step_counts(units: Units) -> None:
    await units.write(three_steps)
    await units.write(late)
    await units.write(free)
    made = await units.write(lambda tx: list(changes(tx, STEP, lambda tx: verify(tx).ok)))
    assert {column for column, _, _ in made} == {f"{STEP.name}.{column.name}" for column in STEP.c}
    assert [(column, other) for column, other, unseen in made if unseen] == []


async def test_a_step_that_is_taken_out_is_missed(units: Units) -> None:
    await units.write(three_steps)
    printed = await units.read(store.mark)
    await units.write(free)
    for gone in ({1}, {2}, {1, 2}):
        assert await units.write(without, gone) == (False, False)
    # Those at the end: by what was printed, or once something has come late.
    for gone in ({3}, {2, 3}, {1, 2, 3}):
        assert await units.write(cut_and_compared, gone, printed) == (False, False)
    await units.write(late)
    for gone in ({3}, {1, 2, 3}):
        assert await units.write(without, gone) == (False, False)
    assert (await units.read(verify)).ok


def cut_and_compared(tx: Tx, numbers: set[int], printed: Mark) -> tuple[bool, bool]:
    tx.execute(text("SAVEPOINT before"))
    tx.execute(STEP.delete().where(STEP.c.number.in_(numbers)))
    lines = lines_of(tx)
    found = verify(tx, known=[printed]).ok, verify_export(lines, known=[printed]).ok
    tx.execute(text("ROLLBACK TO SAVEPOINT before"))
    return found


async def test_an_entry_of_a_closed_day_is_found_in_an_export_too(units: Units, clock: FrozenClock) -> None:
    await units.write(three_steps)
    await units.write(free)
    lines = await units.read(lines_of)
    assert verify_export(lines).ok
    on = " ON ledger_entry" if units.dialect == "postgresql" else ""
    await units.write(lambda tx: tx.execute(text(f"DROP TRIGGER ledger_entry_closed{on}")))
    kept = await units.read(lambda tx: [dict(one) for one in tx.all(STEP.select().order_by(STEP.c.number))])
    await units.write(lambda tx: tx.execute(STEP.delete()))
    await units.write(late)
    await units.write(lambda tx: tx.execute(STEP.insert(), kept))
    for report in (await units.read(verify), verify_export(await units.read(lines_of))):
        assert [one.kind for one in report.problems] == ["period"]
        assert "2026-03-02, which was closed with 2026-03" in report.problems[0].says


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_any_byte_of_an_export_with_steps_counts(units: Units) -> None:
    await units.write(three_steps)
    ring = KeyRing([SigningKey(private_key=new_private_key(Algorithm.ES384))])
    keys = heads.public_keys(json.dumps(ring.published()))
    lines, printed = await units.read(
        lambda tx: (
            list(export(tx, sign=lambda mark: heads.sign(ring, tx.tenant, str(mark), tx.now))),
            store.mark(tx),
        )
    )
    assert verify_export(lines, known=[printed], keys=keys).ok
    assert printed.step.seq == 3

    def whole(changed: list[str], *, known: bool = True, signed: bool = False) -> bool:
        try:
            return verify_export(changed, known=[printed] if known else [], keys=keys if signed else None).ok
        except FhirpayError:
            return False

    for number, line in enumerate(lines[:-1]):
        for at in range(0, len(line), 2 if '"step"' in line else 29):
            other = "0" if line[at] != "0" else "1"
            assert not whole([*lines[:number], line[:at] + other + line[at + 1 :], *lines[number + 1 :]])
        assert not whole([*lines[:number], *lines[number + 1 :]])
        assert not whole([*lines[:number], line, *lines[number:]])
    # Cut off with its head set back, the signature tells without anything that was kept.
    steps = [line for line in lines if '"step"' in line]
    head = json.loads(lines[-1])
    before = Mark(printed.head, Head(2, json.loads(steps[1])["hash"]))
    cut = [line for line in lines[:-1] if line != steps[2]]
    assert not whole([*cut, json.dumps({**head, "head": str(before)})], known=False, signed=True)
    assert whole([*cut, json.dumps({"head": str(before)})], known=False)  # from the file alone nobody could tell


async def test_what_was_printed_before_there_were_steps_still_counts(units: Units) -> None:
    await units.write(post_three)
    printed = await units.read(store.mark)
    assert str(printed) == str(printed.head)
    await units.write(lambda tx: periods.close(tx, MARCH, by="eve"))
    assert (await units.read(verify, known=[printed, printed.head])).ok
    later = await units.read(store.mark)
    assert Mark.parse(str(later)) == later
    assert later.step.seq == 1
    await units.write(free)
    await units.write(set_head, 2)
    forged = replace(later, step=Head(1, "0" * 64))
    assert not (await units.read(verify, known=[forged])).ok

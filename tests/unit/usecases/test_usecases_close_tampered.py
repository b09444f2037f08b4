"""No hand in the closes goes unseen: each column of each, each that is taken out; the last by one that was kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from test_usecases_day_close import TILL, WHOLE, evening, reopened, signed

from fhirpay.close.check import problems
from fhirpay.close.store import Close
from fhirpay.close.tables import DayClosePartRow, DayCloseReopenedRow, DayCloseRow
from fhirpay.db.metadata import table
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.ledger import store as ledger
from fhirpay.usecases.day_close import Wish
from tampering import changes

pytestmark = [
    pytest.mark.unsound("closes that were changed by hand"),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
CLOSE, PART, REOPENED = table(DayCloseRow), table(DayClosePartRow), table(DayCloseReopenedRow)


async def three(units: Units, clock: FrozenClock) -> list[Close]:
    """The tills of an evening, one of them opened and closed again, and the whole; then the triggers are gone."""
    await evening(units, clock)
    first = (await signed(units, TILL, reason="no slip")).close
    await reopened(units, first)
    clock.advance(timedelta(minutes=1))
    again = (await signed(units, TILL, reason="no slip")).close
    back = (await signed(units, Wish("main", "back"))).close
    whole = (await signed(units, WHOLE, by="eve", reason="so be it")).close
    assert list(await units.read(lambda tx: list(problems(tx)))) == []

    def free(tx: Tx) -> None:
        for rows in (CLOSE, PART, REOPENED):
            for action in ("update", "delete"):
                tx.execute(sa.text(f"DROP TRIGGER {rows.name}_{action}"))

    await units.write(free)
    return [first, again, back, whole]


async def test_each_column_of_each_close_counts(units: Units, clock: FrozenClock) -> None:
    await three(units, clock)
    for rows in (CLOSE, PART, REOPENED):
        made = await units.write(lambda tx, rows=rows: list(changes(tx, rows, lambda tx: not list(problems(tx)))))
        assert {column for column, _, _ in made} == {f"{rows.name}.{column.name}" for column in rows.c}
        # When a close was opened again, and what a close has counted, nothing else repeats; to double it is refused.
        unheard = {"day_close_reopened.at", "day_close_part.part", "day_close_part.tenant_id"}
        assert {column for column, _, unseen in made if unseen} <= unheard, rows.name


def cut(tx: Tx, gone: list[str], *, with_parts: bool, kept: dict[str, str]) -> list[str]:
    """What is found once these are gone."""
    tx.execute(sa.text("SAVEPOINT before"))
    tx.execute(CLOSE.delete().where(CLOSE.c.close_id.in_(gone)))
    if with_parts:
        for rows in (PART, REOPENED):
            tx.execute(rows.delete().where(rows.c.close_id.in_(gone)))
    found = [close_id for close_id, _ in problems(tx, kept)]
    tx.execute(sa.text("ROLLBACK TO SAVEPOINT before"))
    return found


async def test_a_close_that_is_taken_out_is_missed(units: Units, clock: FrozenClock) -> None:
    closes = await three(units, clock)
    first, again, back, whole = (one.close_id for one in closes)
    for gone in ([first], [again], [back], [first, again]):  # the next one, or the facility's, names them
        assert await units.write(cut, gone, with_parts=True, kept={}), gone
    assert await units.write(cut, [whole], with_parts=False, kept={}) == [whole]
    assert await units.write(cut, [whole], with_parts=True, kept={}) == []  # whole in itself
    printed = {closes[3].close_id: closes[3].hash}
    assert await units.write(cut, [whole], with_parts=True, kept=printed) == [whole]
    assert await units.read(lambda tx: list(problems(tx, printed))) == []
    other = await units.read(lambda tx: list(problems(tx, {whole: "0" * 64})))
    assert other == [(whole, "another close was signed under this name")]


async def test_a_close_names_a_head_that_the_ledger_went_through(units: Units, clock: FrozenClock) -> None:
    await three(units, clock)
    head = await units.read(ledger.head)

    def another(tx: Tx) -> list[str]:
        on = sa.text("DROP TRIGGER ledger_entry_update")
        tx.execute(on)
        tx.execute(sa.text("UPDATE ledger_entry SET hash = 'x' WHERE seq = :seq"), {"seq": head.seq})
        return [says for _, says in problems(tx)]

    says = await units.write(another)
    assert f"the ledger has another entry {head.seq} than when it was signed" in says

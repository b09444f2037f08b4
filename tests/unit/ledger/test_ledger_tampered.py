"""No hand in the database goes unseen: each column of each row of the books, and each entry that is taken out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Table, text
from sqlalchemy.exc import DBAPIError
from test_ledger_verify import ENTRY, HEAD, POSTING, WHEN, break_in, delete, post_three, set_head, usd

from fhirpay.db.unit import Tx, Units
from fhirpay.ledger import rules, store
from fhirpay.ledger.verify import export, verify, verify_export

pytestmark = pytest.mark.unsound("books that were changed by hand")


def post_some(tx: Tx) -> None:
    """Every dimension and refs, none, one and two of them."""
    post_three(tx)
    refs = {"bag": "bag1", "till": "till1"}
    tender = rules.Tender("cash", "till1")
    store.post(tx, rules.capture("pay2", "", usd(9), tender=tender, **{**WHEN, "refs": {"desk": "d1"}}), key="cash/2")
    store.post(tx, rules.refund_approved("pay2", "ref1", usd(4), **{**WHEN, "refs": refs}), key="refund/1")


def others(value: Any) -> list[Any]:
    if value is None:
        return ["x"]
    if isinstance(value, int):
        return [value + 1, value + 10**6, -value - 1]
    return ["", value + "x", value[:-1], ("0" if value[0] != "0" else "1") + value[1:], value.upper()]


def changes(tx: Tx, rows: Table) -> Iterator[tuple[str, Any, bool]]:
    """Each column of each row set to something else: which, to what, and whether it goes unseen."""
    names = [column.name for column in rows.c]
    keys = [column.name for column in rows.primary_key]
    where = " AND ".join(f"{name} = :key_{name}" for name in keys)
    stored = [dict(one) for one in tx.all(text(f"SELECT {', '.join(names)} FROM {rows.name}"))]  # noqa: S608
    for row in stored:
        for name in names:
            for other in others(row[name]):
                if other == row[name]:
                    continue
                tx.execute(text("SAVEPOINT before"))
                try:
                    given = {"other": other, **{f"key_{key}": row[key] for key in keys}}
                    tx.execute(text(f"UPDATE {rows.name} SET {name} = :other WHERE {where}"), given)  # noqa: S608
                    yield f"{rows.name}.{name}", other, verify(tx).ok
                except DBAPIError:
                    yield f"{rows.name}.{name}", "refused", False
                tx.execute(text("ROLLBACK TO SAVEPOINT before"))


@pytest.mark.parametrize("rows", [ENTRY, POSTING, HEAD], ids=lambda rows: rows.name)
async def test_each_column_of_each_row_counts(units: Units, rows: Table) -> None:
    await units.write(post_some)
    await units.write(break_in)
    made = await units.write(lambda tx: list(changes(tx, rows)))
    assert {column for column, _, _ in made} == {f"{rows.name}.{column.name}" for column in rows.c}
    assert [(column, other) for column, other, unseen in made if unseen] == []


@pytest.mark.parametrize("gone", [[1], [3], [5], [4, 5], [1, 2], [1, 2, 3, 4, 5]], ids=str)
async def test_entries_that_are_taken_out_are_missed(units: Units, gone: list[int]) -> None:
    """At the beginning, in the middle, at the end; with a head that was printed also where the head was set back."""
    await units.write(post_some)
    printed = await units.read(store.head)
    await units.write(break_in)

    def take_out(tx: Tx) -> None:
        for seq in gone:
            delete(tx, seq)

    await units.write(take_out)
    assert not (await units.read(verify)).ok
    assert not verify_export(await units.read(lambda tx: list(export(tx)))).ok
    if gone[0] > 1 and gone[-1] == 5:
        await units.write(set_head, gone[0] - 1)
        assert (await units.read(verify)).ok
        assert not (await units.read(lambda tx: verify(tx, known=[printed]))).ok
        lines = await units.read(lambda tx: list(export(tx)))
        assert not verify_export(lines, known=[printed]).ok

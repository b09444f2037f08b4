"""No hand in the database goes unseen: each column of each row of the books, and each entry that is taken out."""

from __future__ import annotations

import pytest
from sqlalchemy import Table
from test_ledger_verify import ENTRY, HEAD, POSTING, WHEN, break_in, delete, post_three, set_head, usd

from fhirpay.db.unit import Tx, Units
from fhirpay.ledger import rules, store
from fhirpay.ledger.verify import export, verify, verify_export
from tampering import changes

pytestmark = pytest.mark.unsound("books that were changed by hand")


def post_some(tx: Tx) -> None:
    """Every dimension and refs, none, one and two of them."""
    post_three(tx)
    refs = {"bag": "bag1", "till": "till1"}
    tender = rules.Tender("cash", "till1")
    store.post(tx, rules.capture("pay2", "", usd(9), tender=tender, **{**WHEN, "refs": {"desk": "d1"}}), key="cash/2")
    store.post(tx, rules.refund_approved("pay2", "ref1", usd(4), **{**WHEN, "refs": refs}), key="refund/1")


def whole(tx: Tx) -> bool:
    return verify(tx).ok


@pytest.mark.parametrize("rows", [ENTRY, POSTING, HEAD], ids=lambda rows: rows.name)
async def test_each_column_of_each_row_counts(units: Units, rows: Table) -> None:
    await units.write(post_some)
    await units.write(break_in)
    made = await units.write(lambda tx: list(changes(tx, rows, whole)))
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

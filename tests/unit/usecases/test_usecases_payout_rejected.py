"""A payout that two EHRs were to have, and staff of one rejected: it is posted once the other has it, in any order."""

from __future__ import annotations

import pytest

from bank_files import csv_of
from bank_world import KEY
from fhirpay.db.unit import Tx, Units
from fhirpay.settlement import store as settlement
from fhirpay.usecases import confirm_posting
from fhirpay.usecases.payout_facts import note_posted
from fhirpay.usecases.take_bank_file import TakeBankFile
from fhirpay.writeback import held, store
from paid_out_world import CASH, listed_of, practice, pull_of, three_payments

BOTH = practice(connections=(CASH, CASH.model_copy(update={"name": "other"})))


def _payout(tx: Tx) -> settlement.Payout:
    return settlement.get(tx, "main", "po_right01")


def _is_there(tx: Tx, posting_id: str) -> None:
    """As post_back.py notes it."""
    store.sending(tx, posting_id, "Basic", "")
    store.posted(tx, posting_id, remote_id="1", remote_version="1", body=None)
    note_posted(tx, store.get(tx, posting_id))


def _rejected(tx: Tx, posting_id: str) -> None:
    assert held.decide(tx, posting_id, "proposed", was=("pending",), by="", why="", reason="stage is 'assist'")
    confirm_posting.reject(tx, posting_id, by="kim", why="it is typed in there")


@pytest.mark.parametrize("order", ["posted first", "rejected first", "rejected everywhere"])
async def test_a_payout_that_one_of_two_rejected_is_posted_with_the_other(units: Units, order: str) -> None:
    await three_payments(units)
    await pull_of(units, BOTH, await listed_of(units)).pull("main")
    data = csv_of([("2026-11-19", 106_48, "R1", "ACH po_right01")])
    await TakeBankFile(units, BOTH, KEY).take("main", "statement.csv", data)
    payout = await units.read(_payout)
    first, second = (one.posting_id for one in await units.read(store.of_subject, payout.payout_id))
    assert payout.state == "bank_matched"
    moves = {"posted first": (_is_there, _rejected), "rejected first": (_rejected, _is_there)}
    for move, posting in zip(moves.get(order, (_rejected, _rejected)), (first, second), strict=True):
        assert (await units.read(_payout)).state == "bank_matched"
        await units.write(move, posting)
    assert (await units.read(_payout)).state == ("bank_matched" if order.endswith("everywhere") else "posted")

"""Once a day everything is checked by itself: what doesn't agree stands on the worklist, until it does again."""

from __future__ import annotations

import pytest
from chain_built import charged, paid, tenant
from sqlalchemy import text

from fhirpay.billing import worklist
from fhirpay.db.unit import Tx, Units
from fhirpay.reconciliation.kinds import KINDS
from fhirpay.usecases.daily_check import DISAGREES, DailyCheck

pytestmark = [pytest.mark.unsound("hands in the database"), pytest.mark.warns("books.disagree")]


def whole(tx: Tx) -> None:
    owner = tenant()
    paid(tx, owner, charged(tx, owner))


def lend(tx: Tx, minor: int) -> None:
    tx.execute(text("UPDATE obligation_share SET allocated_minor = allocated_minor + :minor").bindparams(minor=minor))


async def lines(units: Units) -> dict[str, str]:
    return {one.subject: one.says for one in await units.read(worklist.list_open, kind=DISAGREES)}


async def test_an_equation_that_fails_is_a_line_until_it_holds_again(units: Units) -> None:
    await units.write(whole)
    daily = DailyCheck(units)
    await daily.look()
    assert await lines(units) == {}
    await units.write(lend, -1)
    await daily.look()
    told = await lines(units)
    assert set(told) == {"receivable", "credit", "accounts"}
    assert "ar_patient is 0" in told["accounts"]
    await daily.look()
    assert await lines(units) == told
    await units.write(lend, 1)
    await daily.look()
    assert await lines(units) == {}
    assert DISAGREES in KINDS

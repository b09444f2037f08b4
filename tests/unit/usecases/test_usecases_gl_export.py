"""The general journal of a day at the desk: by the closest line of the mapping, balanced, and the same again."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from desk_world import TENANT, account, card, cash, take, usd
from fhirpay.config import GlAccount, Tenant
from fhirpay.db.unit import Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import ConfigInvalid, RuleBroken
from fhirpay.ledger import store
from fhirpay.ledger.as_of import AsOf
from fhirpay.ledger.month import Month
from fhirpay.usecases import tills
from fhirpay.usecases.close_period import close
from fhirpay.usecases.gl_export import Exported, gl_export, gl_postings

NOVEMBER = Month.parse("2026-11")
DAY = date(2026, 11, 20)
AR, CASH, CASH_OTHER, CARDS, CREDIT = "1200", "1010", "1011", "1030", "2100"
LINES = (
    GlAccount(account="ar_patient", number=AR),
    GlAccount(account="ar_patient", number="1201", facility="other"),
    GlAccount(account="ar_pending", number=AR),
    GlAccount(account="cash_drawer", number=CASH, title="Petty cash, front"),
    GlAccount(account="cash_drawer", number=CASH_OTHER, till="other"),
    GlAccount(account="external_terminal_clearing", number=CARDS),
    GlAccount(account="unapplied_credit", number=CREDIT),
)


def mapped(*more: GlAccount, without: str = "") -> Tenant:
    lines = tuple(one for one in LINES if one.account != without)
    said: dict[str, Any] = {name: getattr(TENANT, name) for name in Tenant.model_fields}
    return Tenant(**{**said, "gl_accounts": (*lines, *more)})


async def exported(units: Units, tenant: Tenant, books: AsOf | None = None) -> Exported:
    return await units.read(gl_export, tenant, DAY, books or AsOf(day=DAY))


async def placed(units: Units, tenant: Tenant) -> set[tuple[str, str, str]]:
    """Account, number and facility of each posting."""
    found = await units.read(lambda tx: list(gl_postings(tx, tenant, DAY, AsOf(day=DAY))))
    return {(one.leg.account, one.to.number, one.leg.facility) for one in found}


def shown(found: Exported) -> list[tuple[str, str, int, int]]:
    return [(one.to.number, str(one.side), one.minor, one.entries) for one in found.lines]


async def a_day(units: Units) -> None:
    ref = await units.write(account, "ana", 300_00)
    await take(units, ref, cash(), 250_00)
    await take(units, ref, card(), 50_00)


async def test_a_day_s_journal_has_every_account_s_debits_and_credits_and_leaves_the_charges_to_the_ehr(
    units: Units, clock: FrozenClock
) -> None:
    await a_day(units)
    found = await exported(units, mapped())
    assert shown(found) == [
        (CASH, "debit", 250_00, 1),
        (CARDS, "debit", 50_00, 1),
        (AR, "credit", 300_00, 2),
        (CREDIT, "debit", 300_00, 2),
        (CREDIT, "credit", 300_00, 2),
    ]
    assert found.left_out == 1
    assert {(account, facility) for account, _, facility in await placed(units, mapped())} == {
        (name, "main") for name in ("cash_drawer", "external_terminal_clearing", "unapplied_credit", "ar_patient")
    }
    assert found.lines[0].to.title == "Petty cash, front"
    with_charges = await exported(units, mapped(GlAccount(account="charges_control", number="4000")))
    assert with_charges.left_out == 0
    assert ("4000", "credit", 300_00, 1) in shown(with_charges)
    assert (AR, "debit", 300_00, 1) in shown(with_charges)
    clock.advance(datetime(2026, 12, 2, tzinfo=UTC) - clock.now())
    await close(units, TENANT, NOVEMBER, by="eve", why="")
    head = await units.read(store.head)
    await a_later_day(units)
    assert await exported(units, mapped()) == found
    assert await exported(units, mapped(), AsOf(day=DAY, seq=head.seq)) == found
    assert (await exported(units, mapped(), AsOf(day=date(2026, 12, 31)))).lines[: len(found.lines)] == found.lines


async def a_later_day(units: Units) -> None:
    ref = await units.write(account, "bob", 20_00)
    await take(units, ref, cash(), 20_00)


@pytest.mark.parametrize("account_code", ["cash_drawer", "unapplied_credit"])
async def test_an_account_without_a_line_is_named_with_what_it_is_of(units: Units, account_code: str) -> None:
    await a_day(units)
    with pytest.raises(RuleBroken, match=rf"{account_code} \(event payment_captured, facility main"):
        await exported(units, mapped(without=account_code))


async def test_the_closest_line_counts_and_one_of_what_there_is_not_is_refused(units: Units) -> None:
    await units.write(tills.fill_safe, "other", usd(90_00), "opening", TENANT, by="eve", reason="")
    await units.write(tills.open_till, "other", TENANT, by="ann", float_=usd(90_00))
    more = (
        GlAccount(account="cash_safe", number="1020"),
        GlAccount(account="cash_safe", number="1029", till="safe:other", event="cash_floated"),
        GlAccount(account="opening_balance", number="3000"),
    )
    assert await placed(units, mapped(*more)) == {
        ("cash_safe", "1020", "other"),
        ("opening_balance", "3000", "other"),
        ("cash_drawer", CASH_OTHER, "other"),
        ("cash_safe", "1029", "other"),
    }
    with pytest.raises(ConfigInvalid, match="'gold', which is not in the chart"):
        await exported(units, mapped(GlAccount(account="gold", number="1")))
    with pytest.raises(ConfigInvalid, match="event 'sold', which there is not"):
        await exported(units, mapped(GlAccount(account="bank", number="1", event="sold")))
    for line, says in ((LINES[0], "which one counts"), (replace_till("nowhere"), "till 'nowhere', not defined")):
        with pytest.raises(ValueError, match=says):
            mapped(line)


def replace_till(name: str) -> GlAccount:
    return GlAccount(account="cash_drawer", number="1", till=name)

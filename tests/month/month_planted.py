"""All that is planted into a month. To add errors: a module with `PLANTS`, as month_plants.py says, in `ALL`."""

from __future__ import annotations

import month_planted_bags
import month_planted_bank
import month_planted_desk
import month_planted_ehr
import month_planted_fees
import month_planted_moved
import month_planted_payouts
import month_planted_processor
from month_plan import Plan
from month_world import MonthWorld

from fhirpay.usecases.doctor import examine

ALL = (
    *month_planted_processor.PLANTS,
    *month_planted_moved.PLANTS,
    *month_planted_fees.PLANTS,
    *month_planted_payouts.PLANTS,
    *month_planted_bank.PLANTS,
    *month_planted_bags.PLANTS,
    *month_planted_desk.PLANTS,
    *month_planted_ehr.PLANTS,
)


def plant(world: MonthWorld, plan: Plan) -> None:
    """All of them that such a month is long enough for."""
    whole = len(plan.days) > 14
    names = [one.name for one in ALL]
    assert len(names) == len(set(names)), "two plants of one name"
    world.planted_all = True
    world.plants = [(plan.workdays[one.day].isoformat(), one) for one in ALL if whole or not one.whole]


async def ledger_tampered(world: MonthWorld) -> bool:
    """A cent more on one leg, past the triggers; whether that is found, as what it is. It is put back."""
    raw = world.inline.raw
    triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'ledger_posting'")
    found = triggers.fetchall()
    one = raw.execute(
        "SELECT l.entry_id, l.line, e.seq FROM ledger_posting l JOIN ledger_entry e ON e.entry_id = l.entry_id"
        " WHERE l.account = 'fees' AND coalesce(l.payment_id, '') = '' ORDER BY e.seq"
    ).fetchone()
    change = "UPDATE ledger_posting SET amount_minor = amount_minor + ? WHERE entry_id = ? AND line = ?"
    for name, _ in found:
        raw.execute(f"DROP TRIGGER {name}")
    raw.execute(change, (1, *one[:2]))
    says = await world.units.read(examine)
    raw.execute(change, (-1, *one[:2]))
    for _, sql in found:
        raw.execute(sql)
    return [finding.check for finding in says] == ["books"] and f" {one[2]}:" in str(says[0])

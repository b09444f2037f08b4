"""Short patient stories as data (*.yaml), each with the amount that may be asked on each day: never one cent more.

Every story is told twice, by the pure function alone and through the FHIR store, the rows and the ledger, whose
control equations are checked after each event. To add a story: write it; this file needs no change.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fhirpay.billing import policy, store, worklist
from fhirpay.billing.policy import AutopayDue, Consent
from fhirpay.config import Tenant
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.errors import RuleBroken
from fhirpay.ledger.verify import verify
from patients import ACCOUNT, BUILDERS, PureAccount, StoredAccount, amount_of, noon, read_stories, tenant_of

Story = dict[str, Any]


STORIES = read_stories()


def test_there_are_forty_stories_and_more() -> None:
    titles = [story["story"] for story in STORIES]
    assert len(titles) >= 40
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story["story"])
def test_story_by_the_rules_alone(story: Story) -> None:
    tenant = tenant_of(_facility(story))
    world = PureAccount(tenant, noon(story["days"][0]["on"], tenant))
    payments = _payments()
    for day in story["days"]:
        world.on_day(noon(day["on"], tenant))
        for name, of in _events(day):
            if name in BUILDERS:
                world.on_resource(name, of or {})
            elif name == "pay":
                payment = next(payments)
                world.on_start(payment, amount_of(of).minor)
                world.on_capture(payment)
            elif name == "start":
                world.on_start(of["payment"], amount_of(of["amount"]).minor)
            elif name == "refuses":
                with pytest.raises(RuleBroken):
                    world.on_start("refused", amount_of(of).minor)
            elif name == "take_back":
                world.on_take_back(of["payment"], amount_of(of["amount"]).minor)
            elif name == "staff":
                world.on_staff(amount_of(of).minor)
            else:
                getattr(world, f"on_{name}")(*([of] if of else []))
        assert world.asks() == _asks(day), day["on"]
        assert world.credit == _credit(day), day["on"]
        assert set(day.get("because", ())) <= world.says(), day["on"]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story["story"])
async def test_story_through_store_and_ledger(story: Story, units: Units, clock: FrozenClock) -> None:
    tenant = tenant_of(_facility(story))
    world, payments = StoredAccount(tenant), _payments()

    def checked(tx: Tx, name: str, *args: Any) -> None:
        getattr(world, f"on_{name}")(tx, *args)
        world.check_books(tx)

    async def do(name: str, *args: Any) -> None:
        await units.write(checked, name, *args)

    for day in story["days"]:
        clock.advance(noon(day["on"], tenant) - clock.now())
        await do("day")
        for name, of in _events(day):
            if name in BUILDERS:
                await do("resource", name, of or {})
            elif name == "pay":
                payment = next(payments)
                await do("start", payment, amount_of(of).minor)
                await do("capture", payment)
            elif name == "start":
                await do("start", of["payment"], amount_of(of["amount"]).minor)
            elif name == "refuses":
                with pytest.raises(RuleBroken):
                    await do("start", "refused", amount_of(of).minor)
            elif name == "take_back":
                await do("take_back", of["payment"], amount_of(of["amount"]).minor)
            elif name == "staff":
                await do("staff", amount_of(of).minor)
            else:
                await do(name, *([of] if of else []))
        assert await units.read(world.asks) == _asks(day), day["on"]
        assert await units.read(world.credit) == _credit(day), day["on"]
        await units.read(_check_rest, story, day, tenant)
    report = await units.read(verify)
    assert report.ok, report.problems


def _check_rest(tx: Tx, story: Story, day: Story, tenant: Tenant) -> None:
    """What only the stored world knows: debtors, the worklist, and what the facility does about it."""
    views = store.obligations_of(tx, ACCOUNT)
    if "debtor" in day:
        assert {one.debtor_ref for one in views if one.askable} == {day["debtor"]}
    noted = {item.kind for item in worklist.list_open(tx, account_ref=ACCOUNT)}
    assert set(day.get("notes", ())) <= noted
    if "does" in day:
        consents = []
        if "consent" in story:
            consents = [Consent("pm1", "Patient/p1", amount_of(story["consent"]["cap"]))]
        actions = policy.decide(views, tenant.facilities[0], tx.now, consents=consents)
        zone = ZoneInfo(tenant.facilities[0].zone)
        assert sorted(_said(action, zone) for action in actions) == sorted(day["does"])


def _said(action: policy.Action, zone: ZoneInfo) -> str:
    kind = "autopay" if isinstance(action, AutopayDue) else "request"
    return f"{kind} {action.amount.decimal} on {_day(action.due_at, zone)}"


def _day(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).date().isoformat()


def _facility(story: Story) -> dict[str, Any]:
    return story.get("facility", {})


def _events(day: Story) -> Iterator[tuple[str, Any]]:
    for event in day.get("comes", ()):
        yield next(iter(event.items()))


def _payments() -> Iterator[str]:
    return (f"pay{number}" for number in range(1, 100))


def _asks(day: Story) -> dict[str, int]:
    stated = day["asks"]
    return {} if stated == "0" else {kind: amount_of(amount).minor for kind, amount in stated.items()}


def _credit(day: Story) -> int:
    return amount_of(day["credit"]).minor if "credit" in day else Money.zero("USD").minor

"""What an EHR's staff do in a month to what was posted there, and beside it."""

from __future__ import annotations

from decimal import Decimal

from month_places import Act
from month_plants import Plant
from month_practice import amount
from month_world import MonthWorld

from fhirpay.simulators.processor_books import Doc
from intake_world import ft1

OFF, UNSEEN = 1_00, 31_00


async def posting_missing(world: MonthWorld, act: Act) -> int | None:
    """The EHR took it, and its staff deleted it."""
    one = posting(world, "S1bay")
    world.ehr.store.delete(one["resourceType"], one["id"])
    return _cents(one)


async def posting_twice(world: MonthWorld, act: Act) -> int | None:
    """Its staff posted the same money by hand as well."""
    one = posting(world, "S3harbor")
    world.ehr.chart({name: value for name, value in one.items() if name not in ("id", "identifier", "meta")})
    return _cents(one)


async def posting_differs(world: MonthWorld, act: Act) -> int | None:
    """Its staff have changed the amount."""
    one = posting(world, "S7mesa")
    less = {**one["paymentAmount"], "value": one["paymentAmount"]["value"] - OFF // 100}
    world.ehr.store.update({**one, "paymentAmount": less}, one["id"])
    return -OFF


async def posting_of_nobody(world: MonthWorld, act: Act) -> int | None:
    """Its staff took money that nobody here has heard of."""
    one = posting(world, "S9harbor")
    amount = {"value": Decimal(UNSEEN).scaleb(-2), "currency": "USD"}
    line = {name: value for name, value in one["detail"][0].items() if name != "identifier"}
    kept = {name: value for name, value in one.items() if name not in ("id", "identifier", "meta")}
    world.ehr.chart({**kept, "paymentAmount": amount, "detail": [{**line, "amount": amount}]})
    return UNSEEN


async def two_alike(world: MonthWorld, act: Act) -> int | None:
    """An account paid the same twice on a day, and its staff keyed both anew, without our numbers."""
    for name in ("S35harbor", "S36harbor"):
        one = posting(world, name)
        world.ehr.store.delete(one["resourceType"], one["id"])
        world.ehr.chart({key: value for key, value in one.items() if key not in ("id", "identifier", "meta")})
    return _cents(one)


async def posted_too(world: MonthWorld, act: Act) -> int | None:
    """A message tells of money that we took as if the EHR's desk had."""
    cents = 58_00
    await _say(world, "mesa", world.who("S30mesa"), "PY58", cents)
    world.apart["credit", ""] += cents
    world.also["unapplied_credit", cents] += 1
    return cents


async def said_twice(world: MonthWorld, act: Act) -> int | None:
    """Two messages tell of the same money, and neither has a number for it."""
    who, cents, owed = world.who("S31"), 20_00, 90_00
    for _ in range(2):
        await _say(world, "bay", who, "", cents)
    world.apart["owes", who] -= 2 * cents
    world.also["payment_due", owed] -= 1
    world.also["payment_due", owed - 2 * cents] += 1
    return cents


async def taken_back(world: MonthWorld, act: Act) -> int | None:
    """A message takes back a payment that nobody told of."""
    cents = 15_00
    await _say(world, "bay", world.who("S31"), "PY15", -cents)
    return cents


async def _say(world: MonthWorld, place: str, who: str, number: str, cents: int) -> None:
    day = world.today(place)
    line = ft1(1, "PY", amount(cents), {2: number, 4: day, 5: day, 7: "CASH"})
    await world.hl7(place, who, line, label="DFT^P03", insured=False)


def posting(world: MonthWorld, name: str) -> Doc:
    """What the EHR has of a payment of the plan."""
    mine = world.known[name]
    for one in world.ehr.store.everything("PaymentReconciliation"):
        if not one.deleted and any(each["value"] == mine for each in one.resource.get("identifier", ())):
            return one.resource
    raise AssertionError(f"{name} is not at the EHR")


def _cents(one: Doc) -> int:
    return int(one["paymentAmount"]["value"] * 100)


PLANTS = (
    Plant("two postings without our numbers are alike", "ehr_posting_ambiguous", "tick", "harbor", 3, two_alike),
    Plant("the EHR posts by message what we took", "two_posters", "tick", "harbor", 1, posted_too),
    Plant("a payment is told twice without a number", "ehr_payment_look_alike", "tick", "harbor", 2, said_twice),
    Plant("a payment is taken back that nobody told of", "ehr_payment_unmatched", "tick", "harbor", 2, taken_back),
    Plant("a posting is missing at the EHR", "missing_posting", "tick", "harbor", 4, posting_missing),
    Plant("a posting is there twice at the EHR", "posted_twice", "tick", "harbor", 5, posting_twice),
    Plant("a posting is of another amount at the EHR", "posting_amount_differs", "tick", "harbor", 2, posting_differs),
    Plant("a posting at the EHR is of nobody", "ehr_payment_unknown", "tick", "harbor", 3, posting_of_nobody),
)

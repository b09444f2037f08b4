"""What an EHR's staff do in a month to what was posted there, and beside it."""

from __future__ import annotations

from decimal import Decimal

from month_places import Act
from month_plants import Plant
from month_world import MonthWorld

from fhirpay.simulators.processor_books import Doc

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
    Plant("a posting is missing at the EHR", "missing_posting", "tick", "harbor", 4, posting_missing),
    Plant("a posting is there twice at the EHR", "posted_twice", "tick", "harbor", 5, posting_twice),
    Plant("a posting is of another amount at the EHR", "posting_amount_differs", "tick", "harbor", 2, posting_differs),
    Plant("a posting at the EHR is of nobody", "ehr_payment_unknown", "tick", "harbor", 3, posting_of_nobody),
)

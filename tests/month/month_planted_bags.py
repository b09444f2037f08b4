"""What a bank counts otherwise of the bags of a month, loses, or writes twice without their slips."""

from __future__ import annotations

from datetime import date, timedelta

from month_bank import BANKS
from month_places import Act
from month_plants import NOT_OPEN, Plant
from month_world import MonthWorld

from bank_files import Line

SHORT = 5_00
DAY = timedelta(days=1)


def _only_bag(world: MonthWorld, act: Act) -> tuple[int, Line, date] | None:
    """Where it stands in this file, its line, and the day that it was sent; None: there are none, or several."""
    lines = world.bank[act.place].lines[act.more["day"]]
    places = [at for at, line in enumerate(lines) if "SLIP" in line[3]]
    bags = act.more["bags"]
    return (places[0], lines[places[0]], bags[0][2]) if len(places) == len(bags) == 1 else None


def _not_there(world: MonthWorld, cents: int) -> None:
    world.apart["deposit", ""] += cents
    world.apart["bank", ""] -= cents


def _known(place: str, sent: date) -> date:
    """The day on whose morning the first file of after a bag's days comes; files are of workdays."""
    of = sent + (BANKS[place].bag_days + 1) * DAY
    while of.weekday() > 4:
        of += DAY
    return of + DAY


async def bag_lost(world: MonthWorld, act: Act) -> int | None:
    """The bank has never counted it."""
    if (found := _only_bag(world, act)) is None:
        return None
    at, line, _ = found
    del world.bank[act.place].lines[act.more["day"]][at]
    _not_there(world, line[1])
    return line[1]


async def bag_differs(world: MonthWorld, act: Act) -> int | None:
    """The bank has counted less. It is told once no second line of this slip can come."""
    if (found := _only_bag(world, act)) is None:
        return None
    at, (day, cents, reference, text), sent = found
    world.bank[act.place].lines[day][at] = (day, cents - SHORT, reference, text)
    _not_there(world, cents)
    due = _known(act.place, sent)
    world.put_right += [(due, ("deposit", ""), SHORT - cents), (due, ("bank", ""), cents - SHORT)]
    return SHORT


async def bag_twice(world: MonthWorld, act: Act) -> int | None:
    """Two lines of its amount, neither of which names the slip."""
    if (found := _only_bag(world, act)) is None:
        return None
    at, (day, cents, reference, _), _ = found
    lines = world.bank[act.place].lines[day]
    lines[at : at + 1] = [(day, cents, f"{reference}{which}", "COUNTER DEPOSIT") for which in "AB"]
    _not_there(world, cents)
    return cents


async def slip_not_named(world: MonthWorld, act: Act) -> int | None:
    """The bank writes a bag's line without its slip: it is known by its amount, once nothing else can come."""
    if (found := _only_bag(world, act)) is None or _two_bags(world, act):
        return None
    return _nameless(world, act, found, NAMELESS, "amount")


async def day_in_one(world: MonthWorld, act: Act) -> int | None:
    """The bank writes the bags of a day as one, without their slips: they are known by what they come to."""
    if (found := _only_bag(world, act)) is None or not _two_bags(world, act):
        return None
    return _nameless(world, act, found, DAY_IN_ONE, "day")


def _two_bags(world: MonthWorld, act: Act) -> bool:
    return world.plan.two_bags.get((act.place, act.more["bags"][0][2]), False)


def _nameless(world: MonthWorld, act: Act, found: tuple[int, Line, date], name: str, rule: str) -> int:
    at, (day, cents, reference, _), sent = found
    world.bank[act.place].lines[day][at] = (day, cents, reference, "COUNTER DEPOSIT")
    _not_there(world, cents)
    due = _known(act.place, sent)
    world.put_right += [(due, ("deposit", ""), -cents), (due, ("bank", ""), cents)]
    world.by_rule[name] = (reference, rule)
    return 0


NAMELESS, DAY_IN_ONE = "a bag's line names no slip", "the bags of a day are one line that names none"
PLANTS = (
    Plant("a bag never comes to the bank", "deposit_outstanding", "bank_file", "bay", 1, bag_lost),
    Plant("a bag is counted otherwise by the bank", "deposit_differs", "bank_file", "harbor", 1, bag_differs),
    Plant("a bag may be two lines", "deposit_ambiguous", "bank_file", "bay", 3, bag_twice),
    Plant(NAMELESS, NOT_OPEN, "bank_file", "mesa", 8, slip_not_named, whole=True),
    Plant(DAY_IN_ONE, NOT_OPEN, "bank_file", "mesa", 9, day_in_one, whole=True),
)

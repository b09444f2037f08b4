"""What a desk does wrongly in a month."""

from __future__ import annotations

from month_places import Act
from month_plants import Plant
from month_world import MonthWorld


async def check_left_behind(world: MonthWorld, act: Act) -> int | None:
    """A check isn't put into the bag, and lies there."""
    if "S33bay" not in act.more["checks"]:
        return None
    act.more["checks"].remove("S33bay")
    cents = 64_00
    world.apart["checks", ""] += cents
    world.apart["deposit", ""] -= cents
    world.more[f"bag bay {act.at:%y%m%d}"] = -cents
    return cents


PLANTS = (Plant("a check is never taken to the bank", "check_undeposited", "bag", "bay", 2, check_left_behind),)

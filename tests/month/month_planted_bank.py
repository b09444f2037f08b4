"""What a bank writes wrongly in a month, or not at all, and files of it that can't be read."""

from __future__ import annotations

from datetime import date, timedelta

from month_places import Act
from month_plants import NOT_OPEN, Plant, count, refused
from month_world import MonthWorld

STRAY, UNSEEN, OFF = 77_00, 31_00, 1_00


async def bank_line_missing(world: MonthWorld, act: Act) -> int | None:
    """A payout that the processor has sent does not arrive."""
    lines = world.bank[act.place].lines[act.more["day"]]
    if not act.more["lines"]:
        return None
    _, cents, *_ = lines.pop(0)
    _not_there(world, act.place, cents)
    return cents


def _not_there(world: MonthWorld, place: str, cents: int) -> None:
    world.apart["transit", place] += cents
    world.apart["bank", place] -= cents


async def bank_line_differs(world: MonthWorld, act: Act) -> int | None:
    """It arrives with another amount than the processor says."""
    lines = world.bank[act.place].lines[act.more["day"]]
    if not act.more["lines"]:
        return None
    day, cents, *words = lines[0]
    lines[0] = (day, cents - OFF, words[0], words[1])
    _not_there(world, act.place, cents)
    return OFF


async def bank_line_of_nobody(world: MonthWorld, act: Act) -> int | None:
    day = act.more["day"]
    world.bank[act.place].lines[day].append((day, STRAY, "X1", "DEPOSIT"))
    return STRAY


async def bank_day_missing(world: MonthWorld, act: Act) -> int | None:
    """The file of a day doesn't come; its balance is missed by the next one. A payout of that day would be told too."""
    bank, day = world.bank[act.place], act.more["day"]
    if act.more["lines"] or world.held_back:
        return None
    if bags := act.more["bags"]:  # the bank counts them a day later
        world.held_back[act.place] = [(slip, cents) for slip, cents, _ in bags]
        bank.lines[day].clear()
        later = date.fromisoformat(day) + timedelta(days=1)
        while later.weekday() > 4:
            later += timedelta(days=1)
        for name, whose, cents in (("deposit", "", 1), ("bank", "", -1)):
            minor = cents * sum(one[1] for one in bags)
            world.apart[name, whose] += minor
            world.put_right.append((later + timedelta(days=1), (name, whose), -minor))
    bank.lines[day].append((day, UNSEEN, "X2", "DEPOSIT"))
    bank.lost.add(day)
    return UNSEEN


async def bank_file_cut(world: MonthWorld, act: Act) -> int | None:
    data = world.bank[act.place].file(act.more["day"]) or b""
    return await _bad_file(world, act, "a bank's file is cut in half", data[: len(data) // 2])


async def bank_file_in_euros(world: MonthWorld, act: Act) -> int | None:
    data = (world.bank[act.place].file(act.more["day"]) or b"").replace(b",USD,", b",EUR,")
    return await _bad_file(world, act, "a bank's file is in another currency", data)


async def bank_column_renamed(world: MonthWorld, act: Act) -> int | None:
    data = (world.bank[act.place].file(act.more["day"]) or b"").replace(b"Amount", b"Betrag")
    return await _bad_file(world, act, "a column of a bank's file has changed", data) if data else None


async def _bad_file(world: MonthWorld, act: Act, name: str, data: bytes) -> int:
    kept = count(world, "bank_line")
    await refused(world, name, world.house.bank.take(act.place, "bad", data))
    assert count(world, "bank_line") == kept
    return 0


PLANTS = (
    Plant("a bank line is missing", "payout_not_at_bank", "bank_file", "mesa", 2, bank_line_missing),
    Plant("a bank line is of another amount", "payout_differs_at_bank", "bank_file", "harbor", 5, bank_line_differs),
    Plant("a bank line of nobody", "bank_line_of_nobody", "bank_file", "harbor", 3, bank_line_of_nobody),
    Plant("a day of the bank is missing", "bank_days_missing", "bank_file", "bay", 5, bank_day_missing),
    Plant("a bank's file is cut in half", NOT_OPEN, "bank_file", "bay", 2, bank_file_cut),
    Plant("a bank's file is in another currency", NOT_OPEN, "bank_file", "mesa", 1, bank_file_in_euros),
    Plant("a column of a bank's file has changed", NOT_OPEN, "bank_file", "harbor", 2, bank_column_renamed),
)

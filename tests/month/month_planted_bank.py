"""What a bank writes wrongly in a month, or not at all, and files of it that can't be read."""

from __future__ import annotations

from datetime import date, timedelta

from month_places import Act
from month_plants import NOT_OPEN, Plant, count, refused
from month_world import MonthWorld

from fhirpay.bank import store
from fhirpay.usecases.decide_bank import book_receipt

STRAY, UNSEEN, OFF, LEFT_OUT, WHOSE = 77_00, 31_00, 1_00, 23_00, 52_00


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


async def line_left_out(world: MonthWorld, act: Act) -> int | None:
    """A statement leads from its first balance to its last one by a line that isn't in it."""
    bank, day = world.bank[act.place], act.more["day"]
    bank.lines[day].append((day, LEFT_OUT, "X3", "DEPOSIT"))
    bank.unwritten.add("X3")
    return LEFT_OUT


async def nobody_named(world: MonthWorld, act: Act) -> int | None:
    """Two payouts of one amount arrive on one day, and the bank's lines don't say which is which."""
    lines = world.bank[act.place].lines[act.more["day"]]
    amounts = [one[1] for one in lines]
    alike = [at for at, one in enumerate(lines) if amounts.count(one[1]) == 2]
    if len(alike) != 2:
        return None
    for at in alike:
        day, cents, ref, _ = lines[at]
        lines[at] = (day, cents, ref, "SIMULATED PAYOUT")
        _not_there(world, act.place, cents)
    world.also["bank_ambiguous", lines[alike[0]][1]] += 1
    return lines[alike[0]][1]


async def kept_for_nobody(world: MonthWorld, act: Act) -> int | None:
    """Money of nobody, which the practice books as such the next day; some days later it still isn't known whose."""
    lines, day = world.bank[act.place].lines, act.more["day"]
    if not any(one[2] == "X4" for some in lines.values() for one in some):
        lines[day].append((day, WHOSE, "X4", "DEPOSIT"))
        return None
    open_ones = await world.units.read(lambda tx: store.some(tx, act.place, unmatched=True, limit=100))
    line = next(one for one in open_ones if one.amount.minor == WHOSE)
    await world.units.write(
        lambda tx: book_receipt(tx, world.house.tenant, line.line_id, by="ben", why="nobody knows it")
    )
    world.apart["bank", ""] += WHOSE
    return WHOSE


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
    Plant("a line of a statement is left out", "bank_statement_sum", "bank_file", "mesa", 4, line_left_out),
    Plant("two payouts are alike at the bank", "bank_ambiguous", "bank_file", "mesa", 5, nobody_named),
    Plant("a receipt of nobody", "receipt_unidentified", "bank_file", "harbor", 1, kept_for_nobody),
    Plant("a bank's file is cut in half", NOT_OPEN, "bank_file", "bay", 2, bank_file_cut),
    Plant("a bank's file is in another currency", NOT_OPEN, "bank_file", "mesa", 1, bank_file_in_euros),
    Plant("a column of a bank's file has changed", NOT_OPEN, "bank_file", "harbor", 2, bank_column_renamed),
)

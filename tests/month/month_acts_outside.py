"""What processors and banks do by themselves in a month: a night, fees, payouts, a day's bank file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from month_places import PLACES, Act

if TYPE_CHECKING:
    from month_world import MonthWorld


async def tick(world: MonthWorld, act: Act) -> None:
    for one in PLACES:
        await world.control(one.name, "clock", {"advance_s": 0})
        await world.settle(one.name)


async def monthly_fee(world: MonthWorld, act: Act) -> None:
    await world.control(act.place, "lines", {"type": "fee", "amount": act.cents})


async def reserve(world: MonthWorld, act: Act) -> None:
    type_ = "reserve_held" if act.cents > 0 else "reserve_released"
    await world.control(act.place, "lines", {"type": type_, "amount": abs(act.cents)})


async def pay_out(world: MonthWorld, act: Act) -> None:
    made = await world.control(act.place, "payouts", {"status": "in_transit", "arrives_on": act.more["arrives"]})
    world.known[act.name] = made["id"]
    world.more[act.name] += world.more.pop(act.place, 0)
    if made["amount"] != act.cents + world.more[act.name]:
        world.wrong.append(f"payout {act.name} is of {made['amount']}, not {act.cents}")


async def payout_paid(world: MonthWorld, act: Act) -> None:
    await world.control(act.place, f"payouts/{world.known[act.name]}", {"status": "paid"})


async def payout_fails(world: MonthWorld, act: Act) -> None:
    await world.control(act.place, f"payouts/{world.known[act.name]}", {"status": "failed"})


def _not_as_planned(world: MonthWorld, place: str, slip: str) -> int:
    """How much more was in a bag than the plan has, which the bank counts."""
    more = world.more.pop(f"bag {place} {slip}", 0)
    world.apart["deposit", ""] -= more
    world.apart["bank", ""] += more
    return more


async def bank_file(world: MonthWorld, act: Act) -> None:
    bank = world.bank[act.place]
    lines: list[tuple[str, int]] = []
    for name, cents in act.more["lines"]:
        more = world.more.pop(name, 0)
        lines.append((world.known[name], cents + more))
        world.apart["transit", act.place] -= more
        world.apart["bank", act.place] += more
    bank.booked(act.more["day"], lines)
    bags = [(slip, cents + _not_as_planned(world, act.place, slip)) for slip, cents, _ in act.more["bags"]]
    bags += world.held_back.pop(act.place, [])
    bank.counted(act.more["day"], bags)
    bank.took_back(act.more["day"], [(world.known[f"check {name}"], cents) for name, cents in act.more["bounced"]])
    await world.planted(act)
    data = bank.file(act.more["day"])
    if data is not None and act.more["day"] not in bank.lost:
        await world.house.bank.take(act.place, f"{act.more['day']}.{bank.format}", data)


ACTS: dict[str, Callable[[MonthWorld, Act], Awaitable[None]]] = {
    "tick": tick,
    "monthly_fee": monthly_fee,
    "reserve": reserve,
    "pay_out": pay_out,
    "payout_paid": payout_paid,
    "payout_fails": payout_fails,
    "bank_file": bank_file,
}

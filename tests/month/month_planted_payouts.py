"""What a processor says wrongly of payouts and of its own balance, and money of it that no line explains."""

from __future__ import annotations

from month_places import Act
from month_planted_processor import pays_out
from month_plants import Plant, captured, payout
from month_world import MonthWorld

ADJUSTED, OFF, UNTOLD, BY_HAND = 7_00, 1_00, 9_00, 20_00


async def adjusted(world: MonthWorld, act: Act) -> int | None:
    """The processor gives something, and says of nothing what it is for."""
    await world.control("mesa", "lines", {"type": "adjustment", "amount": ADJUSTED})
    world.more["mesa"] += ADJUSTED
    world.apart["transit", "mesa"] += ADJUSTED
    world.apart["clearing", "mesa"] -= ADJUSTED
    return ADJUSTED


async def changed(world: MonthWorld, act: Act) -> int | None:
    """A payout is listed with another amount than before."""
    books, made = payout(world, act)
    with books.transaction():
        books.save({**made, "amount": made["amount"] + OFF})
    return OFF


async def arrived_after_all(world: MonthWorld, act: Act) -> int | None:
    """A payout that came back is said to have arrived."""
    books = world.books("harbor")
    failed = next((one for one in books.all("payout") if one["status"] == "failed"), None)
    if failed is None:
        return None
    with books.transaction():
        books.save({**failed, "status": "paid"})
    return failed["amount"]


async def balance_off(world: MonthWorld, act: Act) -> int | None:
    """Money is in the balance, and no line says why."""
    books = world.books("mesa")
    with books.transaction():
        books._db.execute(
            "INSERT INTO movement (type, payment, amount, currency, at) VALUES ('adjustment', '', ?, 'USD', ?)",
            (UNTOLD, books.now()),
        )
    world.apart["processor", "mesa"] += UNTOLD
    return UNTOLD


async def by_hand(world: MonthWorld, act: Act) -> int | None:
    """Somebody has a part of the balance paid out at once, of which no line tells what it is of."""
    body = {"status": "paid", "amount": BY_HAND, "arrives_on": act.more["day"]}
    made = await world.control("mesa", "payouts", body)
    await world.house.pulls.pull("mesa")
    bank = world.bank["mesa"]
    bank.booked(act.more["day"], [(made["id"], BY_HAND)])
    for name in ("clearing", "processor"):
        world.apart[name, "mesa"] -= BY_HAND
    world.apart["bank", "mesa"] += BY_HAND
    return BY_HAND


async def never_paid_out(world: MonthWorld, act: Act) -> int | None:
    """A payment is in no payout, and the processor keeps it."""
    books, made = payout(world, act)
    if (line := captured(books, made["id"])) is None:
        return None
    with books.transaction():
        books.save_line({**line, "payout": "nowhere"})
    pays_out(world, act, line["fee"] - line["amount"])
    world.apart["fees", act.place] -= line["fee"]
    world.apart["clearing", act.place] += line["fee"]
    return -line["amount"]


PLANTS = (
    Plant("money of nothing that is named", "settlement_adjustment", "tick", "harbor", 4, adjusted),
    Plant("a payout's amount has changed", "payout_changed", "payout_paid", "bay", 3, changed),
    Plant("a payout that came back is said to be there", "payout_states", "tick", "harbor", 3, arrived_after_all),
    Plant("the processor's balance is another one", "processor_balance_differs", "tick", "harbor", 3, balance_off),
    Plant("a payout is made by hand", "payout_not_itemised", "bank_file", "mesa", 3, by_hand),
    Plant("a payment is in no payout", "missing_at_processor", "pay_out", "harbor", 6, never_paid_out, whole=True),
)

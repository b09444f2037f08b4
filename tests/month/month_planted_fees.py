"""Fees in a month that are not as agreed, and not as their lines: of a processor, and of a hand in our own database."""

from __future__ import annotations

from month_books import agreed_fee
from month_places import Act
from month_planted_processor import pays_out
from month_plants import Plant, captured, payout
from month_world import MonthWorld

OVER = 40


async def fee_too_high(world: MonthWorld, act: Act) -> int | None:
    """More is taken for a payment than the contract says, and its line says so."""
    books, made = payout(world, act)
    if not made["amount"] or (line := captured(books, made["id"])) is None:
        return None  # of one of nothing the bank writes nothing
    with books.transaction():
        books.save_line({**line, "fee": line["fee"] + OVER})
        values = ("fee", line["payment"], -OVER, line["currency"], line["at"])
        books._db.execute("INSERT INTO movement (type, payment, amount, currency, at) VALUES (?, ?, ?, ?, ?)", values)
    pays_out(world, act, -OVER)
    world.apart["fees", act.place] += OVER
    for name in ("clearing", "processor"):
        world.apart[name, act.place] -= OVER
    return line["fee"] + OVER - agreed_fee(line["amount"])


async def line_by_hand(world: MonthWorld, act: Act) -> int | None:
    """Somebody writes a line of a cent's fee beside one that the processor has listed, past the program; of a payment
    of which nothing else is told."""
    raw = world.inline.raw
    found = raw.execute(
        "SELECT * FROM payout_line WHERE merchant = ? AND kind = 'payment' AND state = 'booked'"
        " AND payment_id NOT IN (SELECT payment_id FROM payout_line WHERE kind <> 'payment')"
        " AND payment_id NOT IN (SELECT payment_id FROM payment_break WHERE closed_at IS NULL) ORDER BY line_ref",
        (act.place,),
    )
    names, one = [each[0] for each in found.description], found.fetchone()
    if one is None:
        return None
    other = {"line_ref": "by_hand", "gross_minor": 0, "fee_minor": 1, "net_minor": -1, "state": "noted"}
    values = [other.get(name, value) for name, value in zip(names, one, strict=True)]
    raw.execute(f"INSERT INTO payout_line ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", values)  # noqa: S608
    return 1


PLANTS = (
    Plant("a fee is not as agreed", "fee_not_as_agreed", "pay_out", "harbor", 3, fee_too_high),
    Plant("a line of a fee written by hand", "fee_differs", "tick", "harbor", 4, line_by_hand),
)

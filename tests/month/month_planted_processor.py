"""What a processor lists wrongly in a month: of payouts, of their lines, of payments that aren't ours."""

from __future__ import annotations

import json

from month_books import card_fee
from month_places import Act
from month_plants import NOT_OPEN, Plant, captured, count, payout, refused
from month_world import MonthWorld

from fhirpay.simulators import processor_rules
from fhirpay.simulators.processor_books import Books, Doc

NOBODYS, ELSEWHERE, SHORT, OFF = 61_00, 44_00, 5_00, 1_00


async def line_missing(world: MonthWorld, act: Act) -> int | None:
    """A payment is in the payout's amount and not among its lines."""
    books, made = payout(world, act)
    if (line := captured(books, made["id"])) is None:
        return None
    with books.transaction():
        books.save_line({**line, "payout": "nowhere"})
    world.apart["fees", act.place] -= line["fee"]  # nobody tells it
    world.apart["clearing", act.place] += line["fee"]
    return line["amount"] - line["fee"]


async def line_twice(world: MonthWorld, act: Act) -> int | None:
    """A payment is among the lines twice, by two ids, and once in the amount."""
    books, made = payout(world, act)
    if (line := captured(books, made["id"])) is None:
        return None
    with books.transaction():
        _insert(books, {**line, "id": f"{line['id']}b"})
    return line["fee"] - line["amount"]


async def paid_twice(world: MonthWorld, act: Act) -> int | None:
    """A payment is among the lines twice, and in the amount as well."""
    books, made = payout(world, act)
    if (line := captured(books, made["id"])) is None:
        return None
    with books.transaction():
        _insert(books, {**line, "id": f"{line['id']}b"})
    pays_out(world, act, line["amount"] - line["fee"])
    return line["amount"]


async def paid_short(world: MonthWorld, act: Act) -> int | None:
    """A payment is paid out at less than was taken, and its line says so."""
    books, made = payout(world, act)
    if (line := captured(books, made["id"])) is None:
        return None
    with books.transaction():
        books.save_line({**line, "amount": line["amount"] - SHORT})
    pays_out(world, act, -SHORT)
    return -SHORT


def pays_out(world: MonthWorld, act: Act, more: int) -> None:
    """So much more than what it owes, in the payout of this act."""
    books, made = payout(world, act)
    with books.transaction():
        books.save({**made, "amount": made["amount"] + more})
        books._db.execute(
            "UPDATE movement SET amount = amount - ? WHERE seq = (SELECT max(seq) FROM movement WHERE type = 'payout')",
            (more,),
        )
    world.more[act.name] += more
    world.apart["transit", act.place] += more
    for name in ("clearing", "processor"):
        world.apart[name, act.place] -= more


def _insert(books: Books, line: Doc) -> None:
    values = (line["id"], line["payout"], line["currency"], json.dumps(line))
    books._db.execute("INSERT INTO line (id, payout, currency, body) VALUES (?, ?, ?, ?)", values)


async def line_changed(world: MonthWorld, act: Act) -> int | None:
    """A line that was paid out yesterday is listed again, at another fee."""
    books, made = payout(world, act)
    before = next((one for one in books.all("payout") if one["id"] != made["id"]), None)
    if before is None or (line := captured(books, before["id"])) is None:
        return None
    with books.transaction():
        books.save_line({**line, "payout": made["id"], "fee": line["fee"] + OFF})
    return line["amount"] - line["fee"] - OFF


async def payout_short(world: MonthWorld, act: Act) -> int | None:
    """Less is paid out than its lines come to: the processor keeps the rest."""
    pays_out(world, act, -SHORT)
    return -SHORT


async def payment_elsewhere(world: MonthWorld, act: Act) -> int | None:
    """Somebody takes a payment at that processor beside us; its event comes to us as well."""
    books = world.books("mesa")
    order = {"amount": ELSEWHERE, "currency": "USD", "reference": "order-7", "method": "tok_visa", "descriptor": ""}
    with books.transaction():
        made = processor_rules.create(books, order)
        processor_rules.confirm(books, made, capture=True, base_url="https://mesa.test/")
    return _strange(world, "mesa", ELSEWHERE, card_fee(ELSEWHERE))


async def line_of_nobody(world: MonthWorld, act: Act) -> int | None:
    """Money in the balance that is of nothing that the processor could name."""
    books = world.books(act.place)
    of = {"id": "sp_nobody", "currency": "USD", "reference": ""}
    with books.transaction():
        line = books.move("capture", of, NOBODYS, source="ch_nobody")
    return _strange(world, act.place, NOBODYS, line["fee"])


def _strange(world: MonthWorld, place: str, cents: int, fee: int) -> int:
    """It is paid out with ours, and stands in clearing, since nobody has said what it is."""
    world.more[place] += cents - fee
    world.apart["transit", place] += cents - fee
    world.apart["clearing", place] -= cents - fee
    return cents - fee


async def listing_broken(world: MonthWorld, act: Act) -> int | None:
    """The list of a payout has a line without its amount: the page is refused whole, and read when it is whole."""
    books, made = payout(world, act)
    line = books.lines(payout=made["id"])[0]
    with books.transaction():
        books.save_line({name: value for name, value in line.items() if name != "amount"})
    kept = count(world, "payout_line")
    await refused(world, "a settlement list without an amount", world.house.pulls.pull(act.place))
    assert count(world, "payout_line") == kept
    with books.transaction():
        books.save_line(line)
    return 0


async def events_lost(world: MonthWorld, act: Act) -> int | None:
    """A day's events never arrive. The processor's own list has them."""
    for place in world.processors:
        with world.books(place).transaction():
            world.books(place).set("webhooks", {"drop_next": 2})
        world.lost += 2
    return 0


PLANTS = (
    Plant("a payout's line is missing", "payout_sum", "pay_out", "mesa", 0, line_missing),
    Plant("a payout's line is there twice", "payout_sum", "pay_out", "bay", 0, line_twice),
    Plant("a payment is paid out twice", "paid_out_twice", "pay_out", "harbor", 5, paid_twice),
    Plant("a payment is paid out at another amount", "amount_differs", "pay_out", "harbor", 1, paid_short),
    Plant(
        "a payment that the processor has and we don't", "settlement_unmatched", "tick", "harbor", 1, payment_elsewhere
    ),
    Plant("a payout's line of nobody", "settlement_unmatched", "monthly_fee", "bay", 1, line_of_nobody),
    Plant("a payout is short", "payout_sum", "pay_out", "mesa", 2, payout_short),
    Plant("a payout's line has changed", "settlement_line_changed", "pay_out", "harbor", 2, line_changed),
    Plant("a settlement list without an amount", NOT_OPEN, "pay_out", "bay", 1, listing_broken),
    Plant("events that never arrived", NOT_OPEN, "open", "harbor", 3, events_lost),
)

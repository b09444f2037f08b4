"""What happens to money of ours at a processor that we didn't ask for, or otherwise than we asked: refunds, disputes,
returns, captures. The sales are those that `month_specials.py` has to spare."""

from __future__ import annotations

from unittest.mock import patch

from month_books import DISPUTE_FEE, RETURN_FEE, card_fee
from month_places import PLACES, Act
from month_plants import Plant
from month_practice import GOOD, money
from month_world import MonthWorld

from fhirpay.simulators import processor_disputes, processor_rules
from fhirpay.simulators.processor_books import Books, Doc
from intake_world import ft1

MORE = 10_00


def _theirs(world: MonthWorld, name: str, place: str) -> tuple[Books, Doc]:
    """The processor's own payment behind one of the plan."""
    books = world.books(place)
    return books, next(one for one in books.by_reference("payment", world.known[name + place]) if one["capture"])


def _moves(world: MonthWorld, place: str, cents: int) -> None:
    """So much more (or less) is in the processor's balance, and so in the payout of this night."""
    world.more[place] += cents
    world.apart["transit", place] += cents


async def refund_outside(world: MonthWorld, act: Act) -> int | None:
    """Somebody gives back a part on the processor's own page."""
    books, theirs = _theirs(world, "S20", "mesa")
    cents = 12_00
    with books.transaction():
        processor_rules.refund(books, {"payment": theirs["id"], "amount": cents})
    _moves(world, "mesa", -cents)
    _owed_again(world, "S20mesa", cents)
    return cents


def _owed_again(world: MonthWorld, name: str, cents: int) -> None:
    world.apart["owes", world.who(name)] += cents
    world.also["refunded", cents] += 1


async def refund_differs(world: MonthWorld, act: Act) -> int | None:
    """We ask for a refund, and the processor gives back less."""
    asked, given = 20_00, 15_00
    honest = processor_rules.refund
    less = patch.object(processor_rules, "refund", lambda books, body: honest(books, {**body, "amount": given}))
    with less:
        await world.post("/refunds", {"payment": world.known["S24bay"], "amount": money(asked), "reason": "asked for"})
        await world.settle("bay")
    _moves(world, "bay", -given)
    _owed_again(world, "S24bay", asked)
    world.apart["credit", ""] += asked - given
    return given


async def refund_late(world: MonthWorld, act: Act) -> int | None:
    """A refund that takes its time fails, and goes out after all."""
    cents, ours = 25_00, world.known["S25harbor"]
    books, theirs = _theirs(world, "S25", "harbor")
    with books.transaction():
        books.save({**theirs, "method": {**theirs["method"], "acts_as": "tok_refundpending"}})
    made = await world.post("/refunds", {"payment": ours, "amount": money(cents), "reason": "asked for"})
    await world.settle("harbor")
    theirs = books.by_reference("refund", made["id"])[0]
    for result in ("failed", "succeeded"):
        await world.control("harbor", "decide", {"id": theirs["id"], "result": result})
        await world.settle("harbor")
    _moves(world, "harbor", -cents)
    _owed_again(world, "S25harbor", cents)
    return cents


async def dispute_short(world: MonthWorld, act: Act) -> int | None:
    """A dispute is won, and half of it comes back."""
    books, theirs = _theirs(world, "S21", "bay")
    cents = theirs["amount_captured"]
    back = cents // 2
    with books.transaction():
        made = processor_disputes.open_dispute(books, {"payment": theirs["id"]})
    await world.settle("bay")
    await world.control("bay", f"disputes/{made['id']}", {"status": "won", "reinstate": back})
    _moves(world, "bay", back - cents - DISPUTE_FEE)
    world.apart["dispute_fees", "bay"] += DISPUTE_FEE
    world.apart["disputed", ""] += cents - back
    return cents - back


async def dispute_over(world: MonthWorld, act: Act) -> int | None:
    """All of a payment is lost to a dispute, and a part of it had been given back before."""
    given, ours = 20_00, world.known["S22harbor"]
    await world.post("/refunds", {"payment": ours, "amount": money(given), "reason": "asked for"})
    await world.settle("harbor")
    books, theirs = _theirs(world, "S22", "harbor")
    cents = theirs["amount_captured"]
    with books.transaction():
        made = processor_disputes.open_dispute(books, {"payment": theirs["id"]})
    await world.settle("harbor")
    await world.control("harbor", f"disputes/{made['id']}", {"status": "lost"})
    _moves(world, "harbor", -given - cents - DISPUTE_FEE)
    world.apart["dispute_fees", "harbor"] += DISPUTE_FEE
    world.apart["disputed", ""] += given
    _owed_again(world, "S22harbor", given)
    world.apart["owes", world.who("S22harbor")] += cents - given
    world.also["dispute_lost", cents] += 1
    return given


async def over_refunded(world: MonthWorld, act: Act) -> int | None:
    """A bank debit comes back whole, and a part of it had been given back before: that part went out twice."""
    given, ours = 10_00, world.known["S23mesa"]
    body = {"payment": ours, "amount": money(given), "reason": "asked for", "while_returnable": True}
    await world.post("/refunds", body)
    await world.settle("mesa")
    _, theirs = _theirs(world, "S23", "mesa")
    cents = theirs["amount_captured"]
    await world.control("mesa", "decide", {"id": theirs["id"], "result": "returned", "code": "R01"})
    _moves(world, "mesa", -given - cents - RETURN_FEE)
    world.apart["fees", "mesa"] += RETURN_FEE
    _owed_again(world, "S23mesa", given)
    world.apart["owes", world.who("S23mesa")] += cents
    world.also["mandate_stopped", 0] += 1
    world.also["payment_returned", cents] += 1
    return given


async def captured_more(world: MonthWorld, act: Act) -> int | None:
    """We ask for a part of what is authorized, and the processor takes more of it."""
    honest = processor_rules.capture

    def once(books: Books, payment: Doc, asked: int) -> Doc:
        processor_rules.capture = honest
        return honest(books, payment, asked + MORE)

    processor_rules.capture = once  # type: ignore[assignment]
    asked, where = act.cents - 60_00, act.place  # as the plan has it
    fee = card_fee(asked + MORE) - card_fee(asked)
    _moves(world, where, MORE - fee)
    world.apart["fees", where] += fee
    world.apart["owes", act.who] -= MORE
    world.taken[where, world.day] += MORE
    world.also["payment_due", act.cents - asked] -= 1
    world.also["payment_due", act.cents - asked - MORE] += 1
    return asked + MORE


async def taken_twice(world: MonthWorld, act: Act) -> int | None:
    """The processor takes the same payment a second time, by itself, under our reference."""
    books, theirs = _theirs(world, "S26", "bay")
    cents = theirs["amount_captured"]
    order = {name: theirs[name] for name in ("currency", "reference")} | {"amount": cents, "method": "tok_visa"}
    with books.transaction():
        made = processor_rules.create(books, {**order, "descriptor": ""})
        processor_rules.confirm(books, made, capture=True, base_url="https://bay.test/")
    _moves(world, "bay", cents - card_fee(cents))
    world.apart["clearing", "bay"] -= cents
    world.apart["fees", "bay"] += card_fee(cents)
    return cents


async def no_longer_owed(world: MonthWorld, act: Act) -> int | None:
    """A charge is taken back at the EHR while the debit that pays it is on its way."""
    who, cents = world.who("S27harbor"), 115_00
    charge = world.known[f"charge of {who}"]
    line = ft1(1, "CD", "115.00", {2: charge, 4: world.today("harbor"), 5: world.today("harbor")})
    await world.hl7("harbor", who, line, label="DFT^P03", insured=False)
    world.apart["credit", ""] += cents  # once it has cleared, in the night to come
    return cents


async def paid_late(world: MonthWorld, act: Act) -> int | None:
    """A payer pays on a page that has expired."""
    who, cents = world.who("S28"), 45_00
    if (page := world.known.get("S28 page")) is None:
        made = await world.post(
            "/payments", {"account": f"urn:bay|{who}", "amount": money(cents), "method": {"hosted": {}}}
        )
        await world.settle("bay")
        found = await world.get(f"/payments/{made['id']}")
        world.known["S28 page"] = found["hosted_url"].rsplit("/", 1)[-1]
        return None
    if world.books("bay").get("checkout", page)["status"] == "open":
        return None
    await world.control("bay", "late_success", {"checkout": page, "card": GOOD})
    _moves(world, "bay", cents - card_fee(cents))
    world.apart["fees", "bay"] += card_fee(cents)
    world.apart["credit", ""] += cents
    here = next(one for one in PLACES if one.name == "bay")
    world.taken["bay", here.business_day(act.at)] += cents
    world.also["payment_due", cents] -= 1  # there is credit for it
    return cents


async def outcome_unknown(world: MonthWorld, act: Act) -> int | None:
    """A call is not answered, and neither is who asks what became of it."""
    who, cents = world.who("S29"), 35_00
    account = f"urn:mesa|{who}"
    method = await world.stored(Act(act.at, "pay", "mesa", who, how="card"), account)
    for operation, fault in (("confirm", "lost_request"), ("list", "before"), ("get", "before")):
        await world.control("mesa", "faults", {"operation": operation, "fault": fault, "times": 10_000})
    body = {"account": account, "amount": money(cents), "method": {"stored_method": method}}
    await world.post("/payments", body)
    return cents


PLANTS = (
    Plant("a refund is made at the processor", "refund_outside", "tick", "harbor", 1, refund_outside),
    Plant("a refund is less than we asked for", "refund_amount", "tick", "harbor", 2, refund_differs),
    Plant("a refund fails, and goes out after all", "late_refund", "tick", "harbor", 2, refund_late),
    Plant("a dispute is won, and half comes back", "dispute_short", "tick", "harbor", 2, dispute_short),
    Plant("a dispute takes what was given back before", "dispute_over", "tick", "harbor", 3, dispute_over),
    Plant("a debit comes back, and was given back before", "over_refunded", "tick", "harbor", 4, over_refunded),
    Plant("more is captured than we asked for", "capture_amount", "authorize", "mesa", 1, captured_more),
    Plant("a payment is taken a second time", "other_reference", "tick", "harbor", 2, taken_twice),
    Plant("a charge goes while its payment is on its way", "no_longer_owed", "count", "harbor", 3, no_longer_owed),
    Plant("a payer pays on a page that has expired", "late_success", "tick", "harbor", 5, paid_late),
    Plant("nobody knows what became of a call", "unknown_outcome", "tick", "harbor", -1, outcome_unknown),
)

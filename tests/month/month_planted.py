"""Errors of others, planted into a month: one of each kind, each with the open item by which it is to be found.

A plant changes what a processor lists or a bank writes, never anything of the program, and says what is apart in the
books by it until somebody puts it right. To add a kind: a function that plants it, and where, in `plant`.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from month_books import card_fee
from month_places import Act
from month_plan import Plan
from month_world import Error, Hook, MonthWorld

from fhirpay.errors import FhirpayError
from fhirpay.simulators import processor_rules
from fhirpay.simulators.processor_books import Books, Doc
from fhirpay.usecases.doctor import examine

NOBODYS, ELSEWHERE, SHORT, STRAY, UNSEEN, OFF = 61_00, 44_00, 5_00, 77_00, 31_00, 1_00


def plant(world: MonthWorld, plan: Plan) -> None:
    """All of them, each at a place and on a day at which no other is."""
    work = plan.workdays
    world.planted_all = True

    def at(kind: str, place: str, day: date, hook: Hook) -> None:
        key = (kind, place, day.isoformat())
        assert key not in world.hooks, key
        world.hooks[key] = hook

    at("pay_out", "mesa", work[0], line_missing)
    at("pay_out", "bay", work[0], line_twice)
    at("pay_out", "harbor", work[5], paid_twice)
    at("pay_out", "mesa", work[5], paid_short)
    at("tick", "harbor", work[1], payment_elsewhere)
    at("monthly_fee", "bay", work[1], line_of_nobody)
    at("pay_out", "mesa", work[2], payout_short)
    at("pay_out", "harbor", work[2], line_changed)
    at("bank_file", "mesa", work[2], bank_line_missing)
    at("bank_file", "harbor", work[5], bank_line_differs)
    at("bank_file", "harbor", work[3], bank_line_of_nobody)
    at("bank_file", "bay", work[5], bank_day_missing)
    at("bank_file", "bay", work[2], bank_file_cut)
    at("bank_file", "mesa", work[1], bank_file_in_euros)
    at("bank_file", "harbor", work[2], bank_column_renamed)
    at("open", "harbor", work[3], events_lost)
    at("pay_out", "bay", work[1], listing_broken)
    at("tick", "harbor", work[4], posting_missing)
    at("tick", "harbor", work[5], posting_twice)
    at("tick", "harbor", work[2], posting_differs)
    at("tick", "harbor", work[3], posting_of_nobody)


def _found(world: MonthWorld, name: str, kind: str, cents: int) -> None:
    world.errors.append(Error(name, kind, cents))


def _payout(world: MonthWorld, act: Act) -> tuple[Books, Doc]:
    books = world.books(act.place)
    return books, books.get("payout", world.known[act.name])


def _captured(books: Books, payout: str) -> Doc:
    """The largest payment in it."""
    lines = [one for one in books.lines(payout=payout) if one["type"] == "capture"]
    return max(lines, key=lambda one: (one["amount"], one["id"]))


# ── what a processor lists ────────────────────────────────────────────────────────────────────────────────────────


async def line_missing(world: MonthWorld, act: Act) -> bool:
    """A payment is in the payout's amount and not among its lines."""
    books, payout = _payout(world, act)
    line = _captured(books, payout["id"])
    with books.transaction():
        books.save_line({**line, "payout": "nowhere"})
    _found(world, "a payout's line is missing", "payout_sum", line["amount"] - line["fee"])
    world.apart["fees", act.place] -= line["fee"]  # nobody tells it
    world.apart["clearing", act.place] += line["fee"]
    return True


async def line_twice(world: MonthWorld, act: Act) -> bool:
    """A payment is among the lines twice, by two ids, and once in the amount."""
    books, payout = _payout(world, act)
    line = _captured(books, payout["id"])
    again = {**line, "id": f"{line['id']}b"}
    with books.transaction():
        _insert(books, again)
    _found(world, "a payout's line is there twice", "payout_sum", line["fee"] - line["amount"])
    return True


async def paid_twice(world: MonthWorld, act: Act) -> bool:
    """A payment is among the lines twice, and in the amount as well."""
    books, payout = _payout(world, act)
    if not any(one["type"] == "capture" for one in books.lines(payout=payout["id"])):
        return False  # the next one of this day
    line = _captured(books, payout["id"])
    with books.transaction():
        _insert(books, {**line, "id": f"{line['id']}b"})
    _pays_out(world, act, line["amount"] - line["fee"])
    _found(world, "a payment is paid out twice", "paid_out_twice", line["amount"])
    return True


async def paid_short(world: MonthWorld, act: Act) -> bool:
    """A payment is paid out at less than was taken, and its line says so."""
    books, payout = _payout(world, act)
    if not any(one["type"] == "capture" for one in books.lines(payout=payout["id"])):
        return False  # the next one of this day
    line = _captured(books, payout["id"])
    with books.transaction():
        books.save_line({**line, "amount": line["amount"] - SHORT})
    _pays_out(world, act, -SHORT)
    _found(world, "a payment is paid out at another amount", "amount_differs", -SHORT)
    return True


def _pays_out(world: MonthWorld, act: Act, more: int) -> None:
    """So much more than what it owes, in the payout of this act."""
    books, payout = _payout(world, act)
    with books.transaction():
        books.save({**payout, "amount": payout["amount"] + more})
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


async def line_changed(world: MonthWorld, act: Act) -> bool:
    """A line that was paid out yesterday is listed again, at another fee."""
    books, payout = _payout(world, act)
    before = next(one for one in books.all("payout") if one["id"] != payout["id"])
    line = _captured(books, before["id"])
    with books.transaction():
        books.save_line({**line, "payout": payout["id"], "fee": line["fee"] + OFF})
    _found(world, "a payout's line has changed", "settlement_line_changed", line["amount"] - line["fee"] - OFF)
    return True


async def payout_short(world: MonthWorld, act: Act) -> bool:
    """Less is paid out than its lines come to: the processor keeps the rest."""
    _pays_out(world, act, -SHORT)
    _found(world, "a payout is short", "payout_sum", -SHORT)
    return True


async def payment_elsewhere(world: MonthWorld, act: Act) -> bool:
    """Somebody takes a payment at that processor beside us; its event comes to us as well."""
    books = world.books("mesa")
    order = {"amount": ELSEWHERE, "currency": "USD", "reference": "order-7", "method": "tok_visa", "descriptor": ""}
    with books.transaction():
        made = processor_rules.create(books, order)
        processor_rules.confirm(books, made, capture=True, base_url="https://mesa.test/")
    _strange(world, "mesa", "a payment that the processor has and we don't", ELSEWHERE, card_fee(ELSEWHERE))
    return True


async def line_of_nobody(world: MonthWorld, act: Act) -> bool:
    """Money in the balance that is of nothing that the processor could name."""
    books = world.books(act.place)
    of = {"id": "sp_nobody", "currency": "USD", "reference": ""}
    with books.transaction():
        line = books.move("capture", of, NOBODYS, source="ch_nobody")
    _strange(world, act.place, "a payout's line of nobody", NOBODYS, line["fee"])
    return True


def _strange(world: MonthWorld, place: str, name: str, cents: int, fee: int) -> None:
    """It is paid out with ours, and stands in clearing, since nobody has said what it is."""
    _found(world, name, "settlement_unmatched", cents - fee)
    world.more[place] += cents - fee
    world.apart["transit", place] += cents - fee
    world.apart["clearing", place] -= cents - fee


async def listing_broken(world: MonthWorld, act: Act) -> bool:
    """The list of a payout has a line without its amount: the page is refused whole, and read when it is whole."""
    books, payout = _payout(world, act)
    line = books.lines(payout=payout["id"])[0]
    with books.transaction():
        books.save_line({name: value for name, value in line.items() if name != "amount"})
    kept = _count(world, "payout_line")
    await _refused(world, "a settlement list without an amount", world.house.pulls.pull(act.place))
    assert _count(world, "payout_line") == kept
    with books.transaction():
        books.save_line(line)
    return True


async def events_lost(world: MonthWorld, act: Act) -> bool:
    """A day's events never arrive. The processor's own list has them."""
    for place in world.processors:
        with world.books(place).transaction():
            world.books(place).set("webhooks", {"drop_next": 2})
        world.lost += 2
    return True


# ── what a bank writes ────────────────────────────────────────────────────────────────────────────────────────────


async def bank_line_missing(world: MonthWorld, act: Act) -> bool:
    """A payout that the processor has sent does not arrive."""
    lines = world.bank[act.place].lines[act.more["day"]]
    _, cents, *_ = lines.pop(0)
    _found(world, "a bank line is missing", "payout_not_at_bank", cents)
    _not_there(world, act.place, cents)
    return True


def _not_there(world: MonthWorld, place: str, cents: int) -> None:
    world.apart["transit", place] += cents
    world.apart["bank", place] -= cents


async def bank_line_differs(world: MonthWorld, act: Act) -> bool:
    """It arrives with another amount than the processor says."""
    lines = world.bank[act.place].lines[act.more["day"]]
    day, cents, *words = lines[0]
    lines[0] = (day, cents - OFF, words[0], words[1])
    _found(world, "a bank line is of another amount", "payout_differs_at_bank", OFF)
    _not_there(world, act.place, cents)
    return True


async def bank_line_of_nobody(world: MonthWorld, act: Act) -> bool:
    day = act.more["day"]
    world.bank[act.place].lines[day].append((day, STRAY, "X1", "DEPOSIT"))
    _found(world, "a bank line of nobody", "bank_line_of_nobody", STRAY)
    return True


async def bank_day_missing(world: MonthWorld, act: Act) -> bool:
    """The file of a day doesn't come; its balance is missed by the next one. A payout of that day would be told too."""
    bank, day = world.bank[act.place], act.more["day"]
    if bank.lines[day]:
        next_day = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
        world.hooks[act.kind, act.place, next_day] = bank_day_missing
        return True
    bank.lines[day].append((day, UNSEEN, "X2", "DEPOSIT"))
    bank.lost.add(day)
    _found(world, "a day of the bank is missing", "bank_days_missing", UNSEEN)
    return True


async def bank_file_cut(world: MonthWorld, act: Act) -> bool:
    data = world.bank[act.place].file(act.more["day"]) or b""
    return await _bad_file(world, act, "a bank's file is cut in half", data[: len(data) // 2])


async def bank_file_in_euros(world: MonthWorld, act: Act) -> bool:
    data = (world.bank[act.place].file(act.more["day"]) or b"").replace(b",USD,", b",EUR,")
    return await _bad_file(world, act, "a bank's file is in another currency", data)


async def bank_column_renamed(world: MonthWorld, act: Act) -> bool:
    data = (world.bank[act.place].file(act.more["day"]) or b"").replace(b"Amount", b"Betrag")
    return bool(data) and await _bad_file(world, act, "a column of a bank's file has changed", data)


async def _bad_file(world: MonthWorld, act: Act, name: str, data: bytes) -> bool:
    kept = _count(world, "bank_line")
    await _refused(world, name, world.house.bank.take(act.place, "bad", data))
    assert _count(world, "bank_line") == kept
    return True


async def _refused(world: MonthWorld, name: str, taking: Any) -> None:
    try:
        await taking
    except FhirpayError as error:
        says = error.location or ""
        world.refused[name] = f"{error.code} at {says}: {error.message}"
    else:
        world.wrong.append(f"{name}: it was taken")


# ── what an EHR has of payments ───────────────────────────────────────────────────────────────────────────────────


async def posting_missing(world: MonthWorld, act: Act) -> bool:
    """The EHR took it, and its staff deleted it."""
    one = _posting(world, "S1bay")
    world.ehr.store.delete(one["resourceType"], one["id"])
    _found(world, "a posting is missing at the EHR", "missing_posting", _cents(one))
    return True


async def posting_twice(world: MonthWorld, act: Act) -> bool:
    """Its staff posted the same money by hand as well."""
    one = _posting(world, "S3harbor")
    world.ehr.chart({name: value for name, value in one.items() if name not in ("id", "identifier", "meta")})
    _found(world, "a posting is there twice at the EHR", "posted_twice", _cents(one))
    return True


async def posting_differs(world: MonthWorld, act: Act) -> bool:
    """Its staff have changed the amount."""
    one = _posting(world, "S7mesa")
    less = {**one["paymentAmount"], "value": one["paymentAmount"]["value"] - OFF // 100}
    world.ehr.store.update({**one, "paymentAmount": less}, one["id"])
    _found(world, "a posting is of another amount at the EHR", "posting_amount_differs", -OFF)
    return True


async def posting_of_nobody(world: MonthWorld, act: Act) -> bool:
    """Its staff took money that nobody here has heard of."""
    one = _posting(world, "S9harbor")
    amount = {"value": Decimal(UNSEEN).scaleb(-2), "currency": "USD"}
    line = {name: value for name, value in one["detail"][0].items() if name != "identifier"}
    kept = {name: value for name, value in one.items() if name not in ("id", "identifier", "meta")}
    world.ehr.chart({**kept, "paymentAmount": amount, "detail": [{**line, "amount": amount}]})
    _found(world, "a posting at the EHR is of nobody", "ehr_payment_unknown", UNSEEN)
    return True


def _posting(world: MonthWorld, name: str) -> Doc:
    """What the EHR has of a payment of the plan."""
    mine = world.known[name]
    for one in world.ehr.store.everything("PaymentReconciliation"):
        if not one.deleted and any(each["value"] == mine for each in one.resource.get("identifier", ())):
            return one.resource
    raise AssertionError(f"{name} is not at the EHR")


def _cents(one: Doc) -> int:
    return int(one["paymentAmount"]["value"] * 100)


# ── a hand in our own database ────────────────────────────────────────────────────────────────────────────────────


async def ledger_tampered(world: MonthWorld) -> bool:
    """A cent more on one leg, past the triggers; whether that is found, as what it is. It is put back."""
    raw = world.inline.raw
    triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'ledger_posting'")
    found = triggers.fetchall()
    one = raw.execute(
        "SELECT l.entry_id, l.line, e.seq FROM ledger_posting l JOIN ledger_entry e ON e.entry_id = l.entry_id"
        " WHERE l.account = 'fees' AND coalesce(l.payment_id, '') = '' ORDER BY e.seq"
    ).fetchone()
    change = "UPDATE ledger_posting SET amount_minor = amount_minor + ? WHERE entry_id = ? AND line = ?"
    for name, _ in found:
        raw.execute(f"DROP TRIGGER {name}")
    raw.execute(change, (1, *one[:2]))
    says = await world.units.read(examine)
    raw.execute(change, (-1, *one[:2]))
    for _, sql in found:
        raw.execute(sql)
    return [finding.check for finding in says] == ["books"] and f" {one[2]}:" in str(says[0])


def _count(world: MonthWorld, table: str) -> int:
    return int(world.inline.raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608

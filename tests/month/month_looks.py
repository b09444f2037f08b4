"""What is looked at each night of a month: our ledger, the processors' books and the plan's own, to the cent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from month_books import Books
from month_places import PLACES, Day

from fhirpay.billing import worklist
from fhirpay.db.unit import Tx
from fhirpay.payments import store as payments
from fhirpay.usecases.doctor import examine

if TYPE_CHECKING:
    from month_plan import Plan
    from month_world import MonthWorld

Item = tuple[str, int]

# The plan's name of a balance, by the ledger's account and what it is kept by there.
_BY = {
    "processor_clearing": ("clearing", "merchant"),
    "payout_in_transit": ("transit", "merchant"),
    "reserve_held": ("reserve", "merchant"),
    "bank": ("bank", "merchant"),
    "fees": ("fees", "merchant"),
    "dispute_fees": ("dispute_fees", "merchant"),
    "cash_drawer": ("drawer", "till"),
    "cash_safe": ("safe", "till"),
    "checks_on_hand": ("checks", ""),
    "over_short": ("over_short", "till"),
    "ar_patient": ("owes", "account_ref"),
    "ar_pending": ("pending", "account_ref"),
    "unapplied_credit": ("credit", ""),
    "deposit_in_transit": ("deposit", ""),
    "dispute_receivable": ("disputed", ""),
    "refunds_payable": ("payable", ""),
}


def ledger(world: MonthWorld) -> Counter[tuple[str, str]]:
    """The ledger's balances under the plan's names, an asset's debit above zero."""
    names = {
        f"Account/{row[0]}": row[1]
        for row in world.inline.raw.execute(
            "SELECT resource_id, json_extract(content, '$.identifier[0].value') FROM resource WHERE type = 'Account'"
        )
    }
    found: Counter[tuple[str, str]] = Counter()
    query = "SELECT account, merchant, till, account_ref, side, sum(amount_minor) FROM ledger_posting"
    for account, merchant, till, ref, side, cents in world.inline.raw.execute(f"{query} GROUP BY 1, 2, 3, 4, 5"):
        name, by = _BY.get(account, (account, ""))
        whose = {
            "merchant": merchant,
            "till": (till or "").removeprefix("safe:"),
            "account_ref": names.get(ref, ref),
            "": "",
        }[by] or ""
        credit = account in ("unapplied_credit", "refunds_payable")
        found[name, whose] += cents if (side == "debit") != credit else -cents
    return found


def planned(books: Books) -> Counter[tuple[str, str]]:
    totals = {name for name, by in _BY.values() if not by}
    kept = {name for name, _ in _BY.values()}
    found: Counter[tuple[str, str]] = Counter()
    for (name, whose), cents in books.at.items():
        if name in kept:
            found[name, "" if name in totals else whose] += cents
    return found


def differences(world: MonthWorld, books: Books) -> list[str]:
    ours, theirs = ledger(world), planned(books)
    for key, cents in world.apart.items():
        theirs[key] += cents
    names = {name for name, _ in _BY.values()}
    told = [
        f"{name} of '{whose}' is {ours[name, whose]}, and by the plan {theirs[name, whose]}"
        for name, whose in sorted(set(ours) | set(theirs))
        if name in names and ours[name, whose] != theirs[name, whose]
    ]
    for place in PLACES:
        holds = world.books(place.name).totals().get("USD", {}).get("balance", 0)
        if holds != (should := theirs["processor", place.name] + books.at["processor", place.name]):
            told.append(f"the processor of {place.name} holds {holds}, and by the plan {should}")
    return told


def taken_by_day(world: MonthWorld) -> Counter[tuple[str, str]]:
    """What was captured, by place and business day."""
    query = (
        "SELECT p.facility, e.business_date, sum(l.amount_minor) FROM ledger_entry e"
        " JOIN ledger_posting l ON l.entry_id = e.entry_id AND l.side = 'debit'"
        " JOIN payment p ON p.payment_id = l.payment_id WHERE e.kind = 'payment_captured' GROUP BY 1, 2"
    )
    return Counter({(place, str(day)): cents for place, day, cents in world.inline.raw.execute(query)})


def items(tx: Tx) -> Counter[Item]:
    """All that waits for a person, with its amount."""
    found: Counter[Item] = Counter()
    for line in worklist.list_open(tx, limit=None):
        found[line.kind, line.amount.minor if line.amount else 0] += 1
    for one in payments.breaks(tx, limit=10_000):
        found[one.kind, one.amount.minor if one.amount else 0] += 1
    return found


async def look(world: MonthWorld, day: Day) -> list[str]:
    """What is not as it should be in this night."""
    told = [f"{day.day}: {says}" for says in world.wrong]
    world.wrong.clear()
    told += [f"{day.day}: {one}" for one in await world.units.read(examine)]
    told += [f"{day.day}: {one}" for one in differences(world, day.books)]
    return told


def should_be(books: Books) -> Counter[Item]:
    """The open items that a month without errors has."""
    return +books.open + books.due()


def at_ehr(world: MonthWorld) -> int:
    """What the EHR was told of money, in all: payments, less what went back."""
    total = 0
    for row in world.ehr.store.everything("PaymentReconciliation"):
        total += int(row.resource["paymentAmount"]["value"] * 100)
    return total


def closed_as_counted(world: MonthWorld, plan: Plan) -> list[str]:
    """Closes: all that was taken is in one of them, and each drawer that was over or short is in its till's."""
    taken: Counter[str] = Counter()
    offs: list[tuple[str, int]] = []
    for one in world.closes:
        if one.get("till"):
            offs += [(one["till"], cents) for session in one["sessions"] if (cents := _counted(session))]
        else:
            money = one.get("money", ())
            taken[one.get("facility", "")] += sum(_cents(line) for line in money if line["kind"] == "taken")
    planned: Counter[str] = Counter()
    for (place, day), cents in (plan.books.taken + world.taken).items():
        if day <= plan.days[-1].day.isoformat():  # what cleared in the last night is the next day's
            planned[place] += cents
    told = [
        f"closes of {place} have {taken[place]} taken, and the plan {planned[place]}"
        for place in planned
        if taken[place] != planned[place]
    ]
    if sorted(offs) != sorted(plan.offs):
        told.append(f"over and short are {offs} by the closes, and {plan.offs} by the plan")
    return told


def _cents(line: Mapping[str, str]) -> int:
    return round(Decimal(line["amount"]) * 100)


def _counted(session: Mapping[str, Any]) -> int:
    """Over or short of a session, also by a count before the last one."""
    return _cents(session["over"]) + _cents(session["corrected"])

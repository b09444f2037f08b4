"""What each month has besides its visits, once each, whatever its seed.

A payout below zero, one of nothing, one that fails; a deposit in two parts; two bags of one slip, which the bank
credits as one; the same amount twice on a day; a check that bounces, and its fee; a drawer that is over; a payment
after midnight of the night of the clocks; a dispute that is won and then lost; a bank debit with a notice of change
and one that fails; a part of what was authorized; a reserve. And sales of which nothing more is to come, so that
errors can be planted at them.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from month_places import DAY, PLACES, SUMMER, Place

if TYPE_CHECKING:
    from month_plan import Plan


# name, place, how the manyth workday, cents, how it is paid; "": not at all
SPARE = (
    ("S20", "mesa", 0, 90_00, "card"),
    ("S21", "bay", 0, 85_00, "card"),
    ("S22", "harbor", 0, 75_00, "card"),
    ("S23", "mesa", 0, 65_00, "bank"),
    ("S24", "bay", 1, 55_00, "card"),
    ("S25", "harbor", 1, 105_00, "card"),
    ("S26", "bay", 2, 88_00, "card"),
    ("S27", "harbor", 1, 115_00, "bank"),
    ("S28", "bay", 3, 45_00, ""),
    ("S29", "mesa", 6, 35_00, ""),
    ("S30", "mesa", 1, 58_00, "card"),
    ("S31", "bay", 1, 90_00, ""),
    ("S32", "harbor", 2, 48_00, "page"),
    ("S33", "bay", 2, 64_00, "check"),
    ("S34", "bay", 2, 36_00, "check"),
    ("S60", "bay", 0, 47_00, "check"),
    ("S37", "mesa", 2, 50_00, "check"),
    ("S38", "mesa", 2, 18_00, "cash"),
    ("S39", "mesa", 12, 51_00, "check"),
    ("S40", "mesa", 12, 19_00, "cash"),
)


def specials(plan: Plan) -> None:
    """Before the first day."""
    harbor, mesa, bay = PLACES
    work = plan.workdays
    plan.closed = {("mesa", work[3]), ("bay", work[4])}
    plan.off = {("mesa", work[2]): 50, ("harbor", work[5]): -3_00}
    plan.fails = {("harbor", work[0])}
    plan.split = {("bay", work[2])}
    plan.two_bags = {("mesa", one): False for one in work if one.weekday() == 2}
    for place in PLACES:
        plan.later(place.local(work[0], 9), lambda at, place=place: plan.sold(place, "S0", 900_00, at))
    plan.later(mesa.local(work[3], 12), lambda at: plan.refund_of("S0", mesa, 0, at))
    plan.later(bay.local(work[4], 9), lambda at: plan.sold(bay, "S1", 200_00, at))
    plan.later(bay.local(work[4], 20), lambda at: plan.refund_of("S0", bay, plan.books.net("bay"), at))
    plan.later(harbor.local(work[0], 10), lambda at: plan.sold(harbor, "S2", 80_00, at, how="check"))
    plan.later(harbor.local(work[4], 10), lambda at: plan.bounce(plan.payments["S2harbor"], at))
    plan.later(mesa.local(work[0], 11), lambda at: plan.sold(mesa, "S7", 120_00, at, how="bank_returns"))
    for place, won in ((harbor, True), (bay, False)):
        plan.later(place.local(work[0], 13), lambda at, place=place: plan.sold(place, "S8", 70_00, at, how="card"))
        plan.later(
            place.local(work[1], 9),
            lambda at, place=place, won=won: plan.dispute(plan.payments[f"S8{place.name}"], at, won=won),
        )
    plan.later(mesa.local(work[0], 13), lambda at: plan.sold(mesa, "S8", 70_00, at, how="card"))
    plan.later(mesa.local(work[1], 9), lambda at: plan.dispute(plan.payments["S8mesa"], at, won=True))
    plan.later(mesa.local(work[4], 15), lambda at: plan.dispute_again(plan.payments["S8mesa"], at))
    plan.later(mesa.local(work[5], 15), lambda at: plan.dispute_ends(plan.payments["S8mesa"], at, won=False))
    plan.later(harbor.local(work[1], 11), lambda at: plan.sold(harbor, "S11", 140_00, at, how="bank_changes"))
    plan.later(bay.local(work[1], 11), lambda at: plan.sold(bay, "S12", 130_00, at, how="bank_fails"))
    plan.later(mesa.local(work[1], 10), lambda at: plan.in_part(mesa, "S13", 200_00, 140_00, at))
    plan.later(bay.local(work[1], 21), lambda at: plan.reserve(bay, 50_00, at))
    plan.later(bay.local(work[5], 21), lambda at: plan.reserve(bay, -50_00, at))
    plan.later(harbor.local(work[0], 14), lambda at: plan.sold(harbor, "S9", 95_00, at, how="card"))
    plan.later(harbor.local(work[2], 14), lambda at: plan.refund_of("S9", harbor, 30_00, at))
    twice = datetime.combine(work[4] + DAY, time(8, 10), UTC)
    for number in (1, 2):
        step = timedelta(minutes=10 * number)
        plan.later(twice + step, lambda at, n=number: plan.sold(mesa, f"S{4 + n}", 150_00, at))
        after = twice + step + timedelta(minutes=5)
        plan.later(after, lambda at, n=number: plan.pay_out(mesa, at, work[4], f"OMtwice{n}"))
    clocks = SUMMER + timedelta(days=1, hours=4, minutes=20)  # 00:20 in New York, 23:20 without the change
    if work[0] <= SUMMER.date() < work[-1]:
        plan.later(clocks, lambda at: plan.sold(harbor, "S3", 60_00, at))
    fee = mesa.local(work[1], 22)
    for place in PLACES:
        plan.later(fee, lambda at, place=place: plan.monthly(place, at))
    for name, place, day, cents, how in SPARE:
        if day >= len(work):  # of whole months
            continue
        where = next(one for one in PLACES if one.name == place)
        at = where.local(work[day], 15) + timedelta(minutes=2 * int(name[1:]))
        plan.later(at, lambda at, one=(where, name, cents), how=how: plan.sold(*one, at, how=how))
    plan.later(harbor.local(work[2], 16, 30), lambda at: _in_two(plan, harbor, 96_00, at))


def _in_two(plan: Plan, place: Place, cents: int, at: datetime) -> None:
    """A charge is paid by two payments of one amount on one day."""
    who = plan.account(place)
    plan.charge(place, who, f"V{plan.number()}", cents, at - timedelta(minutes=2))
    for more, name in enumerate(("S35", "S36")):
        plan.pay(place, who, cents // 2, "card", at + timedelta(minutes=3 * more), name=name + place.name)

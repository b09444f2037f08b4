"""A month of a practice with three places, by seed: who comes, what it costs, how they pay, and what comes of it.

    seed ─▶ Plan ─▶ days ─▶ acts in the order of time (what people, processors and banks do) + the books of that night

Pure: nothing here knows the program. The plan keeps its own books (`month_books.py`) as it goes on, since what is paid
depends on what is owed. `month_world.py` plays the acts to the program.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from month_books import Books
from month_places import DAY, PLACES, Act, Day, Payment, Place
from month_specials import specials

FIRST = date(2026, 3, 1)  # of a whole month
NIGHT = time(7, 50)  # of UTC, when a day is over everywhere: the processor's and the books' night begins
CLEARS = 2 * DAY
FLOAT = 200_00
SAFE = 1500_00
DROPS_ABOVE = 400_00
MONTHLY = 25_00
CHECK_FEE = 12_00


class Plan:
    """`days` from the first Monday of March 2026, or another day of it; each place has so many `visits` a day."""

    def __init__(self, seed: int, *, first: date = date(2026, 3, 2), days: int = 10, visits: int = 2) -> None:
        self.seed, self.visits = seed, visits
        self.chance = Random(f"{seed}:month")
        self.books = Books()
        self.days: list[Day] = []
        self.payments: dict[str, Payment] = {}
        self.unpaid: dict[str, str] = {}  # by name, the account of a sale that nobody pays
        self._numbers = 0
        self._due: list[tuple[datetime, Callable[[datetime], None]]] = []
        self._acts: list[Act] = []
        self._free: dict[str, list[str]] = {one.name: [] for one in PLACES}  # accounts that owe nothing
        self._insured: dict[str, bool] = {}
        calendar = [first + n * DAY for n in range(days)]
        self.workdays = [one for one in calendar if one.weekday() < 5]
        self.closed: set[tuple[str, date]] = set()  # places, on that day
        self.off: dict[tuple[str, date], int] = {}  # drawers, when they are counted
        self.offs: list[tuple[str, int]] = []  # as they were counted
        self.fails: set[tuple[str, date]] = set()  # payouts, on that day
        self.split: set[tuple[str, date]] = set()  # deposits, in two lines
        self.arriving: dict[tuple[str, date], list[tuple[str, int]]] = {}
        self.bags: dict[tuple[str, date], list[tuple[str, int, date]]] = {}  # by the day that the bank has counted them
        self.returned: dict[tuple[str, date], list[tuple[str, int]]] = {}  # checks and fees that the bank takes back
        self.two_bags: dict[tuple[str, date], bool] = {}  # of one slip, on that day; whether there were two
        specials(self)
        for one in PLACES:
            self._do(datetime.combine(first, time(9), UTC), "safe", one, cents=SAFE)
            self.books.moved(("opening", one.name), ("safe", one.name), SAFE)
        for day in calendar:
            self._day(day)

    # ── a day ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _day(self, day: date) -> None:
        for place in PLACES:
            opened = day.weekday() < 5 or (place.saturdays and day.weekday() == 5)
            if opened and (place.name, day) not in self.closed:
                self._works(place, day)
        self._night(day)
        until = datetime.combine(day + DAY, time(9), UTC)
        while self._due and min(at for at, _ in self._due) < until:
            at, what = min(self._due, key=lambda one: one[0])
            self._due.remove((at, what))
            what(at)
        acts = sorted(self._acts, key=lambda one: one.at)
        self._acts = []
        self.days.append(Day(day, acts, copy.deepcopy(self.books)))

    def later(self, at: datetime, what: Callable[[datetime], None]) -> None:
        """What happens is decided in the order of time."""
        self._due.append((at, what))

    def _do(self, at: datetime, kind: str, place: Place, who: str = "", **more: Any) -> None:
        known = {name: more.pop(name) for name in ("name", "cents", "how") if name in more}
        self._acts.append(Act(at, kind, place.name, who, more=more, **known))

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _works(self, place: Place, day: date) -> None:
        till = place.name
        self.later(place.local(day, 7, 45), lambda at: self._open(place, at))
        for _ in range(self.visits):
            minute = self.chance.randrange(0, 8 * 60)
            self.later(
                place.local(day, 8) + timedelta(minutes=minute, seconds=self.chance.randrange(1, 50)),
                lambda at, day=day: self._visit(place, day, at),
            )
        self.later(place.local(day, 12, 30), lambda at: self._drop(at, place, keep=FLOAT, above=DROPS_ABOVE))
        off = self.off.get((till, day), 0)
        self.later(place.local(day, 17), lambda at: self._count(place, at, off))

    def _open(self, place: Place, at: datetime) -> None:
        self._do(at, "open", place, cents=FLOAT)
        self.books.moved(("safe", place.name), ("drawer", place.name), FLOAT)

    def _drop(self, at: datetime, place: Place, *, keep: int = 0, above: int = 0) -> None:
        there = self.books.at["drawer", place.name]
        if there > max(above, keep):
            self._do(at, "drop", place, cents=there - keep)
            self.books.moved(("drawer", place.name), ("safe", place.name), there - keep)

    def _count(self, place: Place, at: datetime, off: int) -> None:
        """Counted, all of it into the safe, closed; then the bag to the bank."""
        self.books.counted(place.name, off)
        self._do(at, "count", place, cents=self.books.at["drawer", place.name])
        if off:
            self.offs.append((place.name, off))
        self._drop(at + timedelta(minutes=1), place)
        self._do(at + timedelta(minutes=2), "close", place)
        cash = max(0, self.books.at["safe", place.name] - SAFE)
        checks = [one for one in self.payments.values() if one.how == "check" and one.place is place and one.free]
        if not cash and not checks:
            return
        for one in checks:
            one.free = False
        packed = at + timedelta(minutes=10)
        names = [one.name for one in checks]
        day = date.fromisoformat(place.business_day(at))
        if (place.name, day) in self.two_bags and cash and checks:
            self.two_bags[place.name, day] = True
            self._do(packed, "bag", place, cents=0, checks=names)
            self._do(packed + timedelta(minutes=1), "bag", place, cents=cash, checks=[])
        else:
            self._do(packed, "bag", place, cents=cash, checks=names)
        total = cash + sum(one.cents for one in checks)
        self.bags.setdefault((place.name, _workday_after(day)), []).append((f"{packed:%y%m%d}", total, day))
        self.books.moved(("safe", place.name), ("deposit", place.name), cash)
        self.books.moved(("checks", place.name), ("deposit", place.name), sum(one.cents for one in checks))

    # ── visits ────────────────────────────────────────────────────────────────────────────────────────────────────

    def account(self, place: Place) -> str:
        """Somebody new."""
        return f"{place.letter}{self.number():04d}"

    def _visit(self, place: Place, day: date, at: datetime) -> None:
        chance, minute = self.chance, timedelta(minutes=1)
        free = self._free[place.name]
        who = free.pop(chance.randrange(len(free))) if free and chance.random() < 0.3 else self.account(place)
        visit = f"V{self.number()}"
        self._do(place.local(day, 6, 30), "booked", place, who, name=visit, starts=at)
        insured = self._insured.setdefault(who, chance.random() < 0.5)
        self._do(at, "arrives", place, who, name=visit, insured=insured)
        if insured:
            copay = chance.choice((15_00, 20_00, 25_00, 40_00))
            cost = chance.randrange(90, 400) * 1_00 + 50
            self._do(at + minute, "copay", place, who, name=visit, cents=copay)
            if (how := chance.choices(("cash", "check", "page", "card", ""), (4, 2, 3, 2, 1))[0]) != "":
                self.later(at + 3 * minute, lambda at: self.pay(place, who, copay, how, at, before=True))
            posts = place.local(day, 18) + timedelta(minutes=chance.randrange(50))
            self.later(posts, lambda at: self.charge(place, who, visit, cost, at, copay=copay))
            self.later(posts + 2 * minute, lambda _: self._rest(place, who))
            return
        cost = chance.randrange(30, 500) * 1_00 + chance.choice((0, 25, 50, 99))
        self.later(at + 20 * minute, lambda at: self.charge(place, who, visit, cost, at))
        how = chance.choices(("cash", "check", "page", "card", "bank", ""), (2, 2, 5, 3, 2, 1))[0]
        if not how:
            return
        part = cost if chance.random() < 0.8 else max(10_00, cost // 2_00 * 1_00)
        when = at + 25 * minute
        if how == "page" and chance.random() < 0.7:  # at home, in the evening
            when = place.local(day, 20) + timedelta(minutes=chance.randrange(220))
        if how == "bank" and chance.random() < 0.3:
            how = "bank_returns"
        self.later(when, lambda at: self.pay(place, who, part, how, at))

    def charge(self, place: Place, who: str, visit: str, cents: int, at: datetime, *, copay: int = 0) -> None:
        self._do(at, "charge", place, who, name=visit, cents=cents, insured=bool(copay))
        self.books.charged(who, cents, copay=copay, insured=bool(copay))

    def _rest(self, place: Place, who: str) -> None:
        if not self.books.at["owes", who] and not self.books.at["credit", who]:
            self._free[place.name].append(who)

    # ── paying ────────────────────────────────────────────────────────────────────────────────────────────────────

    def pay(
        self, place: Place, who: str, cents: int, how: str, at: datetime, *, before: bool = False, name: str = ""
    ) -> None:
        name = name or f"P{self.number()}"
        declined = how == "page" and self.chance.random() < 0.08
        paid = self.payments[name] = Payment(name, place, who, cents, how, at, left=cents)
        self._do(at, "pay", place, who, name=name, cents=cents, how=how, declined=declined)
        if how in ("cash", "check"):
            till = place.name
            self.books.handed_over(place.name, till, who, cents, place.business_day(at), check=how == "check")
            if how == "cash" and self.chance.random() < 0.1 and cents > 20_00 and not before:
                self.later(at + timedelta(minutes=5), lambda at: self._hand_back(paid, at))
            elif not before and not name.startswith("S"):
                self._rest(place, who)
            return
        if how.startswith("bank"):
            self.books.flight[who] += cents
            self.later(self._night_after(at + CLEARS), lambda at: self._clears(paid, at))
            return
        self.books.captured(place.name, who, cents, place.business_day(at))
        roll = self.chance.random()
        days = self.chance.randrange(1, 5) * DAY
        if before or name.startswith("S"):
            return
        if roll < 0.12:
            self.later(at + days + timedelta(minutes=7), lambda at: self._refund(paid, self._share(paid), at))
        elif roll < 0.16:
            self.later(at + days + timedelta(minutes=9), lambda at: self.dispute(paid, at, won=roll < 0.14))
        else:
            self._rest(place, who)

    def _night_after(self, at: datetime) -> datetime:
        night = datetime.combine(at.date(), NIGHT, UTC)
        return night if night >= at else night + DAY

    def _clears(self, paid: Payment, at: datetime) -> None:
        """The processor's night: what has had its two days has cleared."""
        self.books.flight[paid.who] -= paid.cents
        if paid.how == "bank_fails":
            return self.books.not_cleared()
        self.books.captured(paid.place.name, paid.who, paid.cents, paid.place.business_day(at))
        if paid.how == "bank_changes":
            self.books.changed()
        if paid.how == "bank_returns":
            self.later(self._night_after(at + 2 * CLEARS), lambda at: self._returns(paid, at))

    def _returns(self, paid: Payment, at: datetime) -> None:
        self.books.returned(paid.place.name, paid.who, paid.cents)

    def _share(self, paid: Payment) -> int:
        return paid.cents if self.chance.random() < 0.5 else max(5_00, paid.cents // 3_00 * 1_00)

    def _refund(self, paid: Payment, cents: int, at: datetime) -> None:
        cents = min(cents, paid.left)
        paid.left -= cents
        self._do(at, "refund", paid.place, paid.who, name=paid.name, cents=cents)
        self.books.refunded(paid.place.name, paid.who, cents)

    def _hand_back(self, paid: Payment, at: datetime) -> None:
        cents = min(10_00, paid.left)
        self._do(at, "hand_back", paid.place, paid.who, name=paid.name, cents=cents)
        self.books.handed_back(paid.place.name, paid.who, cents)

    def dispute(self, paid: Payment, at: datetime, *, won: bool) -> None:
        self._do(at, "dispute", paid.place, paid.who, name=paid.name, cents=paid.cents)
        self.books.disputed(paid.place.name, paid.who, paid.cents)
        self.later(at + 3 * DAY, lambda at: self.dispute_ends(paid, at, won=won))

    def dispute_again(self, paid: Payment, at: datetime) -> None:
        """One that was won is opened a second time."""
        self._do(at, "dispute_again", paid.place, paid.who, name=paid.name, cents=paid.cents)
        self.books.disputed(paid.place.name, paid.who, paid.cents)

    def dispute_ends(self, paid: Payment, at: datetime, *, won: bool) -> None:
        how = "won" if won else "lost"
        self._do(at, "dispute_ends", paid.place, paid.who, name=paid.name, cents=paid.cents, how=how)
        if won:
            self.books.won(paid.place.name, paid.who, paid.cents)
        else:
            self.books.lost(paid.place.name, paid.who, paid.cents)

    def bounce(self, paid: Payment, at: datetime) -> None:
        self._do(at, "bounce", paid.place, paid.who, name=paid.name, cents=paid.cents, fee=CHECK_FEE)
        self.books.bounced(paid.who, paid.cents, CHECK_FEE)
        day = date.fromisoformat(paid.place.business_day(at))
        self.returned.setdefault((paid.place.name, day), []).extend([(paid.name, paid.cents), (paid.name, CHECK_FEE)])

    # ── the night: payouts, and what the bank has by then ─────────────────────────────────────────────────────────

    def _night(self, day: date) -> None:
        begins = datetime.combine(day + DAY, NIGHT, UTC)
        place = PLACES[0]
        self.later(begins - timedelta(seconds=1), lambda at: self._do(at + timedelta(seconds=1), "tick", place))
        if day.weekday() < 5:
            for one in PLACES:
                self.later(begins + timedelta(minutes=10), lambda at, one=one: self.pay_out(one, at, day))
                self.later(
                    datetime.combine(day, time(5), UTC) + DAY, lambda at, one=one: self._bank(one, at, at.date() - DAY)
                )

    def pay_out(self, place: Place, at: datetime, day: date, name: str = "") -> None:
        if not self.books.lines.get(place.name):
            return
        name = name or f"O{place.letter}{day.isoformat()}"
        cents = self.books.paid_out(place.name)
        arrives = _workday_after(day)
        fails = (place.name, day) in self.fails
        self._do(at, "pay_out", place, name=name, cents=cents, arrives=arrives.isoformat())
        if fails:
            self.later(at + timedelta(hours=6), lambda at: self._fail(place, name, cents, at))
        else:
            self.arriving.setdefault((place.name, arrives), []).append((name, cents))

    def _fail(self, place: Place, name: str, cents: int, at: datetime) -> None:
        self._do(at, "payout_fails", place, name=name, cents=cents)
        self.books.payout_failed(place.name, cents)

    def _bank(self, place: Place, at: datetime, day: date) -> None:
        """The bank's file of that day, on the next morning: payouts and bags of that day, some in two parts."""
        lines: list[tuple[str, int]] = []
        for name, cents in self.arriving.pop((place.name, day), []):
            self._do(at - timedelta(hours=1), "payout_paid", place, name=name)
            if not cents:
                continue
            if (place.name, day) in self.split and cents > 100:
                parts = [cents // 3, cents - cents // 3]
            else:
                parts = [cents]
            lines += [(name, part) for part in parts]
            self.books.arrived(place.name, cents)
        bags: list[tuple[str, int, date]] = []
        for slip, cents, sent in self.bags.pop((place.name, day), []):
            in_two = sent.weekday() == 1 and cents > 100
            bags += [(slip, part, sent) for part in ([cents // 3, cents - cents // 3] if in_two else [cents])]
            self.books.moved(("deposit", place.name), ("bank", ""), cents)
        bounced = self.returned.pop((place.name, day), [])
        self._do(at, "bank_file", place, lines=lines, bags=bags, bounced=bounced, day=day.isoformat())

    # ── what each month has besides (month_specials.py) ───────────────────────────────────────────────────────────────

    def monthly(self, place: Place, at: datetime) -> None:
        self._do(at, "monthly_fee", place, cents=MONTHLY)
        self.books.monthly_fee(place.name, MONTHLY)

    def reserve(self, place: Place, cents: int, at: datetime) -> None:
        self._do(at, "reserve", place, cents=cents)
        self.books.reserved(place.name, cents)

    def in_part(self, place: Place, name: str, cents: int, part: int, at: datetime) -> None:
        """All of a charge is authorized, and this part of it taken an hour later."""
        who = self.account(place)
        self.charge(place, who, f"V{self.number()}", cents, at - timedelta(minutes=2))
        self.payments[name + place.name] = Payment(name + place.name, place, who, part, "card", at, left=part)
        self._do(at, "authorize", place, who, name=name + place.name, cents=cents, how="card")
        self.books.flight[who] += cents
        self.later(at + timedelta(hours=1), lambda at: self._take_part(place, name + place.name, who, cents, part, at))

    def _take_part(self, place: Place, name: str, who: str, cents: int, part: int, at: datetime) -> None:
        self._do(at, "take_part", place, who, name=name, cents=part)
        self.books.flight[who] -= cents
        self.books.captured(place.name, who, part, place.business_day(at))

    def sold(self, place: Place, name: str, cents: int, at: datetime, *, how: str = "page") -> None:
        """A charge a minute before, and all of it paid; without `how` nothing of it."""
        who = self.account(place)
        self.charge(place, who, f"V{self.number()}", cents, at - timedelta(minutes=2))
        if how:
            self.pay(place, who, cents, how, at, name=name + place.name)
        else:
            self.unpaid[name] = who

    def refund_of(self, name: str, place: Place, cents: int, at: datetime) -> None:
        """Without `cents` so much that the payout of this day is below zero."""
        paid = self.payments[name + place.name]
        cents = cents or max(100_00, self.books.net(place.name) + 100_00)
        assert 0 < cents <= paid.left, (self.seed, name, cents)
        self._refund(paid, cents, at)


def _workday_after(day: date) -> date:
    after = day + DAY
    while after.weekday() > 4:
        after += DAY
    return after

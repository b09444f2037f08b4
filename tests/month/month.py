"""Months by seed: `make month SEEDS=20x` (the first so many), `4711` (that one), `100-120` (those between).

Each seed is played twice: as it is, and with one error of each kind planted. Of the first nothing but what the plan
says may be open in the end, of the second the planted errors besides, each as its own kind and with its own amount.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from month_evidence import lacking
from month_looks import Item, at_ehr, closed_as_counted, items, look, should_be, taken_by_day
from month_matched import Legs, lacking_a_reference, matched, rule_of, shown
from month_plan import FIRST, Plan
from month_planted import ALL, ledger_tampered, plant
from month_world import MonthWorld

from sim_time import run, seeds_of


@dataclass
class Score:
    """Of one kind of error: how many were planted, found as what they are, and told besides."""

    planted: int = 0
    found: int = 0
    besides: int = 0

    def add(self, other: Score) -> None:
        self.planted, self.found = self.planted + other.planted, self.found + other.found
        self.besides += other.besides


@dataclass
class Month:
    """What a month came to. `wrong` is what must not be."""

    plan: Plan
    world: MonthWorld
    wrong: list[str] = field(default_factory=list[str])
    open: Counter[Item] = field(default_factory=Counter[Item])
    tampering_found: bool = False

    def should_be(self) -> Counter[Item]:
        """The open items that there should be beside those of planted errors."""
        wanted = should_be(self.plan.books)
        wanted.update(self.world.also)
        return +wanted

    def scores(self) -> dict[str, Score]:
        """By what was planted. What is open and neither planned nor planted counts against its kind of open item."""
        found: dict[str, Score] = {}
        left = self.open - self.should_be()
        for one in self.world.errors:
            score = found.setdefault(one.name, Score())
            score.planted += 1
            if left[one.kind, one.cents] > 0:
                left[one.kind, one.cents] -= 1
                score.found += 1
        for (kind, cents), count in (+left).items():
            found.setdefault(f"{kind} of {cents}, not planted", Score()).besides += count
        for name in self.world.refused:
            found[name] = Score(1, 1)
        for name, (reference, rule) in self.world.by_rule.items():
            found[name] = Score(1, int(rule_of(self.world, reference) == rule))
        if self.world.planted_all:
            off = not closed_as_counted(self.world, self.plan)
            found["drawers that are over and short"] = Score(len(self.plan.offs), len(self.plan.offs) * off)
            found["events that never arrived"] = Score(1, int(self.world.lost == sum(self.world.swept.values()) > 0))
            found["a leg of the ledger that was changed"] = Score(1, int(self.tampering_found))
        return found


def played(plan: Plan, *, errors: bool = False) -> Month:
    """`errors`: with one of each kind that can be planted."""
    world = MonthWorld(plan)
    month = Month(plan, world)
    if errors:
        plant(world, plan)

    async def play() -> None:
        for day in plan.days:
            for act in day.acts:
                await world.play(act, day.day.isoformat())
            await world.night(day.over, {act.place for act in day.acts if act.kind == "close"})
            month.wrong += await look(world, day)
        month.open = await world.units.read(items)
        month.wrong += await lacking(world)
        if errors:
            month.tampering_found = await ledger_tampered(world)

    run(play())
    month.wrong += _at_the_end(month)
    return month


def _at_the_end(month: Month) -> list[str]:
    books, world = month.plan.books, month.world
    ours, taken = taken_by_day(world), books.taken + world.taken
    told = [
        f"{place} took {ours[place]} on {place[1]}, and by the plan {taken[place]}"
        for place in sorted(ours.keys() | taken.keys())
        if ours[place] != taken[place]
    ]
    if not world.planted_all and at_ehr(world) != books.told["ehr"]:
        told.append(f"the EHR was told of {at_ehr(world)}, and by the plan {books.told['ehr']}")
    told += closed_as_counted(world, month.plan)
    if missing := month.should_be() - month.open:
        told.append(f"not open, and by the plan it should be: {dict(missing)}")
    told += [f"never came to be planted: {one.name}" for _, one in world.plants]
    if not world.planted_all:
        told += lacking_a_reference(matched(world))
        told += [f"{says}: {score.besides}" for says, score in month.scores().items()]
    return told


def check(month: Month) -> None:
    """Raises AssertionError with all that is wrong."""
    missed = [
        f"{name}: {score}" for name, score in month.scores().items() if score.found < score.planted or score.besides
    ]
    says = "\n".join(
        ["", *month.wrong[:40], *missed, f"seed {month.plan.seed}; again: make month SEEDS={month.plan.seed}"]
    )
    assert not [*month.wrong, *missed], says


class Tally:
    """What the seeds so far came to."""

    def __init__(self) -> None:
        self.seeds = self.red = 0
        self.scores: dict[str, Score] = {}
        self.legs: Legs = {}  # of months as they are

    def play(self, seed: int) -> None:
        """As it is and planted, the second also where the first isn't as it should be."""
        began = time.process_time()
        plan = Plan(seed, first=FIRST, days=31, visits=4)
        self.seeds += 1
        red = 0
        for errors in (False, True):
            month = played(plan, errors=errors)
            if errors:
                for name, score in month.scores().items():
                    self.scores.setdefault(name, Score()).add(score)
            else:
                for leg, rules in matched(month.world).items():
                    self.legs.setdefault(leg, Counter()).update(rules)
            try:
                check(month)
            except AssertionError as error:
                red = 1
                print(error, flush=True)
        self.red += red
        acts = sum(len(day.acts) for day in plan.days)
        print(f"seed {seed}: {acts} acts in 31 days, {time.process_time() - began:.0f} s of processor time", flush=True)

    def tell(self) -> None:
        kinds = {one.name: one.kind for one in ALL}
        print(f"\n{'planted':53} {'found as':26} {'times':>6} {'recall':>8} {'precision':>10}")
        for name, score in sorted(self.scores.items()):
            recall = score.found / score.planted if score.planted else 0
            told = score.found + score.besides
            precision = score.found / told if told else 0
            print(f"{name:53} {kinds.get(name, ''):26} {score.planted:6} {recall:8.1%} {precision:10.1%}")
        print("\n".join(["", *shown(self.legs)]))
        print(f"{self.seeds - self.red} of {self.seeds} seeds are green", flush=True)


def main(arguments: list[str]) -> int:
    """The table is printed after each seed, of all until then, so that a run that is cut short has told what it saw."""
    tally = Tally()
    for seed in seeds_of(arguments[0] if arguments else "3x"):
        tally.play(seed)
        tally.tell()
    return 1 if tally.red else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

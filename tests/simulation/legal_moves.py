"""The legal moves as data (books_and_states.toml), what was reached of them, and the audit of a till by that data.

`Audit.look` is made after each move: no state change that isn't legal, one effect each by the processor's own list of
money, our books agreeing with themselves and with that list, but for what is on its way. It asks the database and the
processor, and none of the program's own tables of moves.
"""

from __future__ import annotations

import tomllib
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from sim_till import Change, Till

from fhirpay.domain import payout
from fhirpay.domain.payment import fold
from fhirpay.payments import store

Pair = tuple[str, str]
_OPEN = ("prepared", "sent", "unknown")
_WAITS = ("created", "requires_action", "in_review", "authorized", "capture_pending", "processing")
_ENDED = ("declined", "failed", "canceled", "expired")


@dataclass(frozen=True)
class Moves:
    """What the data says of one thing."""

    thing: str
    legal: frozenset[Pair]
    not_reached: dict[Pair, str]
    corrected: dict[Pair, str]

    @property
    def states(self) -> list[str]:
        return sorted({state for pair in self.legal for state in pair})

    @property
    def illegal(self) -> list[Pair]:
        return [(a, b) for a in self.states for b in self.states if (a, b) not in self.legal and a != b]

    def leads(self, old: str, new: str, through: Collection[str] | None = None) -> bool:
        """Whether legal moves lead from one to the other; `through` these states only."""
        seen, ways = {old}, [old]
        while ways:
            here = ways.pop()
            for a, b in self.legal:
                if a == here and b == new:
                    return True
                if a == here and b not in seen and (through is None or b in through):
                    seen.add(b)
                    ways.append(b)
        return False


@cache
def moves_of(thing: str) -> Moves:
    return all_moves()[thing]


@cache
def all_moves() -> dict[str, Moves]:
    data = tomllib.loads((Path(__file__).parent / "books_and_states.toml").read_text(encoding="utf-8"))
    found: dict[str, Moves] = {}
    for thing, said in data.items():
        pairs = {(a, b) for a, following in said["moves"].items() for b in following}
        corrected = {_pair(name): why for name, why in said.get("corrected", {}).items()}
        not_reached = {_pair(name): why for name, why in said.get("not_reached", {}).items()}
        if elsewhere := said.get("elsewhere"):
            not_reached |= dict.fromkeys(pairs, elsewhere)
        assert not corrected.keys() & pairs
        found[thing] = Moves(thing, frozenset(pairs | corrected.keys()), not_reached, corrected)
        assert not_reached.keys() <= found[thing].legal, f"{thing}: a reason for a pair that isn't legal"
    return found


def _pair(said: str) -> Pair:
    old, new = said.split()
    return old, new


class Illegal(AssertionError):
    """A state changed as no table allows."""


@dataclass
class Audit:
    """Of any number of tills, one after the other. `reached` counts each legal pair that was seen."""

    reached: dict[str, Counter[Pair]] = field(default_factory=lambda: defaultdict(Counter))
    looks: int = 0

    def look(self, till: Till, *, whole: bool = True) -> None:
        """`whole`: also what our books say against each other, which takes longest."""
        self.looks += 1
        for change in list(till.changes()):
            self._legal(till, change)
        wrong = effects(till) + shares(till) + clearing(till)
        wrong += till.findings() if whole else []
        assert not wrong, wrong

    def end(self, till: Till) -> None:
        """Everything comes to rest, and then the two books are the same."""
        till.quiet()
        self.look(till)
        till.do(till.sweep())

    def _legal(self, till: Till, change: Change) -> None:
        moves, pair = moves_of(change.thing), (change.old, change.new)
        if pair in moves.legal:
            self.reached[change.thing][pair] += 1
        elif change.thing == "payment":
            # What was told at once may be more than one step; the steps are those of its facts.
            facts = till.do(till.units_ours.read(store.facts_of, change.id))
            path = fold(facts or (), currency="USD").path
            steps = list(pairwise(path))
            if not moves.leads(*pair, through=path):
                raise Illegal(f"payment {change.id} went from {change.old} to {change.new} by {path}")
            for step in steps:
                if (str(step[0]), str(step[1])) not in moves.legal:
                    raise Illegal(f"payment {change.id} was walked by {path}")
                self.reached["payment"][str(step[0]), str(step[1])] += 1
        elif change.thing == "payout" and moves.leads(*pair):
            # What was seen of it is a sample: the steps between are those of the shortest way.
            way = payout.MOVES.way(payout.MOVES.next(payout.PayoutState(pair[0])), payout.PayoutState(pair[1])) or []
            for step in pairwise([pair[0], *map(str, way)]):
                if step not in moves.legal:
                    raise Illegal(f"payout {change.id} was walked from {change.old} to {change.new} by {way}")
                self.reached["payout"][step] += 1
        elif change.thing != "obligation" or not moves.leads(*pair):
            raise Illegal(f"{change.thing} {change.id} went from {change.old} to {change.new}")

    # ── what was reached ──────────────────────────────────────────────────────────────────────────────────────────

    def missing(self) -> list[str]:
        """Legal pairs that were not reached though no reason says why, and such that were though a reason says not."""
        wrong: list[str] = []
        for thing, moves in all_moves().items():
            seen = set(self.reached[thing])
            wanted = moves.legal - set(moves.not_reached)
            wrong += [f"{thing}: {a} → {b} was not reached" for a, b in sorted(wanted - seen)]
            wrong += [f"{thing}: {a} → {b} was reached" for a, b in sorted(seen & set(moves.not_reached))]
        return wrong

    def table(self) -> str:
        lines = [f"legal moves reached, by {self.looks} looks:"]
        for thing, moves in all_moves().items():
            seen = self.reached[thing]
            lines.append(f"  {thing}: {len(set(seen))} of {len(moves.legal)}, {len(moves.not_reached)} with a reason")
            for a, b in sorted(moves.legal):
                times = seen[a, b]
                lines.append(f"    {a:18} → {b:18} {times or moves.not_reached.get((a, b), 'NOT REACHED')}")
        return "\n".join(lines)


# ── the two books ─────────────────────────────────────────────────────────────────────────────────────────────────


def effects(till: Till) -> list[str]:
    """One effect each, by the processor's own documents."""
    books = till.processor.simulator.books
    taken = Counter(one["reference"] for one in books.all("payment") if one["capture"] and not one["voided"])
    given = Counter(one["reference"] for one in books.all("refund") if one["reference"] and one["status"] != "failed")
    wrong = [f"{reference} was taken {count} times" for reference, count in taken.items() if count > 1]
    wrong += [f"{reference} was given back {count} times" for reference, count in given.items() if count > 1]
    for one in books.all("payment"):
        if one["amount_captured"] > one["amount"] or one["amount_refunded"] > one["amount_captured"]:
            wrong.append(f"{one['id']} took {one['amount_captured']}, gave {one['amount_refunded']} of {one['amount']}")
    return wrong


def shares(till: Till) -> list[str]:
    """Allocations sum to their payment, and obligations say of payments what payments say of them."""
    wrong: list[str] = []
    kept = till.rows("SELECT payment_id, sum(reserved_minor) FROM allocation GROUP BY payment_id")
    reserved: dict[str, int] = dict(kept)  # type: ignore[arg-type]
    flying: dict[str, int] = dict(  # type: ignore[arg-type]
        till.rows("SELECT payment_id, sum(in_flight_minor) FROM obligation_share GROUP BY payment_id")
    )
    for payment, state, amount, captured in till.rows(
        "SELECT payment_id, state, amount_minor, captured_minor + voided_minor FROM payment"
    ):
        if reserved.get(payment) != amount:
            wrong.append(f"{payment} is of {amount}, its parts are {reserved.get(payment)}")
        in_flight = amount if state in _WAITS and not captured else 0
        if flying.get(payment, 0) != in_flight:
            wrong.append(f"{payment} is {state}: {flying.get(payment, 0)} is in flight, not {in_flight}")
    for row in till.rows(
        "SELECT o.obligation_id, o.in_flight_minor, o.paid_minor, coalesce(sum(s.in_flight_minor), 0),"
        " coalesce(sum(s.paid_minor), 0) FROM obligation o LEFT JOIN obligation_share s"
        " ON s.obligation_id = o.obligation_id GROUP BY o.obligation_id, o.in_flight_minor, o.paid_minor"
    ):
        if row[1:3] != row[3:5]:
            wrong.append(f"obligation {row[0]} says {row[1:3]}, its payments {row[3:5]}")
    return wrong


def clearing(till: Till) -> list[str]:
    """The ledger's clearing account, payment by payment, against the processor's list of money movements.

    Never more captures than happened there. The very same, but for what is on its way, not known, or not yet told.
    """
    books = till.processor.simulator.books
    of = {one["id"]: one["reference"] for one in books.all("payment")}
    theirs, theirs_taken = Counter[str](), Counter[str]()
    for one in books.movements():
        if not one["payment"]:
            continue  # of a payout, a reserve, a monthly fee: test_settlement_books.py looks after those
        theirs[of[one["payment"]]] += one["amount"]
        theirs_taken[of[one["payment"]]] += one["amount"] if one["type"] == "capture" else 0
    ours, ours_taken = Counter[str](), Counter[str]()
    for payment, kind, minor in till.rows(
        "SELECT p.payment_id, e.kind, sum(CASE p.side WHEN 'debit' THEN p.amount_minor ELSE -p.amount_minor END)"
        " FROM ledger_posting p JOIN ledger_entry e ON e.entry_id = p.entry_id AND e.tenant_id = p.tenant_id"
        " WHERE p.account = 'processor_clearing' AND p.payment_id IS NOT NULL GROUP BY p.payment_id, e.kind"
    ):
        ours[payment] += minor
        ours_taken[payment] += minor if kind == "payment_captured" else 0
    wrong = [
        f"{payment}: {minor} was taken by our books, {theirs_taken[payment]} by theirs"
        for payment, minor in ours_taken.items()
        if minor > theirs_taken[payment]
    ]
    if untold(till):
        return wrong
    open_ = {
        row[0]
        for row in till.rows(
            f"SELECT payment_id FROM operation WHERE state IN {_OPEN}"  # noqa: S608
        )
    }
    wrong += [
        f"{payment}: {ours[payment]} is in clearing, {theirs[payment]} is at the processor"
        for payment in ours.keys() | theirs.keys()
        if payment not in open_ and ours[payment] != theirs[payment]
    ]
    return wrong


def untold(till: Till) -> bool:
    """Whether the processor has said what we have not heard, or something is in somebody's hands."""
    if any(event["id"] not in till.seen_events for event in till.events()):
        return True
    waiting: list[tuple[Any, ...]] = till.rows("SELECT 1 FROM work WHERE queue = 'inbox' AND state = 'ready' LIMIT 1")
    return bool(waiting) or any(not task.done() for task in till._under_way)

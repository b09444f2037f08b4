"""`reconcile_1m`: lines of payouts against payments in the ledger, end to end from stored rows, by a seed's plan.

    python bench_reconcile.py [LINES]      1,000,000 unless said otherwise

The rows are laid by SQL, in the order in which they would have come: payments, their postings, lines that name them,
and by a seed 1 % of breaks and as many that only look like one: equal amounts of a day, lines that name nothing,
captures of a part, refunds in a later payout, payments of this week. What processors call payments, lines and payouts
is in no order. Ours is `Reconcile.look`: matches written, breaks opened; `again` is the same once more, when nothing is
new. The other is SQLite's own join of the two sets, by the same reference, that keeps each pair with both amounts and
what they differ by in a table of its own: the median of three, with the same cache. Seconds of the processor stand
beside those of the clock. What was planted is compared with what was told, and kept from the algorithm until then.
5 times the join, 1 GiB and a cost per row that doesn't grow are wanted: `row` has what a row costs among so many,
against among the fewest, and beside it what one of the join does; `added_row` what each more costs, from one size to
the next.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from harness import row

from fhirpay.config import Facility, Merchant, Tenant
from fhirpay.db.migrations import migrate
from fhirpay.db.unit import open_database
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.payments import store as payments
from fhirpay.reconciliation.verdicts import KINDS
from fhirpay.usecases.reconcile import Reconcile

Seconds = tuple[float, float]  # of the clock and of the processor
SIZES = (10_000, 100_000, 1_000_000)
NOW = datetime.now(UTC)
DAYS = 300  # of payments
TENANT = Tenant(
    facilities=(Facility(name="main", merchant="main"),),
    merchants=(Merchant(name="main", processor="simulated", secret_key="k"),),
)
JOIN = """CREATE TEMP TABLE pair AS SELECT l.line_ref, p.payment_id, l.currency, l.gross_minor, l.fee_minor, l.state,
 g.amount_minor, l.gross_minor - g.amount_minor AS off FROM payout_line l
 CROSS JOIN payment p ON p.tenant_id = l.tenant_id AND p.merchant = l.merchant AND p.processor_ref = l.payment_ref
 CROSS JOIN ledger_posting g ON g.tenant_id = p.tenant_id AND g.payment_id = p.payment_id
  AND +g.account = 'processor_clearing'
 WHERE l.tenant_id = 'main' AND l.merchant = 'main' AND l.kind = 'payment'"""


def micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


class Plan:
    """What is laid, and (`truth`) what has to be told of it: kind → payments or lines."""

    def __init__(self, size: int) -> None:
        self.size, self.dice = size, random.Random(20_261_201 + size)
        self.truth: dict[str, set[str]] = defaultdict(set)
        self.rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self.number = 0
        self.payouts: dict[str, str] = {}

    def lay(self) -> Iterator[None]:
        """Rows in hand after each thousand."""
        share = self.size // 1000  # a tenth of a percent
        odd = [name for name in ODD for _ in range(share)]
        odd += [""] * (self.size - len(odd))
        self.dice.shuffle(odd)
        for name in odd:
            getattr(self, name or "plain")()
            if self.number % 1000 == 0:
                yield
        yield

    # ── what is laid ──────────────────────────────────────────────────────────────────────────────────────────────

    def payment(self, *, at: datetime | None = None, minor: int | None = None, booked_fee: int | None = None) -> Any:
        """A captured payment in the ledger: its id, the processor's, when, and how much."""
        self.number += 1
        at = at or NOW - timedelta(
            days=30 + (DAYS - 30) * (1 - self.number / (1.02 * self.size)) + self.dice.random() / 4
        )
        minor = minor or self.dice.randint(500, 60_000)
        payment, theirs = f"pay{self.number:026d}", f"pi_{self.dice.getrandbits(80):020x}"
        day = at.date().isoformat()
        self.rows["payment"].append((payment, theirs, minor, micros(at), day))
        legs = [("processor_clearing", "debit", minor), ("unapplied_credit", "credit", minor)]
        if booked_fee is not None:
            legs += [("fees", "debit", booked_fee), ("processor_clearing", "credit", booked_fee)]
        for number, (account, side, amount) in enumerate(legs):
            self.rows["posting"].append((f"ent{self.number:026d}", number, account, side, amount, payment))
        return payment, theirs, at, minor

    def line(self, theirs: str, at: datetime, minor: int, *, kind: str = "payment", fee: int = 0, **more: str) -> str:
        """A line that names what the processor calls `theirs`; its id."""
        line = f"txn_{self.dice.getrandbits(80):020x}"
        made = at + timedelta(days=2)
        state, mine, of = more.get("state", "waiting"), more.get("payment", ""), more.get("of", "")
        payout = self.payouts.setdefault(f"{made:%Y%m%d}", f"po_{self.dice.getrandbits(80):020x}")
        self.rows["line"].append(
            (line, payout, kind, minor, fee, minor - fee, theirs, of, micros(at + timedelta(hours=1)), state, mine)
        )
        return line

    def plain(self) -> None:
        if self.number % 10:
            _, theirs, at, minor = self.payment()
            self.line(theirs, at, minor, fee=30)
        else:  # its fee is booked already
            payment, theirs, at, minor = self.payment(booked_fee=30)
            self.line(theirs, at, minor, fee=30, state="booked", payment=payment)

    # ── breaks ────────────────────────────────────────────────────────────────────────────────────────────────────

    def missing(self) -> None:
        self.truth["missing_at_processor"].add(self.payment()[0])

    def twice(self) -> None:
        payment, theirs, at, minor = self.payment()
        self.line(theirs, at, minor)
        self.line(theirs, at + timedelta(days=self.dice.randint(0, 3)), minor)
        self.truth["paid_out_twice"].add(payment)

    def other_amount(self) -> None:
        payment, theirs, at, minor = self.payment()
        self.line(theirs, at, minor + self.dice.choice((-100, -1, 1, 9, 90)))
        self.truth["amount_differs"].add(payment)

    def swapped(self) -> None:
        one, two = self.payment(), self.payment()
        self.line(one[1], two[2], two[3] + 1_00_000)
        self.line(two[1], one[2], one[3])
        self.truth["amount_differs"] |= {one[0], two[0]} if one[3] != two[3] else {one[0]}

    def other_fee(self) -> None:
        payment, theirs, at, minor = self.payment(booked_fee=30)
        self.line(theirs, at, minor, fee=31, state="booked", payment=payment)
        self.truth["fee_differs"].add(payment)

    def unknown(self) -> None:
        at = NOW - timedelta(days=40)
        self.truth["unknown_payment"].add(self.line(f"pi_other_{self.number}_{self.dice.random()}", at, 12_34))
        self.plain()

    def strangers_of_one_amount(self) -> None:
        """A payment in no payout, and that day a line of the same amount that is somebody else's."""
        payment, _, at, minor = self.payment()
        self.truth["missing_at_processor"].add(payment)
        self.truth["unknown_payment"].add(self.line(f"pi_strange_{self.number}", at, minor))

    def nameless_twins(self) -> None:
        """Two equal payments of an hour, and two lines that name nothing: nothing says which is which."""
        one = self.payment(minor=70_000 + self.number)
        two = self.payment(at=one[2] + timedelta(hours=1), minor=one[3])
        for each in (one, two):
            self.truth["missing_at_processor"].add(each[0])
            self.truth["unknown_payment"].add(self.line("", each[2], each[3]))

    # ── what only looks like one ──────────────────────────────────────────────────────────────────────────────────

    def nameless(self) -> None:
        _, _, at, minor = self.payment(minor=2_000_000 + self.number)
        self.line("", at, minor)

    def twins(self) -> None:
        _, theirs, at, minor = self.payment()
        _, others, again, _ = self.payment(at=at, minor=minor)
        self.line(others, again, minor)
        self.line(theirs, at, minor)

    def a_part(self) -> None:
        _, theirs, at, minor = self.payment()
        self.line(theirs, at, minor + 40_00)
        self.line(theirs, at, -40_00, kind="capture_release")

    def refunded_later(self) -> None:
        payment, theirs, at, minor = self.payment()
        self.line(theirs, at, minor)
        refund, re = f"rfd{self.number:026d}", f"re_{self.dice.getrandbits(80):020x}"
        later = at + timedelta(days=20)
        self.rows["refund"].append((refund, payment, minor // 2, re, micros(later), later.date().isoformat()))
        self.line(theirs, later, -(minor // 2), kind="refund", of=re)

    def of_this_week(self) -> None:
        self.payment(at=NOW - timedelta(days=2))


ODD = ("missing", "twice", "other_amount", "swapped", "other_fee", "other_fee", "unknown", "unknown")
ODD += ("strangers_of_one_amount", "nameless_twins")
ODD += ("nameless", "nameless", "twins", "twins", "twins", "a_part", "a_part", "refunded_later", "refunded_later")
ODD += ("of_this_week",)

PUT = {
    "payment": """INSERT INTO payment (tenant_id, payment_id, account_ref, facility, merchant, processor, amount_minor,
 currency, method, initiated_by, requested_by, state, captured_minor, authorized_minor, voided_minor, returned_minor,
 refunded_minor, processor_ref, capture_ref, brand, last4, authorization_code, failure_code, failure_says, created_at,
 changed_at, captured_at, business_date)
 VALUES ('main', ?1, 'Account/a', 'main', 'main', 'simulated', ?3, 'USD', 'stored',
 'customer', 't', 'captured', ?3, ?3, 0, 0, 0, ?2, 'ch_' || ?2, '', '', '', '', '', ?4, ?4, ?4, ?5)""",
    "posting": """INSERT INTO ledger_posting (tenant_id, entry_id, line, account, side, amount_minor, currency,
 payment_id, merchant) VALUES ('main', ?, ?, ?, ?, ?, 'USD', ?, 'main')""",
    "line": """INSERT INTO payout_line (tenant_id, merchant, line_ref, payout_ref, kind, raw_type, gross_minor,
 fee_minor, net_minor, currency, payment_ref, of_ref, our_ref, occurred_at, raw, content_hash, state, payment_id,
 recorded_at) VALUES ('main', 'main', ?1, ?2, ?3, ?3, ?4, ?5, ?6, 'USD', ?7, ?8, '', ?9, '{}', '', ?10, ?11, ?9)""",
    "refund": """INSERT INTO refund (tenant_id, refund_id, payment_id, amount_minor, currency, state, reason,
 requested_by, approved_by, processor_ref, failure_says, created_at, changed_at, succeeded_at, business_date)
 VALUES ('main', ?1, ?2, ?3, 'USD', 'succeeded', '', 't', '', ?4, '', ?5, ?5, ?5, ?6)""",
}


def fill(path: Path, size: int) -> dict[str, set[str]]:
    """Lay the plan; what has to be told."""
    plan = Plan(size)
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA journal_mode = OFF")
    raw.execute("PRAGMA synchronous = OFF")
    raw.execute("PRAGMA cache_size = -500000")
    for _ in plan.lay():
        for name, rows in plan.rows.items():
            raw.executemany(PUT[name], rows)
        plan.rows.clear()
    first = micros(NOW - timedelta(days=DAYS + 5))
    raw.execute(
        """INSERT INTO payout (tenant_id, payout_id, merchant, processor_ref, state, amount_minor, currency, itemised,
 complete, arrives_on, created_at, recorded_at, changed_at, trace)
 VALUES ('main', 'pyo1', 'main', 'po_first', 'paid', 0, 'USD', 1, 1, '', ?1, ?1, ?1, '')""",
        (first,),
    )
    raw.execute("INSERT INTO settlement_mark VALUES ('main', 'main', ?1, ?1)", (micros(NOW),))
    raw.commit()
    raw.execute("PRAGMA journal_mode = WAL")
    raw.close()
    return plan.truth


def bare(path: Path) -> Seconds:
    """Seconds of the clock and of the processor. The pairs are kept, and those that differ are counted."""
    raw = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    raw.execute("PRAGMA cache_size = -32000")  # as db/sqlite.py has it
    begun, worked = time.perf_counter(), time.process_time()
    raw.execute(JOIN)
    raw.execute("SELECT count(*), sum(off), sum(off <> 0) FROM pair").fetchone()
    took = time.perf_counter() - begun, time.process_time() - worked
    raw.close()
    return took


@dataclass(frozen=True)
class Measured:
    size: int
    join: Seconds
    ours: Seconds
    again: Seconds


async def ours(path: Path) -> tuple[list[Seconds], dict[str, set[str]]]:
    """What it took, and took again, and what was told."""
    clock = SystemClock()
    database = open_database(f"sqlite:///{path}", clock=clock, ids=RandomIds(clock))
    await database.start()
    units = database.units("main")
    took: list[Seconds] = []
    unknown = 0
    for _ in range(2):
        begun, worked = time.perf_counter(), time.process_time()
        done = await Reconcile(units, TENANT).look()
        took.append((time.perf_counter() - begun, time.process_time() - worked))
        unknown = done.unknown
        print(f"{path.stem}: {done}", file=sys.stderr)
    told = {kind: {one.subject for one in await units.read(payments.breaks, kind=kind, limit=10**7)} for kind in KINDS}
    await database.stop()
    raw = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    unmatched = """SELECT line_ref FROM payout_line l WHERE NOT EXISTS (SELECT 1 FROM line_match m
 WHERE m.tenant_id = l.tenant_id AND m.merchant = l.merchant AND m.payout_ref = l.payout_ref
 AND m.line_ref = l.line_ref)"""
    told["unknown_payment"] = {one[0] for one in raw.execute(unmatched)}
    by_rule = dict(raw.execute("SELECT rule, count(*) FROM line_match GROUP BY rule"))
    raw.close()
    assert unknown == len(told["unknown_payment"])
    print(f"{path.stem}: matched {by_rule}", file=sys.stderr)
    return took, told


def measure(size: int) -> Measured:
    with tempfile.TemporaryDirectory(dir=Path(__file__).resolve().parents[2] / "build") as folder:
        path = Path(folder) / f"{size}.db"
        migrate(f"sqlite:///{path}")
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:  # so that the peak of memory is ours
            truth = apart.submit(fill, path, size).result()
        bare(path)
        joins = [bare(path), bare(path)]
        (first, again), told = asyncio.run(ours(path))
        joins.append(bare(path))
    join = (statistics.median(one[0] for one in joins), statistics.median(one[1] for one in joins))
    name = named(size)
    row(name, first[0], "s", f"a bare join that keeps its pairs: {join[0]:.2f} s", first[0] / join[0])
    row(f"{name}/cpu", first[1], "s", f"of the processor; the join: {join[1]:.2f} s", first[1] / join[1])
    row(f"{name}/again", again[1], "s", "of the processor; the first time", again[1] / first[1])
    for kind in sorted(truth):
        right = len(truth[kind] & told[kind])
        precision, recall = right / max(1, len(told[kind])), right / len(truth[kind])
        row(f"{name}/{kind}", recall, "recall", f"{len(truth[kind])} planted; precision as ratio", precision)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row(f"{name}/memory", peak, "MiB", "1 GiB", peak / 1024)
    return Measured(size, join, first, again)


def named(size: int) -> str:
    return "reconcile_1m" if size == SIZES[-1] else f"reconcile/{size // 1000}k"


def per_row(measured: list[Measured]) -> None:
    """What a row costs of the processor among so many, and each that is added."""
    fewest = measured[0]
    for one in measured:
        each, first = one.ours[1] / one.size, fewest.ours[1] / fewest.size
        joined, again = one.join[1] / one.size * 1e6, one.again[1] / one.size * 1e6
        row(
            f"{named(one.size)}/row",
            each * 1e6,
            "us",
            f"of the join {joined:.1f} us, again {again:.1f} us",
            each / first,
        )
    added = [
        ((two.ours[1] - one.ours[1]) / (two.size - one.size), (two.join[1] - one.join[1]) / (two.size - one.size), two)
        for one, two in pairwise(measured)
    ]
    for each, joined, two in added:
        beside = f"one that is added to the join: {joined * 1e6:.1f} us"
        row(f"{named(two.size)}/added_row", each * 1e6, "us", beside, each / added[0][0])


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]
    per_row([measure(each) for each in [one for one in SIZES if one < wanted] + [wanted]])

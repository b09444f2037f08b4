"""`aging_1m`: AR aging over a million open obligations on SQLite, against one statement written by hand for these
figures; and what an obligation more costs there, against with ten thousand: the same is wanted.

    python bench_aging.py [OBLIGATIONS]      1,000,000 unless said otherwise

Both read the same file in turn, in one process, and have to give the same rows. One obligation in five is paid in part.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from harness import a_b_a, row

from fhirpay.config import Tenant
from fhirpay.db.migrations import migrate
from fhirpay.db.sqlite import connect
from fhirpay.db.unit import Tx, open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import RandomIds
from fhirpay.domain.money import Money
from fhirpay.reports.frame import Wish, asked, rows
from fhirpay.reports.registry import report_of

FEW, MANY = 10_000, 1_000_000
NOW, DAY = datetime(2026, 11, 30, 12, tzinfo=UTC), date(2026, 11, 30)
TENANT = Tenant(name="main")
# Numbered as our ids are: in the order in which they were made.
_SEED = """
CREATE TEMP TABLE n AS
WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {count})
SELECT n, printf('%026d', n) AS id, date('2026-11-30', '-' || ((n * 7919) % 200) || ' days') AS day,
    1000 + (n * 31) % 90000 AS minor, n % 5 = 0 AS partly FROM counted;
INSERT INTO obligation (tenant_id, obligation_id, account_ref, basis_kind, basis_key, currency, generation, debtor_ref,
    basis_state, state, hold, pending_minor, patient_minor, discount_minor, posted_minor, draws, paid_minor,
    in_flight_minor, statement, targets, facility, revision, created_at, updated_at, patient_ref, payer_class)
SELECT 'main', 'obl' || id, 'Account/' || id, 'invoice', 'Invoice/' || id, 'USD', 1, 'Patient/' || (n / 3),
    'collectable', 'collectable', '', 0, minor, 0, minor, '{{"Invoice/' || id || '": ' || minor || '}}',
    CASE WHEN partly THEN 500 ELSE 0 END, 0, '[]', '[]',
    CASE n % 3 WHEN 0 THEN 'north' WHEN 1 THEN 'south' ELSE 'east' END, 1, 0, 0, 'Patient/' || (n / 3), 'self_pay'
FROM n;
INSERT INTO ledger_entry (tenant_id, entry_id, seq, key, kind, occurred_at, recorded_at, business_date, body, hash)
SELECT 'main', 'ent' || id || 'a', 2 * n - 1, 'owed/' || id, 'unseen_charges_invoiced', 0, 0, day,
    '{{"postings": "' || printf('%0500d', n) || '"}}', printf('%064d', n) FROM n;
INSERT INTO ledger_posting (tenant_id, entry_id, line, account, side, amount_minor, currency, account_ref,
    obligation_id)
SELECT 'main', 'ent' || id || 'a', 1, 'ar_patient', 'debit', minor, 'USD', 'Account/' || id, 'obl' || id FROM n
UNION ALL SELECT 'main', 'ent' || id || 'a', 2, 'charges_control', 'credit', minor, 'USD', NULL, NULL FROM n;
INSERT INTO ledger_entry (tenant_id, entry_id, seq, key, kind, occurred_at, recorded_at, business_date, body, hash)
SELECT 'main', 'ent' || id || 'b', 2 * n, 'paid/' || id, 'payment_allocated', 0, 0, '2026-11-30',
    '{{"postings": "' || printf('%0500d', n) || '"}}', printf('%064d', n) FROM n WHERE partly;
INSERT INTO ledger_posting (tenant_id, entry_id, line, account, side, amount_minor, currency, account_ref,
    obligation_id)
SELECT 'main', 'ent' || id || 'b', 1, 'ar_patient', 'credit', 500, 'USD', 'Account/' || id, 'obl' || id
FROM n WHERE partly
UNION ALL SELECT 'main', 'ent' || id || 'b', 2, 'unapplied_credit', 'debit', 500, 'USD', NULL, NULL FROM n WHERE partly;
DROP TABLE n;
ANALYZE;
"""
_BY_HAND = """
SELECT o.facility, x.currency, COUNT(*), SUM(x.minor),
    SUM(CASE WHEN x.since >= '2026-10-31' THEN x.minor ELSE 0 END),
    SUM(CASE WHEN x.since BETWEEN '2026-10-01' AND '2026-10-30' THEN x.minor ELSE 0 END),
    SUM(CASE WHEN x.since BETWEEN '2026-09-01' AND '2026-09-30' THEN x.minor ELSE 0 END),
    SUM(CASE WHEN x.since BETWEEN '2026-08-02' AND '2026-08-31' THEN x.minor ELSE 0 END),
    SUM(CASE WHEN x.since <= '2026-08-01' THEN x.minor ELSE 0 END)
FROM (
    SELECT p.obligation_id, p.currency,
        SUM(CASE WHEN p.side = 'debit' THEN p.amount_minor ELSE -p.amount_minor END) AS minor,
        MIN(CASE WHEN p.side = 'debit' THEN e.business_date END) AS since
    FROM ledger_posting p JOIN ledger_entry e ON e.tenant_id = p.tenant_id AND e.entry_id = p.entry_id
    WHERE p.tenant_id = 'main' AND p.account = 'ar_patient' AND e.business_date <= '2026-11-30'
    GROUP BY p.obligation_id, p.currency
    HAVING minor <> 0
) x JOIN obligation o ON o.tenant_id = 'main' AND o.obligation_id = x.obligation_id
GROUP BY o.facility, x.currency ORDER BY o.facility, x.currency
"""


class World:
    """A database with so many open obligations, and the two ways to age them: seconds each."""

    def __init__(self, folder: Path, count: int) -> None:
        self._path = folder / f"{count}.db"
        self._url = f"sqlite:///{self._path}"
        migrate(self._url)
        with sqlite3.connect(self._path) as raw:
            raw.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000;")
            raw.executescript(_SEED.format(count=count))
            raw.execute("PRAGMA journal_mode = WAL")
        raw.close()
        self._by_hand: list[tuple[Any, ...]] = []

    def by_hand(self) -> float:
        raw = connect(self._path, read_only=True)
        begun = time.perf_counter()
        self._by_hand = raw.execute(_BY_HAND).fetchall()
        took = time.perf_counter() - begun
        raw.close()
        return took

    def report(self) -> float:
        found, took = asyncio.run(self._report())
        assert found == self._by_hand, (found, self._by_hand)
        return took

    async def _report(self) -> tuple[list[tuple[Any, ...]], float]:
        clock = FrozenClock(NOW)
        database = open_database(self._url, clock=clock, ids=RandomIds(clock), read_only=True)
        await database.start()
        begun = time.perf_counter()
        found = await database.units("main").read(_rows)
        took = time.perf_counter() - begun
        await database.stop()
        return [tuple(one.minor if isinstance(one, Money) else one for one in line) for line in found], took


def _rows(tx: Tx) -> list[list[Any]]:
    report = report_of("aging")
    wish = Wish(as_of=DAY.isoformat(), by=("facility",))
    return list(rows(tx, report, asked(tx, report, wish, TENANT)))


def main(wanted: int) -> None:
    with tempfile.TemporaryDirectory(prefix="fhirpay-bench-") as folder:
        few, many = World(Path(folder), FEW), World(Path(folder), wanted)
        few.by_hand()
        few.report()
        one = min(few.report() for _ in range(5))
        by_hand, took, ratio = a_b_a(many.by_hand, many.report, 3)
        name = "aging_1m" if wanted == MANY else f"aging/{wanted // 1000}k"
        row(name, wanted / took, "obligations/s", f"one statement by hand: {wanted / by_hand:.0f}/s", 1 / ratio)
        each, at_first = took / wanted, one / FEW
        row("aging_row", each * 1e6, "µs", f"each of {FEW}: {at_first * 1e6:.2f} µs", each / at_first)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MANY)

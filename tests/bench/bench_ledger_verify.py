"""`ledger_verify`: entries a second through `verify`, against a bare loop that reads and hashes the same stored rows.

    python bench_ledger_verify.py [ENTRIES]      1,000,000 unless said otherwise

Ours is what `fhirpay ledger verify` runs on the database: the chain, the balance of each entry, what may never be below
zero, and every row beside the texts. The other has one cursor over the same entries, in the order of the chain, and one
over all postings; it hashes each text and compares nothing but the hash. Both open the same SQLite file. `/10k` comes
first, so that the cost of an entry is seen not to grow with how many there are. A ratio of 0.3 or more is wanted.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from harness import a_b_a, row

from fhirpay.db.migrations import migrate
from fhirpay.db.unit import Tx, open_database
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.domain.money import Money
from fhirpay.ledger import rules, store
from fhirpay.ledger.verify import verify

ENTRIES, FEW = 1_000_000, 10_000
UNIT = 1_000  # entries; four of them are a visit

ENTRY = "SELECT * FROM ledger_entry WHERE tenant_id = 'main' ORDER BY seq"
POSTING = "SELECT * FROM ledger_posting WHERE tenant_id = 'main'"


def visits(tx: Tx, first: int) -> None:
    """Charged, shared, paid, allocated."""
    amount = Money(80_00, "USD")
    for number in range(first, first + UNIT // 4):
        obligation, account, payment = f"obl{number:026d}", f"Account/{number // 3:026d}", f"pay{number:026d}"
        at = tx.now - timedelta(seconds=number)
        when = rules.When(occurred_at=at, business_date=at.date())
        share = rules.share_known(obligation, account, amount, **when)
        when["refs"] = {"basis": f"ChargeItem/{number}"}
        store.post(tx, rules.charge_pending(obligation, account, amount, **when), key=f"charge/{obligation}")
        store.post(tx, share, key=f"share/{obligation}")
        store.post(tx, rules.capture(payment, "main", amount, **when), key=f"capture/{payment}")
        allocation = rules.allocate(payment, obligation, amount, account_ref=account, **when)
        store.post(tx, allocation, key=f"allocate/{payment}")


async def _fill(url: str, entries: int) -> None:
    clock = SystemClock()
    database = open_database(url, clock=clock, ids=RandomIds(clock))
    await database.start()
    for first in range(0, entries, UNIT):
        await database.units("main").write(visits, first // 4)
    await database.stop()


async def _verified(url: str, entries: int) -> float:
    clock = SystemClock()
    database = open_database(url, clock=clock, ids=RandomIds(clock), read_only=True)
    await database.start()
    begun = time.perf_counter()
    report = await database.units("main").read(verify)
    took = time.perf_counter() - begun
    await database.stop()
    assert report.ok
    assert report.entries == entries
    return entries / took


def _read(path: Path, entries: int) -> float:
    raw = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    begun = time.perf_counter()
    cursor = raw.execute(ENTRY)
    names = [one[0] for one in cursor.description]
    body, stored = names.index("body"), names.index("hash")
    hashed = 0
    for one in cursor:
        assert hashlib.sha256(one[body].encode()).hexdigest() == one[stored]
        hashed += 1
    for _ in raw.execute(POSTING):
        pass
    took = time.perf_counter() - begun
    raw.close()
    assert hashed == entries
    return entries / took


def measure(name: str, entries: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory(dir=Path(__file__).resolve().parents[2] / "build") as folder:
        path = Path(folder) / "ledger.db"
        url = f"sqlite:///{path}"
        migrate(url)
        asyncio.run(_fill(url, entries))
        bare, ours, ratio = a_b_a(
            lambda: _read(path, entries), lambda: asyncio.run(_verified(url, entries)), rounds=rounds
        )
    row(name, ours, "entries/s", f"a bare loop over the same rows: {bare:.0f}/s", ratio)


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES
    measure("ledger_verify/10k", FEW, 5)
    if wanted > FEW:
        measure("ledger_verify", wanted, 2)

"""`ledger_verify`: entries a second through `verify`, against a bare loop that reads and hashes the same stored rows.

    python bench_ledger_verify.py [ENTRIES]      1,000,000 unless said otherwise

Ours is what `fhirpay ledger verify` runs on the database: the chain, the balance of each entry, what may never be below
zero, and every row beside the texts. A thousand entries are posted as the program posts them, and repeated with other
numbers, each with a text and a hash of its own, until there are as many as wanted. The other has one cursor over the
same entries, in the order of the chain, and one over all postings; it hashes each text and compares nothing but the
hash. Both open the same SQLite file. `/10k` comes first, so that the cost of an entry is seen not to grow with how many
there are. A ratio of 0.3 or more is wanted.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness import a_b_a, row

from fhirpay.db.migrations import migrate
from fhirpay.db.unit import Tx, open_database
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.domain.money import Money
from fhirpay.ledger import rules, store
from fhirpay.ledger.chain import Head, canonical, digest
from fhirpay.ledger.verify import verify

ENTRIES, FEW = 1_000_000, 10_000
UNIT = 1_000  # entries; four of them are a visit
NUMBER = re.compile(r"\d{26}$")
SAID = ("seq", "key", "kind", "occurred_at", "recorded_at", "business_date")
LEGS = """SELECT entry_id, line, account, side, amount_minor, currency, account_ref, obligation_id, payment_id,
 refund_id, merchant, till FROM ledger_posting ORDER BY entry_id, line"""
PUT_ENTRY = """INSERT INTO ledger_entry (tenant_id, entry_id, seq, key, kind, occurred_at, recorded_at, business_date,
 body, hash) VALUES ('main', ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
PUT_LEG = """INSERT INTO ledger_posting (tenant_id, entry_id, line, account, side, amount_minor, currency, account_ref,
 obligation_id, payment_id, refund_id, merchant, till) VALUES ('main', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

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


async def _posted(url: str) -> None:
    clock = SystemClock()
    database = open_database(url, clock=clock, ids=RandomIds(clock))
    await database.start()
    await database.units("main").write(visits, 0)
    await database.stop()


class Pattern:
    """An entry that was posted, to be repeated: every number of 26 digits in it is counted on."""

    def __init__(self, body: str, legs: list[tuple[Any, ...]]) -> None:
        self.body = json.loads(body)
        dims = [leg["dims"] for leg in self.body["postings"]]
        places = [(place, name) for place in (self.body, *dims) for name in place if NUMBER.search(str(place[name]))]
        self._places = [(place, name, *_parts(place[name])) for place, name in places]
        self._legs = [(leg[:5], [_parts(value) for value in leg[5:]]) for leg in legs]

    def again(self, shift: int, head: Head) -> tuple[tuple[Any, ...], list[tuple[Any, ...]]]:
        """The row of the entry that comes after this head, and those of its postings."""
        for place, name, before, number in self._places:
            place[name] = f"{before}{number + shift:026d}"
        entry_id = f"ent{head.seq + 1:026d}"
        self.body |= {"entry_id": entry_id, "seq": head.seq + 1, "prev": head.hash}
        text = canonical(self.body)
        said = [self.body[name] for name in SAID]
        legs = [
            (entry_id, *kept, *(one if number < 0 else f"{one}{number + shift:026d}" for one, number in rest))
            for kept, rest in self._legs
        ]
        return (entry_id, *said, text, digest(text)), legs


def _parts(value: Any) -> tuple[Any, int]:
    """What stands before its number, and the number; the whole and -1 where it has none."""
    found = NUMBER.search(str(value))
    return (value[: found.start()], int(found[0])) if found else (value, -1)


def _patterns(folder: Path) -> list[Pattern]:
    path = folder / "pattern.db"
    migrate(f"sqlite:///{path}")
    asyncio.run(_posted(f"sqlite:///{path}"))
    raw = sqlite3.connect(path)
    legs: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for entry_id, *leg in raw.execute(LEGS):
        legs[entry_id].append(tuple(leg))
    found = raw.execute("SELECT entry_id, body FROM ledger_entry ORDER BY seq").fetchall()
    raw.close()
    return [Pattern(body, legs[entry_id]) for entry_id, body in found]


def _fill(folder: Path, path: Path, entries: int) -> None:
    patterns, head = _patterns(folder), Head()
    raw = sqlite3.connect(path)
    for name in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -500000"):
        raw.execute(f"PRAGMA {name}")
    for shift in range(0, entries // 4, UNIT // 4):
        rows: list[tuple[Any, ...]] = []
        legs: list[tuple[Any, ...]] = []
        for pattern in patterns:
            row_of, legs_of = pattern.again(shift, head)
            rows.append(row_of)
            legs += legs_of
            head = Head(head.seq + 1, row_of[-1])
        raw.executemany(PUT_ENTRY, rows)
        raw.executemany(PUT_LEG, legs)
    raw.execute("INSERT INTO ledger_head (tenant_id, seq, hash) VALUES ('main', ?, ?)", (head.seq, head.hash))
    raw.commit()
    raw.execute("PRAGMA journal_mode = WAL")
    raw.close()


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
        _fill(Path(folder), path, entries)
        bare, ours, ratio = a_b_a(
            lambda: _read(path, entries), lambda: asyncio.run(_verified(url, entries)), rounds=rounds
        )
    row(name, ours, "entries/s", f"a bare loop over the same rows: {bare:.0f}/s", ratio)


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES
    measure("ledger_verify/10k", FEW, 5)
    if wanted > FEW:
        measure("ledger_verify", wanted, 2)

"""`inbox_commit`: messages stored a second by 64 waiting clients, against one commit a row by raw sqlite3.

Ours does all that the ACK path does for each message before it answers: dedupe by the sender's id, place in its lanes,
work queued, the answer kept, COMMIT with `synchronous=FULL`, each client waiting for its own. The other inserts the
same row into the same table, and commits, one after the other: no lanes, no queue, nobody waiting.
Both files are in WAL mode on the same disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from itertools import count
from pathlib import Path

from harness import a_b_a, row
from messages import ACCOUNTS, dft
from sqlalchemy import delete, update
from sqlalchemy.dialects import sqlite

from fhirpay.db.metadata import table
from fhirpay.db.migrations import migrate
from fhirpay.db.unit import Tx, open_database
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.flow.tables import PlaceRow, WorkRow
from fhirpay.inbox.store import Incoming, record
from fhirpay.inbox.tables import InboxRow

CLIENTS = 64
GROUPED = 8_000
SINGLE = 2_500

numbers = count()


def incoming(number: int) -> Incoming:
    account = f"urn:bench|{number % ACCOUNTS}"
    charge = f"charge:ADM|{account}|T{number}"
    return Incoming(
        source="mllp",
        interface="bench",
        kind="hl7",
        key=("ADM", "NORTH", "PAY", "EAST", f"M{number}"),
        body=dft(number),
        body_hash=f"{number:064x}",
        label="DFT^P03",
        lanes=(f"account:{account}",),
        needs=(charge, f"account:{account}"),
        blocks=(charge,),
        suspends=(f"account:{account}",),
        account_keys=(account,),
    )


def answer(message_id: str) -> bytes:
    return b"MSH|^~\\&|PAY|EAST|ADM|NORTH|20261120095900||ACK^P03^ACK|" + message_id.encode() + b"|P|2.5.1\rMSA|AA|M1\r"


def store(tx: Tx, message: Incoming) -> str:
    return record(tx, message, answer=answer).message_id


async def _grouped(url: str) -> float:
    clock = SystemClock()
    database = open_database(url, clock=clock, ids=RandomIds(clock))
    await database.start()
    units = database.units("main")
    waiting = iter([incoming(next(numbers)) for _ in range(GROUPED)])

    async def client() -> None:
        for message in waiting:
            await units.write(store, message, urgent=True)

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    took = time.perf_counter() - begun
    await units.write(worked_off)
    await database.stop()
    return GROUPED / took


def worked_off(tx: Tx) -> None:
    """Workers keep up with their inbox; so the next round doesn't stand behind this one."""
    tx.execute(delete(table(PlaceRow)))
    tx.execute(update(table(WorkRow)).values(state="done", claim_at=None))


def _single(path: Path) -> float:
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA synchronous=FULL")
    insert = str(table(InboxRow).insert().compile(dialect=sqlite.dialect(paramstyle="named")))
    rows = []
    for _ in range(SINGLE):
        message = incoming(next(numbers))
        rows.append(
            {
                "tenant_id": "main",
                "message_id": f"raw{next(numbers):026d}",
                "interface": message.interface,
                "sender_key": '["ADM", "NORTH", "PAY", "EAST"]',
                "control_id": message.key[-1],
                "occurrence": 1,
                "body_hash": message.body_hash,
                "source": "mllp",
                "kind": "hl7",
                "label": message.label,
                "meta": "{}",
                "account_keys": "[]",
                "body": message.body,
                "answer": answer("raw"),
                "work_id": "",
                "state": "received",
                "detail": "",
                "resources": "[]",
                "received_at": 0,
                "changed_at": 0,
            }
        )
    begun = time.perf_counter()
    for values in rows:
        raw.execute("BEGIN IMMEDIATE")
        raw.execute(insert, values)
        raw.execute("COMMIT")
    took = time.perf_counter() - begun
    raw.close()
    return SINGLE / took


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path(__file__).resolve().parents[2] / "build") as folder:
        ours, theirs = Path(folder) / "ours.db", Path(folder) / "theirs.db"
        for path in (ours, theirs):
            migrate(f"sqlite:///{path}")
        single, grouped, ratio = a_b_a(lambda: _single(theirs), lambda: asyncio.run(_grouped(f"sqlite:///{ours}")))
    row("inbox_commit", grouped, "messages/s", f"one commit a row by raw sqlite3: {single:.0f}/s", ratio)


if __name__ == "__main__":
    main()

"""The listener that is fuzzed, in a process of its own: the program's wiring, and a port for each kind of sender.

python fuzz_site.py FOLDER      prints its ports; then a line in, a line of JSON out

forget   throws away what was stored      report   what went wrong in the log, the memory held, Python's objects
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
from collections import Counter
from pathlib import Path

from sqlalchemy import delete

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fuzz_grammar import MAX_BYTES

from fhirpay.config import Facility, Interface, Merchant, Settings, Tenant
from fhirpay.db.metadata import table
from fhirpay.db.migrations import migrate
from fhirpay.db.unit import Tx
from fhirpay.flow.tables import PlaceRow, WorkRow, WorkTopicRow
from fhirpay.inbox.tables import InboxRow
from fhirpay.wiring import System, build

_COMMON = {"mllp_port": 0, "max_bytes": MAX_BYTES, "ack_within_s": 0, "carries_coverage": True, "co_means": "due"}
FEEDS = (
    Interface(name="clinic", namespace="urn:clinic", account_key="PID-18", self_pay_classes=("SP",), **_COMMON),
    Interface(name="visits", namespace="urn:visits", account_key="PV1-19", charset="8859/1", **_COMMON),
    Interface(name="strict", namespace="urn:strict", account_key="PV1-50", unique_ids=True, **_COMMON),
    Interface(name="guarantor", namespace="urn:guarantor", account_key="GT1-2", acknowledge="original", **_COMMON),
)


def settings(url: str) -> Settings:
    merchant = Merchant(name="main", processor="simulated", base_url="https://processor.example", secret_key="k")
    facility = Facility(name="main", bill_hold_days=0)
    tenant = Tenant(name="main", facilities=(facility,), interfaces=FEEDS, merchants=(merchant,))
    return Settings(database=url, hash_key="k" * 32, tenants=(tenant,))


def forget(tx: Tx) -> None:
    for row in (PlaceRow, WorkTopicRow, WorkRow, InboxRow):
        tx.execute(delete(table(row)))


class Heard(logging.Handler):
    """Counts what our log says from warning on; an exception's place is kept."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.counts[record.getMessage()] += 1
        if record.exc_info and len(self.errors) < 20:
            self.errors.append(logging.Formatter().formatException(record.exc_info))


def memory() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def serve(system: System) -> None:
    heard = Heard()
    logging.getLogger("fhirpay").addHandler(heard)
    await system.database.start()
    listeners = system.listeners()
    for listener in listeners:
        await listener.start()
    print(json.dumps([listener.port for listener in listeners]), flush=True)
    while command := await asyncio.to_thread(sys.stdin.readline):
        if command.strip() == "forget":
            await system.house("main").units.write(forget)
            print("{}", flush=True)
        else:
            told = {"memory": memory(), "objects": len(gc.get_objects()), "log": heard.counts, "errors": heard.errors}
            print(json.dumps(told), flush=True)
    for listener in listeners:
        await listener.stop(1)
    await system.close()
    await system.database.stop()


def main() -> None:
    url = f"sqlite:///{Path(sys.argv[1]) / 'fuzz.db'}"
    migrate(url)
    asyncio.run(serve(build(settings(url))))


if __name__ == "__main__":
    main()

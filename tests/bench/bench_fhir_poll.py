"""`fhir_poll`: ChargeItems picked up at an EHR that pages, each checked, kept and queued durably before the next page.

    python bench_fhir_poll.py [CHARGES]      20,000 unless said otherwise; 100,000 for figures that are quoted

The EHR is a process of its own with pages of 100, made beforehand; 1,000 patients with an account each, which the
charges name, are picked up with them. Ours is the program's own loop, on SQLite with `synchronous=FULL` in a file.
The value is charges a second, the ratio to fetching the same pages by the same HTTP client, which reads no more of them
than where the next one is. `/memory` is the resident memory at the end in MiB; the ratio is to that at half of the way:
1 is flat.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from bench_charge_to_posting import BUILD
from harness import row

from fhirpay.config import Connection, Facility, Interface, Merchant, Settings, Tenant
from fhirpay.db.migrations import migrate
from fhirpay.net.http import client
from fhirpay.wiring import System, build

CHARGES, PAGE, PEOPLE = 20_000, 100, 1_000
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
_STATEMENT = {
    "resourceType": "CapabilityStatement",
    "fhirVersion": "4.0.1",
    "rest": [
        {
            "mode": "server",
            "resource": [
                {"type": kind, "interaction": [{"code": "read"}, {"code": "search-type"}]}
                for kind in ("ChargeItem", "Account", "Patient")
            ],
        }
    ],
}


def _moment(number: int) -> datetime:
    return BEGAN + timedelta(milliseconds=10 * number)


def _meta(number: int) -> dict[str, str]:
    return {"versionId": "1", "lastUpdated": _moment(number).isoformat(timespec="milliseconds")}


def _charge(number: int) -> dict[str, Any]:
    who = number % PEOPLE
    return {
        "resourceType": "ChargeItem",
        "id": f"c{number}",
        "meta": _meta(number),
        "identifier": [{"system": "urn:clinic:charges", "value": f"CHG{number}"}],
        "status": "billable",
        "code": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "99213"}], "text": "Office visit"},
        "subject": {"reference": f"Patient/p{who}"},
        "account": [{"reference": f"Account/a{who}"}],
        "occurrenceDateTime": "2026-11-10",
        "quantity": {"value": 1},
        "priceOverride": {"value": 125.5, "currency": "USD"},
    }


def _related(kind: str, id: str) -> dict[str, Any]:
    if kind == "Patient":
        return {"resourceType": kind, "id": id, "meta": _meta(0), "birthDate": "1980-01-01"}
    subject = [{"reference": f"Patient/p{id[1:]}"}]
    return {"resourceType": kind, "id": id, "meta": _meta(0), "status": "active", "subject": subject}


# ── the EHR ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _serve(listening: socket.socket, charges: int) -> None:
    base = f"http://127.0.0.1:{listening.getsockname()[1]}/fhir"
    entries = [json.dumps({"resource": _charge(number)}) for number in range(charges)]

    def page(query: dict[str, list[str]]) -> bytes:
        since = datetime.fromisoformat(query["_lastUpdated"][0].removeprefix("ge").replace("Z", "+00:00"))
        first = max(0, -(-(since - BEGAN) // timedelta(milliseconds=10))) + int(query.get("_offset", ["0"])[0])
        count = int(query["_count"][0])
        following = ""
        if first + count < charges:
            asked = "&".join(f"{name}={query[name][0]}" for name in ("_lastUpdated", "_sort", "_count"))
            url = f"{base}/ChargeItem?{asked}&_offset={int(query.get('_offset', ['0'])[0]) + count}"
            following = f',"link":[{{"relation":"next","url":{json.dumps(url)}}}]'
        shown = ",".join(entries[first : first + count])
        return f'{{"resourceType":"Bundle","type":"searchset"{following},"entry":[{shown}]}}'.encode()

    def found(target: str) -> bytes:
        parts = urlsplit(target)
        path, query = parts.path.removeprefix("/fhir/"), parse_qs(parts.query)
        if path == "metadata":
            return json.dumps(_STATEMENT).encode()
        if path == "ChargeItem":
            return page(query)
        resources = [_related(path, id) for id in unquote(query["_id"][0]).split(",")]
        shown = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources]}
        return json.dumps(shown).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = found(head.split(b" ", 2)[1].decode())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\nconnection: close\r\n")
        writer.write(b"content-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    async def main() -> None:
        await asyncio.start_server(answer, sock=listening)
        await asyncio.Event().wait()

    asyncio.run(main())


@contextmanager
def ehr(charges: int) -> Iterator[str]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(64)
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(listening, charges), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/fhir"
    finally:
        process.terminate()
        process.join()


# ── bare, and ours ────────────────────────────────────────────────────────────────────────────────────────────────


async def fetched(base: str) -> tuple[int, float]:
    """How many charges, and seconds: each page's bytes, and no more of it than its next link."""
    http = client(base, allow_private=True)
    charges, path = 0, f"/ChargeItem?_lastUpdated=ge2026-11-01T00:00:00.000Z&_sort=_lastUpdated&_count={PAGE}"
    begun = time.perf_counter()
    while path:
        answer = await http.send("GET", path)
        charges += answer.body.count(b'"ChargeItem"')
        link = re.search(rb'"relation":"next","url":"([^"]*)"', answer.body)
        path = link[1].decode().removeprefix(base) if link else ""
    took = time.perf_counter() - begun
    await http.aclose()
    return charges, took


def _system(folder: Path, base: str) -> System:
    connection = Connection(
        name="ehr", base_url=base, private_network=True, poll=("ChargeItem",), poll_since=BEGAN, interface="clinic"
    )
    tenant = Tenant(
        name="main",
        facilities=(Facility(name="main", policy="hold"),),
        merchants=(Merchant(name="main", processor="simulated", base_url="https://processor.example", secret_key="k"),),
        interfaces=(Interface(name="clinic", account_key="PID-18", namespace="urn:clinic"),),
        connections=(connection,),
    )
    url = f"sqlite:///{folder}/fhirpay.db"
    migrate(url)
    return build(Settings(database=url, hash_key="k" * 32, tenants=(tenant,)))


async def picked_up(folder: Path, base: str, charges: int) -> tuple[float, float, float]:
    """Seconds, and the resident memory in MiB at half of the way and at the end."""
    system = _system(folder, base)
    await system.database.start()
    kept, half = 0, 0.0
    units = system.house("main").units
    begun = time.perf_counter()
    turn = asyncio.create_task(system.polls("bench")[0].turn())
    while not turn.done():
        await asyncio.wait([turn], timeout=0.25)
        kept = await units.read(_kept)
        if kept >= charges / 2 and not half:
            half = _resident_mib()
    await turn
    took = time.perf_counter() - begun
    if (kept := await units.read(_kept)) != charges:
        raise SystemExit(f"{kept} of {charges} were picked up")
    end = _resident_mib()
    await system.close()
    await system.database.stop()
    return took, half, end


def _kept(tx: Any) -> int:
    from sqlalchemy import text

    return tx.execute(text("SELECT count(*) FROM resource WHERE type = 'ChargeItem'")).scalar_one()


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def main(charges: int) -> None:
    BUILD.mkdir(exist_ok=True)
    with ehr(charges) as base, tempfile.TemporaryDirectory(dir=BUILD) as name:
        before = asyncio.run(fetched(base))
        took, half, end = asyncio.run(picked_up(Path(name), base, charges))
        after = asyncio.run(fetched(base))
    if before[0] != charges or after[0] != charges:
        raise SystemExit(f"{before[0]} of {charges} were fetched")
    row("fhir_poll", charges / took, "charges/s", "fetching the same pages", (before[1] + after[1]) / 2 / took)
    row("fhir_poll/memory", end, "MiB", "at half of the way", end / half)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else CHARGES)

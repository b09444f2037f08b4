"""`fhir_post`: Invoices of ten lines over HTTP, validated and durably stored before their 201.

    python bench_fhir_post.py [INVOICES]      800 a round unless said otherwise

Ours as it is served by role `web`, on SQLite with `synchronous=FULL` in a file of its own; against FastAPI with a body
of `fhir.resources`, which stores nothing. Each is a process of its own; the caller has 16 connections, each with one
request in flight. The value is requests a second, the ratio ours to theirs: 1 or more is wanted.

`/all-roles` is the same with our workers in the same process, where what follows from each Invoice is worked out too.
`/rejections` comes first: 200 bad Invoices are sent to both; the value is how many of those that theirs refuses ours
refuses too, the ratio to all of theirs: 1 is wanted. What only ours refuses (codes, currencies, digits) isn't counted.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from bench_charge_to_posting import BUILD, free_port
from harness import a_b_a, row

from fhirpay.app import ROLES, serving
from fhirpay.config import ApiClient, Facility, Interface, Merchant, Settings, Tenant
from fhirpay.db.migrations import migrate
from fhirpay.wiring import build

INVOICES, CONNECTIONS, BAD = 800, 16, 200
WORD = "fhir-bench"
numbers = count(1)


def invoice(number: int, lines: int = 10) -> dict[str, Any]:
    """Each of a patient and account of its own: what comes from many callers at once."""
    cents = [1000 + 7 * line for line in range(lines)]

    def money(value: int) -> dict[str, Any]:
        return {"value": value / 100, "currency": "USD"}

    return {
        "resourceType": "Invoice",
        "identifier": [{"system": "urn:clinic:invoices", "value": f"INV{number}"}],
        "status": "issued",
        "subject": {"reference": f"Patient/p{number}"},
        "recipient": {"reference": f"Patient/p{number}"},
        "date": "2026-11-10",
        "account": {"reference": f"Account/a{number}"},
        "lineItem": [
            {
                "sequence": line + 1,
                "chargeItemCodeableConcept": {
                    "coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": f"992{line:02}"}],
                    "text": "Office visit",
                },
                "priceComponent": [{"type": "base", "amount": money(value)}],
            }
            for line, value in enumerate(cents)
        ],
        "totalNet": money(sum(cents)),
        "totalGross": money(sum(cents)),
    }


def bad_invoices() -> list[bytes]:
    """Each with one thing wrong, somewhere: of the wrong kind, one too many, unknown, null or gone."""
    chance = random.Random(7)
    made: list[bytes] = []
    while len(made) < BAD:
        bad = copy.deepcopy(invoice(0))
        places = list(_places(bad))
        owner, key = places[chance.randrange(len(places))]
        value = owner[key]
        match chance.randrange(6):
            case 0:
                owner[key] = {"no": "such"} if not isinstance(value, dict) else "text"
            case 1:
                owner[key] = [value] if not isinstance(value, list) else {"0": value}
            case 2:
                owner[key] = None
            case 3 if isinstance(owner, dict):
                owner["noSuchElement"] = "x"
            case 4 if isinstance(owner, dict):
                del owner[key]
            case _:
                owner[key] = "not-a-value of this kind" if isinstance(value, int | float) else 17
        made.append(json.dumps(bad).encode())
    return made


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


# ── the servers ───────────────────────────────────────────────────────────────────────────────────────────────────


async def serve_ours(folder: Path, port: int, *, all_roles: bool) -> None:
    tenant = Tenant(
        name="main",
        facilities=(Facility(name="main", policy="hold"),),
        merchants=(Merchant(name="main", processor="simulated", base_url="https://processor.example", secret_key="k"),),
        interfaces=(Interface(name="clinic", account_key="PID-18", namespace="urn:clinic"),),
        clients=(ApiClient(name="ehr", token=WORD, interface="clinic", scopes=("system/*.cruds",)),),
    )
    url = f"sqlite:///{folder}/fhirpay-{port}.db"
    migrate(url)
    system = build(Settings(database=url, http_port=port, hash_key="k" * 32, tenants=(tenant,)))
    async with serving(system, frozenset(ROLES) if all_roles else frozenset({"web"})):
        await asyncio.Event().wait()


def serve_theirs(port: int) -> None:
    import uvicorn
    from fastapi import FastAPI, Request, Response
    from fastapi.exceptions import RequestValidationError
    from fhir.resources.R4B.invoice import Invoice

    app = FastAPI()

    @app.exception_handler(RequestValidationError)  # its own answer can't be made of all that the library raises: 500
    async def refuse(request: Request, error: RequestValidationError) -> Response:
        return Response(status_code=422)

    async def create(invoice: Invoice) -> Response:
        return Response(status_code=201)

    create.__annotations__["invoice"] = Invoice
    create.__annotations__["return"] = Response
    app.post("/fhir/R4/Invoice")(create)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


@contextmanager
def served(which: str, folder: Path) -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, which, str(folder), str(port)])
    try:
        asyncio.run(_answers(port))
        yield port
    finally:
        process.terminate()
        process.wait(30)


async def _answers(port: int) -> None:
    for _ in range(400):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit(f"nobody answers at {port}")


# ── the caller ────────────────────────────────────────────────────────────────────────────────────────────────────


def post(port: int, bodies: list[bytes]) -> tuple[float, list[int]]:
    """Seconds, and the status of each in order."""
    return asyncio.run(_post(port, bodies))


async def _post(port: int, bodies: list[bytes]) -> tuple[float, list[int]]:
    statuses = [0] * len(bodies)
    waiting = iter(enumerate(bodies))

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, body in waiting:
            writer.write(_HEAD % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            statuses[number] = int(head.split(b" ", 2)[1])
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(length)
        writer.close()

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(caller())
    return time.perf_counter() - begun, statuses


_HEAD = (
    b"POST /fhir/R4/Invoice HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nauthorization: Bearer "
    + WORD.encode()
    + b"\r\ncontent-length: %d\r\n\r\n"
)


def rate(port: int, invoices: int) -> float:
    bodies = [json.dumps(invoice(next(numbers))).encode() for _ in range(invoices)]
    took, statuses = post(port, bodies)
    if set(statuses) != {201}:
        raise SystemExit(f"not all were taken: {sorted(set(statuses))}")
    return invoices / took


def main(invoices: int) -> None:
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as name, served("theirs", Path(name)) as theirs:
        with served("ours", Path(name)) as ours:
            bad = bad_invoices()
            refused = [[400 <= status < 500 for status in post(port, bad)[1]] for port in (theirs, ours)]
            both = sum(a and b for a, b in zip(*refused, strict=True))
            row("fhir_post/rejections", both, "of 200", "FastAPI with fhir.resources", both / sum(refused[0]))
            _, value, ratio = a_b_a(lambda: rate(theirs, invoices), lambda: rate(ours, invoices))
            row("fhir_post", value, "requests/s", "FastAPI with fhir.resources", ratio)
        with served("ours-all-roles", Path(name)) as ours:
            _, value, ratio = a_b_a(lambda: rate(theirs, invoices), lambda: rate(ours, invoices), 3)
            row("fhir_post/all-roles", value, "requests/s", "FastAPI with fhir.resources", ratio)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["theirs", _, port]:
            serve_theirs(int(port))
        case [("ours" | "ours-all-roles") as which, folder, port]:
            asyncio.run(serve_ours(Path(folder), int(port), all_roles=which != "ours"))
        case args:
            main(int(args[0]) if args else INVOICES)

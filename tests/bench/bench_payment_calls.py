"""`payment_calls`: 200 sales at once by our API, each taken, booked and queued for its EHR, against its two bare calls.

    python bench_payment_calls.py [SALES]      200 a round unless said otherwise

Ours as it is served with all roles, on SQLite with `synchronous=FULL`, card numbers screened; every sale has an
account, an obligation and a stored method of its own, and counts when it is `captured`. The processor is the look-alike
of Stripe, a server of the tests in a process of its own. Against it: the same two calls (make an intent, confirm it) of
as many sales at once by the same HTTP client, which stores nothing. The value is sales a second, the ratio ours to
theirs, measured in turn: 0.5 or more is wanted. `/commits` and `/statements` are what a sale costs the database.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx2
from bench_charge_to_posting import BUILD, free_port
from harness import a_b_a, row

from fhirpay.app import ROLES, serving
from fhirpay.config import ApiClient, Facility, Interface, Merchant, Settings, Tenant
from fhirpay.db.migrations import migrate
from fhirpay.db.sqlite import Writing
from fhirpay.db.unit import Tx, open_database
from fhirpay.domain.clock import SystemClock
from fhirpay.domain.ids import RandomIds
from fhirpay.net.http import HttpClient, client
from fhirpay.payments import stored_methods
from fhirpay.payments.port import Method
from fhirpay.usecases import staff
from fhirpay.wiring import build
from payments_world import usd
from stripe_running import INTENT, NEVER, SECRET_KEY
from stripe_server import cards
from stripe_server.app import Server, create_app

SALES, ROUNDS = 200, 3
IN_FLIGHT = 5  # connections that the client has to one destination, ours and bare: more in one pool are slower
WORD = "payment-bench"
numbers = count(1)


def tenant_of(processor: int) -> Tenant:
    return Tenant(
        name="main",
        facilities=(Facility(name="main", merchant="main", policy="request"),),
        merchants=(
            Merchant(
                name="main",
                processor="stripe",
                base_url=f"http://127.0.0.1:{processor}",
                secret_key=SECRET_KEY,
                private_network=True,
                timeout_s=30,
                webhook_secrets=("whsec_bench",),
            ),
        ),
        interfaces=(Interface(name="clinic", account_key="PID-18", namespace="urn:clinic"),),
        clients=(ApiClient(name="desk", token=WORD, interface="clinic"),),
    )


# ── the servers ───────────────────────────────────────────────────────────────────────────────────────────────────


async def serve_ours(folder: Path, port: int, processor: int) -> None:
    """As `fhirpay serve` does it; where it is asked to, what it writes is counted."""
    if (folder / "count").exists():
        _count_into(folder / "counts.json")
    settings = Settings(
        database=f"sqlite:///{folder}/fhirpay.db",
        http_port=port,
        hash_key="k" * 32,
        lease_s=150,
        tenants=(tenant_of(processor),),
    )
    async with serving(build(settings), frozenset(ROLES)):
        await asyncio.Event().wait()


def _count_into(book: Path) -> None:
    """How many commits the one writer makes, and how many statements are in them."""
    counts = {"commits": 0, "statements": 0}
    opened, commit = Writing.__init__, Writing.commit

    def traced(statement: str) -> None:
        counts["statements"] += not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK", "--"))

    def opens(writing: Writing, *args: Any, **more: Any) -> None:
        opened(writing, *args, **more)
        writing.raw.set_trace_callback(traced)

    def commits(writing: Writing) -> None:
        commit(writing)
        counts["commits"] += 1
        book.write_text(json.dumps(counts))

    Writing.__init__, Writing.commit = opens, commits  # type: ignore[method-assign]


def serve_processor(port: int) -> None:
    import uvicorn

    # A stored method is one account's: as many cards as there are payers.
    cards.TABLE.update({f"pm_card_visa_{number}": cards.TABLE["pm_card_visa"] for number in range(SALES * 20)})
    app = create_app(Server(secret_key=SECRET_KEY, webhook_secrets=("whsec_bench",)))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical", access_log=False)


@contextmanager
def served(*args: object) -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, str(args[0]), str(port), *map(str, args[1:])])
    try:
        asyncio.run(_answers(port))
        yield port
    finally:
        process.terminate()
        process.wait(60)


async def _answers(port: int) -> None:
    for _ in range(1200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit(f"nobody answers at {port}")


# ── what is owed ──────────────────────────────────────────────────────────────────────────────────────────────────


async def owed(folder: Path, tenant: Tenant, how_many: int) -> list[bytes]:
    """Accounts that owe, each with a stored method: the bodies with which they pay."""
    from fhirpay.fhir import store as fhir

    url = f"sqlite:///{folder}/fhirpay.db"
    migrate(url)
    clock = SystemClock()
    database = open_database(url, clock=clock, ids=RandomIds(clock))
    await database.start()

    def one(tx: Tx, number: int) -> bytes:
        name = f"pat{number}"
        account = f"Account/{name}"
        fhir.put(tx, {"resourceType": "Patient", "id": name, "birthDate": "1980-01-02"})
        subject = [{"reference": f"Patient/{name}"}]
        fhir.put(tx, {"resourceType": "Account", "id": name, "status": "active", "subject": subject})
        staff.enter_amount(tx, account, usd(50_00), reason="a visit", by="desk", tenant=tenant)
        found = Method(f"pm_card_visa_{number}", "visa", "4242", "2031-12")
        kept = stored_methods.keep(tx, found, account_ref=account, debtor_ref="", merchant="main")
        return json.dumps({"account": account, "method": {"stored_method": kept.method_id}}).encode()

    try:
        units = database.units("main")
        return [await units.write(one, number) for number in range(how_many)]
    finally:
        await database.stop()


# ── the two ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def _bare(port: int, sales: int) -> float:
    """Sales a second of the two calls alone."""
    http = client(f"http://127.0.0.1:{port}", timeout_s=60, allow_private=True)
    form = "&".join(f"{name}={value}" for name, value in {**INTENT, **NEVER, "payment_method": "pm_card_visa"}.items())

    turn = asyncio.Semaphore(IN_FLIGHT)

    async def one(http: HttpClient) -> None:
        number = next(numbers)
        async with turn:
            made = await _call(http, "/v1/payment_intents", form.encode(), f"bare-{number}")
            done = await _call(http, f"/v1/payment_intents/{made['id']}/confirm", b"", f"bare-{number}-confirm")
        if done["status"] != "succeeded":
            raise SystemExit(f"not taken: {done}")

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(sales):
            group.create_task(one(http))
    took = time.perf_counter() - begun
    await http.aclose()
    return sales / took


async def _call(http: HttpClient, path: str, body: bytes, key: str) -> dict[str, Any]:
    headers = {
        "authorization": f"Bearer {SECRET_KEY}",
        "content-type": "application/x-www-form-urlencoded",
        "idempotency-key": key,
    }
    answer = await http.send("POST", path, body=body, headers=headers)
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status}")
    return answer.json_object()


async def _ours(port: int, bodies: list[bytes]) -> float:
    """Sales a second, from the first request to the last capture."""
    head = {"authorization": f"Bearer {WORD}", "content-type": "application/json"}
    limits = httpx2.Limits(max_connections=len(bodies))
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=head, timeout=120, trust_env=False, limits=limits
    ) as http:

        async def asked(call: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
            """Once more where the machine was too busy to answer, with the same key."""
            while True:
                try:
                    return await call()
                except httpx2.TransportError:
                    await asyncio.sleep(0.1)

        async def one(body: bytes) -> None:
            key = {"idempotency-key": f"bench-{next(numbers)}"}
            answer = await asked(lambda: http.post("/api/v1/payments", content=body, headers=key))
            if answer.status_code != 201:
                raise SystemExit(f"{answer.status_code} {answer.text}")
            payment = answer.json()
            while payment["state"] != "captured":
                if payment["state"] != "created":
                    raise SystemExit(f"not taken: {payment}")
                await asyncio.sleep(0.2)
                path = f"/api/v1/payments/{payment['id']}"
                payment = (await asked(lambda path=path: http.get(path))).json()

        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for body in bodies:
                group.create_task(one(body))
        return len(bodies) / (time.perf_counter() - begun)


def main(sales: int) -> None:
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as name, served("processor") as processor:
        folder = Path(name)
        bodies = asyncio.run(owed(folder, tenant_of(processor), sales * (ROUNDS + 2)))
        (folder / "count").touch()
        with served("ours", folder, processor) as port:
            before = _counts(folder)
            asyncio.run(_ours(port, [bodies.pop() for _ in range(sales)]))
            after = _counts(folder)
        (folder / "count").unlink()
        for what in ("commits", "statements"):
            each = (after[what] - before[what]) / sales
            row(f"payment_calls/{what}", each, "a sale", "two calls", each / 2)
        with served("ours", folder, processor) as port:
            _, value, ratio = a_b_a(
                lambda: asyncio.run(_bare(processor, sales)),
                lambda: asyncio.run(_ours(port, [bodies.pop() for _ in range(sales)])),
                ROUNDS,
            )
        row("payment_calls", value, "sales/s", "the two bare calls, as many at once", ratio)


def _counts(folder: Path) -> dict[str, int]:
    found = folder / "counts.json"
    return json.loads(found.read_text()) if found.exists() else {"commits": 0, "statements": 0}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["processor", port]:
            serve_processor(int(port))
        case ["ours", port, folder, processor]:
            asyncio.run(serve_ours(Path(folder), int(port), int(processor)))
        case args:
            main(int(args[0]) if args else SALES)

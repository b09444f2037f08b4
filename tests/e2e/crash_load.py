"""The senders of a crash test: engines, EHRs, desks and payers who keep what got no answer and send it again.

A *case* is one patient's story with a number. Its ids, keys and bytes follow from the number, so it can be begun again
from the start, and so can a whole run: the journal, a file of lines, says what was begun, what was acknowledged and
what has come to its end. Each case's amount is its own: in the books of a processor or an EHR, who know nothing of
ours, it tells which business fact a movement belongs to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2

from fhirpay.fhir.json import dumps, loads

KINDS = ("copay", "charges", "invoice", "refund", "desk")
CHARGES = 4  # messages of a `charges` case, one behind the other on its connection
CARD = "4242424242424242"
SILENT_CARD = "4000000000000119"  # the money is taken, and the processor gives no answer
PATIENCE_S = 150
CLIENT_TOKEN = "crash-client-token"  # noqa: S105 of a test
DAY = "20261120"


@dataclass(frozen=True)
class Case:
    number: int

    @property
    def kind(self) -> str:
        return KINDS[self.number % len(KINDS)]

    @property
    def amount(self) -> int:
        """In cents; never one that the simulated processor declines."""
        return 10_00 + 10 * self.number

    @property
    def paid(self) -> bool:
        return self.kind != "charges"

    @property
    def given_back(self) -> int:
        return self.amount - 5 if self.kind == "refund" else 0

    @property
    def account(self) -> str:
        """As a client names it."""
        if self.kind in ("copay", "charges"):
            return f"urn:clinic:CLINIC|ACC{self.number}"
        return f"Account/a{self.number}"

    @property
    def money(self) -> Decimal:
        return Decimal(self.amount).scaleb(-2)


class Journal:
    """What the senders know, a line each. Opened again it goes on."""

    def __init__(self, path: Path) -> None:
        self.lines: list[dict[str, Any]] = []
        if path.exists():
            *whole, _ = path.read_bytes().split(b"\n")  # what the last death cut short was not said
            self.lines = [json.loads(line) for line in whole]
            path.write_bytes(b"".join(line + b"\n" for line in whole))
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def note(self, **said: Any) -> None:
        self.lines.append(said)
        self._file.write(json.dumps(said) + "\n")

    def all(self, name: str) -> list[Any]:
        """The values of every line that has this name."""
        return [line[name] for line in self.lines if name in line]

    def close(self) -> None:
        self._file.close()


class Engine:
    """An interface engine: a connection, and messages that wait for their answer in order."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, messages: list[bytes]) -> list[bytes]:
        """The answers that came, in order; fewer when the connection broke."""
        answers: list[bytes] = []
        try:
            async with asyncio.timeout(10):
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = self._streams
                frames = b"".join(b"\x0b" + message + b"\x1c\r" for message in messages)
                for part in (frames[:100], frames[100:]):  # the network splits where it likes
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0.001)
                for _ in messages:
                    answers.append((await reader.readuntil(b"\x1c\r"))[1:-2])
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            await self.hang_up()
        return answers

    async def hang_up(self) -> None:
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@dataclass
class Load:
    """Plays case after case in some lanes at once, whatever becomes of the other side."""

    journal: Journal
    http_port: int
    mllp_port: int
    processor_port: int
    lanes: int = 5
    taking_cases: bool = True
    _http: httpx2.AsyncClient | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    _next: int = 1
    _in_hand: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        begun, done = self.journal.all("begun"), set(self.journal.all("done"))
        self._unfinished = [number for number in begun if number not in done]
        self._next = max(begun, default=0) + 1

    async def start(self) -> None:
        self._http = httpx2.AsyncClient(timeout=10, trust_env=False, verify=False)
        self._tasks = [asyncio.create_task(self._lane()) for _ in range(self.lanes)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()

    async def finish(self) -> None:
        """Begin no other case, and see every begun one to its end. Raises what a sender found wrong."""
        self.taking_cases = False
        while self._in_hand or self._unfinished:
            self.check()
            await asyncio.sleep(0.05)
        self.check()

    def go_on(self) -> None:
        self.taking_cases = True

    def check(self) -> None:
        """Raises what a sender found wrong."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    @property
    def cases(self) -> list[Case]:
        """Those that have come to their end."""
        return [Case(number) for number in self.journal.all("done")]

    async def _lane(self) -> None:
        engine = Engine(self.mllp_port)
        try:
            while True:
                if self._unfinished:
                    case = Case(self._unfinished.pop(0))
                elif self.taking_cases:
                    case = Case(self._next)
                    self._next += 1
                    self.journal.note(begun=case.number)
                else:
                    await asyncio.sleep(0.02)
                    continue
                self._in_hand += 1
                await self._play(case, engine)
                self.journal.note(done=case.number)
                self._in_hand -= 1
        finally:
            await engine.hang_up()

    # ── stories ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _play(self, case: Case, engine: Engine) -> None:
        match case.kind:
            case "copay":
                await self._hl7(engine, [arrival(case)])
                await self._store_card(case, CARD, consent=True)
                await self._hl7(engine, [charge(case)])
                await self._captured(case)
            case "charges":
                await self._hl7(engine, [arrival(case)])
                await self._hl7(engine, [insured_charge(case, turn) for turn in range(CHARGES)])
            case "invoice":
                await self._fhir(case)
                started = await self._post(case, "payments", {"account": case.account, "method": {"hosted": {}}})
                await self._fill((await self._payment(started["id"], "hosted_url"))["hosted_url"], CARD)
                await self._captured(case, started["id"])
            case _:
                await self._fhir(case)
                card = SILENT_CARD if case.kind == "desk" else CARD
                method = await self._store_card(case, card, consent=False)
                body = {"account": case.account, "method": {"stored_method": method}}
                started = await self._post(case, "payments", body)
                await self._captured(case, started["id"])
                if case.given_back:
                    amount = {"value": Decimal(case.given_back).scaleb(-2), "currency": "USD"}
                    body = {"payment": started["id"], "amount": amount, "reason": "a crash test"}
                    await self._post(case, "refunds", body)

    async def _store_card(self, case: Case, card: str, *, consent: bool) -> str:
        setup = await self._post(case, "method-setups", {"account": case.account})
        await self._fill(setup["url"], card)
        body: dict[str, Any] = {"account": case.account, "setup": setup["setup"]}
        if consent:
            body["consent"] = {"text": "Charge my copays.", "cap": {"value": Decimal("90000.00"), "currency": "USD"}}
        return (await self._post(case, "stored-methods", body))["id"]

    async def _captured(self, case: Case, payment_id: str = "") -> None:
        if payment_id:
            await self._payment(payment_id, "captured_at")
            return

        async def look() -> Any:
            answer = await self.call("GET", "/api/v1/payments", params={"account": case.account})
            found = loads(answer.content).get("payments", ()) if answer else ()
            return any(payment["captured_at"] for payment in found)

        await self._until(look, f"copay of case {case.number} is captured")

    async def _payment(self, payment_id: str, wanted: str) -> dict[str, Any]:
        async def look() -> Any:
            answer = await self.call("GET", f"/api/v1/payments/{payment_id}")
            found = loads(answer.content) if answer else {}
            return found if found.get(wanted) else None

        return await self._until(look, f"{wanted} of {payment_id}")

    # ── ways to send ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _hl7(self, engine: Engine, messages: list[bytes]) -> None:
        waiting = list(messages)

        async def send() -> Any:
            for answer in await engine.send(waiting):
                code, told = _verdict(answer)
                sent = _control_id(waiting.pop(0))
                assert (code, told) == ("AA", sent), answer
                self.journal.note(acknowledged="hl7", id=sent)
            return not waiting

        await self._until(send, f"{_control_id(messages[0])} is acknowledged")

    async def _fhir(self, case: Case) -> None:
        body = dumps(invoiced(case)).encode()
        headers = {"content-type": "application/fhir+json"}
        await self._sent("POST", "/fhir/R4", content=body, headers=headers)
        self.journal.note(acknowledged="fhir", id=f"i{case.number}")

    async def _post(self, case: Case, what: str, body: dict[str, Any]) -> dict[str, Any]:
        content, key = dumps(body).encode(), f"{case.number}-{what}"
        headers = {"content-type": "application/json", "idempotency-key": key}
        answer = await self._sent("POST", f"/api/v1/{what}", content=content, headers=headers)
        self.journal.note(acknowledged="api", id=key, path=what, sent=content.decode(), answer=answer.text)
        return loads(answer.content)

    async def again(self, line: dict[str, Any]) -> str:
        """The answer to an API request that was answered before."""
        headers = {"content-type": "application/json", "idempotency-key": line["id"]}
        answer = await self._sent("POST", f"/api/v1/{line['path']}", content=line["sent"].encode(), headers=headers)
        return answer.text

    async def _fill(self, url: str, card: str) -> None:
        """What a payer does on the processor's page; done already, it says so."""
        form = {"card": card, "action": "pay"}
        assert self._http is not None
        answer = await self._http.post(url, data=form)
        assert answer.status_code < 400, answer.text

    async def _sent(self, method: str, path: str, **more: Any) -> httpx2.Response:
        said = "no answer yet"

        async def send() -> Any:
            nonlocal said
            answer = await self.call(method, path, **more)
            if answer is not None:
                said = f"{answer.status_code} {answer.text[:300]}"
            return answer if answer is not None and answer.is_success else None

        return await self._until(send, f"{method} {path} is taken", lambda: said)

    async def call(self, method: str, path: str, *, headers: Any = None, **more: Any) -> httpx2.Response | None:
        """The answer, None where none came."""
        assert self._http is not None
        url = f"http://127.0.0.1:{self.http_port}{path}"
        try:
            return await self._http.request(
                method, url, headers={"authorization": f"Bearer {CLIENT_TOKEN}", **(headers or {})}, **more
            )
        except httpx2.HTTPError:
            return None

    async def _until(self, look: Callable[[], Awaitable[Any]], what: str, said: Callable[[], str] = lambda: "") -> Any:
        loop = asyncio.get_running_loop()
        ends, pause = loop.time() + PATIENCE_S, 0.02
        while not (found := await look()):
            assert loop.time() < ends, f"after {PATIENCE_S} s it has not come to this: {what} {said()}"
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.3)
        return found


# ── what is sent ──────────────────────────────────────────────────────────────────────────────────────────────────


def _verdict(answer: bytes) -> tuple[str, str]:
    fields = next(line for line in answer.decode().split("\r") if line.startswith("MSA")).split("|")
    return fields[1], fields[2]


def _control_id(message: bytes) -> str:
    return message.split(b"|", 10)[9].decode()


def _message(trigger: str, control_id: str, case: Case, *rest: str) -> bytes:
    number = case.number
    kind = "ADT^A04^ADT_A01" if trigger == "A04" else "DFT^P03^DFT_P03"
    segments = [
        f"MSH|^~\\&|BILLING|CLINIC|FHIRPAY|MAIN|{DAY}090000||{kind}|{control_id}|P|2.5.1",
        f"EVN|{trigger}|{DAY}090000",
        f"PID|1||MRN{number}^^^CLINIC^MR||Crash^Case{number}||19840312|F||||||||||ACC{number}^^^CLINIC^AN",
        f"PV1|1|O|EXAM^1^^CLINIC||||||||||||||||V{number}^^^CLINIC^VN|HMO",
        *rest,
    ]
    return "\r".join(segments).encode() + b"\r"


def arrival(case: Case) -> bytes:
    coverage = (
        f"IN1|1|HMO1^Health First HMO|HF01^^^CLINIC|Health First||||GRP77|||{DAY[:4]}0101|||HMO|Crash^Case|SEL|19840312"
        + "|" * 19
        + f"HF{case.number}"
    )
    return _message("A04", f"A{case.number}", case, coverage)


def charge(case: Case) -> bytes:
    n = case.number
    return _message(
        "P03",
        f"D{n}",
        case,
        f"FT1|1|T{n}-1||{DAY}|{DAY}|CG|99213^Office visit^C4|||1|180.00&USD|180.00&USD",
        f"FT1|2|T{n}-2||{DAY}|{DAY}|CO|COPAY^Office copay^L|||1|{case.money}&USD",
    )


def insured_charge(case: Case, turn: int) -> bytes:
    n = case.number
    line = f"FT1|1|T{n}-{turn}||{DAY}|{DAY}|CG|99213^Office visit^C4|||1|{turn + 1}.00&USD|{turn + 1}.00&USD"
    return _message("P03", f"C{n}-{turn}", case, line)


def invoiced(case: Case) -> dict[str, Any]:
    """A transaction: patient, account, charge and the invoice that bills it."""
    n = case.number
    subject, account = {"reference": f"Patient/p{n}"}, {"reference": f"Account/a{n}"}
    amount = {"value": case.money, "currency": "USD"}
    resources: list[dict[str, Any]] = [
        {"resourceType": "Patient", "id": f"p{n}", "name": [{"family": "Crash"}], "birthDate": "1990-06-02"},
        {
            "resourceType": "Account",
            "id": f"a{n}",
            "identifier": [{"system": "urn:clinic:account", "value": f"FACC{n}"}],
            "status": "active",
            "subject": [subject],
        },
        {
            "resourceType": "ChargeItem",
            "id": f"c{n}",
            "identifier": [{"system": "urn:clinic:charge", "value": f"c{n}"}],
            "status": "billable",
            "code": {"text": "Office visit"},
            "subject": subject,
            "occurrenceDateTime": "2026-11-20",
            "quantity": {"value": 1},
            "priceOverride": amount,
            "account": [account],
        },
        {
            "resourceType": "Invoice",
            "id": f"i{n}",
            "status": "issued",
            "subject": subject,
            "recipient": subject,
            "date": "2026-11-20",
            "account": account,
            "lineItem": [
                {
                    "sequence": 1,
                    "chargeItemReference": {"reference": f"ChargeItem/c{n}"},
                    "priceComponent": [{"type": "base", "amount": amount}],
                }
            ],
            "totalNet": amount,
            "totalGross": amount,
        },
    ]
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
        for one in resources
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}

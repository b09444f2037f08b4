"""Nothing of the chart leaves towards a processor: by no field, no address, no header, in no writing.

One patient whose every field is a canary (tests/canaries.py) goes through every move of money at each processor; what
the adapter sends is recorded below it, and its fields are compared with an allow-list (processor_fields.toml).
"""

from __future__ import annotations

import json
import logging
import re
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx2
import pytest
from sqlalchemy import text

import canaries
from canaries import KEY, NOTE, found_in
from disputes_world import disputed, heard, the
from fhirpay import log
from fhirpay.config import Till
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir import store as fhir
from fhirpay.flow.worker import Worker
from fhirpay.mapping.loader import load
from fhirpay.payments import store
from fhirpay.usecases.apply_message import ApplyMessage
from fhirpay.usecases.collect import reassess_accounts
from fhirpay.usecases.receive_hl7 import Hl7Intake
from intake_world import FEED, SYSTEM, verdict
from payments_world import DESCRIPTOR, PUBLIC_URL, World, payments_world
from processor_sides import Side, sides

ALLOWED = tomllib.loads((Path(__file__).parent / "processor_fields.toml").read_text())
WORDS = f"{NOTE} {canaries.ICD} for {canaries.GIVEN} {canaries.FAMILY} ({canaries.INITIALS}), {canaries.MRN}"
RETURN_URL = f"https://emr.example.com/{canaries.MRN}?patient={canaries.FAMILY}&visit={canaries.VISIT}"

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),  # what is sent is the same on both
    pytest.mark.warns("operation.unknown", "work.retry", "dispute.opened", "dispute.lost"),
]


@dataclass
class Wire(httpx2.AsyncBaseTransport):
    """The real way out: each request as it went along, with all that the processor had answered before it."""

    sent: list[tuple[httpx2.Request, bytes, str]] = field(default_factory=list[Any])
    answered: str = ""

    def __post_init__(self) -> None:
        self._real = httpx2.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append((request, await request.aread(), self.answered))
        answer = await self._real.handle_async_request(request)
        body = await answer.aread()
        self.answered += body.decode()
        return httpx2.Response(answer.status_code, headers=answer.headers, content=body)

    async def aclose(self) -> None:
        await self._real.aclose()

    def raw(self) -> list[bytes]:
        """Each request, line by line."""
        heads = (
            [f"{request.method} {request.url}".encode(), *(b": ".join(one) for one in request.headers.raw), b"", body]
            for request, body, _ in self.sent
        )
        return [b"\r\n".join(head) for head in heads]


# ── what is said, by name ─────────────────────────────────────────────────────────────────────────────────────────────

# In an address. One made by chance may have no digit: then it is longer than all words of paths but one.
_ID = re.compile(r"(?!storedPaymentMethods\Z)(?=[^/]*[0-9:]|([a-z]+_)*[A-Za-z]{14,}\Z)[A-Za-z0-9_~:.-]{8,}")
_HTTP = frozenset("host accept accept-encoding connection user-agent content-length content-type".split())
Said = Iterator[tuple[str, str]]


def _said(value: Any, above: str = "") -> Said:
    """Every value in a document, under its name. A setting of Authorize.Net's is named by its settingName."""
    if isinstance(value, dict) and "settingName" in value:
        yield from _said(_opened(value["settingValue"]), f"{above}.{value['settingName']}")
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _said(one, f"{above}.{key}" if above else key)
    elif isinstance(value, list):
        for one in value:
            yield from _said(one, f"{above}[]")
    else:
        yield above, str(value)


def _opened(text: str) -> Any:
    return json.loads(text) if text.startswith("{") else text


def _asked(request: httpx2.Request, body: bytes) -> tuple[str, list[str], list[tuple[str, str]]]:
    """What is asked; the ids in its address; and each header, parameter and field with its value."""
    url = urlsplit(str(request.url))
    parts = url.path.split("/")
    asked = f"{request.method} {'/'.join('*' if _ID.fullmatch(part) else part for part in parts)}"
    said = [(f"{name.lower()}:", value) for name, value in request.headers.items() if name.lower() not in _HTTP]
    said += [(f"?{name}", value) for name, value in parse_qsl(url.query, keep_blank_values=True)]
    if "json" in request.headers.get("content-type", "") and body:
        doc = json.loads(body)
        if (root := next(iter(doc), "")).endswith("Request"):
            asked, doc = f"{asked} {root}", doc[root]
        said += _said(doc)
    else:
        form = parse_qsl(body.decode(), keep_blank_values=True)
        said += [(re.sub(r"\[[0-9]+\]", "[]", name), value) for name, value in form]
    return asked, [unquote(part) for part in parts if _ID.fullmatch(part)], said


_OURS = re.compile(r"(pay|ref|set|opn)[0-9a-z]{26}(-((prepare|close)-)?[0-9]{1,3}(-reader)?)?")
_WRITTEN = {
    "reference": _OURS,
    "name": re.compile("[a-z][0-9a-v]{19}"),  # Authorize.Net has room for 20 characters: made of a reference
    "amount": re.compile("[0-9]{1,6}([.][0-9]{2})?"),
    "time": re.compile("2026-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"),
    "last four": re.compile("[0-9]{4}"),
    "address": re.compile(f"{re.escape(PUBLIC_URL)}/api/v1/return/main(/{_OURS.pattern})?"),
    "descriptor": re.compile(re.escape(DESCRIPTOR)),
}


def _may_stand(kinds: str, value: str, side: Side, theirs: str) -> bool:
    """Whether the value is what processor_fields.toml says. `theirs`: all that the processor has ever given us."""
    for kind in kinds.split("|"):
        if kind in _WRITTEN:
            allowed = _WRITTEN[kind].fullmatch(value) is not None
        elif kind == "credential":
            allowed = value.removeprefix("Bearer ") in {side.secret_key, *side.settings.values()}
        elif kind == "theirs":
            allowed = re.search(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", theirs) is not None
        else:
            allowed = value == kind
        if allowed:
            return True
    return False


# ── one patient, every move ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Chart:
    """The patient at a processor; each request of the client's says as much of them as it can."""

    world: World
    account: str
    keys: int = 0

    async def ask(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        self.keys += 1
        headers = {"Idempotency-Key": f"{KEY}-{self.keys}", "X-Patient": canaries.FAMILY, "Referer": RETURN_URL}
        return await self.world.api.post(f"/api/v1/{path}", content=json.dumps(body), headers=headers)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.ask(path, body)
        assert answer.is_success, (path, answer.text)
        await self.world.work(hours=0.01)
        return answer.json()

    async def pays(self, minor: int, **more: Any) -> str:
        amount = {"value": minor / 100, "currency": "USD"}
        return (await self.post("payments", {"account": self.account, "amount": amount, **more}))["id"]


@pytest.fixture(params=sorted(sides()))
def side(request: pytest.FixtureRequest) -> Side:
    return sides()[request.param]


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def chart(database: Database, clock: FrozenClock, side: Side, wire: Wire) -> AsyncIterator[Chart]:
    tills = (Till(name="front", facility=canaries.FACILITY),)
    async with payments_world(database, clock, side=side, transport=wire, tills=tills) as world:
        yield Chart(world, await _arrived(world))


async def _arrived(world: World) -> str:
    """All that the EHR has sent; the patient's account."""
    feed = FEED.model_copy(update={"facility": canaries.FACILITY})
    tenant = world.tenant.model_copy(update={"interfaces": (feed,)})
    intake = Hl7Intake(world.units, feed, b"k" * 32, world.clock, CountedIds(), world.database.wakeups)
    applies = ApplyMessage(world.units, tenant, lambda one: load(one.mapping), b"k" * 32)
    for message in (canaries.arrival(), canaries.insured(), canaries.appointment(), canaries.charges()):
        answers = [answer async for answer in intake.answers(message, source="mllp")]
        assert [verdict(answer) for answer in answers] == ["AA"], answers
    await Worker(world.database, world.units, queue="inbox", handlers={"hl7": applies.hl7}).drain()

    def invoiced(tx: Tx) -> str:
        (account,) = fhir.find(tx, "Account", SYSTEM, canaries.ACCOUNT)
        patient = account.resource["subject"][0]["reference"]
        fhir.put(tx, canaries.invoice(patient, f"Account/{account.id}", Decimal("900.00")))
        reassess_accounts(tx, [f"Account/{account.id}"], tenant)
        return f"Account/{account.id}"

    return await world.units.write(invoiced)


async def _stored(chart: Chart, side: Side) -> str:
    """A card that the payer stored on the processor's page; at Square, which has none, one that is there already."""
    setup, asked = side.tokens["approve"], {"account": chart.account}
    if side.name == "square":
        none = await chart.ask("method-setups", asked)
        assert (none.status_code, "card by its id" in none.text) == (422, True)
    else:
        page = await chart.post("method-setups", asked)
        await chart.world.processor.pay_page(page["url"])
        setup = page["setup"]
    consent = {"text": WORDS, "cap": {"value": 500, "currency": "USD"}}
    return (await chart.post("stored-methods", {**asked, "setup": setup, "consent": consent}))["id"]


async def _moves(chart: Chart, side: Side) -> None:
    """All that can be asked of this processor."""
    world, can = chart.world, chart.world.registry.of("main").capabilities
    stored = {"method": {"stored_method": await _stored(chart, side)}}
    sale = await chart.pays(60_00, **stored)
    hold = await chart.pays(9_00, capture="manual", **stored)
    part = {"amount": {"value": 5, "currency": "USD"}} if can.partial_capture else {}
    await chart.post(f"payments/{hold}/capture", part)
    let_go = await chart.pays(8_00, capture="manual", **stored)
    await chart.post(f"payments/{let_go}/void", {})
    unasked = await chart.pays(7_00, merchant_initiated="unscheduled", **stored)
    await world.processor.fault("confirm", "lost_answer")
    lost = await chart.pays(6_00, **stored)
    page = await chart.pays(50_00, method={"hosted": {"return_url": RETURN_URL}})
    await world.processor.pay_page((await world.units.read(store.get, page)).hosted_url or "")
    await world.work(hours=1, steps=6)
    captured = [sale, hold, unasked, lost, page]
    if side.readers:
        tapped = await chart.pays(4_00, method={"terminal": "front"})
        await world.processor.at_reader(side.readers[0], "tap")
        await world.work(hours=0.1)
        captured.append(tapped)
        canceled = await chart.pays(3_00, method={"terminal": "front"})
        await chart.post(f"payments/{canceled}/cancel", {})
    if side.banks:
        captured.append(await world.debited(chart.account, side.banks["clears"], minor=20_00))
    await world.work(hours=120, steps=5)
    assert [await world.state(one) for one in captured] == ["captured"] * len(captured)
    if not can.refund_before_settlement:
        await world.processor.settle()
    unpaid = await chart.pays(2_00, method={"hosted": {"return_url": RETURN_URL}})
    back = {"payment": sale, "amount": {"value": 5, "currency": "USD"}, "reason": WORDS}
    await chart.post("refunds", back)
    await chart.post(f"payments/{unasked}/reverse", {"reason": WORDS})
    if can.disputes:
        await disputed(world, page)
        await heard(world)
        seen = await the(world, page)
        await chart.post(f"disputes/{seen.dispute_id}/accept", {"by": canaries.DOCTOR, "why": WORDS})
    await world.cancel_invoice("canary-invoice")
    await world.work(hours=48, steps=4)
    assert await world.state(unpaid) in ("expired", "canceled")
    await world.sweep()


async def test_of_a_patient_a_processor_learns_an_opaque_reference_and_an_amount(
    chart: Chart, side: Side, wire: Wire
) -> None:
    with _log() as lines:
        await _moves(chart, side)
    assert [hit for one in wire.raw() if (hit := found_in(one))] == []
    assert set(found_in(lines.getvalue().encode())) <= {canaries.FACILITY}
    stored = [*side.banks.values(), *side.tokens.values(), *await chart.world.units.read(_tokens)]
    cards = [token.replace("-", " ccof:", 1) for token in stored]  # Square's ids of stored cards begin so
    given = json.dumps([chart.world.events(), stored, cards, side.readers])
    list_of, seen, wrong = ALLOWED[side.name], set[str](), list[str]()
    for request, body, answered in wire.sent:
        asked, ids, said = _asked(request, body)
        seen.add(asked)
        names = {*list_of["always"].split(), *list_of["calls"].get(asked, "").split()}
        theirs = answered + given
        wrong += [f"{asked}: {one}" for one in ids if not _may_stand("reference|theirs", one, side, theirs)]
        wrong += [f"{asked}: {name} is sent" for name, _ in said if name not in names]
        kinds = ((name, value, list_of["fields"].get(name, "")) for name, value in said)
        wrong += [
            f"{asked}: {name} is {value}, no {kind}"
            for name, value, kind in kinds
            if not _may_stand(kind, value, side, theirs)
        ]
    assert wrong == []
    assert seen == set(list_of["calls"])


@pytest.mark.parametrize("side", ["simulated"], indirect=True)
@pytest.mark.warns("webhook.refused")
async def test_who_may_not_know_is_told_nothing(chart: Chart, side: Side) -> None:
    """Without a token, with a wrong one, and as a processor whose signature is none."""
    api, account = chart.world.api, chart.account
    body = json.dumps({"account": account, "note": WORDS, "amount": {"value": 1, "currency": "USD"}})
    asked = [
        ("GET", f"/api/v1/payments?account={SYSTEM}|{canaries.ACCOUNT}"),
        ("GET", f"/api/v1/accounts/{account.partition('/')[2]}/balance"),
        ("GET", f"/api/v1/stored-methods?account={account}"),
        ("POST", "/api/v1/payments"),
        ("POST", "/api/v1/refunds"),
        ("POST", f"/webhooks/{side.name}/main"),
    ]
    for method, path in asked:
        for token in ("", f"Bearer {canaries.MRN}"):
            answer = await api.request(method, path, content=body, headers={"Authorization": token})
            assert answer.status_code in (401, 403), (method, path, answer.text)
            assert found_in(answer.content) == [], (method, path, answer.text)


@contextmanager
def _log() -> Iterator[StringIO]:
    """The log as the program writes it, down to its last detail."""
    lines = StringIO()
    root, ours = logging.getLogger(), logging.getLogger("fhirpay")
    before = (root.handlers[:], root.level, ours.handlers[:], ours.level, ours.propagate)
    log.setup("DEBUG", lines)
    ours.handlers += before[2]
    try:
        yield lines
    finally:
        root.handlers, root.level, ours.handlers, ours.level, ours.propagate = before


def _tokens(tx: Tx) -> list[str]:
    """What was stored at the processor without us."""
    rows = tx.all(text("SELECT token FROM stored_method")), tx.all(text("SELECT processor_ref FROM mandate"))
    return [str(one) for some in rows for row in some for one in row.values()]

"""What others say may quote a patient: an EHR's refusal, a field that can't be mapped, a processor's decline, an error
of a library. It stands where people look, in the database; the log of the program as it is served has codes and ids."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import httpx2
import pytest

from fhirpay import log, wiring
from fhirpay.billing import worklist
from fhirpay.config import Connection, Settings
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir.client import EhrRefused
from fhirpay.fhir.json import dumps, loads
from fhirpay.flow.lane import Work, parked
from fhirpay.flow.worker import Worker
from fhirpay.outbox import add
from fhirpay.payments import store as payments
from fhirpay.payments import stored_methods
from fhirpay.payments.port import Method
from fhirpay.simulators.processor import create_app
from fhirpay.usecases.start_payment import NewPayment, start
from intake_world import World, ft1, message, tenant

EHR, SEX, BANK = "Zoe-Ehrcanary", "SEXCANARY", "Zoe-Bankcanary"


@pytest.fixture
def heard() -> Iterator[io.StringIO]:
    """The log as it is written by the program, down to its last detail."""
    lines = io.StringIO()
    root, ours = logging.getLogger(), logging.getLogger("fhirpay")
    before = (root.handlers[:], root.level, ours.handlers[:], ours.level, ours.propagate)
    log.setup("DEBUG", lines)
    yield lines
    root.handlers, root.level, ours.handlers, ours.level, ours.propagate = before


class Outside(httpx2.AsyncBaseTransport):
    """An EHR that refuses what it is sent, and a processor; each quotes the patient."""

    def __init__(self) -> None:
        app = create_app(":memory:", secret_key="k", webhook_url="", webhook_secrets=["s"])
        self._processor = httpx2.ASGITransport(app=app)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.host != "ehr.example":
            answer = await self._processor.handle_async_request(request)
            body = loads(await answer.aread())
            if "error" in body:
                body["error"]["message"] = f"Not for {BANK}."
            return httpx2.Response(answer.status_code, content=dumps(body))
        if request.url.path.endswith("/metadata"):
            kind = {"type": "PaymentReconciliation", "updateCreate": True, "interaction": [{"code": "update"}]}
            statement = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}
            return httpx2.Response(200, json=statement | {"rest": [{"mode": "server", "resource": [kind]}]})
        issue = {"severity": "error", "code": "invalid", "diagnostics": f"{EHR} has no such account"}
        return httpx2.Response(422, json={"resourceType": "OperationOutcome", "issue": [issue]})


def _settings() -> Settings:
    ehr = Connection(name="ehr", base_url="https://ehr.example/fhir", token="t", organization="clinic")
    return Settings(hash_key="k" * 32, tenants=(tenant().model_copy(update={"connections": (ehr,)}),))


async def _pays(w: World, account: str, token: str) -> str:
    ref = await w.account(account)

    def begin(tx: Tx) -> str:
        method = stored_methods.keep(tx, Method(token, "visa", "4242"), account_ref=ref, debtor_ref="", merchant="main")
        wish = NewPayment(account_ref=ref, requested_by="test", method_id=method.method_id)
        return start(tx, wish, w.house.tenant)

    return await w.house.units.write(begin)


@pytest.mark.warns("work.parked", "message.parked", "call.parked")
async def test_what_others_say_reaches_no_log_line(
    database: Database, clock: FrozenClock, ids: CountedIds, heard: io.StringIO
) -> None:
    system = wiring.build(_settings(), clock=clock, ids=ids, database=database, transport=Outside())
    w = World(system, clock)
    try:
        await w.send(message("M1", ft1(1, "CG", "40.00&USD")))
        await w.send(message("M2", ft1(2, "CG", "50.00&USD"), account="A200", pid={3: "MRN2^^^CLINIC^MR"}))
        await w.work()
        await w.send(message("M3", label="ADT^A08", account="A300", pid={3: "MRN3^^^CLINIC^MR", 8: SEX}))
        await w.send(message("M4", ft1(3, "CD", "-9.00&USD"), account="A400", pid={3: "MRN4^^^CLINIC^MR"}))
        await w.send(message("M5", label="ADT^A08", account="A500", pid={3: ""}))
        await w.work()
        paid, declined = await _pays(w, "A100", "tok_visa"), await _pays(w, "A200", "tok_decline")
        for worker in system.workers():
            await worker.drain()
        (mapped,) = await w.received("M3")
        items = await w.house.units.read(worklist.list_open)
        assert SEX in mapped.detail
        assert any(EHR in item.says for item in items)
        assert (await w.house.units.read(payments.get, paid)).state == "captured"
        assert (await w.house.units.read(payments.get, declined)).state == "declined"
    finally:
        await system.close()
    lines = heard.getvalue()
    assert {"work.parked", "message.parked", "call.parked"} <= {loads(line)["event"] for line in lines.splitlines()}
    for canary in (EHR, SEX, BANK, "MRN3", "Doe"):
        assert canary not in lines


@pytest.mark.unsound("what it parks is on no worklist")
@pytest.mark.warns("work.parked")
async def test_the_words_of_an_error_stay_with_the_work(database: Database, heard: io.StringIO) -> None:
    async def refused(_: Work) -> None:
        raise EhrRefused(f"'ehr' refused it: {EHR} has no such account", status=422)

    units = database.units("main")
    await units.write(lambda tx: add(tx, "call", "r1", ["k"]))
    await Worker(database, units, queue="outbox", handlers={"call": refused}).drain()
    (kept,) = await units.read(parked, "outbox")
    assert EHR in str(kept.reason)
    assert loads(heard.getvalue())["code"] == "ehr-refused"
    assert EHR not in heard.getvalue()


def test_a_librarys_line_says_where_and_what_kind(heard: io.StringIO) -> None:
    """Its words may hold what it was working on: `asyncio` shows the whole error of a task that nobody awaited."""
    try:
        raise ValueError(f"{EHR} is no number")
    except ValueError:
        logging.getLogger("asyncio").error("a task of %s failed", EHR, exc_info=True)
    line = loads(heard.getvalue())
    assert (line["event"], line["logger"], line["exception"]) == ("library", "asyncio", "ValueError")
    assert line["place"].startswith("test_log_canaries:")
    assert EHR not in heard.getvalue()


@pytest.mark.warns("a.thing")
def test_a_sentence_is_no_field(heard: io.StringIO) -> None:
    log.Log("test").warning("a.thing", code=f"said of {EHR}", work_id="wrk1", count=2)
    line = loads(heard.getvalue())
    assert (line["work_id"], line["count"], line["dropped"]) == ("wrk1", 2, ["code"])

"""An Invoice that is paid in full is balanced at its EHR, once, after its payment, and in nothing but its status."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from chain_built import Built, charged, paid, refunded, tenant

from ehr_running import TOKEN, Running, running_ehr
from fhirpay.billing.worklist import list_open
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.fhir.access import FixedToken
from fhirpay.fhir.client import EhrRefused, FhirClient, Remote
from fhirpay.flow.lane import release
from fhirpay.flow.worker import Worker
from fhirpay.net.http import client
from fhirpay.payments import store as payments
from fhirpay.usecases.parked import note_parked_call
from fhirpay.usecases.post_back import PostBack
from fhirpay.usecases.post_invoice import PostInvoice
from fhirpay.usecases.postings import BACK, INVOICE_KIND, KIND
from fhirpay.usecases.settled_invoices import settled
from fhirpay.writeback import store
from fhirpay.writeback.store import Posting

THEIRS: dict[str, Any] = {
    "resourceType": "Invoice",
    "id": "inv-1",
    "extension": [{"url": "urn:ehr:region", "valueDecimal": Decimal("0.10")}],
    "identifier": [{"system": "urn:ehr:invoice", "value": "9"}],
    "status": "issued",
    "subject": {"reference": "Patient/p-1"},
    "totalNet": {"value": Decimal("80.00"), "currency": "USD", "extension": [{"url": "urn:x", "valueCode": "y"}]},
    "note": [{"text": "\u00e9 as it came"}],
}
CHANGED = {**THEIRS, "note": [{"text": "changed at the desk"}]}


class Office:
    """One EHR that has the Invoice, our books of it, and the worker that posts."""

    def __init__(self, database: Database, clock: FrozenClock, ehr: Running, writes: tuple[str, ...]) -> None:
        self.units, self.clock, self.ehr = database.units("main"), clock, ehr
        owner = tenant(ehr.base_url, TOKEN)
        (one,) = owner.connections
        self.tenant = owner.model_copy(update={"connections": (one.model_copy(update={"writes": writes}),)})
        self.client = Looked("ehr", client(ehr.base_url, allow_private=True), FixedToken(TOKEN), retry_wait_s=0)
        self.database = database
        self.start()

    def start(self, stage: str = "auto") -> None:
        (one,) = self.tenant.connections
        changed = one.model_copy(update={"stage": stage})
        self.tenant = self.tenant.model_copy(update={"connections": (changed,)})
        clients = {"ehr": self.client}
        handlers = {
            KIND: PostBack(self.units, self.tenant, clients).run,
            INVOICE_KIND: PostInvoice(self.units, self.tenant, clients).run,
        }
        self.worker = Worker(self.database, self.units, queue="outbox", handlers=handlers, on_parked=note_parked_call)
        self.chart(THEIRS)

    def chart(self, invoice: dict[str, Any]) -> None:
        """What happens at the EHR's own screens."""
        self.ehr.ehr.seed({"resourceType": "Patient", "id": "p-1"})
        self.ehr.ehr.chart(invoice)

    async def settle(self, captured: str = "80.00", *, back: str = "") -> Built:
        def all_of_it(tx: Tx) -> Built:
            built = paid(tx, self.tenant, charged(tx, self.tenant), captured)
            return refunded(tx, self.tenant, built, back) if back else built

        self.built = await self.units.write(all_of_it)
        return self.built

    async def work(self, by: timedelta = timedelta(0)) -> None:
        self.clock.advance(by)
        self.ehr.at(self.clock.now())
        await self.worker.drain()

    async def later(self) -> None:
        await self.work(timedelta(hours=1))

    async def posting(self) -> Posting | None:
        known = await self.units.read(store.of_part, "ehr", "Invoice/inv-1")
        return known[0] if known else None

    async def state(self) -> str:
        found = await self.posting()
        return found.state if found else "none"

    async def said(self) -> str:
        return "; ".join(one.says for one in await self.units.read(list_open))

    def there(self) -> dict[str, Any]:
        return self.ehr.ehr.read("Invoice", "inv-1").resource

    def versions(self) -> list[str]:
        return [one["status"] for one in self.ehr.stored("Invoice")]

    def can(self, **switches: bool) -> None:
        for name, value in switches.items():
            setattr(self.ehr.ehr.switches, name, value)


class Looked(FhirClient):
    """With something that happens at the EHR right after the next looks at an Invoice."""

    then: Any = None
    looks = 0

    async def read(self, resource_type: str, id: str) -> Remote | None:
        found = await super().read(resource_type, id)
        if resource_type == "Invoice" and self.looks:
            self.looks -= 1
            self.then()
        return found


@pytest_asyncio.fixture
async def office(database: Database, clock: FrozenClock) -> AsyncIterator[Office]:
    async with running_ehr() as ehr:
        ehr.at(clock.now())
        made = Office(database, clock, ehr, ("PaymentReconciliation", "Invoice"))
        yield made
        await made.client.aclose()


def elements(invoice: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in invoice.items() if name not in ("meta", "status")}


@pytest.mark.parametrize("switches", [{}, {"update": False, "patch": True, "update_create": False}])
async def test_what_is_paid_in_full_is_balanced_and_else_unchanged(office: Office, switches: dict[str, bool]) -> None:
    office.can(**switches)
    await office.settle()
    await office.work()
    assert office.versions() == ["issued", "balanced"]
    assert str(elements(office.there())) == str(elements(THEIRS)), "to the digit, what we don't know too"
    found = await office.posting()
    assert found is not None
    assert (found.state, found.remote_id, found.remote_version) == ("posted", "inv-1", "2")
    await office.later()
    assert office.versions() == ["issued", "balanced"]


async def test_nothing_is_done_where_the_profile_does_not_ask(database: Database, clock: FrozenClock) -> None:
    async with running_ehr() as ehr:
        made = Office(database, clock, ehr, ("PaymentReconciliation",))
        await made.settle()
        await made.work()
        await made.client.aclose()
        assert (len(ehr.stored("PaymentReconciliation")), made.versions(), await made.state()) == (
            1,
            ["issued"],
            "none",
        )


@pytest.mark.parametrize(("captured", "back"), [("50.00", ""), ("80.00", "30.00")])
async def test_what_is_paid_in_part_or_given_back_stays_issued(office: Office, captured: str, back: str) -> None:
    await office.settle(captured, back=back)
    await office.work()
    assert (office.versions(), await office.state()) == (["issued"], "none")


@pytest.mark.warns("posting.put_off")
async def test_it_is_not_before_the_ehr_has_the_payment(office: Office) -> None:
    office.ehr.fault("error", 1, methods=["PUT"])
    await office.settle()
    await office.work()
    assert (office.ehr.stored("PaymentReconciliation"), office.versions(), await office.state()) == (
        [],
        ["issued"],
        "none",
    )
    await office.later()
    assert (len(office.ehr.stored("PaymentReconciliation")), await office.state()) == (1, "posted")


async def test_a_later_refund_is_noted_and_nothing_is_set_back(office: Office) -> None:
    built = await office.settle()
    await office.work()
    await office.units.write(lambda tx: refunded(tx, office.tenant, built))
    await office.work()
    await office.later()
    assert office.versions() == ["issued", "balanced"]
    (item,) = [one for one in await office.units.read(list_open) if one.kind == BACK]
    assert "50.00 USD of its 80.00 USD are with us" in item.says


@pytest.mark.warns("call.parked", "work.parked")
async def test_what_is_open_about_the_money_waits_for_a_person(office: Office) -> None:
    def doubted(tx: Tx, payment_id: str) -> None:
        payments.open_break(tx, "k", "amounts_disagree", "amounts disagree", payment=payments.get(tx, payment_id))

    built = await office.settle()
    await office.units.write(doubted, built.payment)
    await office.work()
    assert (office.versions(), await office.state()) == (["issued"], "parked")
    assert "amounts disagree" in await office.said()
    found = await office.posting()
    assert found is not None
    await office.units.write(lambda tx: payments.close_break(tx, "k", by="ann"))
    await office.units.write(release, found.work_id)
    await office.work()
    assert (office.versions(), await office.state()) == (["issued", "balanced"], "posted")


@pytest.mark.warns("call.parked", "work.parked")
@pytest.mark.parametrize("status", ["cancelled", "entered-in-error", "draft"])
async def test_what_is_no_longer_issued_there_is_for_a_person(office: Office, status: str) -> None:
    office.chart({**THEIRS, "status": status})
    await office.settle()
    await office.work()
    assert (office.versions(), await office.state()) == (["issued", status], "parked")
    assert f"is {status} there, and was paid in full" in await office.said()


async def test_what_the_ehr_has_balanced_itself_is_left_as_it_is(office: Office) -> None:
    office.chart({**THEIRS, "status": "balanced"})
    await office.settle()
    await office.work()
    assert (office.versions(), await office.state()) == (["issued", "balanced"], "posted")


@pytest.mark.warns("call.parked", "work.parked")
async def test_another_total_there_is_for_a_person(office: Office) -> None:
    office.chart({**THEIRS, "totalNet": {"value": Decimal("90.00"), "currency": "USD"}})
    await office.settle()
    await office.work()
    assert (office.there()["status"], await office.state()) == ("issued", "parked")
    assert "is of 90.00 USD there, and 80.00 USD was paid" in await office.said()


@pytest.mark.warns("posting.put_off")
@pytest.mark.parametrize("mode", ["lost_answer", "half_answer", "error_after", "error", "cut", "unavailable", "down"])
async def test_after_a_lost_answer_it_is_balanced_once(office: Office, mode: str) -> None:
    await office.settle()
    office.client.then, office.client.looks = (lambda: office.ehr.fault(mode, 2, methods=["PUT"])), 1
    await office.work()
    for _ in range(3):
        await office.later()
    assert (office.versions(), await office.state()) == (["issued", "balanced"], "posted")


async def test_what_is_changed_meanwhile_is_read_and_decided_again(office: Office) -> None:
    await office.settle()
    office.client.then, office.client.looks = (lambda: office.chart(CHANGED)), 1
    await office.work()
    assert (office.versions(), await office.state()) == (["issued", "issued", "balanced"], "posted")
    assert elements(office.there()) == elements(CHANGED)


@pytest.mark.warns("call.parked", "work.parked")
async def test_what_is_cancelled_meanwhile_stays_cancelled(office: Office) -> None:
    await office.settle()
    office.client.then, office.client.looks = (lambda: office.chart({**THEIRS, "status": "cancelled"})), 1
    await office.work()
    await office.later()
    assert (office.versions(), await office.state()) == (["issued", "cancelled"], "parked")
    found = await office.posting()
    assert found is not None
    assert found.sent_at is None, "it was refused, and so never there"


@pytest.mark.warns("posting.put_off")
async def test_what_is_changed_all_the_time_is_tried_later(office: Office) -> None:
    await office.settle()
    office.client.then, office.client.looks = (lambda: office.chart(CHANGED)), 3
    await office.work()
    assert (office.there()["status"], await office.state()) == ("issued", "pending")
    assert office.ehr.ehr.faults.calls["PUT"] == 4, "the payment's, and three tries"
    await office.later()
    assert (office.there()["status"], await office.state()) == ("balanced", "posted")


@pytest.mark.warns("call.parked", "work.parked")
@pytest.mark.parametrize(
    ("switches", "says"),
    [({"versioning": False}, "doesn't state versioning"), ({"update": False, "update_create": True}, "be updated")],
)
async def test_without_if_match_it_is_not_done_and_told(office: Office, switches: dict[str, bool], says: str) -> None:
    office.can(**switches)
    await office.settle()
    await office.work()
    assert (office.versions(), await office.state()) == (["issued"], "parked")
    assert says in await office.said()
    assert len(office.ehr.stored("PaymentReconciliation")) == 1


@pytest.mark.warns("call.parked", "work.parked")
async def test_a_refusal_is_told_in_its_own_words_and_holds_nothing_else_up(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: Any, **__: Any) -> Remote:
        raise EhrRefused("the EHR 'ehr' answered 403: billing is closed", status=403, connection="ehr")

    await office.settle()
    with monkeypatch.context() as shut:
        shut.setattr(office.client, "update", _unless_invoice(office.client.update, refuses))
        await office.work()
    assert (office.versions(), await office.state()) == (["issued"], "parked")
    assert "billing is closed" in await office.said()
    assert len(office.ehr.stored("PaymentReconciliation")) == 1


@pytest.mark.parametrize("stage", ["shadow", "assist"])
async def test_where_nothing_is_posted_nothing_is_balanced(office: Office, stage: str) -> None:
    office.start(stage)
    await office.settle()
    await office.work()
    assert (office.there()["status"], await office.state()) == ("issued", "none")
    assert office.ehr.ehr.faults.calls["PUT"] == 0


async def test_a_stage_that_is_lowered_meanwhile_stops_it(office: Office) -> None:
    await office.settle()
    office.client.then, office.client.looks = (lambda: office.start("shadow")), 0
    only = Worker(
        office.database,
        office.units,
        queue="outbox",
        handlers={KIND: PostBack(office.units, office.tenant, {"ehr": office.client}).run},
        on_parked=note_parked_call,
    )
    await only.drain()
    assert await office.state() == "pending"
    office.start("shadow")
    await office.work()
    assert (office.there()["status"], await office.state()) == ("issued", "shadow")


def _unless_invoice(update: Any, instead: Any) -> Any:
    async def call(resource_type: str, *given: Any, **more: Any) -> Remote:
        return await (instead if resource_type == "Invoice" else update)(resource_type, *given, **more)

    return call


@pytest.mark.warns("posting.put_off")
async def test_of_two_payments_the_ehr_must_have_both(office: Office) -> None:
    office.ehr.fault("down", 1, methods=["PUT"], seconds=600)
    first = await office.settle("50.00")
    await office.units.write(lambda tx: paid(tx, office.tenant, first, "30.00", number="2"))
    only = [await office.units.read(settled, "Invoice/inv-1", "ehr")]
    await office.work()
    only.append(await office.units.read(settled, "Invoice/inv-1", "ehr"))
    assert [one.short.startswith("the EHR hasn't been told of payment") for one in only] == [True, True]
    assert office.versions() == ["issued"]
    await office.later()
    assert (len(office.ehr.stored("PaymentReconciliation")), office.versions()) == (2, ["issued", "balanced"])

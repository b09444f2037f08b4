"""The adapter to Stripe keeps the contract against `localstripe` too: a second opinion, by people who never met us.

Run as a process of its own. What it doesn't do stands in `localstripe_running.py`: it honours no keys and has no pages,
so those parts of the suite are skipped, as for any processor that doesn't offer them; three tests of refusals that it
doesn't make are left out by name.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from processor_contract import ProcessorContract

from fhirpay.domain.money import Money
from fhirpay.net.http import client
from fhirpay.payments.adapters.stripe import CAPABILITIES, StripeProcessor
from fhirpay.payments.port import Approved, EventAbout, PaymentRequest, Prepared
from localstripe_running import SECRET_KEY, Completed, Doc, listens_on, running_localstripe
from processor_running import webhook_peer
from stripe_server.webhooks import sign

WEBHOOK_SECRET = "whsec_new"  # noqa: S105
OLD_WEBHOOK_SECRET = "whsec_old"  # noqa: S105
# It honours no keys and has no pages; all else is as at Stripe.
OFFERED = replace(CAPABILITIES, idempotency_ttl=None, hosted=False, vault=False)
_CALLS = {"prepare": "/payment_intents", "submit": "/confirm", "capture": "/capture", "void": "/cancel"}
ASKS_THE_PAYER = {
    "type": "card",
    "card[number]": "4000000000003220",
    "card[exp_month]": "12",
    "card[exp_year]": "2034",
    "card[cvc]": "123",
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_localstripe() as base_url:
        yield base_url


class LocalstripeWorld:
    cards: dict[str, str] = {}
    other_live_secret = OLD_WEBHOOK_SECRET

    def __init__(self, base_url: str, wire: Completed, asks: str) -> None:
        http = client(base_url, timeout_s=10, transport=wire, allow_private=True)
        self.processor = StripeProcessor(
            http,
            secret_key=SECRET_KEY,
            webhook_secrets=(WEBHOOK_SECRET, OLD_WEBHOOK_SECRET),
            capabilities=OFFERED,
        )
        self.methods = {"approve": "pm_card_visa", "decline": "pm_card_chargeCustomerFail", "action": asks}
        self._wire = wire

    async def taken(self, our_reference: str) -> int:
        if self._wire.down:
            return 0
        listed = await self._wire.get("/v1/payment_intents?limit=100")
        charges = [doc["latest_charge"] for doc in listed["data"] if doc["metadata"].get("reference") == our_reference]
        return sum(one["amount"] - one["amount_refunded"] for one in charges if one and one["captured"] and one["paid"])

    async def lose_answer(self, operation: str) -> None:
        self._fault(operation, "lost_answer")

    async def lose_request(self, operation: str) -> None:
        self._fault(operation, "lost_request")

    async def fail(self, operation: str, status: int) -> None:
        self._fault(operation, "status", status)

    async def answer_strangely(self, operation: str) -> None:
        self._fault(operation, "weird")

    def _fault(self, operation: str, fault: str, status: int = 0) -> None:
        self._wire.faults.append((_CALLS.get(operation, f"/{operation}s"), fault, status))

    async def down(self) -> None:
        self._wire.down = True

    async def pay(self, url: str, card: str) -> None:
        raise AssertionError("it has no pages")

    async def event(self, our_reference: str) -> bytes:
        def mine(event: Doc) -> bool:
            return event["data"]["object"].get("metadata", {}).get("reference") == our_reference

        events = (await self._wire.get("/v1/events?limit=100"))["data"]
        return json.dumps([event for event in events if mine(event)][-1]).encode()

    def sign(self, body: bytes, at: datetime, secret: str = "") -> dict[str, str]:
        return {"Stripe-Signature": sign([secret or WEBHOOK_SECRET], body, int(at.timestamp()))}


@asynccontextmanager
async def world_at(base_url: str) -> AsyncIterator[LocalstripeWorld]:
    wire = Completed(base_url)
    asks = (await wire.post("/v1/payment_methods", ASKS_THE_PAYER))["id"]
    world = LocalstripeWorld(base_url, wire, asks)
    yield world
    await world.processor.aclose()


class TestLocalstripe(ProcessorContract):
    @pytest.fixture
    async def w(self, address: str) -> AsyncIterator[LocalstripeWorld]:
        async with world_at(address) as world:
            yield world

    test_what_was_voided_is_not_captured = None
    test_refund_in_two_parts_and_never_more = None
    test_over_refund_is_refused = None


def test_it_listens_on_loopback_only(address: str) -> None:
    port = urlsplit(address).port
    assert port
    assert listens_on(port) <= {"::ffff:127.0.0.1", "127.0.0.1"} != set()


async def test_an_event_that_localstripe_signed_and_sent_is_believed(address: str) -> None:
    async with webhook_peer() as peer, world_at(address) as world:
        wire = Completed(address)
        await wire.post("/_config/webhooks/ours", {"url": peer.url, "secret": OLD_WEBHOOK_SECRET})
        request = PaymentRequest("pay" + "7" * 26, Money(125_00, "USD"), "pm_card_visa")
        made = await world.processor.prepare(request, idempotency_key="p")
        assert isinstance(made, Prepared)
        assert isinstance(await world.processor.submit(made.reference, request, idempotency_key="s"), Approved)
        async with asyncio.timeout(60):  # it sends each event a second later: those of earlier tests come too
            while not (mine := [taken for taken in peer.taken if request.reference.encode() in taken[1]]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        headers, body = mine[0]
        [event] = world.processor.read_events(headers, body, now=datetime.now(UTC))
        assert (event.about, event.type) == (EventAbout.PAYMENT, "payment_intent.succeeded")
        assert (event.our_reference, event.processor_reference) == (request.reference, made.reference)

"""The adapter to Adyen keeps the contract, over HTTP, against a strict server written from Adyen's documentation.

The server (`tests/adyen_server`) knows nothing of the adapter; Adyen's own library is its second witness
(`test_adyen_server_sdk.py`). What can't be read there is told by signed events: `told` is what they say so far.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import pytest
from processor_contract import ProcessorContract, World

from adyen_running import API_KEY, HMAC_KEY, OLD_HMAC_KEY, TOKENS, Running, running_adyen
from adyen_server.faults import Fault
from adyen_server.webhooks import delivery
from fhirpay.errors import MessageInvalid, NotAuthenticated
from fhirpay.payments.port import (
    Approved,
    Canceled,
    EventAbout,
    OperationKind,
    OperationRef,
    Outcome,
    ProcessorEvent,
    Unknown,
)

_CALLS = {"submit": "confirm", "close": "expire"}


class AdyenWorld:
    methods = {name: TOKENS[name] for name in ("approve", "decline", "action")}
    cards = {"approve": "4111111111111111", "decline": "4111111111111111 DECLINED"}
    other_live_secret = OLD_HMAC_KEY

    def __init__(self, running: Running, stack: AsyncExitStack) -> None:
        self.processor = running.adapter(timeout_s=2)
        self.taken = running.taken
        self.running = running
        self._stack = stack

    async def lose_answer(self, operation: str) -> None:
        self._fault(operation, "lost_answer")

    async def lose_request(self, operation: str) -> None:
        self._fault(operation, "lost_request")

    async def fail(self, operation: str, status: int) -> None:
        self._fault(operation, "rate_limited" if status == 429 else "before")

    async def answer_strangely(self, operation: str) -> None:
        self._fault(operation, "weird")

    def _fault(self, operation: str, fault: str) -> None:
        self.running.simulator.faults.waiting.append(Fault(_CALLS.get(operation, operation), fault))

    async def down(self) -> None:
        self.taken = None  # its books are closed too
        await self._stack.aclose()

    async def pay(self, url: str, card: str) -> None:
        await self.running.pay_page(url, card)

    def events(self) -> list[ProcessorEvent]:
        """Everything that was to be told so far, read by the adapter, in one delivery."""
        items = self.running.items()
        if not items:
            return []
        return list(self.processor.read_events({}, delivery(items, [HMAC_KEY]), now=datetime.now(UTC)))

    async def told(self, ref: OperationRef) -> Outcome:
        """The newest statement about this operation. A payment that was captured or voided says so of itself."""
        payment = ref.payment_reference or ref.processor_reference
        found: Outcome = Unknown("nothing was told of it")
        for event in self.events():
            says = event.states
            if says is None:
                continue
            last = says.outcomes[-1]
            if ref.kind is OperationKind.REFUND:
                if event.about is EventAbout.REFUND and event.our_reference == ref.our_reference:
                    found = last
            elif ref.kind in (OperationKind.CAPTURE, OperationKind.VOID):
                if says.of is ref.kind and event.processor_reference == payment:
                    found = last
            elif says.of is None and event.our_reference == ref.our_reference:
                found = last
            elif says.of is OperationKind.VOID and event.processor_reference == payment and isinstance(last, Approved):
                found = Canceled(last.reference)
        return found

    async def event(self, our_reference: str) -> bytes:
        mine = [item for item in self.running.items() if item["merchantReference"] == our_reference]
        return delivery(mine[-1:], [HMAC_KEY])

    def sign(self, body: bytes, at: datetime, secret: str = "") -> dict[str, str]:
        """Nothing is in the headers: the signature is in each item."""
        return {"content-type": "application/json"}


@asynccontextmanager
async def adyen_world() -> AsyncIterator[AdyenWorld]:
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(running_adyen())
        world = AdyenWorld(running, stack)
        yield world
        await world.processor.aclose()


def resigned(body: bytes, key: str, **changed: object) -> bytes:
    """The same items, some values of theirs changed, signed with this key."""
    items = [one["NotificationRequestItem"] for one in json.loads(body)["notificationItems"]]
    for item in items:
        item["additionalData"].pop("hmacSignature")
    return delivery([{**item, **changed} for item in items], [key])


def with_signature(body: bytes, signature: object) -> bytes:
    doc = json.loads(body)
    for one in doc["notificationItems"]:
        one["NotificationRequestItem"]["additionalData"]["hmacSignature"] = signature
    return json.dumps(doc).encode()


class TestAdyen(ProcessorContract):
    world = staticmethod(adyen_world)
    signs_time = False

    async def test_refused_unprocessed_is_unavailable_and_nothing_happened(self, w: World) -> None:
        """No page of Adyen's says that a 429 was not processed: it is not believed, and the same key is harmless."""
        request, prepared = await self.sale(w)
        await w.fail("submit", 429)
        assert isinstance(await w.processor.submit(prepared, request, idempotency_key="s"), Unknown)
        assert isinstance(await w.processor.submit(prepared, request, idempotency_key="s"), Approved)
        assert await w.taken(request.reference) == 125_00

    async def test_a_good_event_says_what_to_look_at(self, w: World) -> None:
        request, payment, outcome = await self.paid(w)
        body = await w.event(request.reference)
        at = datetime.now(UTC)
        [event] = w.processor.read_events({}, body, now=at)
        assert event.about is EventAbout.PAYMENT
        assert (event.our_reference, event.processor_reference) == (request.reference, payment)
        assert event.states is not None
        [told] = event.states.outcomes
        assert isinstance(told, Approved)
        assert (told.reference, told.amount, told.payment) == (outcome.reference, outcome.amount, outcome.payment)
        assert w.processor.read_events({}, resigned(body, w.other_live_secret), now=at) == [event]

    async def test_a_forged_stale_or_changed_event_is_refused(self, w: World) -> None:
        """The signature covers eight values of each item, and one item that isn't signed spoils the delivery."""
        request, _, _ = await self.paid(w)
        body = await w.event(request.reference)
        at = datetime.now(UTC)
        item = json.loads(body)["notificationItems"][0]["NotificationRequestItem"]
        signature = item["additionalData"]["hmacSignature"]
        forged: list[bytes] = [resigned(body, "00" * 32), with_signature(body, ""), with_signature(body, None)]
        forged += [
            with_signature(body, ("B" if signature[0] == "A" else "A") + signature[1:]),
            with_signature(body, "=="),
            with_signature(body, "é"),
        ]
        changes: dict[str, object] = {
            "pspReference": "ZZZZZZZZZZZZZZZZ",
            "originalReference": "ZZZZZZZZZZZZZZZZ",
            "merchantAccountCode": "SomebodyElse",
            "merchantReference": "pay0000000000000000000",
            "amount": {"value": 1, "currency": "USD"},
            "eventCode": "REFUND",
            "success": "false",
        }
        for name, value in changes.items():
            doc = json.loads(body)
            doc["notificationItems"][0]["NotificationRequestItem"][name] = value
            forged.append(json.dumps(doc).encode())
        beside = json.loads(resigned(body, "00" * 32))["notificationItems"]
        for items in ([item_of(body), *beside], [*beside, item_of(body)]):
            forged.append(json.dumps({"live": "false", "notificationItems": items}).encode())
        for changed in forged:
            with pytest.raises(NotAuthenticated):
                w.processor.read_events({}, changed, now=at)
        assert w.processor.read_events({}, body, now=at)

    async def test_two_items_with_one_text_to_sign_are_not_both_taken(self, w: World) -> None:
        """A colon in the first two values would let them be read in another way."""
        request, payment, _ = await self.paid(w)
        body = await w.event(request.reference)
        shifted = resigned(body, HMAC_KEY, pspReference=f"{payment}:", originalReference="")
        with pytest.raises(NotAuthenticated):
            w.processor.read_events({}, shifted, now=datetime.now(UTC))

    async def test_several_items_are_several_events(self, w: World) -> None:
        for _ in range(3):
            await self.paid(w)
        assert isinstance(w, AdyenWorld)
        ids = [event.id for event in w.events()]
        assert len(set(ids)) == 3

    async def test_what_is_told_for_another_account_is_kept_and_states_nothing(self, w: World) -> None:
        request, _, _ = await self.paid(w)
        body = resigned(await w.event(request.reference), HMAC_KEY, merchantAccountCode="AnotherPractice")
        [event] = w.processor.read_events({}, body, now=datetime.now(UTC))
        assert (event.about, event.states) == (EventAbout.OTHER, None)

    @pytest.mark.parametrize(
        "changed",
        [
            {"success": "perhaps"},
            {"amount": {"value": "12", "currency": "USD"}},
            {"amount": {"value": 12, "currency": "XXXX"}},
            {"eventDate": "yesterday"},
        ],
    )
    async def test_a_signed_item_that_is_no_event_is_invalid(self, w: World, changed: Mapping[str, object]) -> None:
        request, _, _ = await self.paid(w)
        body = resigned(await w.event(request.reference), HMAC_KEY, **changed)
        with pytest.raises(MessageInvalid):
            w.processor.read_events({}, body, now=datetime.now(UTC))

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"{", b'{"notificationItems": []}', b"null", b'{"live": 1}', b"[" * 9999]
    )
    async def test_a_signed_body_that_is_no_event_is_invalid(self, w: World, body: bytes) -> None:
        """A signature is inside an item: without one there is nothing that anybody signed."""
        with pytest.raises(NotAuthenticated):
            w.processor.read_events({}, body, now=datetime.now(UTC))

    async def test_scrub_leaves_no_secret(self, w: World) -> None:
        request, _, _ = await self.paid(w)
        body = await w.event(request.reference)
        signature = json.loads(body)["notificationItems"][0]["NotificationRequestItem"]["additionalData"][
            "hmacSignature"
        ]
        sent = json.dumps({"storedPaymentMethodId": "M5N7TQ4TG5PFWR50"})
        text = f"X-API-Key: {API_KEY}\n{body.decode()}\nmethod={w.methods['approve']}\nkey={HMAC_KEY}\n{sent}"
        text = w.processor.scrub(text)
        for secret in (API_KEY, signature, w.methods["approve"], HMAC_KEY, "M5N7TQ4TG5PFWR50"):
            assert secret not in text


def item_of(body: bytes) -> object:
    return json.loads(body)["notificationItems"][0]

"""Adapter to Square: an order first, which moves nothing; then its one payment, so that a lost answer is read off it.

Built by `registry` from a merchant's configuration; called through the port. Plain HTTP calls with JSON, the API's
version pinned. How an answer is read stands in square_wire.py, what a refusal means in square_declines.py; here is only
what to call, and which answers mean that nothing happened:

| answer | of prepare, open page, and what is read first (no money) | of submit, capture, void, refund |
|---|---|---|
| never sent, 429 | ProcessorUnavailable | ProcessorUnavailable |
| 401, 403, an order of ours that isn't there | ProcessorMisconfigured: a person has to act | the same |
| 200 | Prepared | by the status table; unrecognised → Unknown |
| PAYMENT_METHOD_ERROR | — | Declined; ActionNeeded where the bank wants the payer verified |
| INVALID_REQUEST_ERROR, REFUND_ERROR | Declined | Declined, unless the order shows that it has been paid |
| 409, a key used for something else, 5xx, no answer | ProcessorUnavailable | Unknown |

`prepare` makes an Order and its id is the payment's reference here: Square finds no payment by key, reference or order,
and lists with a lag, but an order names its payments at once; and an order that is paid can't be paid again, whatever
key a payment comes with (how long a key lives is not published). So a sale is one call; to hold first and complete
afterwards would make two of it, and leave a hold on the payer's card where the second is never made.

An authorization is a payment of the order that isn't completed; PayOrder completes it and lets every other hold on that
order go. Cancelling by key succeeds also where nothing was found: it proves nothing, and is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ...domain.money import Money
from ...errors import ConfigInvalid, ProcessorMisconfigured, ProcessorNotReached, ProcessorUnavailable, RuleBroken
from ...net.http import HttpClient, NeverSent, Uncertain
from ..declines import DeclineCode
from ..event_list import EventPage
from ..port import (
    ActionNeeded,
    Approved,
    Canceled,
    Capabilities,
    Declined,
    DisputeSeen,
    Method,
    OperationKind,
    OperationRef,
    Outcome,
    PaymentRequest,
    Prepared,
    ProcessorEvent,
    Reference,
    Unknown,
)
from ..settlement_port import LinePage, PayoutPage, PayoutSeen
from . import square_disputes, square_settlement
from . import square_wire as wire

BASE_URL = "https://connect.squareup.com"
SANDBOX_URL = "https://connect.squareupsandbox.com"
API_VERSION = "2026-08-19"
CAPABILITIES = Capabilities(
    currencies=frozenset("AUD CAD EUR GBP JPY USD".split()),
    idempotency_ttl=timedelta(hours=1),  # not published how long they live: no longer than a repeat may be useful
    lookup_settles_after=timedelta(minutes=5),  # lists lag by "several seconds"; this is for a call still on its way
    hosted=True,
    vault=True,
    setup_page=False,  # a card is stored by Square's own form, or not at all
    disputes=True,
    accept_disputes=True,
    settlement=True,
)
_PAGE = 100  # the most that one listing returns
_PAGES = 20
_SLACK = timedelta(hours=1)  # how much older than its operation an object may be
_LINKS = "/v2/online-checkout/payment-links"
_DISPUTES = "/v2/disputes"


@dataclass(frozen=True, slots=True)
class _Said:
    """A complete answer, as JSON."""

    status: int
    doc: dict[str, Any]
    whole: bool = True  # its body was JSON: an empty list and a page that was cut off look the same else

    def part(self, name: str) -> dict[str, Any]:
        """Raises TypeError where an answer of 200 hasn't it."""
        found = self.doc.get(name)
        if self.status != 200 or not isinstance(found, dict):
            raise TypeError(f"an answer ({self.status}) without a {name}")
        return found


class SquareProcessor:
    """`Processor`, `Hosted`, `Vault`, `Disputes`, `EventList` and `Settlement` over one HTTP client."""

    name = "square"

    def __init__(
        self,
        http: HttpClient,
        *,
        secret_key: str,
        location: str,
        notification_url: str = "",
        webhook_secrets: Sequence[str] = (),
        api_version: str = API_VERSION,
        capabilities: Capabilities = CAPABILITIES,
    ) -> None:
        """Raises ConfigInvalid without a location, and where events could never be verified."""
        if not location:
            raise ConfigInvalid("a Square merchant needs its location: the id of where payments are taken")
        if webhook_secrets and not notification_url:
            raise ConfigInvalid("Square signs the notification_url with each event: name it as registered there")
        self.capabilities = capabilities
        self._http = http
        self._secret_key = secret_key
        self._location = location
        self._notification_url = notification_url
        self._webhook_secrets = tuple(webhook_secrets)
        self._api_version = api_version

    # ── money ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def prepare(self, request: PaymentRequest, *, idempotency_key: str) -> Prepared | Declined:
        self._check_currency(request.amount)
        body = {"order": wire.to_order(request, self._location)}
        made = await self._prepare("/v2/orders", body, idempotency_key, "order")
        return made if isinstance(made, Declined) else Prepared(Reference(str(made["id"])))

    async def submit(self, prepared: Reference, request: PaymentRequest, *, idempotency_key: str) -> Outcome:
        kind = OperationKind.SALE if request.capture else OperationKind.AUTHORIZE
        body = wire.to_payment(request, prepared, self._location)
        outcome = await self._move("/v2/payments", body, idempotency_key, _payment(kind), prepared)
        if isinstance(outcome, Declined) and outcome.reference is None and await self._is_live(prepared):
            return Unknown("refused, but the order has a payment meanwhile")
        return outcome

    async def capture(self, authorization: Reference, amount: Money, *, idempotency_key: str) -> Outcome:
        held = await self._standing(authorization)
        if held is None:
            return Unknown("there is nothing held to capture")
        found = wire.payment(held, OperationKind.CAPTURE)
        if held.get("status") != "APPROVED" or not isinstance(found, Approved):
            return found
        if found.amount != amount:
            return Declined(DeclineCode.REFUSED, said="captured whole or not at all")
        path, body = f"/v2/orders/{authorization}/pay", {"payment_ids": [held["id"]]}
        outcome = await self._move(path, body, idempotency_key, wire.order_paid(found), authorization)
        if isinstance(outcome, Unknown):
            return outcome
        # Done or refused: the order's answer tells too little of either, so the payment is read.
        try:
            now = (await self._call("GET", f"/v2/payments/{held['id']}")).part("payment")
        except (Uncertain, ProcessorUnavailable, TypeError) as error:
            return Unknown(f"the capture was answered, and then the payment can't be read: {error}")
        if now.get("status") == "APPROVED":
            return outcome if isinstance(outcome, Declined) else Unknown("captured, it says, and still held")
        return wire.payment(now, OperationKind.CAPTURE)

    async def void(self, payment: Reference, *, idempotency_key: str) -> Outcome:
        order, docs = await self._read_first(payment)
        if not docs:
            return await self._close_order(order, payment, idempotency_key)
        held = [doc for doc in docs if doc.get("status") == "APPROVED"]
        if len(held) != len(docs):
            return wire.payment(next(doc for doc in docs if doc not in held), OperationKind.VOID)
        outcome: Outcome = Unknown("nothing to void")
        for doc in held:  # one; more only where the same was asked under two keys
            path = f"/v2/payments/{doc['id']}/cancel"
            outcome = await self._move(path, {}, "", _payment(OperationKind.VOID), payment)
            if not isinstance(outcome, Approved):
                return Unknown("the payment has moved on meanwhile") if isinstance(outcome, Declined) else outcome
        return outcome

    async def _close_order(self, order: dict[str, Any], id_: Reference, key: str) -> Outcome:
        """Nobody has paid for it: it is closed, so that nobody does."""
        currency = wire.money(order["total_money"]).currency
        if order.get("state") == "CANCELED":
            return wire.nothing_left(id_, currency)
        change = {"location_id": self._location, "version": order.get("version"), "state": "CANCELED"}
        outcome = await self._move(
            f"/v2/orders/{id_}", {"order": change}, key, lambda _: wire.nothing_left(id_, currency), id_, verb="PUT"
        )
        return Unknown("the order has moved on meanwhile") if isinstance(outcome, Declined) else outcome

    async def refund(self, payment: Reference, amount: Money, *, our_reference: str, idempotency_key: str) -> Outcome:
        paid = await self._standing(payment)
        if paid is None:
            return Declined(DeclineCode.NOT_REFUNDABLE, said="no payment")
        body = wire.to_refund(str(paid["id"]), amount, our_reference)

        def read(doc: dict[str, Any]) -> Outcome:
            return wire.refund(doc.get("refund") or {}, payment)

        return await self._move("/v2/refunds", body, idempotency_key, read, None)

    # ── looking up ────────────────────────────────────────────────────────────────────────────────────────────────

    async def lookup(self, operation: OperationRef) -> Outcome:
        try:
            if operation.kind is OperationKind.REFUND:
                return await self._look_for_refund(operation)
            if operation.kind is OperationKind.HOSTED:
                return await self._look_at_page(operation)
            if operation.kind is OperationKind.ACCEPT_DISPUTE:
                return await self._look_at_dispute(operation)
            return await self._look(operation)
        except (Uncertain, ProcessorUnavailable, LookupError, TypeError) as error:
            return Unknown(f"it can't be looked up: {error}")

    async def _look(self, operation: OperationRef) -> Outcome:
        known = operation.processor_reference or operation.payment_reference
        if known is None:
            return self.capabilities.absence(operation)  # without an order nothing can have been paid
        order, docs = await self._order(known)
        if not docs:
            # Neither what failed nor what was let go is a tender of the order.
            tried = await self._listed("payments", operation, {"total": str(operation.amount.minor)})
            if isinstance(tried, Unknown):
                return tried
            docs = [doc for doc in tried if doc.get("order_id") == known]
        if wire.is_split(docs):
            return _split()
        found = [wire.payment(doc, operation.kind) for doc in docs if not wire.waits(doc, operation.kind)]
        # Of several, the one that has money in it; else the newest.
        first = next((one for one in found if isinstance(one, Approved)), found[0] if found else None)
        closed = order.get("state") == "CANCELED"
        if first is not None and not (closed and isinstance(first, ActionNeeded)):
            return first
        if not closed:
            return self.capabilities.absence(operation)
        void = operation.kind is OperationKind.VOID
        return wire.nothing_left(known, operation.amount.currency) if void else Canceled(known)

    async def _look_at_page(self, operation: OperationRef) -> Outcome:
        """A page ends when it was paid or closed; until then a declined card is one try of several."""
        if operation.processor_reference is None:
            return self.capabilities.absence(operation)
        link, id_ = wire.page_of(operation.processor_reference)
        order, docs = await self._order(Reference(id_))
        if docs:
            return _split() if wire.is_split(docs) else wire.payment(docs[0], operation.kind)
        if order.get("state") == "CANCELED":
            return Canceled(Reference(id_), expired=True)
        page = (await self._call("GET", f"{_LINKS}/{link}")).part("payment_link")
        return ActionNeeded(str(page["url"]), operation.processor_reference)

    async def _look_for_refund(self, operation: OperationRef) -> Outcome:
        known = operation.processor_reference
        if known is not None:
            said = await self._call("GET", f"/v2/refunds/{known}")
            # An id that Square gave us doesn't end to exist: 404 says that we ask with another account's token.
            found = said.part("refund")
            order = operation.payment_reference or await self._order_of(found)
            return wire.refund(found, order)
        if operation.payment_reference is None:
            return Unknown("a refund of a payment that we have no name for")
        _, paid = await self._order(operation.payment_reference)
        listed = await self._listed("refunds", operation, {})
        if isinstance(listed, Unknown):
            return listed
        for doc in listed:
            if doc.get("reason") == operation.our_reference:
                return wire.refund(doc, operation.payment_reference)
        ids = {doc.get("id") for doc in listed}
        if any(one not in ids for doc in paid for one in doc.get("refund_ids") or []):
            return Unknown("the payment has a refund that is not in the list yet")
        return self.capabilities.absence(operation)

    async def _order_of(self, refund: dict[str, Any]) -> Reference | None:
        said = await self._call("GET", f"/v2/payments/{refund['payment_id']}")
        return Reference(str(said.part("payment")["order_id"]))

    async def _listed(
        self, what: str, operation: OperationRef, narrowed: Mapping[str, str]
    ) -> list[dict[str, Any]] | Unknown:
        """All of this location, the newest first; back to before the operation was sent."""
        params = {"location_id": self._location, "sort_order": "DESC", "limit": str(_PAGE), **narrowed}
        found: list[dict[str, Any]] = []
        newest: datetime | None = None
        for _ in range(_PAGES):
            said = await self._call("GET", f"/v2/{what}", params=list(params.items()))
            docs = said.doc.get(what, [])
            if said.status != 200 or not isinstance(docs, list) or not all(isinstance(doc, dict) for doc in docs):
                return Unknown(f"a list that we can't read ({said.status})")
            found += docs
            cursor = said.doc.get("cursor")
            if not docs or not cursor:
                return found
            newest = newest or wire.moment(docs[0].get("created_at"))
            if wire.moment(docs[-1].get("created_at")) < newest - operation.age - _SLACK:
                return found
            params["cursor"] = str(cursor)
        return Unknown("too many to look through: it has to be looked for at the processor")

    # ── settlement ────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_payouts(self, since: datetime, *, after: str = "") -> PayoutPage:
        query = [("location_id", self._location), ("begin_time", since.isoformat()), ("sort_order", "ASC")]
        return square_settlement.payouts(await self._paid_out("/v2/payouts", query, after))

    async def payout_lines(self, payout: PayoutSeen, *, after: str = "") -> LinePage:
        path = f"/v2/payouts/{payout.reference}/payout-entries"
        return square_settlement.lines(await self._paid_out(path, [("sort_order", "ASC")], after))

    async def _paid_out(self, path: str, query: list[tuple[str, str]], after: str) -> dict[str, Any]:
        """A page. Raises ProcessorUnavailable."""
        begins = [("cursor", after)] if after else []
        try:
            said = await self._call("GET", path, params=[*query, ("limit", str(_PAGE)), *begins])
        except Uncertain as error:
            raise ProcessorUnavailable(str(error)) from None
        if said.status != 200 or not said.whole:
            raise ProcessorUnavailable(f"the processor answered {said.status}{'' if said.whole else ', and no list'}")
        return said.doc

    # ── disputes ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def read_dispute(self, dispute: Reference) -> DisputeSeen | Unknown:
        try:
            doc = (await self._call("GET", f"{_DISPUTES}/{dispute}")).part("dispute")
            said = await self._call("GET", f"/v2/payments/{square_disputes.payment_of(doc)}")
            order = Reference(str(said.part("payment")["order_id"]))
        except (Uncertain, ProcessorUnavailable, LookupError, TypeError) as error:
            return Unknown(f"the dispute can't be read: {error}")
        return square_disputes.seen(doc, order)

    async def accept_dispute(self, dispute: Reference, *, idempotency_key: str) -> Outcome:
        """AcceptDispute has no key: one that was accepted can't be accepted again, so a refusal is read off it."""

        def read(doc: dict[str, Any]) -> Outcome:
            return square_disputes.given_up(doc.get("dispute") or {})

        outcome = await self._move(f"{_DISPUTES}/{dispute}/accept", {}, "", read, None)
        if not isinstance(outcome, Declined):
            return outcome
        try:
            now = (await self._call("GET", f"{_DISPUTES}/{dispute}")).part("dispute")
        except (Uncertain, ProcessorUnavailable, TypeError) as error:
            return Unknown(f"refused, and then the dispute can't be read: {error}")
        return outcome if square_disputes.waits(now) else square_disputes.given_up(now)

    async def _look_at_dispute(self, operation: OperationRef) -> Outcome:
        doc = (await self._call("GET", f"{_DISPUTES}/{operation.processor_reference}")).part("dispute")
        return self.capabilities.absence(operation) if square_disputes.waits(doc) else square_disputes.given_up(doc)

    # ── hosted pages and stored cards ─────────────────────────────────────────────────────────────────────────────

    async def open_page(self, request: PaymentRequest, *, idempotency_key: str) -> Prepared | Declined:
        self._check_currency(request.amount)
        if not request.capture:
            raise RuleBroken("a page of Square's takes the money at once: it can't only be held there")
        made = await self._prepare(_LINKS, wire.to_page(request, self._location), idempotency_key, "payment_link")
        if isinstance(made, Declined):
            return made
        return Prepared(Reference(f"{made['id']}:{made['order_id']}"), str(made["url"]))

    async def close_page(self, page: Reference, *, idempotency_key: str) -> None:
        try:
            await self._call("DELETE", f"{_LINKS}/{wire.page_of(page)[0]}")
        except Uncertain:
            return  # a lookup says what became of it

    async def open_setup_page(self, our_reference: str, *, return_url: str, idempotency_key: str) -> Prepared:
        raise RuleBroken("Square has no page to store a card on: store it by its form, and name the card by its id")

    async def read_method(self, token: str) -> Method | None:
        """By our token of it (customer and card), or by Square's id of the card."""
        customer, card = ("", token) if token.startswith("ccof:") else wire.split(token)
        if not wire.is_card(card):
            return None
        try:
            said = await self._call("GET", f"/v2/cards/{card}")
        except Uncertain as error:
            raise ProcessorUnavailable(str(error)) from None
        if said.status == 404:
            return None
        if said.status != 200:
            raise ProcessorUnavailable(f"the processor answered {said.status}")
        found = wire.method(said.doc.get("card"))
        return found if found and (not customer or found.token.startswith(f"{customer}-")) else None

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

    def read_events(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Sequence[ProcessorEvent]:
        by_name = {name.lower(): value for name, value in headers.items()}
        header = by_name.get("x-square-hmacsha256-signature", "")
        wire.check_signature(header, self._notification_url, body, self._webhook_secrets)
        return [wire.read_event(body)]

    events_reach = timedelta(days=28)

    async def list_events(self, since: datetime, until: datetime, cursor: str) -> EventPage:
        """API reference, Search events: within 28 days, and only of the time since events were enabled there."""
        body = {**wire.to_events(since, until), "limit": _PAGE, **({"cursor": cursor} if cursor else {})}
        try:
            said = await self._call("POST", "/v2/events", body)
        except Uncertain as error:
            raise ProcessorUnavailable(str(error)) from None
        if said.status != 200:
            raise ProcessorUnavailable(f"the processor answered {said.status} when asked for its events")
        return wire.event_page(said.doc)

    async def read_listed(self, event: ProcessorEvent) -> ProcessorEvent:
        return event  # its list shows them whole

    def scrub(self, transcript: str) -> str:
        return wire.scrub(transcript)

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _order(self, id_: Reference) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """An order of ours and the payments that it names. Raises Uncertain, TypeError; ProcessorMisconfigured."""
        said = await self._call("GET", f"/v2/orders/{id_}")
        if said.status == 404:
            raise ProcessorMisconfigured(
                "Square does not know an order that it made for us: the secret_key is that of another account"
            )
        order = said.part("order")
        return order, [
            (await self._call("GET", f"/v2/payments/{one}")).part("payment") for one in wire.payment_ids(order)
        ]

    async def _read_first(self, order: Reference) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What a next step is about. Nothing has moved when this raises: ProcessorUnavailable."""
        try:
            return await self._order(order)
        except (Uncertain, TypeError) as error:
            raise ProcessorUnavailable(f"the payment can't be read just now: {error}") from None

    async def _standing(self, order: Reference) -> dict[str, Any] | None:
        """The payment of an order that a next step is about."""
        _, docs = await self._read_first(order)
        live = [doc for doc in docs if doc.get("status") in wire.LIVE]
        # Of several holds any; but what has been taken comes first.
        return next((doc for doc in live if doc.get("status") == "COMPLETED"), (live or docs or [None])[0])

    async def _is_live(self, order: Reference) -> bool:
        """Whether it has a payment after all. True where that can't be said."""
        try:
            _, docs = await self._order(order)
        except (Uncertain, ProcessorUnavailable, TypeError):
            return True
        return any(doc.get("status") in wire.LIVE for doc in docs)

    async def _prepare(self, path: str, body: dict[str, Any], key: str, name: str) -> dict[str, Any] | Declined:
        """No money moves here, so any doubt is safe to repeat with the same key."""
        try:
            said = await self._call("POST", path, {**body, "idempotency_key": wire.key(key)})
            if said.status == 200:
                made = said.part(name)
                return {**made, "id": str(made["id"])}
        except (Uncertain, LookupError, TypeError) as error:
            raise ProcessorUnavailable(f"the processor's answer did not come, or makes no sense: {error}") from None
        found = wire.answered_otherwise(said.status, said.doc, None)
        if isinstance(found, Declined):
            return found
        raise ProcessorUnavailable(f"the processor answered {said.status}")

    async def _move(
        self,
        path: str,
        body: dict[str, Any],
        key: str,
        read: Callable[[dict[str, Any]], Outcome],
        order: Reference | None,
        *,
        verb: str = "POST",
    ) -> Outcome:
        """A call that may move money: only what was never sent or refused unprocessed is an error."""
        try:
            said = await self._call(verb, path, {**body, "idempotency_key": wire.key(key)} if key else body)
        except Uncertain as error:
            return Unknown(str(error), silent=True)
        if said.status == 200:
            return read(said.doc)
        return wire.answered_otherwise(said.status, said.doc, order)

    async def _call(
        self, verb: str, path: str, body: dict[str, Any] | None = None, params: Sequence[tuple[str, str]] = ()
    ) -> _Said:
        """Raises Uncertain; ProcessorUnavailable and ProcessorMisconfigured where nothing happened."""
        headers = {"authorization": f"Bearer {self._secret_key}", "square-version": self._api_version}
        content = None
        if body is not None:
            headers["content-type"] = "application/json"
            content = wire.encoded(body)
        try:
            answer = await self._http.send(verb, path, body=content, headers=headers, params=params)
        except NeverSent as error:
            raise ProcessorNotReached(str(error)) from None
        if answer.status == 429:
            raise ProcessorNotReached("the processor refused the call unprocessed (429)")
        if answer.status in (401, 403):
            raise ProcessorMisconfigured(
                f"Square does not accept our token for this ({answer.status}): look at the merchant's secret_key"
            )
        doc = answer.json_object()
        said = _Said(answer.status, doc, bool(doc) or answer.body.strip() == b"{}")
        if verb == "POST" and (why := wire.elsewhere(said.doc)):
            raise ProcessorMisconfigured(why)
        return said

    def _check_currency(self, amount: Money) -> None:
        if amount.currency not in self.capabilities.currencies:
            raise RuleBroken(f"{self.name} takes no {amount.currency}")

    async def aclose(self) -> None:
        await self._http.aclose()


def _split() -> Unknown:
    return Unknown("several payments have paid the order, such as a gift card and a card: look at the processor")


def _payment(kind: OperationKind) -> Callable[[dict[str, Any]], Outcome]:
    return lambda doc: wire.payment(doc.get("payment") or {}, kind)

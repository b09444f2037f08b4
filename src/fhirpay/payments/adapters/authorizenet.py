"""Adapter to Authorize.Net: no keys to repeat a call with, so what was sent is found by lists, or proven absent.

Built by `registry` from a merchant's configuration; called through the port. One address, JSON, everything by POST. How
an answer is read stands in authorizenet_wire.py, what a refusal means in authorizenet_declines.py; here is only what to
call, and which answers mean that nothing happened:

| answer | of pages, profiles (no money) | of submit, capture, void, refund |
|---|---|---|
| never sent, 429, E00053 | ProcessorUnavailable | ProcessorUnavailable |
| E00005 to E00011 (our keys, our rights) | ProcessorMisconfigured: a person has to act | the same |
| a transaction that is approved, declined, held for review | – | Approved, Declined, InReview |
| a transaction in error, for a listed reason | – | Declined |
| E00003, E00013 to E00016 (malformed), E00040 (no such profile) | Declined | Declined |
| any other answer, or none | ProcessorUnavailable | Unknown |

`prepare` makes nothing: Authorize.Net has no object without money in it. Each payment and refund carries a name of
ours, in 20 characters, as refId and as invoiceNumber: lists show the second. Found nowhere proves absence after five
minutes at the earliest, by two looks at the unsettled transactions around one at the batches that have settled since.
Should a call be made after that all the same (a worker that was stopped right before it), the gateway refuses it as a
duplicate: the same name, amount and card are taken once in eight hours, which is as long as it can be told to compare.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from ...domain.money import Money
from ...errors import ConfigInvalid, ProcessorMisconfigured, ProcessorNotReached, ProcessorUnavailable, RuleBroken
from ...net.http import HttpClient, NeverSent, Uncertain
from ..declines import DeclineCode
from ..port import (
    ActionNeeded,
    Approved,
    Canceled,
    Capabilities,
    Declined,
    InReview,
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
from . import authorizenet_settlement as settlement
from . import authorizenet_wire as wire
from .authorizenet_declines import BUSY, EXISTS, MALFORMED, NOT_FOUND, OUR_KEYS

BASE_URL = "https://api.authorize.net"
SANDBOX_URL = "https://apitest.authorize.net"
PATH = "/xml/v1/request.api"
# Where a payer's browser posts its token (accept_hosted.html); elsewhere it is the address that answers our calls.
_PAGES = {BASE_URL: "https://accept.authorize.net", SANDBOX_URL: "https://test.authorize.net"}
PAGE_LIVES = timedelta(minutes=15)
CAPABILITIES = Capabilities(
    currencies=frozenset({"USD", "CAD"}),  # an account has one of them; the gateway refuses the other
    idempotency_ttl=None,
    lookup_settles_after=timedelta(minutes=5),
    partial_capture=True,
    refund_before_settlement=False,
    void_after_capture=True,
    hosted=True,
    vault=True,
    prepares=False,
    closes_pages=False,
    settlement=True,
)
_LIST = 1000  # the most that one page of a list has
_PAGES_MAX = 20
_SLACK = timedelta(hours=1)
_SPAN = timedelta(days=30)  # of 31 that one question about batches may span
_SPANS = 13
_TOKEN = re.compile(r"[0-9]{1,20}-[0-9]{1,20}\Z")
Doc = dict[str, Any]
Wanted = Callable[[Doc], list[Reference]]  # those of a list's page that are looked for


@dataclass(frozen=True, slots=True)
class _Said:
    """A complete answer, as JSON, and when it was given by the gateway's own clock."""

    doc: Doc
    at: datetime | None

    @property
    def code(self) -> str:
        return wire.code_of(self.doc)


class AuthorizeNetProcessor:
    """`Processor`, `Hosted`, `Vault`, `Renaming`, `Settling`, `Posting` and `Settlement` over one HTTP client."""

    name = "authorizenet"

    def __init__(
        self,
        http: HttpClient,
        *,
        login: str,
        transaction_key: str,
        signature_keys: Sequence[str] = (),
        keys_are: Literal["text", "hex"] = "text",
        capabilities: Capabilities = CAPABILITIES,
    ) -> None:
        """`keys_are`: what a Signature Key's digits are. Raises ConfigInvalid for a merchant that can't be called."""
        if not login:
            raise ConfigInvalid("a merchant of authorizenet needs its `account`: the API Login ID")
        try:
            self._keys = [bytes.fromhex(key) if keys_are == "hex" else key.encode() for key in signature_keys]
        except ValueError:
            raise ConfigInvalid("webhook_secrets that are `hex` have hexadecimal digits only") from None
        self.capabilities = capabilities
        self._http = http
        self._auth = {"name": login, "transactionKey": transaction_key}

    # ── money ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def sent_as(self, our_reference: str) -> str:
        return wire.sent_as(our_reference)

    async def prepare(self, request: PaymentRequest, *, idempotency_key: str) -> Prepared | Declined:
        """No call: the name by which it will be looked for."""
        self._check_currency(request.amount)
        if not _TOKEN.match(request.method):
            return Declined(DeclineCode.METHOD_UNKNOWN)
        return Prepared(Reference(wire.sent_as(request.reference)))

    async def submit(self, prepared: Reference, request: PaymentRequest, *, idempotency_key: str) -> Outcome:
        kind = OperationKind.SALE if request.capture else OperationKind.AUTHORIZE
        return await self._move(wire.to_sale(request), kind, request.amount)

    async def capture(self, authorization: Reference, amount: Money, *, idempotency_key: str) -> Outcome:
        return await self._move(wire.to_capture(authorization, amount), OperationKind.CAPTURE, amount)

    async def void(self, payment: Reference, *, idempotency_key: str) -> Outcome:
        # The answer names no amount, and none is needed: what was held or taken is known to whoever asks.
        return await self._move(wire.to_void(payment), OperationKind.VOID, Money.zero("USD"))

    async def refund(self, payment: Reference, amount: Money, *, our_reference: str, idempotency_key: str) -> Outcome:
        """The card's last digits are asked for first; until that is answered nothing has been sent."""
        found = await self._details(payment)
        status = str(found.get("transactionStatus"))
        if status in wire.HELD | wire.CAPTURED:
            return Declined(DeclineCode.NOT_SETTLED, said=status)
        body = wire.to_refund(payment, amount, our_reference, wire.last4(found))
        return await self._move(body, OperationKind.REFUND, amount)

    async def has_settled(self, payment: Reference) -> bool:
        return str((await self._details(payment)).get("transactionStatus")) not in wire.HELD | wire.CAPTURED

    async def _details(self, payment: Reference) -> Doc:
        """Raises ProcessorUnavailable when it can't be said."""
        try:
            said = await self._call("getTransactionDetails", {"transId": payment})
        except Uncertain as error:
            raise ProcessorUnavailable(str(error)) from None
        found = said.doc.get("transaction")
        if said.code or not isinstance(found, dict):
            raise ProcessorUnavailable(f"Authorize.Net does not show transaction {payment} ({said.code})")
        return found

    # ── looking up ────────────────────────────────────────────────────────────────────────────────────────────────

    async def lookup(self, operation: OperationRef) -> Outcome:
        try:
            return await self._look(operation)
        except (Uncertain, ProcessorUnavailable) as error:
            return Unknown(error.message)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            return Unknown(f"a list that we can't read ({type(error).__name__})")

    async def _look(self, operation: OperationRef) -> Outcome:
        known = operation.processor_reference
        if operation.kind is not OperationKind.REFUND and wire.is_id(operation.payment_reference):
            known = operation.payment_reference
        if known and wire.is_id(known):
            return await self._read_one(known, operation)
        found = [await self._read_one(id_, operation) for id_ in await self._search(operation)]
        # Of several with our name, the one that has money in it, or may get it; else the newest.
        for of in (Approved, Unknown, InReview):
            if first := next((one for one in found if isinstance(one, of)), None):
                return first
        if operation.kind is OperationKind.HOSTED:
            return self._of_page(operation)
        if operation.kind is OperationKind.REFUND and not found:
            return await self._without_its_name(operation)
        return found[0] if found else self.capabilities.absence(operation)

    async def _without_its_name(self, operation: OperationRef) -> Outcome:
        """A refund that the gateway lists under its payment's invoice number, or under none: by what it gives back of
        what, and when. Of several a person says which. Raises Uncertain, ProcessorUnavailable."""
        of = operation.payment_reference
        if of is None or not wire.is_id(of):
            return self.capabilities.absence(operation)
        order = (await self._details(of)).get("order") or {}
        named = str(order.get("invoiceNumber") or "")

        def like(page: Doc) -> list[Reference]:
            return wire.refunds_like(page, operation.amount, named, since)

        now = (await self._unsettled(lambda _: []))[1]
        since = now - operation.age - _SLACK
        ids = dict.fromkeys([*(await self._unsettled(like))[0], *await self._in_batches(like, operation, now)])
        found = [await self._read_one(id_, operation) for id_ in ids]
        if any(isinstance(one, Unknown) for one in found):
            return Unknown("a refund that may be this one can't be read")
        mine = [one for one in found if not isinstance(one, Approved) or one.payment == of]
        if len(mine) > 1:
            return Unknown(f"{len(mine)} refunds of {operation.amount} without a name of their own: look which is this")
        return mine[0] if mine else self.capabilities.absence(operation)

    def _of_page(self, operation: OperationRef) -> Outcome:
        """Nobody has paid on it. A declined card is one try of several; its token ends by itself only."""
        over = operation.age >= PAGE_LIVES + self.capabilities.lookup_settles_after
        return Canceled(operation.processor_reference, expired=True) if over else ActionNeeded()

    async def _read_one(self, id_: Reference, operation: OperationRef) -> Outcome:
        said = await self._call("getTransactionDetails", {"transId": id_})
        found = said.doc.get("transaction")
        if said.code or not isinstance(found, dict):
            return Unknown(f"Authorize.Net does not show transaction {id_} ({said.code})")
        if wire.not_done(found, operation.kind):
            return self.capabilities.absence(operation)
        return wire.outcome(found, operation.kind, operation.amount.currency)

    async def _search(self, operation: OperationRef) -> list[Reference]:
        """The transactions with our name, the newest first. Raises Uncertain, ProcessorUnavailable.

        It may settle between two questions: asked for among the unsettled ones, in the batches, and again among those.
        """
        told = wire.sent_as(operation.our_reference)

        def ours(page: Doc) -> list[Reference]:
            return wire.ids_of(page, told)

        found, now = await self._unsettled(ours)
        if not found:
            found = await self._in_batches(ours, operation, now)
        if not found and operation.quiet >= self.capabilities.lookup_settles_after:
            found, _ = await self._unsettled(ours)
        return found

    async def _unsettled(self, wanted: Wanted) -> tuple[list[Reference], datetime]:
        now: datetime | None = None
        for page in range(1, _PAGES_MAX + 1):
            said = self._listed(await self._call("getUnsettledTransactionList", wire.to_list(page, _LIST)))
            now = now or said.at
            if now is None:
                raise ProcessorUnavailable("Authorize.Net does not say what time it is")
            if found := wanted(said.doc):
                return found, now
            if len(said.doc.get("transactions") or []) < _LIST:
                return [], now
        raise ProcessorUnavailable("too many to look through: it has to be looked for at the processor")

    async def _in_batches(self, wanted: Wanted, operation: OperationRef, now: datetime) -> list[Reference]:
        for first, last in _spans(now, operation.age):
            asked = {"includeStatistics": False, "firstSettlementDate": first, "lastSettlementDate": last}
            listed = self._listed(await self._call("getSettledBatchList", asked)).doc
            for batch in listed.get("batchList") or []:
                if found := await self._in_batch(wanted, str(batch["batchId"])):
                    return found
        return []

    async def _in_batch(self, wanted: Wanted, batch: str) -> list[Reference]:
        for page in range(1, _PAGES_MAX + 1):
            asked = {"batchId": batch, **wire.to_list(page, _LIST)}
            listed = self._listed(await self._call("getTransactionList", asked)).doc
            if found := wanted(listed):
                return found
            if len(listed.get("transactions") or []) < _LIST:
                return []
        raise ProcessorUnavailable("too many to look through: it has to be looked for at the processor")

    def _listed(self, said: _Said) -> _Said:
        if said.code:
            raise ProcessorUnavailable(f"Authorize.Net answered {said.code} to a list")
        return said

    # ── settlement ────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_payouts(self, since: datetime, *, after: str = "") -> PayoutPage:
        """Settled batches, all at once: a question spans 31 days, and each is one page."""
        account, now = await self._account()
        currency = settlement.currency_of(account)
        found: list[PayoutSeen] = []
        for first, last in _spans(now, now - since):
            asked = {"includeStatistics": True, "firstSettlementDate": first, "lastSettlementDate": last}
            found += settlement.batches(await self._reported("getSettledBatchList", asked), currency)
        return PayoutPage(tuple(found))

    async def payout_lines(self, payout: PayoutSeen, *, after: str = "") -> LinePage:
        page = int(after or "1")
        doc = await self._reported("getTransactionList", {"batchId": payout.reference, **wire.to_list(page, _LIST)})
        full = len(doc.get("transactions") or []) >= _LIST
        return LinePage(settlement.lines(doc, payout.amount.currency), str(page + 1) if full else "")

    async def _account(self) -> tuple[Doc, datetime]:
        """What the account is, and the gateway's time. Raises ProcessorUnavailable."""
        try:
            said = self._listed(await self._call("getMerchantDetails", {}))
        except Uncertain as error:
            raise ProcessorUnavailable(str(error)) from None
        if said.at is None:
            raise ProcessorUnavailable("Authorize.Net does not say what time it is")
        return said.doc, said.at

    async def _reported(self, name: str, body: Doc) -> Doc:
        """Raises ProcessorUnavailable."""
        try:
            return self._listed(await self._call(name, body)).doc
        except Uncertain as error:
            raise ProcessorUnavailable(str(error)) from None

    # ── hosted pages and stored methods ───────────────────────────────────────────────────────────────────────────

    def page_address(self, what: Literal["pay", "store"]) -> str:
        base = _PAGES.get(self._http.base_url, self._http.base_url)
        return f"{base}/payment/payment" if what == "pay" else f"{base}/customer/addPayment"

    async def open_page(self, request: PaymentRequest, *, idempotency_key: str) -> Prepared | Declined:
        self._check_currency(request.amount)
        doc = await self._ask("getHostedPaymentPage", wire.to_page(request))
        if isinstance(doc, Declined):
            return doc
        return self._page(Reference(wire.sent_as(request.reference)), "pay", doc)

    async def close_page(self, page: Reference, *, idempotency_key: str) -> None:
        """There is no such call: its token ends by itself (`closes_pages`)."""

    async def open_setup_page(self, our_reference: str, *, return_url: str, idempotency_key: str) -> Prepared:
        customer = await self._customer(our_reference)
        doc = await self._ask("getHostedProfilePage", wire.to_setup_page(customer, return_url))
        if isinstance(doc, Declined):
            raise RuleBroken("the processor opens no page to store a method on")
        return self._page(Reference(customer), "store", doc)

    def _page(self, reference: Reference, what: Literal["pay", "store"], doc: Doc) -> Prepared:
        if not isinstance(doc.get("token"), str) or not doc["token"]:
            raise ProcessorUnavailable("Authorize.Net gave no token for a page")
        return Prepared(reference, f"{self.page_address(what)}#{doc['token']}", posts=True)

    async def _customer(self, our_reference: str) -> str:
        """The payer's profile of this name: made, or there already."""
        try:
            said = await self._call("createCustomerProfile", wire.to_customer(our_reference))
        except Uncertain as error:
            raise ProcessorUnavailable(str(error)) from None
        found = str(said.doc.get("customerProfileId") or "")
        if said.code == EXISTS:
            text = str(said.doc["messages"]["message"][0].get("text"))
            named = re.search(r"\bID ([0-9]{1,20})\b", text)
            found = named.group(1) if named else ""
        if not wire.is_id(found):
            raise ProcessorUnavailable(f"Authorize.Net made no customer profile ({said.code})")
        return found

    async def read_method(self, token: str) -> Method | None:
        """By our token of it (profile and payment profile), or by the profile for which a page was opened."""
        customer, _, method = token.partition("-")
        if not wire.is_id(customer) or (method and not wire.is_id(method)):
            return None
        if method:
            ids = {"customerProfileId": customer, "customerPaymentProfileId": method, "unmaskExpirationDate": True}
            doc = await self._read("getCustomerPaymentProfile", ids)
            return wire.method(customer, doc.get("paymentProfile")) if doc else None
        doc = await self._read("getCustomerProfile", {"customerProfileId": customer, "unmaskExpirationDate": True})
        profile = doc.get("profile") if doc else None
        kept = profile.get("paymentProfiles") if isinstance(profile, dict) else None
        return wire.method(customer, kept[-1]) if isinstance(kept, list) and kept else None

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

    def read_events(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Sequence[ProcessorEvent]:
        by_name = {name.lower(): value for name, value in headers.items()}
        wire.check_signature(by_name.get("x-anet-signature", ""), body, self._keys)
        return (wire.read_event(body),)

    def scrub(self, transcript: str) -> str:
        return wire.scrub(transcript)

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _move(self, body: Doc, kind: OperationKind, amount: Money) -> Outcome:
        """A call that may move money: only what was never sent or refused unprocessed is an error."""
        try:
            said = await self._call("createTransaction", body)
        except Uncertain as error:
            return Unknown(str(error), silent=True)
        if "transactionResponse" in said.doc:
            return wire.answered(said.doc, kind, amount)
        if said.code == NOT_FOUND:
            return Declined(DeclineCode.METHOD_UNKNOWN, said=said.code)
        if said.code in MALFORMED:
            return Declined(DeclineCode.REFUSED, said=said.code)
        return Unknown(f"Authorize.Net answered {said.code or 'without a transaction'}")

    async def _ask(self, name: str, body: Doc) -> Doc | Declined:
        """A call without money in it: any doubt is safe to repeat."""
        try:
            said = await self._call(name, body)
        except Uncertain as error:
            raise ProcessorUnavailable(str(error)) from None
        if said.code in MALFORMED or said.code == NOT_FOUND:
            return Declined(DeclineCode.REFUSED, said=said.code)
        if said.code:
            raise ProcessorUnavailable(f"Authorize.Net answered {said.code}")
        return said.doc

    async def _read(self, name: str, body: Doc) -> Doc | None:
        """None for what isn't there. Raises ProcessorUnavailable when it can't be said."""
        doc = await self._ask(name, body)
        return None if isinstance(doc, Declined) else doc

    async def _call(self, name: str, body: Doc) -> _Said:
        """Raises Uncertain; ProcessorUnavailable and ProcessorMisconfigured where nothing happened."""
        content = json.dumps({f"{name}Request": {"merchantAuthentication": self._auth, **body}}).encode()
        try:
            answer = await self._http.send("POST", PATH, body=content, headers={"content-type": "application/json"})
        except NeverSent as error:
            raise ProcessorNotReached(str(error)) from None
        if answer.status == 429:
            raise ProcessorNotReached("the processor refused the call unprocessed (429)")
        if answer.status != 200:
            raise Uncertain(f"the processor answered {answer.status}", host=self._http.host)
        said = _Said(wire.read_json(answer.body), _date(answer.headers.get("date", "")))
        if said.code == BUSY:
            raise ProcessorUnavailable("Authorize.Net is too busy, and did not look at the call (E00053)")
        if said.code in OUR_KEYS:
            raise ProcessorMisconfigured(
                f"Authorize.Net does not accept our keys for this ({said.code}): look at the merchant's account and "
                "secret_key"
            )
        return said

    def _check_currency(self, amount: Money) -> None:
        if amount.currency not in self.capabilities.currencies:
            raise RuleBroken(f"{self.name} takes no {amount.currency}")

    async def aclose(self) -> None:
        await self._http.aclose()


def _date(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header).astimezone(UTC)
    except ValueError:
        return None


def _spans(now: datetime, age: timedelta) -> Iterator[tuple[str, str]]:
    """From now back to before it was sent, in parts that one question may span. Raises for what is too long ago."""
    if age > _SPAN * _SPANS:
        raise ProcessorUnavailable("too long ago to look through: it has to be looked for at the processor")
    last, first = now + _SLACK, now - age - _SLACK
    while last > first:
        since = max(first, last - _SPAN)
        yield since.strftime("%Y-%m-%dT%H:%M:%SZ"), last.strftime("%Y-%m-%dT%H:%M:%SZ")
        last = since

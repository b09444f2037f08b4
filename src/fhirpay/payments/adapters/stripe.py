"""Adapter to Stripe: create unconfirmed, keep the id, then confirm; so that a lost answer is settled by reading.

Built by `registry` from a merchant's configuration; called through the port. Plain HTTP calls with forms, the API's
version pinned. How an answer is read stands in stripe_wire.py, what a refusal means in stripe_declines.py; here is only
what to call, and which answers mean that nothing happened:

| answer | of prepare, open page (no money) | of submit, capture, void, refund |
|---|---|---|
| never sent, 429 | ProcessorUnavailable | ProcessorUnavailable |
| 401, 403, or an object of the other mode or account | ProcessorMisconfigured: a person has to act | the same |
| 200 | Prepared | by the status table; unrecognised → Unknown |
| 402 card error | Declined | Declined; ActionNeeded where the bank wants the payer to confirm |
| 400, 404 invalid request | Declined | Declined, unless the payment has moved on meanwhile |
| 409 (the key is in use), 400 (the key was used for something else), 5xx, no answer | ProcessorUnavailable | Unknown |

Stripe keeps the first answer of a key, a 500 too, for a day at least: past that, and where a 500 is all that comes
back, only reading is left. There is no lookup by key and the search index lags: what has no id is found by listing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ...domain.money import Money
from ...errors import ConfigInvalid, ProcessorMisconfigured, ProcessorNotReached, ProcessorUnavailable, RuleBroken
from ...net.http import HttpClient, NeverSent, Uncertain
from ..balance_port import BalanceSeen
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
from ..terminal_port import ReaderSeen
from . import signature, stripe_balance, stripe_bank, stripe_disputes, stripe_settlement, stripe_terminal
from . import stripe_wire as wire

BASE_URL = "https://api.stripe.com"
API_VERSION = "2025-09-30.clover"
# Earlier ones make a Refund of each partial capture; later ones refuse payment_method_types (Stripe's changelog).
VERSIONS = (
    "2025-03-31.basil 2025-04-30.basil 2025-05-28.basil 2025-06-30.basil 2025-07-30.basil 2025-08-27.basil "
    "2025-09-30.clover 2025-10-29.clover 2025-11-17.clover 2025-12-15.clover 2026-01-28.clover 2026-02-25.clover "
    "2026-03-25.dahlia 2026-04-22.dahlia 2026-05-27.dahlia 2026-06-24.dahlia 2026-07-29.dahlia 2026-08-26.dahlia"
).split()
CAPABILITIES = Capabilities(
    # Those whose minor unit is ISO 4217's at Stripe too (ISK and UGX are not, three decimals have rules of their own).
    currencies=frozenset(
        "AED AUD BRL CAD CHF CZK DKK EUR GBP HKD ILS JPY MXN NOK NZD PLN QAR SAR SEK SGD USD ZAR".split()
    ),
    idempotency_ttl=timedelta(hours=23),  # keys are kept for 24 at least: an hour for clocks and queues
    lookup_settles_after=timedelta(minutes=5),  # reading is consistent; this is for a request still on its way
    partial_capture=True,
    hosted=True,
    vault=True,
    disputes=True,
    accept_disputes=True,
    bank_debits=True,
    settlement=True,
    balance=True,
    terminals=True,
)
_LIVE = {"sk_live_": True, "rk_live_": True, "sk_test_": False, "rk_test_": False}  # by how a key begins
_PAGE = 100  # the most that one listing returns
_PAGES = 20
_SLACK = timedelta(hours=1)  # how much older than its operation an object may be
_PATHS = {
    OperationKind.REFUND: "/v1/refunds",
    OperationKind.HOSTED: "/v1/checkout/sessions",
    OperationKind.ACCEPT_DISPUTE: "/v1/disputes",
}
_INTENTS = "/v1/payment_intents"
_SESSIONS = "/v1/checkout/sessions"
_DISPUTES = "/v1/disputes"
_NO_MONEY = Money(0, "USD")
Params = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Said:
    """A complete answer, as JSON."""

    status: int
    doc: dict[str, Any]

    @property
    def error(self) -> dict[str, Any]:
        error = self.doc.get("error")
        return error if isinstance(error, dict) else {}


class StripeProcessor:
    """`Processor`, `Hosted`, `Vault`, `BankVault`, `Disputes`, `Terminal`, `EventList`, `Settlement`: one client."""

    name = "stripe"

    def __init__(
        self,
        http: HttpClient,
        *,
        secret_key: str,
        webhook_secrets: Sequence[str] = (),
        api_version: str = API_VERSION,
        capabilities: Capabilities = CAPABILITIES,
    ) -> None:
        """Raises ConfigInvalid for a version in which every payment would be refused, and look like a decline."""
        if api_version not in VERSIONS:
            raise ConfigInvalid(
                f"api_version '{api_version}' is not one that the Stripe adapter speaks; "
                f"leave it empty, or name one from {VERSIONS[0]} to {VERSIONS[-1]}"
            )
        self.capabilities = capabilities
        self._http = http
        self._secret_key = secret_key
        self._webhook_secrets = tuple(webhook_secrets)
        self._api_version = api_version

    # ── money ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def prepare(self, request: PaymentRequest, *, idempotency_key: str) -> Prepared | Declined:
        self._check_currency(request.amount)
        if request.kind == "bank" and request.amount.currency != stripe_bank.CURRENCY:
            return Declined(DeclineCode.CURRENCY_UNSUPPORTED)
        return await self._prepare(_INTENTS, wire.to_payment(request), idempotency_key)

    async def submit(self, prepared: Reference, request: PaymentRequest, *, idempotency_key: str) -> Outcome:
        kind = OperationKind.SALE if request.capture else OperationKind.AUTHORIZE
        return await self._move(f"{_INTENTS}/{prepared}/confirm", wire.to_confirm(request), idempotency_key, kind)

    async def capture(self, authorization: Reference, amount: Money, *, idempotency_key: str) -> Outcome:
        body = {"amount_to_capture": amount.minor, "expand": [wire.CHARGE]}
        return await self._move(f"{_INTENTS}/{authorization}/capture", body, idempotency_key, OperationKind.CAPTURE)

    async def void(self, payment: Reference, *, idempotency_key: str) -> Outcome:
        return await self._move(f"{_INTENTS}/{payment}/cancel", {}, idempotency_key, OperationKind.VOID)

    async def refund(self, payment: Reference, amount: Money, *, our_reference: str, idempotency_key: str) -> Outcome:
        body = wire.to_refund(payment, amount, our_reference)
        return await self._move("/v1/refunds", body, idempotency_key, OperationKind.REFUND)

    # ── looking up ────────────────────────────────────────────────────────────────────────────────────────────────

    async def lookup(self, operation: OperationRef) -> Outcome:
        try:
            return await self._look(operation)
        except (Uncertain, ProcessorUnavailable) as error:
            return Unknown(error.message)

    async def _look(self, operation: OperationRef) -> Outcome:
        if operation.kind in (OperationKind.TERMINAL, OperationKind.TERMINAL_CANCEL):
            return await self._look_at_reader(operation)
        known = operation.processor_reference
        if operation.kind not in _PATHS:
            known = operation.payment_reference or known
        ids = [known] if known else await self._search(operation)
        if isinstance(ids, Unknown):
            return ids
        found: list[Outcome] = [await self._read_one(theirs, operation) for theirs in ids]
        # Of several with our reference, the one that has money in it; else the newest. None: there is none.
        approved = [one for one in found if isinstance(one, Approved)]
        return (approved or found or [self.capabilities.absence(operation)])[0]

    async def _read_one(self, theirs: Reference, operation: OperationRef) -> Outcome:
        path = _PATHS.get(operation.kind, _INTENTS)
        charge = dict.fromkeys(_PATHS, "") | {OperationKind.HOSTED: f"payment_intent.{wire.CHARGE}"}
        expand = charge.get(operation.kind, wire.CHARGE)
        said = await self._call("GET", f"{path}/{theirs}", params=[("expand[]", expand)] if expand else ())
        if said.status != 200:
            # An id that Stripe gave us doesn't end to exist: 404 says that we ask with another account's key.
            return Unknown(f"the processor answered {said.status} when asked for {theirs}")
        if wire.not_done(said.doc, operation.kind):
            return self.capabilities.absence(operation)
        return wire.outcome(said.doc, operation.kind)

    async def _search(self, operation: OperationRef) -> list[Reference] | Unknown:
        """The ids of everything with our reference, the newest first; back to before the operation was sent."""
        params = [("limit", str(_PAGE))]
        if operation.kind is OperationKind.REFUND and operation.payment_reference:
            params.append(("payment_intent", operation.payment_reference))
        path = _PATHS.get(operation.kind, _INTENTS)
        newest: datetime | None = None
        after: Params = ()
        for _ in range(_PAGES):
            said = await self._call("GET", path, params=[*params, *after])
            docs = said.doc.get("data")
            if said.status != 200 or not isinstance(docs, list) or not all(isinstance(doc, dict) for doc in docs):
                return Unknown(f"a list that we can't read ({said.status})")
            if found := wire.with_reference(docs, operation.our_reference):
                return [Reference(str(doc["id"])) for doc in found]
            if not docs or not said.doc.get("has_more"):
                return []
            newest = newest or wire.moment(docs[0].get("created"))
            if wire.moment(docs[-1].get("created")) < newest - operation.age - _SLACK:
                return []
            after = [("starting_after", str(docs[-1].get("id")))]
        return Unknown("too many to look through: it has to be looked for at the processor")

    # ── settlement ────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_payouts(self, since: datetime, *, after: str = "") -> PayoutPage:
        made = [("created[gte]", str(int(since.timestamp())))]
        return stripe_settlement.payouts(await self._listed("/v1/payouts", made, after))

    async def payout_lines(self, payout: PayoutSeen, *, after: str = "") -> LinePage:
        """API reference, List all balance transactions: each with what it is of."""
        of = [("payout", payout.reference), ("expand[]", "data.source")]
        return stripe_settlement.lines(await self._listed("/v1/balance_transactions", of, after))

    async def read_balance(self) -> tuple[BalanceSeen, ...]:
        """API reference, Retrieve balance."""
        return stripe_balance.balances(await self._listed("/v1/balance", [], "", page=False))

    async def balance_lines(self, since: datetime, *, after: str = "") -> LinePage:
        """API reference, List all balance transactions: each with what it is of."""
        made = [("created[gte]", str(int(since.timestamp()))), ("expand[]", "data.source")]
        return stripe_settlement.lines(await self._listed("/v1/balance_transactions", made, after))

    async def _listed(self, path: str, params: Params, after: str, *, page: bool = True) -> dict[str, Any]:
        """A page. Raises ProcessorUnavailable."""
        begins = [("starting_after", after)] if after else []
        limit = [("limit", str(_PAGE))] if page else []
        found = await self._read(path, [*limit, *params, *begins])
        if found is None:
            raise ProcessorUnavailable(f"the processor knows no {path}")
        return found

    # ── disputes ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def read_dispute(self, dispute: Reference) -> DisputeSeen | Unknown:
        try:
            said = await self._call("GET", f"{_DISPUTES}/{dispute}")
        except (Uncertain, ProcessorUnavailable) as error:
            return Unknown(error.message)
        if said.status != 200:
            return Unknown(f"the processor answered {said.status} when asked for {dispute}")
        return stripe_disputes.seen(said.doc)

    async def accept_dispute(self, dispute: Reference, *, idempotency_key: str) -> Outcome:
        """API reference, Close a dispute: dismissed, acknowledged as lost, irreversible."""
        return await self._move(f"{_DISPUTES}/{dispute}/close", {}, idempotency_key, OperationKind.ACCEPT_DISPUTE)

    # ── card readers ──────────────────────────────────────────────────────────────────────────────────────────────

    async def start_on_reader(self, prepared: Reference, request: PaymentRequest, *, idempotency_key: str) -> Outcome:
        """API reference, Hand off a PaymentIntent to a reader: answered at once, its card comes later."""
        path = f"{stripe_terminal.PATH}/{request.reader}/process_payment_intent"
        try:
            said = await self._call("POST", path, {"payment_intent": prepared}, idempotency_key)
        except Uncertain as error:
            return Unknown(str(error))
        if said.status == 200:
            return stripe_terminal.started(said.doc, prepared)
        refused = stripe_terminal.not_started(said.status, said.error)
        return refused or wire.answered_otherwise(said.status, said.error, OperationKind.SALE)

    async def cancel_on_reader(self, payment: Reference, reader: str, *, idempotency_key: str) -> Outcome:
        """The reader is reset, where it waits for this payment and no other, and the payment canceled: then no card can
        pay it any more. What a refusal means the payment itself says."""
        try:
            shown = await self._call("GET", f"{stripe_terminal.PATH}/{reader}")
        except Uncertain as error:
            raise ProcessorUnavailable(str(error)) from None
        if shown.status == 200 and stripe_terminal.waits(shown.doc, payment):
            path, key = f"{stripe_terminal.PATH}/{reader}/cancel_action", f"{idempotency_key}-reader"
            try:
                said = await self._call("POST", path, {}, key)
            except Uncertain as error:
                return Unknown(str(error))
            code = said.error.get("code")
            if code == stripe_terminal.BUSY:
                return ActionNeeded(reference=payment)
            if said.status != 200 and code not in stripe_terminal.SILENT:
                return Unknown(f"the processor answered {said.status} {code or ''}".rstrip())
        done = await self._move(f"{_INTENTS}/{payment}/cancel", {}, idempotency_key, OperationKind.VOID)
        match done:
            case Approved(reference=theirs, at=at):
                return Canceled(theirs, at=at)
            case Declined(code=DeclineCode.CAPTURED):
                return await self.lookup(OperationRef(OperationKind.SALE, "", payment, _NO_MONEY, _SLACK))
            case Declined():
                return Unknown("the payment was not canceled")
            case _:
                return done

    async def read_reader(self, reader: str) -> ReaderSeen | Unknown:
        try:
            said = await self._call("GET", f"{stripe_terminal.PATH}/{reader}")
        except (Uncertain, ProcessorUnavailable) as error:
            return Unknown(error.message)
        return stripe_terminal.seen(said.doc) if said.status == 200 else Unknown(f"there is no reader {reader}")

    async def _look_at_reader(self, operation: OperationRef) -> Outcome:
        """The reader first, then the payment: what the later one says is at least as new."""
        payment = operation.payment_reference or operation.processor_reference
        if payment is None:
            return Unknown("a payment that was never made here")
        reader = await self._call("GET", f"{stripe_terminal.PATH}/{operation.reader}")
        said = await self._call("GET", f"{_INTENTS}/{payment}", params=[("expand[]", wire.CHARGE)])
        if said.status != 200 or reader.status not in (200, 404):
            return Unknown(f"the processor answered {reader.status} and {said.status}")
        if said.doc.get("status") not in ("requires_payment_method", "requires_confirmation"):
            return wire.outcome(said.doc, OperationKind.SALE)
        waits = stripe_terminal.waits(reader.doc, payment)
        if said.doc.get("last_payment_error") and not waits:
            return wire.outcome(said.doc, OperationKind.SALE)
        found = None
        if operation.kind is OperationKind.TERMINAL:
            found = stripe_terminal.not_paid(reader.doc, said.doc, payment)
        return found or self.capabilities.absence(operation)

    # ── hosted pages and stored methods ───────────────────────────────────────────────────────────────────────────

    async def open_page(self, request: PaymentRequest, *, idempotency_key: str) -> Prepared | Declined:
        self._check_currency(request.amount)
        if not stripe_bank.page_types(request):
            return Declined(DeclineCode.CURRENCY_UNSUPPORTED)
        return await self._prepare(_SESSIONS, wire.to_page(request), idempotency_key)

    async def close_page(self, page: Reference, *, idempotency_key: str) -> None:
        try:
            await self._call("POST", f"{_SESSIONS}/{page}/expire", {}, idempotency_key)
        except Uncertain:
            return  # a lookup says what became of it

    async def open_setup_page(self, our_reference: str, *, return_url: str, idempotency_key: str) -> Prepared:
        return await self._setup_page(wire.to_setup_page(our_reference, return_url), idempotency_key)

    async def open_bank_page(self, our_reference: str, *, return_url: str, idempotency_key: str) -> Prepared:
        return await self._setup_page(wire.to_setup_page(our_reference, return_url, stripe_bank.TYPE), idempotency_key)

    async def _setup_page(self, body: dict[str, Any], idempotency_key: str) -> Prepared:
        made = await self._prepare(_SESSIONS, body, idempotency_key)
        if isinstance(made, Declined):
            raise RuleBroken("the processor opens no page to store a method on")
        return made

    async def read_method(self, token: str) -> Method | None:
        """By our token of it (customer and method), or by the id of the page on which a payer has stored it."""
        if token.startswith("cs_"):
            opened = [("expand[]", f"setup_intent.{name}") for name in ("payment_method", "mandate")]
            page = await self._read(f"{_SESSIONS}/{token}", opened)
            setup = page.get("setup_intent") if page else None
            if not isinstance(setup, dict) or setup.get("status") != "succeeded":
                return None
            stored = setup.get("payment_method")
            if not isinstance(stored, dict):
                return None
            mandate = setup.get("mandate")
            return wire.method(stored, stored.get("customer"), mandate if isinstance(mandate, dict) else None)
        customer, theirs = wire.split(token)
        stored = await self._read(f"/v1/payment_methods/{theirs}")
        if not stored or (customer and stored.get("customer") != customer):
            return None  # taken off the customer: it can't be charged any more
        mandate = await self._mandate(theirs) if stored.get("type") == stripe_bank.TYPE else None
        return wire.method(stored, stored.get("customer"), mandate)

    async def _mandate(self, theirs: str) -> dict[str, Any] | None:
        """That by which a bank account was stored: of the newest setup that has one."""
        params = [("payment_method", theirs), ("limit", str(_PAGE)), ("expand[]", "data.mandate")]
        listed = (await self._read("/v1/setup_intents", params) or {}).get("data") or []
        return next((one["mandate"] for one in listed if isinstance(one.get("mandate"), dict)), None)

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

    def read_events(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Sequence[ProcessorEvent]:
        by_name = {name.lower(): value for name, value in headers.items()}
        signature.check(by_name.get("stripe-signature", ""), body, self._webhook_secrets, now)
        return (wire.read_event(body, live=_LIVE.get(self._secret_key[:8])),)

    events_reach = timedelta(days=30)

    async def list_events(self, since: datetime, until: datetime, cursor: str) -> EventPage:
        """API reference, List all events: up to 30 days back, 20 types at most."""
        params = [("limit", str(_PAGE)), *(("types[]", one) for one in wire.LISTED)]
        params += [("created[gte]", str(int(since.timestamp()))), ("created[lte]", str(int(until.timestamp())))]
        params += [("starting_after", cursor)] if cursor else []
        try:
            said = await self._call("GET", "/v1/events", params=params)
        except Uncertain as error:
            raise ProcessorUnavailable(str(error)) from None
        if said.status != 200:
            raise ProcessorUnavailable(f"the processor answered {said.status} when asked for its events")
        return wire.event_page(said.doc, live=_LIVE.get(self._secret_key[:8]))

    async def read_listed(self, event: ProcessorEvent) -> ProcessorEvent:
        return event  # its list shows them whole

    def scrub(self, transcript: str) -> str:
        return wire.scrub(transcript)

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _prepare(self, path: str, body: dict[str, Any], key: str) -> Prepared | Declined:
        """No money moves here, so any doubt is safe to repeat with the same key."""
        try:
            said = await self._call("POST", path, body, key)
            if said.status == 200:
                return wire.prepared(said.doc)
        except (Uncertain, LookupError, TypeError) as error:
            raise ProcessorUnavailable(f"the processor's answer did not come, or makes no sense: {error}") from None
        found = wire.answered_otherwise(said.status, said.error, OperationKind.SALE)
        if isinstance(found, Declined):
            return found
        raise ProcessorUnavailable(f"the processor answered {said.status} {said.error.get('code') or ''}".rstrip())

    async def _move(self, path: str, body: dict[str, Any], key: str, kind: OperationKind) -> Outcome:
        """A call that may move money: only what was never sent or refused unprocessed is an error."""
        try:
            said = await self._call("POST", path, body, key)
        except Uncertain as error:
            return Unknown(str(error), silent=True)
        if said.status == 200:
            return wire.outcome(said.doc, kind)
        return wire.answered_otherwise(said.status, said.error, kind)

    async def _read(self, path: str, params: Params = ()) -> dict[str, Any] | None:
        """None for what isn't there. Raises ProcessorUnavailable when it can't be said."""
        try:
            said = await self._call("GET", path, params=params)
        except Uncertain as error:
            raise ProcessorUnavailable(str(error)) from None
        if said.status not in (200, 404):
            raise ProcessorUnavailable(f"the processor answered {said.status}")
        return said.doc if said.status == 200 else None

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, key: str = "", params: Params = ()
    ) -> _Said:
        """Raises Uncertain; ProcessorUnavailable and ProcessorMisconfigured where nothing happened."""
        headers = {"authorization": f"Bearer {self._secret_key}", "stripe-version": self._api_version}
        content = None
        if body is not None:
            headers |= {"content-type": "application/x-www-form-urlencoded", "idempotency-key": key}
            content = wire.form(body)
        try:
            answer = await self._http.send(method, path, body=content, headers=headers, params=params)
        except NeverSent as error:
            raise ProcessorNotReached(str(error)) from None
        if answer.status == 429:
            raise ProcessorNotReached("the processor refused the call unprocessed (429)")
        if answer.status in (401, 403):
            raise ProcessorMisconfigured(
                f"Stripe does not accept our key for this ({answer.status}): look at the merchant's secret_key"
            )
        said = _Said(answer.status, answer.json_object())
        if why := wire.elsewhere(said.error):
            raise ProcessorMisconfigured(why)
        return said

    def _check_currency(self, amount: Money) -> None:
        if amount.currency not in self.capabilities.currencies:
            raise RuleBroken(f"{self.name} takes no {amount.currency}")

    async def aclose(self) -> None:
        await self._http.aclose()

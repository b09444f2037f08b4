"""Adapter to the simulated processor: create without moving money, then confirm. The pattern for the next adapter.

Built by `wiring` from a merchant's configuration; called through the port. How an answer is read stands in
simulated_wire.py; here is only what to call, and which answers mean that nothing happened:

| answer | of prepare, open page (no money) | of submit, capture, void, refund |
|---|---|---|
| never sent, 429 | ProcessorUnavailable | ProcessorUnavailable |
| 2xx | Prepared | by the status table; unrecognised → Unknown |
| 4xx with a code of `REFUSED` | Declined | Declined |
| 401, 403 | ProcessorUnavailable (our key: a person has to act, no money has moved) | the same |
| any other status, or no answer | ProcessorUnavailable | Unknown |
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ...domain.money import Money
from ...errors import ProcessorNotReached, ProcessorUnavailable, RuleBroken
from ...net.http import HttpClient, NeverSent, Uncertain
from ..balance_port import BalanceSeen
from ..event_list import EventPage
from ..on_its_way import may_still_come
from ..port import (
    ActionNeeded,
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
    ProvenAbsent,
    Reference,
    Unknown,
)
from ..settlement_port import LinePage, PayoutPage, PayoutSeen
from ..terminal_port import ReaderSeen
from . import signature
from . import simulated_settlement as settlement
from . import simulated_wire as wire

CAPABILITIES = Capabilities(
    currencies=frozenset({"USD", "EUR", "GBP", "CAD", "JPY", "KWD"}),
    idempotency_ttl=timedelta(hours=23),  # the processor keeps keys for 24: an hour for clocks and queues
    lookup_settles_after=timedelta(seconds=60),
    partial_capture=True,
    partial_approval=True,
    void_after_capture=True,
    hosted=True,
    vault=True,
    disputes=True,
    accept_disputes=True,
    bank_debits=True,
    terminals=True,
    settlement=True,
    balance=True,
)
_SIGNATURE = "simulator-signature"


@dataclass(frozen=True, slots=True)
class _Said:
    """A complete answer, as JSON."""

    status: int
    doc: dict[str, Any]

    @property
    def code(self) -> str:
        error = self.doc.get("error")
        return str(error.get("code", "")) if isinstance(error, dict) else ""


class SimulatedProcessor:
    """`Processor`, `Hosted`, `Vault`, `BankVault`, `Disputes`, `Terminal`, `EventList` and `Settlement` over HTTP."""

    name = "simulated"

    def __init__(
        self,
        http: HttpClient,
        *,
        secret_key: str,
        webhook_secrets: Sequence[str] = (),
        capabilities: Capabilities = CAPABILITIES,
    ) -> None:
        self.capabilities = capabilities
        self._http = http
        self._secret_key = secret_key
        self._webhook_secrets = tuple(webhook_secrets)

    # ── money ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def prepare(self, request: PaymentRequest, *, idempotency_key: str) -> Prepared | Declined:
        self._check_currency(request.amount)
        return await self._prepare("/v1/payments", wire.to_payment(request), idempotency_key)

    async def submit(self, prepared: Reference, request: PaymentRequest, *, idempotency_key: str) -> Outcome:
        said = await self._move(f"/v1/payments/{prepared}/confirm", {"capture": request.capture}, idempotency_key)
        return said if not isinstance(said, _Said) else wire.outcome(said.doc)

    async def capture(self, authorization: Reference, amount: Money, *, idempotency_key: str) -> Outcome:
        said = await self._move(f"/v1/payments/{authorization}/capture", {"amount": amount.minor}, idempotency_key)
        return said if not isinstance(said, _Said) else wire.outcome(said.doc)

    async def void(self, payment: Reference, *, idempotency_key: str) -> Outcome:
        said = await self._move(f"/v1/payments/{payment}/void", {}, idempotency_key)
        return said if not isinstance(said, _Said) else wire.voided(said.doc)

    async def refund(self, payment: Reference, amount: Money, *, our_reference: str, idempotency_key: str) -> Outcome:
        body = {"payment": payment, "amount": amount.minor, "reference": our_reference}
        said = await self._move("/v1/refunds", body, idempotency_key)
        return said if not isinstance(said, _Said) else wire.outcome(said.doc)

    # ── looking up ────────────────────────────────────────────────────────────────────────────────────────────────

    async def lookup(self, operation: OperationRef) -> Outcome:
        if operation.kind is OperationKind.REFUND:
            found = await self._find("refunds", operation.processor_reference, operation)
        elif operation.kind is OperationKind.HOSTED:
            found = await self._find("checkouts", operation.processor_reference, operation)
        elif operation.kind is OperationKind.ACCEPT_DISPUTE:
            found = await self._find("disputes", operation.processor_reference, operation)
        else:
            by_id = operation.payment_reference or operation.processor_reference
            found = await self._find("payments", by_id, operation)
        if not isinstance(found, list):
            return found
        outcome = wire.of_many(found, operation.kind)
        if outcome is None:
            return self.capabilities.absence(operation)
        return self._not_done(found, operation) or outcome

    def _not_done(self, found: list[dict[str, Any]], operation: OperationRef) -> Outcome | None:
        """Found, and what was asked for has not happened to it: proof of absence, once the horizon has passed."""
        statuses = {str(doc.get("status")) for doc in found}
        waits_for = {
            OperationKind.SALE: {"created"},
            OperationKind.AUTHORIZE: {"created"},
            OperationKind.CAPTURE: {"authorized"},
            OperationKind.VOID: {"created", "authorized", "captured", "requires_action"},
            OperationKind.ACCEPT_DISPUTE: {"needs_response"},
            OperationKind.TERMINAL: {"created"},
            OperationKind.TERMINAL_CANCEL: {"created", "on_reader"},
        }.get(operation.kind, set[str]())
        return self.capabilities.absence(operation) if statuses <= waits_for else None

    async def _find(
        self, what: str, by_id: Reference | None, operation: OperationRef
    ) -> list[dict[str, Any]] | Unknown | ProvenAbsent:
        """By the processor's id where we have it, else by our reference."""
        if by_id:
            said = await self._read(f"/v1/{what}/{by_id}")
            if isinstance(said, Unknown):
                return said
            return [said.doc] if said.status == 200 else []
        if what == "checkouts":
            return Unknown("a page that we never got the id of can't be looked up")
        said = await self._read(f"/v1/{what}", {"reference": operation.our_reference})
        if isinstance(said, Unknown):
            return said
        listed = said.doc.get("data")
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            return Unknown("a list that we can't read")
        return listed

    # ── disputes ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def read_dispute(self, dispute: Reference) -> DisputeSeen | Unknown:
        said = await self._read(f"/v1/disputes/{dispute}")
        if isinstance(said, Unknown):
            return said
        return wire.dispute(said.doc) if said.status == 200 else Unknown(f"there is no dispute {dispute}")

    async def accept_dispute(self, dispute: Reference, *, idempotency_key: str) -> Outcome:
        said = await self._move(f"/v1/disputes/{dispute}/accept", {}, idempotency_key)
        return said if not isinstance(said, _Said) else wire.outcome(said.doc)

    # ── card readers ──────────────────────────────────────────────────────────────────────────────────────────────

    async def start_on_reader(self, prepared: Reference, request: PaymentRequest, *, idempotency_key: str) -> Outcome:
        path = f"/v1/readers/{request.reader}/process"
        said = await self._move(path, {"payment": prepared}, idempotency_key)
        return said if not isinstance(said, _Said) else wire.outcome(said.doc)

    async def cancel_on_reader(self, payment: Reference, reader: str, *, idempotency_key: str) -> Outcome:
        said = await self._move(f"/v1/readers/{reader}/cancel", {"payment": payment}, idempotency_key)
        return said if not isinstance(said, _Said) else wire.outcome(said.doc)

    async def read_reader(self, reader: str) -> ReaderSeen | Unknown:
        said = await self._read(f"/v1/readers/{reader}")
        if isinstance(said, Unknown):
            return said
        return wire.reader(said.doc) if said.status == 200 else Unknown(f"there is no reader {reader}")

    # ── settlement ────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_payouts(self, since: datetime, *, after: str = "") -> PayoutPage:
        query = {"created_since": str(int(since.timestamp())), "after": after}
        return settlement.payouts(await self._listed("/v1/payouts", query))

    async def payout_lines(self, payout: PayoutSeen, *, after: str = "") -> LinePage:
        return settlement.lines(await self._listed(f"/v1/payouts/{payout.reference}/lines", {"after": after}))

    async def read_balance(self) -> tuple[BalanceSeen, ...]:
        return settlement.balance(await self._listed("/v1/balance", {}))

    async def balance_lines(self, since: datetime, *, after: str = "") -> LinePage:
        query = {"since": str(int(since.timestamp())), "after": after}
        return settlement.lines(await self._listed("/v1/lines", query))

    async def _listed(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        """Raises ProcessorUnavailable."""
        said = await self._read(path, {name: value for name, value in query.items() if value})
        if isinstance(said, Unknown) or said.status != 200:
            raise ProcessorUnavailable(said.why if isinstance(said, Unknown) else f"there is no {path}")
        return said.doc

    # ── hosted pages and stored methods ───────────────────────────────────────────────────────────────────────────

    async def open_page(self, request: PaymentRequest, *, idempotency_key: str) -> Prepared | Declined:
        self._check_currency(request.amount)
        return await self._prepare("/v1/checkouts", wire.to_page(request), idempotency_key)

    async def close_page(self, page: Reference, *, idempotency_key: str) -> None:
        with suppress(Uncertain):
            await self._call("POST", f"/v1/checkouts/{page}/expire", {}, idempotency_key)

    async def open_setup_page(self, our_reference: str, *, return_url: str, idempotency_key: str) -> Prepared:
        return await self._setup_page(our_reference, return_url, ["card"], idempotency_key)

    async def open_bank_page(self, our_reference: str, *, return_url: str, idempotency_key: str) -> Prepared:
        return await self._setup_page(our_reference, return_url, ["bank"], idempotency_key)

    async def _setup_page(
        self, our_reference: str, return_url: str, methods: list[str], idempotency_key: str
    ) -> Prepared:
        body = {"mode": "setup", "reference": our_reference, "return_url": return_url, "methods": methods}
        made = await self._prepare("/v1/checkouts", body, idempotency_key)
        if isinstance(made, Declined):
            raise RuleBroken("the processor opens no page to store a method on")
        return made

    async def read_method(self, token: str) -> Method | None:
        """By the method's own token, or by the id of the setup page on which a payer has stored it."""
        if token.startswith("cs_"):
            page = await self._read(f"/v1/checkouts/{token}")
            stored = None if isinstance(page, Unknown) else page.doc.get("method")
            if isinstance(page, Unknown):
                raise ProcessorUnavailable(page.why)
            if not stored:
                return None
            token = str(stored)
        said = await self._read(f"/v1/methods/{token}")
        if isinstance(said, Unknown):
            raise ProcessorUnavailable(said.why)
        return wire.method(said.doc) if said.status == 200 else None

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

    def read_events(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Sequence[ProcessorEvent]:
        by_name = {name.lower(): value for name, value in headers.items()}
        signature.check(by_name.get(_SIGNATURE, ""), body, self._webhook_secrets, now)
        return (wire.read_event(body),)

    events_reach = timedelta(days=30)

    async def list_events(self, since: datetime, until: datetime, cursor: str) -> EventPage:
        params = {"since": str(since.timestamp()), "until": str(until.timestamp())}
        said = await self._read("/v1/events", {**params, **({"before": cursor} if cursor else {})})
        if isinstance(said, Unknown) or said.status != 200:
            raise ProcessorUnavailable(said.why if isinstance(said, Unknown) else "it lists no events")
        return wire.event_page(said.doc)

    async def read_listed(self, event: ProcessorEvent) -> ProcessorEvent:
        return event  # its list shows them whole

    def scrub(self, transcript: str) -> str:
        return wire.scrub(transcript)

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _prepare(self, path: str, body: dict[str, Any], key: str) -> Prepared | Declined:
        """No money moves here, so any doubt is safe to repeat with the same key."""
        try:
            said = await self._call("POST", path, body, key)
        except Uncertain as error:
            raise ProcessorUnavailable(str(error)) from None
        if said.status in (200, 201) and "id" in said.doc:
            return wire.prepared(said.doc)
        if said.code in wire.REFUSED:
            return wire.declined(said.code)
        raise ProcessorUnavailable(f"the processor answered {said.status} {said.code}".rstrip())

    async def _move(self, path: str, body: dict[str, Any], key: str) -> _Said | ActionNeeded | Declined | Unknown:
        """A call that may move money: only what was never sent or refused unprocessed is an error."""
        try:
            said = await self._call("POST", path, body, key)
        except Uncertain as error:
            return Unknown(str(error), silent=True)
        if said.status in (200, 201):
            return said
        if said.code == wire.READING:
            return ActionNeeded()
        if said.code in wire.REFUSED:
            return wire.declined(said.code)
        says = f"the processor answered {said.status} {said.code}".rstrip()
        # What has a code is its own word, which it keeps for the key.
        return Unknown(says, silent=not said.code and may_still_come(said.status))

    async def _read(self, path: str, params: dict[str, str] | None = None) -> _Said | Unknown:
        try:
            said = await self._call("GET", path, params=params)
        except (Uncertain, ProcessorUnavailable) as error:
            return Unknown(str(error))
        return said if said.status in (200, 404) else Unknown(f"the processor answered {said.status}")

    async def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        key: str = "",
        params: dict[str, str] | None = None,
    ) -> _Said:
        headers = {"authorization": f"Bearer {self._secret_key}", "content-type": "application/json"}
        if key:
            headers["idempotency-key"] = key
        content = None if body is None else json.dumps(body, sort_keys=True).encode()
        try:
            answer = await self._http.send(method, path, body=content, headers=headers, params=params)
        except NeverSent as error:
            raise ProcessorNotReached(str(error)) from None
        if answer.status == 429:
            raise ProcessorNotReached("the processor refused the call unprocessed (429)")
        if answer.status in (401, 403):
            raise ProcessorUnavailable(f"the processor refused the call unprocessed ({answer.status})")
        return _Said(answer.status, answer.json_object())

    def _check_currency(self, amount: Money) -> None:
        if amount.currency not in self.capabilities.currencies:
            raise RuleBroken(f"{self.name} takes no {amount.currency}")

    async def aclose(self) -> None:
        await self._http.aclose()

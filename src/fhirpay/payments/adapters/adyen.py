"""Adapter to Adyen's Checkout API: a payment is one call, what follows on it is received now and told later.

Built by `registry` from a merchant's configuration; called through the port. How an answer is read stands in
adyen_wire.py, what Adyen tells later in adyen_events.py, what a refusal means in adyen_declines.py; here is only what
to call, and which answers mean that nothing happened:

| answer | of open page (no money) | of submit, capture, void, refund |
|---|---|---|
| never sent | ProcessorUnavailable | ProcessorUnavailable |
| 401, 403 | ProcessorMisconfigured: a person has to act | the same |
| 200 of a payment | | by the table of results; unrecognised → Unknown |
| 201 | Prepared | Pending: its event tells what became of it |
| 400, 422 with an error that is not transient | Declined | Declined |
| 704 (the key is being worked on), transient, 5xx, 429, anything else, no answer | ProcessorUnavailable | Unknown |

No payment can be read. An outcome that nobody knows is settled by the same request with the same Idempotency-Key, which
answers as it did at first and has no second effect while the key lives, or by the signed event. Nothing is prepared:
the id of a payment comes with its answer, and with the event that carries our reference. That a 429 was not processed
is documented nowhere, so it is not believed; the same key makes that harmless.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ...domain.money import Money
from ...errors import (
    ConfigInvalid,
    MessageUnsupported,
    ProcessorMisconfigured,
    ProcessorNotReached,
    ProcessorUnavailable,
    RuleBroken,
)
from ...net.http import HttpClient, NeverSent, Uncertain
from ..port import (
    Capabilities,
    Declined,
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
from ..settlement_port import Reported
from . import adyen_events as events
from . import adyen_report
from . import adyen_wire as wire

TEST_URL = "https://checkout-test.adyen.com"
LIVE_URL = "https://{prefix}-checkout-live.adyenpayments.com/checkout"
TEST_REPORTS, LIVE_REPORTS = "https://ca-test.adyen.com", "https://ca-live.adyen.com"
CAPABILITIES = Capabilities(
    # Those whose minor unit is ISO 4217's at Adyen too (CLP, CVE, IDR and ISK are not; page "Currency codes").
    currencies=frozenset(
        "AED AUD BRL CAD CHF CZK DKK EUR GBP HKD ILS JPY MXN NOK NZD PLN QAR SAR SEK SGD USD ZAR".split()
    ),
    # Keys are kept for 7 days at least, an older page says 31: a day for clocks and queues.
    idempotency_ttl=timedelta(days=6),
    lookup_settles_after=timedelta(minutes=5),
    prepares=False,
    readable=False,
    partial_capture=True,
    hosted=True,
    vault=True,
    settlement_reports=True,
)
_VERSION = "/v71"


@dataclass(frozen=True, slots=True)
class _Said:
    """A complete answer, as JSON. `transient`: the same request may be answered otherwise later."""

    status: int
    doc: dict[str, Any]
    transient: bool


def address(base_url: str, live_prefix: str) -> str:
    """Where the API is: the live one has a prefix of the company's own."""
    return base_url or (LIVE_URL.format(prefix=live_prefix) if live_prefix else TEST_URL)


def reports_address(report_url: str, live_prefix: str) -> str:
    """Where reports are: a host of their own, which is told no key of payments."""
    return report_url or (LIVE_REPORTS if live_prefix else TEST_REPORTS)


class AdyenProcessor:
    """`Processor`, `Hosted`, `Vault` and `SettlementReports`, the last over an HTTP client of its own."""

    name = "adyen"

    def __init__(
        self,
        http: HttpClient,
        *,
        api_key: str,
        merchant_account: str,
        hmac_keys: Sequence[str] = (),
        reports: HttpClient | None = None,
        report_user: str = "",
        report_password: str = "",
        setup_currency: str = "USD",
        capabilities: Capabilities = CAPABILITIES,
    ) -> None:
        """Raises ConfigInvalid without a merchant account, or for a key of events that is none."""
        if not merchant_account:
            raise ConfigInvalid("a merchant at Adyen needs its merchant account as `account`")
        self.capabilities = capabilities
        self._http = http
        self._api_key = api_key
        self._account = merchant_account
        self._hmac_keys = events.keys_of(hmac_keys)
        self._reports = reports
        self._report_user = f"{report_user}:{report_password}" if report_user and report_password else ""
        self._setup_currency = setup_currency

    # ── money ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def prepare(self, request: PaymentRequest, *, idempotency_key: str) -> Prepared | Declined:
        """No call: Adyen hears of a payment when it is made, and repeats our reference in what it tells of it."""
        self._check_currency(request.amount)
        return Prepared(Reference(request.reference))

    async def submit(self, prepared: Reference, request: PaymentRequest, *, idempotency_key: str) -> Outcome:
        try:
            said = await self._call("POST", "/payments", wire.to_payment(request, self._account), idempotency_key)
        except Uncertain as error:
            return Unknown(str(error), silent=True)
        if said.status == 200:
            return wire.paid(said.doc, request)
        return wire.answered_otherwise(said.status, said.doc, transient=said.transient)

    async def capture(self, authorization: Reference, amount: Money, *, idempotency_key: str) -> Outcome:
        return await self._modify(authorization, "captures", idempotency_key, idempotency_key, amount)

    async def void(self, payment: Reference, *, idempotency_key: str) -> Outcome:
        """A cancel, not a reversal: which of cancel and refund a reversal became, nothing that is signed says."""
        return await self._modify(payment, "cancels", idempotency_key, idempotency_key)

    async def refund(self, payment: Reference, amount: Money, *, our_reference: str, idempotency_key: str) -> Outcome:
        return await self._modify(payment, "refunds", our_reference, idempotency_key, amount)

    async def _modify(self, payment: Reference, what: str, ours: str, key: str, amount: Money | None = None) -> Outcome:
        body = wire.to_modification(self._account, ours, amount)
        try:
            said = await self._call("POST", f"/payments/{payment}/{what}", body, key)
        except Uncertain as error:
            return Unknown(str(error), silent=True)
        if said.status == 201:
            return wire.received(said.doc, payment, amount)
        return wire.answered_otherwise(said.status, said.doc, transient=said.transient)

    # ── looking up ────────────────────────────────────────────────────────────────────────────────────────────────

    async def lookup(self, operation: OperationRef) -> Outcome:
        """Of a page, whether it can still be paid on. Of nothing else."""
        if operation.kind is not OperationKind.HOSTED or not operation.processor_reference:
            return Unknown("no payment can be read at this processor: its event tells, or the same call again")
        try:
            said = await self._call("GET", f"/paymentLinks/{operation.processor_reference}")
        except (Uncertain, ProcessorUnavailable) as error:
            return Unknown(error.message)
        return wire.page(said.doc) if said.status == 200 else Unknown(f"the processor answered {said.status}")

    # ── hosted pages and stored methods ───────────────────────────────────────────────────────────────────────────

    async def open_page(self, request: PaymentRequest, *, idempotency_key: str) -> Prepared | Declined:
        self._check_currency(request.amount)
        return await self._open(wire.to_page(request, self._account), idempotency_key)

    async def close_page(self, page: Reference, *, idempotency_key: str) -> None:
        try:
            await self._call("PATCH", f"/paymentLinks/{page}", {"status": "expired"})
        except Uncertain:
            return  # a lookup says what became of it

    async def open_setup_page(self, our_reference: str, *, return_url: str, idempotency_key: str) -> Prepared:
        body = wire.to_setup_page(our_reference, return_url, self._account, self._setup_currency)
        made = await self._open(body, idempotency_key)
        if isinstance(made, Declined):
            raise RuleBroken("the processor opens no page to store a method on")
        return made

    async def _open(self, body: dict[str, Any], key: str) -> Prepared | Declined:
        """No money moves here, so any doubt is safe to repeat with the same key."""
        try:
            said = await self._call("POST", "/paymentLinks", body, key)
            if said.status == 201:
                return wire.prepared(said.doc)
        except (Uncertain, LookupError, TypeError, ValueError) as error:
            raise ProcessorUnavailable(f"the processor's answer did not come, or makes no sense: {error}") from None
        found = wire.answered_otherwise(said.status, said.doc, transient=said.transient)
        if isinstance(found, Declined):
            return found
        raise ProcessorUnavailable(f"the processor answered {said.status} {said.doc.get('errorCode') or ''}".rstrip())

    async def read_method(self, token: str) -> Method | None:
        """By our token of it (shopper and card), or by the id of the page on which a payer has stored it."""
        shopper, stored = wire.split(token)
        if wire.is_page(token):
            page = await self._read(f"/paymentLinks/{token}")
            if page is None or page.get("status") not in ("completed", "paid"):
                return None
            shopper, stored = str(page.get("shopperReference") or ""), ""
        if not shopper:
            return None
        params = {"merchantAccount": self._account, "shopperReference": shopper}
        listed = await self._read("/storedPaymentMethods", params)
        kept = (listed or {}).get("storedPaymentMethods")
        for doc in kept if isinstance(kept, list) else []:
            if isinstance(doc, dict) and doc.get("id") == (stored or doc.get("id")):
                return wire.method(doc, shopper)
        return None

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

    def read_events(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Sequence[ProcessorEvent]:
        return events.read_events(body, self._hmac_keys, self._account, now)

    def scrub(self, transcript: str) -> str:
        return wire.scrub(transcript)

    # ── reports ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def fetch_report(self, name: str) -> bytes:
        """By its name, which is signed, below our own account. The address in the event isn't signed, and not used."""
        if not adyen_report.NAME.match(name) or not name.endswith(".csv"):
            raise MessageUnsupported("a settlement details report is read as CSV: have it made in that format")
        if self._reports is None or not self._report_user:
            raise ProcessorMisconfigured(
                "there is a report, and no report_user and report_password to get it with: set them, or take it by hand"
            )
        user = b64encode(self._report_user.encode()).decode()
        path = f"/reports/download/MerchantAccount/{self._account}/{name}"
        try:
            answer = await self._reports.send("GET", path, headers={"authorization": f"Basic {user}"})
        except (NeverSent, Uncertain) as error:
            raise ProcessorUnavailable(str(error)) from None
        if answer.status in (401, 403):
            raise ProcessorMisconfigured(
                f"Adyen does not accept our report user for this ({answer.status}): look at report_user and its role"
            )
        if answer.status != 200:
            raise ProcessorUnavailable(f"the report can't be had: the processor answered {answer.status}")
        return answer.body

    def read_report(self, name: str, data: bytes) -> tuple[Reported, ...]:
        return adyen_report.read(name, data, self._account)

    def missing_reports(self, payouts: Sequence[str]) -> tuple[str, ...]:
        return adyen_report.between(payouts)

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """None for what isn't there. Raises ProcessorUnavailable when it can't be said."""
        try:
            said = await self._call("GET", path, params=params)
        except Uncertain as error:
            raise ProcessorUnavailable(str(error)) from None
        if said.status not in (200, 404):
            raise ProcessorUnavailable(f"the processor answered {said.status}")
        return said.doc if said.status == 200 else None

    async def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        key: str = "",
        params: Mapping[str, str] | None = None,
    ) -> _Said:
        """Raises Uncertain; ProcessorUnavailable and ProcessorMisconfigured where nothing happened."""
        headers = {"x-api-key": self._api_key}
        content = None
        if body is not None:
            headers["content-type"] = "application/json"
            content = json.dumps(body, sort_keys=True).encode()
        if key:
            headers["idempotency-key"] = key
        try:
            answer = await self._http.send(method, _VERSION + path, body=content, headers=headers, params=params)
        except NeverSent as error:
            raise ProcessorNotReached(str(error)) from None
        if answer.status in (401, 403):
            raise ProcessorMisconfigured(
                f"Adyen does not accept our key for this ({answer.status}): look at the secret_key and the account"
            )
        transient = answer.headers.get("transient-error", "").lower() == "true"
        return _Said(answer.status, answer.json_object(), transient)

    def _check_currency(self, amount: Money) -> None:
        if amount.currency not in self.capabilities.currencies:
            raise RuleBroken(f"{self.name} takes no {amount.currency}")

    async def aclose(self) -> None:
        await self._http.aclose()
        if self._reports is not None:
            await self._reports.aclose()

"""What a settlement may come as at any of the five processors: cut in half, a field renamed, one line in fifty of a
type that nobody knows, another currency, twice, out of order. Each through its adapter into the books; then whole.

Lines are fees, which the books take by themselves; at Authorize.Net, which tells none, transactions of nobody here.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import httpx2
import pytest

from adyen_server.reports import COLUMNS
from fhirpay.config import Facility, Merchant, Tenant
from fhirpay.db.unit import Database, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import FhirpayError
from fhirpay.ledger import store as ledger
from fhirpay.ledger.verify import verify
from fhirpay.payments import registry, store
from fhirpay.usecases.pull_settlements import PullSettlements
from fhirpay.usecases.take_settlement_report import TakeSettlementReport

pytestmark = pytest.mark.warns("settlement.refused")
Doc = dict[str, Any]
COUNT, CENTS = 50, 1_00
AT = datetime(2026, 12, 1, 6, tzinfo=UTC)


@dataclass(frozen=True)
class Said:
    """What a processor says: ids of lines, in this order."""

    currency: str = "USD"
    payout: int = 0  # its number: no two of an account are one
    order: tuple[int, ...] = tuple(range(COUNT))
    odd: tuple[int, ...] = ()  # whose type nobody knows


def simulated(said: Said) -> tuple[bytes, bytes]:
    at = AT.timestamp()
    payout = {
        "id": f"po{said.payout}",
        "status": "in_transit",
        "amount": -COUNT * CENTS,
        "currency": said.currency,
        "created": at,
    }
    payout |= {"arrives_on": "2026-12-03", "automatic": True, "trace": ""}
    lines = [
        {
            "id": f"l{one}",
            "type": "odd" if one in said.odd else "fee",
            "amount": -CENTS,
            "fee": 0,
            "at": at,
            "source": "",
        }
        | {"currency": said.currency, "payment": "", "reference": "", "payout": f"po{said.payout}"}
        for one in said.order
    ]
    return json.dumps({"data": [payout]}).encode(), json.dumps({"data": lines}).encode()


def stripe(said: Said) -> tuple[bytes, bytes]:
    at, currency = int(AT.timestamp()), said.currency.lower()
    payout = {
        "id": f"po_{said.payout}",
        "status": "in_transit",
        "amount": -COUNT * CENTS,
        "currency": currency,
        "created": at,
    }
    payout |= {"arrival_date": at, "automatic": True, "reconciliation_status": "completed"}
    lines = [
        {
            "id": f"txn_{one}",
            "amount": -CENTS,
            "fee": 0,
            "net": -CENTS,
            "currency": currency,
            "created": at,
            "source": None,
        }
        | {"available_on": at, "status": "available"}
        | dict.fromkeys(("type", "reporting_category"), "odd")
        | ({} if one in said.odd else {"type": "stripe_fee", "reporting_category": "fee"})
        for one in said.order
    ]
    return json.dumps({"data": [payout]}).encode(), json.dumps({"data": lines}).encode()


def square(said: Said) -> tuple[bytes, bytes]:
    def money(minor: int) -> Doc:
        return {"amount": minor, "currency": said.currency}

    payout = {"id": f"po_{said.payout}", "status": "SENT", "type": "BATCH", "amount_money": money(-COUNT * CENTS)}
    payout |= {"created_at": AT.isoformat(), "arrival_date": "2026-12-03"}
    lines = [
        {"id": f"poe_{one}", "payout_id": f"po_{said.payout}", "type": "ODD" if one in said.odd else "FEE"}
        | {"effective_at": AT.isoformat(), "fee_amount_money": money(0)}
        | dict.fromkeys(("gross_amount_money", "net_amount_money"), money(-CENTS))
        for one in said.order
    ]
    return json.dumps({"payouts": [payout]}).encode(), json.dumps({"payout_entries": lines}).encode()


def authorizenet(said: Said) -> tuple[bytes, bytes]:
    fine, at = {"messages": {"resultCode": "Ok"}}, AT.isoformat()
    total = {"accountType": "Visa", "chargeAmount": COUNT * CENTS // 100, "refundAmount": 0}
    batch = {
        "batchId": str(said.payout + 1),
        "settlementTimeUTC": at,
        "settlementState": "settledSuccessfully",
        "statistics": [total],
    }
    lines = [
        {"transId": f"{one + 1000}", "submitTimeUTC": at, "settleAmount": CENTS // 100, "invoiceNumber": ""}
        | {"transactionStatus": "odd" if one in said.odd else "settledSuccessfully"}
        for one in said.order
    ]
    return json.dumps({"batchList": [batch], **fine}).encode(), json.dumps({"transactions": lines, **fine}).encode()


def adyen(said: Said) -> tuple[bytes, bytes]:
    rows = [("odd" if one in said.odd else "Fee", f"ID{one:014d}", "Net Debit (NC)", CENTS) for one in said.order]
    rows.append(("MerchantPayout", "", "Net Credit (NC)", COUNT * CENTS))
    text = StringIO(newline="")
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for type_, named, column, minor in rows:
        row = dict.fromkeys(COLUMNS, "") | {
            "Merchant Account": f"shop{said.payout}",
            "Type": type_,
            "Modification Reference": named,
        }
        row |= {"Net Currency": said.currency, column: str(Decimal(minor).scaleb(-2)), "Batch Number": "7"}
        row |= {"Creation Date": f"{AT:%Y-%m-%d %H:%M:%S}", "TimeZone": "UTC"}
        table.writerow([row[name] for name in COLUMNS])
    return b"", text.getvalue().encode()


# Its documents, and the field that is renamed
PROCESSORS: dict[str, tuple[Callable[[Said], tuple[bytes, bytes]], bytes]] = {
    "simulated": (simulated, b'"amount"'),
    "stripe": (stripe, b'"net"'),
    "square": (square, b'"gross_amount_money"'),
    "authorizenet": (authorizenet, b'"settleAmount"'),
    "adyen": (adyen, b"Net Debit (NC)"),
}
CASES = ("clean", "cut", "changed", "odd", "currency", "twice", "order")


class Shop:
    """A tenant whose merchants are at one processor; what that says next is `payouts` and `lines`."""

    def __init__(self, processor: str, units: Units, clock: FrozenClock) -> None:
        self.units, self.processor = units, processor
        self.payouts = self.lines = b""
        self.currency = "USD"
        more = {"secret_key": "k" * 32, "private_network": True, "base_url": "http://127.0.0.1:1"}
        merchants = tuple(
            Merchant(
                name=case,
                processor=processor,
                account=f"shop{CASES.index(case)}",
                location=case,
                notification_url="https://ours.example/webhooks",
                live_prefix=case,
                **more,
            )
            for case in CASES
        )
        self.tenant = Tenant(facilities=(Facility(name="main", merchant="clean"),), merchants=merchants)
        processors = registry.build(self.tenant, transport=httpx2.MockTransport(self.answer))
        self.pulls = PullSettlements(units, self.tenant, processors, now=clock.now)
        self.reports = TakeSettlementReport(units, self.tenant, processors, self.pulls, b"k" * 32)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        asked = request.content.decode()
        if "getMerchantDetails" in asked:
            body = json.dumps({"currencies": [self.currency], "messages": {"resultCode": "Ok"}}).encode()
            return httpx2.Response(200, content=body, headers={"date": "Tue, 01 Dec 2026 12:00:00 GMT"})
        path = request.url.path
        if path.endswith(("/balance", "/v1/lines")) or ("created[gte]" in request.url.params and "payouts" not in path):
            return httpx2.Response(200, content=b'{"data": [], "available": [], "pending": []}')
        if "getSettledBatchList" in asked or path.endswith("/payouts"):
            return httpx2.Response(200, content=self.payouts)
        return httpx2.Response(200, content=self.lines)

    async def take(self, merchant: str, said: Said, spoil: Callable[[bytes], bytes] = bytes) -> None:
        said = replace(said, payout=CASES.index(merchant))
        self.currency = said.currency
        self.payouts, lines = PROCESSORS[self.processor][0](said)
        self.lines = spoil(lines)
        if self.processor == "adyen":
            await self.reports.take(merchant, "settlement_detail_report_batch_7.csv", self.lines)
        else:
            await self.pulls.pull(merchant)

    async def booked(self, merchant: str) -> list[tuple[str, int, str]]:
        """Kind, amount and currency of each entry."""
        found = await self.units.read(ledger.entries_for, merchant=merchant)
        amounts = [(str(one.entry.kind), one.entry.postings[0].amount) for one in found]
        return sorted((kind, amount.minor, amount.currency) for kind, amount in amounts)

    async def breaks(self, merchant: str) -> list[str]:
        told = await self.units.read(store.breaks, limit=1000)
        return sorted(one.kind for one in told if one.break_key.startswith(f"{merchant}:"))


@pytest.mark.parametrize("processor", PROCESSORS)
async def test_a_settlement_that_is_not_as_it_should_be_is_refused_or_told_and_nothing_is_lost(
    processor: str, database: Database, clock: FrozenClock
) -> None:
    shop = Shop(processor, database.units("main"), clock)
    whole, field = Said(), PROCESSORS[processor][1]
    await shop.take("clean", whole)
    clean = await shop.booked("clean")
    tells_fees = processor != "authorizenet"
    assert len(clean) == (COUNT + 1 if tells_fees else 0)
    assert await shop.breaks("clean") == []

    refused: dict[str, Callable[[bytes], bytes]] = {
        "cut": lambda body: body[: len(body) // 2],
        "changed": lambda body: body.replace(field, field[:1] + b"new " + field[1:]),
    }
    for case, spoil in refused.items():
        with pytest.raises(FhirpayError):
            await shop.take(case, whole, spoil)
        assert [one for one in await shop.booked(case) if one[0] == "fee_taken"] == []
        await shop.take(case, whole)
        assert (await shop.booked(case), await shop.breaks(case)) == (clean, [])

    await shop.take("odd", replace(whole, odd=(7,)))
    assert await shop.breaks("odd") == (
        ["settlement_adjustment"] if tells_fees else ["payout_sum", "settlement_adjustment"]
    )
    assert len(await shop.booked("odd")) == (COUNT if tells_fees else 0)

    await shop.take("currency", replace(whole, currency="EUR"))
    assert await shop.booked("currency") == [(kind, minor, "EUR") for kind, minor, _ in clean]

    await shop.take("twice", whole)
    await shop.take("twice", whole, lambda body: body + b"\n")  # the same, and not the same bytes
    await shop.take("order", replace(whole, order=tuple(reversed(whole.order))))
    for case in ("twice", "order"):
        assert (await shop.booked(case), await shop.breaks(case)) == (clean, [])
    assert (await shop.units.read(verify)).ok

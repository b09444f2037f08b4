"""The settlement details report of a batch, and who may get it (page "Settlement details report": columns, example
entries, journal types; page "Get reports automatically": the event, the address, the report user).

A batch holds what moved since the last one. It ends with a MerchantPayout; one that comes to nothing or less ends with
a BalanceTransfer, with which the next one begins. What a page leaves open: where the payout's own number stands (in
Modification Reference, beside the batch), and that both rows of a transfer have the type BalanceTransfer.
"""

from __future__ import annotations

import base64
import csv
import hmac
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from stripe_server.faults import BrokenAnswer

from .books import Books
from .errors import Doc

if TYPE_CHECKING:
    from .app import Server

USER, PASSWORD = "report@Company.MainStreet", "r3port-user"
COLUMNS = (
    "Company Account|Merchant Account|Psp Reference|Merchant Reference|Payment Method|Creation Date|TimeZone|Type|"
    "Modification Reference|Gross Currency|Gross Debit (GC)|Gross Credit (GC)|Exchange Rate|Net Currency|"
    "Net Debit (NC)|Net Credit (NC)|Commission (NC)|Markup (NC)|Scheme Fees (NC)|Interchange (NC)|"
    "Payment Method Variant|Modification Merchant Reference|Batch Number|Reserved4|Reserved5|Reserved6|Reserved7|"
    "Reserved8|Reserved9|Reserved10|Booking Date|Booking Date TimeZone|Shopper Name"
).split("|")
_TYPES = {
    "capture": "Settled",
    "capture_failed": "SettledReversed",
    "refund": "Refunded",
    "refund_failed": "RefundedReversed",
    "chargeback": "Chargeback",
    "chargeback_reversed": "ChargebackReversed",
    "second_chargeback": "SecondChargeback",
}


def close_batch(books: Books, body: Doc) -> Doc:
    """`{"cost": 30, "dispute_cost": 1500, "lines": [{"type": "Fee", "amount": -300}], "announce": true}`: the batch
    ends; its report, with its name. `cost` is of each settlement."""
    number = len(books.reports) + 1
    rows = [_row(books, number, "BalanceTransfer", {}, books.carried)] if books.carried else []
    total, books.carried = books.carried, 0
    for moved in [one for one in books.movements if "batch" not in one and one["type"] in _TYPES]:
        moved["batch"] = number
        cost = body.get("cost", 0) if moved["type"] == "capture" else 0
        cost = body.get("dispute_cost", 0) if moved["type"] == "chargeback" else cost
        rows.append(_row(books, number, _TYPES[moved["type"]], moved, moved["amount"], cost))
        total += moved["amount"] - cost
        _moves(books, "cost", -cost, moved["currency"])
    for line in body.get("lines", []):
        rows.append(_row(books, number, line["type"], {}, line["amount"]))
        total += line["amount"]
        _moves(books, line["type"], line["amount"], "USD")
    if total > 0:
        rows.append(_row(books, number, "MerchantPayout", {"psp": f"TX{number:014d}XT batch {number}, Main"}, -total))
        _moves(books, "payout", -total, "USD")
    else:
        rows.append(_row(books, number, "BalanceTransfer", {"psp": "to the next batch"}, -total))
        books.carried = total
    text = StringIO(newline="")
    csv.writer(text).writerows([COLUMNS, *([row[name] for name in COLUMNS] for row in rows)])
    name = f"settlement_detail_report_batch_{number}.csv"
    books.reports[name] = text.getvalue()
    if body.get("announce", True):
        announce(books, name)
    return {"name": name, "batch": number, "total": total, "text": text.getvalue()}


def announce(books: Books, name: str, **more: str) -> None:
    """Webhooks, REPORT_AVAILABLE: the name in pspReference, the address in reason, which isn't signed."""
    address = f"https://ca-test.adyen.com/reports/download/MerchantAccount/{books.merchant_account}/{name}"
    item: Doc = {
        "amount": {"currency": "EUR", "value": 0},
        "eventCode": "REPORT_AVAILABLE",
        "eventDate": books.stamp(),
        "merchantAccountCode": books.merchant_account,
        "merchantReference": "",
        "pspReference": name,
        "reason": address,
        "success": "true",
        **more,
    }
    books.notifications.append({"id": f"n{len(books.notifications) + 1}", "item": item})


def downloads(server: Server) -> APIRouter:
    router = APIRouter()

    @router.get("/reports/download/MerchantAccount/{account}/{name}")
    async def download(account: str, name: str, request: Request) -> Response:
        """Basic authentication with the report user; the key of payments opens nothing here."""
        if "x-api-key" in request.headers:
            raise HTTPException(400, "the key of payments was sent to the host of reports")
        user = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if not hmac.compare_digest(request.headers.get("authorization", ""), user):
            raise HTTPException(401, headers={"www-authenticate": "Basic"})
        fault = server.faults.take("report")
        if fault:
            return BrokenAnswer() if fault.fault.startswith("lost") else Response(status_code=500)
        if account != server.books.merchant_account or name not in server.books.reports:
            raise HTTPException(404)
        return Response(server.books.reports[name], media_type="text/csv")

    return router


def _row(books: Books, number: int, type_: str, moved: Doc, amount: int, cost: int = 0) -> Doc:
    at = books.stamp()[:19].replace("T", " ")
    net = amount - cost
    row: Doc = dict.fromkeys(COLUMNS, "") | {
        "Company Account": "MainStreet",
        "Merchant Account": books.merchant_account,
        "Psp Reference": moved.get("payment", ""),
        "Merchant Reference": moved.get("reference", ""),
        "Creation Date": at,
        "TimeZone": "UTC",
        "Type": type_,
        "Modification Reference": moved.get("psp", ""),
        "Net Currency": "USD",
        "Net Debit (NC)" if net < 0 else "Net Credit (NC)": _decimal(abs(net)),
        "Batch Number": str(number),
        "Booking Date": at,
        "Booking Date TimeZone": "UTC",
    }
    if "payment" in moved:
        row |= {
            "Payment Method": "visa",
            "Gross Currency": moved["currency"],
            "Gross Debit (GC)" if amount < 0 else "Gross Credit (GC)": _decimal(abs(amount)),
            "Exchange Rate": "1",
            "Commission (NC)": _decimal(cost) if cost else "",
            "Modification Merchant Reference": moved.get("ours", ""),
            "Shopper Name": "Canary-Family, Ann",
        }
    return row


def _moves(books: Books, type_: str, amount: int, currency: str) -> None:
    if amount:
        books.movements.append(
            {"payment": "", "reference": "", "type": type_, "amount": amount, "currency": currency, "batch": 0}
        )


def _decimal(minor: int) -> str:
    return str(Decimal(minor).scaleb(-2))

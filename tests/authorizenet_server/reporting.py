"""API reference, "Transaction Reporting": details, unsettled transactions, batches, a batch's transactions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from .books import Batch, Books, Transaction, iso
from .errors import OK, REASONS, Doc, Refused

SPAN = timedelta(days=31)  # getSettledBatchListRequest: "within a 31 day period"


def details(books: Books, request: Doc) -> Doc:
    found = books.transactions.get(str(request["transId"]))
    if found is None:
        raise Refused("E00040")
    answer: Doc = {"transaction": _details(books, found), "messages": OK}
    if found.ref_id:
        answer["transrefId"] = found.ref_id
    return answer


def unsettled(books: Books, request: Doc) -> Doc:
    """Whatever no batch has taken up; with `pendingApproval` what is held for review."""
    held = request.get("status") == "pendingApproval"
    found = [one for one in _listed(books) if not one.batch and (not held or one.status.startswith("FDS"))]
    return _page(found, request)


def of_batch(books: Books, request: Doc) -> Doc:
    batch = books.batches.get(str(request.get("batchId", "")))
    if batch is None:
        raise Refused("E00040")
    return _page([books.transactions[id_] for id_ in batch.transactions], request)


def merchant(books: Books, request: Doc) -> Doc:
    """API reference, Get Merchant Details: what the account may do, in which currency."""
    return {
        "isTestMode": False,
        "processors": [{"name": "First Data Nashville", "id": 2}],
        "merchantName": "Test Developer",
        "gatewayId": "565697",
        "marketTypes": ["0"],
        "productCodes": ["CNP"],
        "paymentMethods": ["Visa"],
        "currencies": ["USD"],
        "messages": OK,
    }


def batches(books: Books, request: Doc) -> Doc:
    """Without dates those of the last day. `batchList` is absent where there is none."""
    first, last = request.get("firstSettlementDate"), request.get("lastSettlementDate")
    now = datetime.fromtimestamp(books.now(), UTC)
    since = _moment(first) if first else now - timedelta(days=1)
    until = _moment(last) if last else now
    if until - since > SPAN or until < since:
        raise Refused("E00013", "The field is invalid: the settlement dates span more than 31 days.")
    mine = [batch for batch in books.batches.values() if since.timestamp() <= batch.at <= until.timestamp()]
    listed = {"batchList": [_batch(books, batch, request) for batch in mine]} if mine else {}
    return {**listed, "messages": OK}


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _listed(books: Books) -> list[Transaction]:
    return [one for one in books.transactions.values() if one.seen_from <= books.now()]


def _page(found: list[Transaction], request: Doc) -> Doc:
    """A thousand at most; `offset` counts pages from 1. Without paging the newest thousand."""
    sorting, paging = request.get("sorting") or {}, request.get("paging") or {}
    descending = str(sorting.get("orderDescending", "true")).lower() in ("true", "1")
    key = (lambda one: one.submitted) if sorting.get("orderBy") == "submitTimeUTC" else (lambda one: int(one.id))
    found = sorted(found, key=key, reverse=descending)
    limit, offset = int(paging.get("limit", 1000)), int(paging.get("offset", 1))
    shown = found[(offset - 1) * limit : offset * limit]
    listed = {"transactions": [_summary(one) for one in shown]} if shown else {}
    return {**listed, "totalNumInResultSet": len(shown), "messages": OK}


def _summary(one: Transaction) -> Doc:
    """transactionSummaryType"""
    shown: Doc = {
        "transId": one.id,
        "submitTimeUTC": iso(one.submitted),
        "submitTimeLocal": iso(one.submitted)[:-1],
        "transactionStatus": one.status,
    }
    if one.invoice:
        shown["invoiceNumber"] = one.invoice
    shown |= {"accountType": one.card["brand"], "accountNumber": one.card["number"], "settleAmount": one.settle / 100}
    return {**shown, "marketType": "eCommerce", "product": "Card Not Present", "hasReturnedItemsSpecified": False}


def _details(books: Books, one: Transaction) -> Doc:
    """transactionDetailsType"""
    shown: Doc = {"transId": one.id}
    if one.ref_trans:
        shown["refTransId"] = one.ref_trans
    shown |= {
        "submitTimeUTC": iso(one.submitted),
        "submitTimeLocal": iso(one.submitted)[:-1],
        "transactionType": one.type,
        "transactionStatus": one.status,
        "responseCode": int(one.response),
        "responseReasonCode": int(one.reason),
        "responseReasonDescription": REASONS.get(one.reason, ""),
        "authCode": one.auth_code,
        "AVSResponse": "Y",
    }
    if one.batch:
        shown["batch"] = _settled(books.batches[one.batch])
    if one.invoice:
        shown["order"] = {"invoiceNumber": one.invoice, "description": one.description}
    card = {"cardNumber": one.card["number"], "expirationDate": "XXXX", "cardType": one.card["brand"]}
    shown |= {"authAmount": one.auth / 100, "settleAmount": one.settle / 100, "taxExempt": False}
    shown["payment"] = {"creditCard": card}
    if one.profile[0]:
        shown["profile"] = {"customerProfileId": one.profile[0], "customerPaymentProfileId": one.profile[1]}
    return {**shown, "recurringBilling": False, "product": "Card Not Present", "marketType": "eCommerce"}


def _settled(batch: Batch) -> Doc:
    return {
        "batchId": batch.id,
        "settlementTimeUTC": iso(batch.at),
        "settlementTimeUTCSpecified": True,
        "settlementTimeLocal": iso(batch.at)[:-1],
        "settlementTimeLocalSpecified": True,
        "settlementState": batch.state,
    }


def _batch(books: Books, batch: Batch, request: Doc) -> Doc:
    """batchDetailsType"""
    shown = {**_settled(batch), "paymentMethod": "creditCard", "marketType": "eCommerce", "product": "Card Not Present"}
    if str(request.get("includeStatistics", "")).lower() in ("true", "1"):
        mine = [books.transactions[id_] for id_ in batch.transactions]
        charges = [one for one in mine if one.status == "settledSuccessfully"]
        refunds = [one for one in mine if one.status == "refundSettledSuccessfully"]
        shown["statistics"] = [
            {
                "accountType": "Visa",
                "chargeAmount": sum(one.settle for one in charges) / 100,
                "chargeCount": len(charges),
                "refundAmount": sum(one.settle for one in refunds) / 100,
                "refundCount": len(refunds),
                "voidCount": sum(one.status == "voided" for one in mine),
                "declineCount": sum(one.status == "declined" for one in mine),
                "errorCount": 0,
            }
        ]
    return shown

"""Examples in the OpenAPI document: what is sent, and what is answered, by method and path below `/api/v1`.

A test sends no example to a server, but reads each body by the model that the route reads it with, and holds each
answer against one that a route has given: the same names, the same kinds of value.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def _usd(value: int) -> Json:
    return {"value": value, "currency": "USD"}


_ACCOUNT = "urn:clinic:account|A100"
_PAYMENT, _REFUND = "pay01kdp3x5yz8r2v9m4q7t6w1c0b", "ref01kdp3xa1c5f8h2k6n9q3s7v0e"
_OBLIGATION, _OTHER = "obl01kdp3w2b4d7g9j1m5p8r0t3x", "obl01kdp3w8e0h3k6n2q5s9v1y4a"
_ENDPOINT, _EVENT = "whe01kdp3t7a9c2e5g8j1m4p6r0u", "evt01kdp3xc6f9h2j5m8p1r4t7w0"
_CASH = {"kind": "cash", "till": "front", "tendered": {"value": "60.00", "currency": "USD"}}
_WHY = {"by": "jdoe", "why": "agreed by phone"}
_AT = "2026-11-20T15:00:00+00:00"
_AMOUNT = {"value": "30.00", "currency": "USD"}

BODIES: dict[str, Json] = {
    "post /payments": {
        "account": _ACCOUNT,
        "method": {"hosted": {"return_url": "https://ehr.example.org/done"}},
    },
    "post /payments/{payment_id}/capture": {"amount": _AMOUNT},
    "post /payments/{payment_id}/void": {},
    "post /payments/{payment_id}/cancel": {},
    "post /payments/{payment_id}/reverse": {"reason": "the visit was cancelled"},
    "post /payment-requests": {"account": _ACCOUNT, "amount": _AMOUNT, "expires_at": "2026-12-24T15:00:00Z"},
    "post /payment-requests/{request_id}/payments": {"method": {"stored_method": "met01kdp3v0a3d6g9k2n5q8t1w4y"}},
    "post /payment-requests/{request_id}/cancel": {"reason": "she pays at the desk"},
    "post /refunds": {"payment": _PAYMENT, "amount": _AMOUNT, "reason": "paid twice"},
    "post /desk-payments": {"by": "jdoe", "account": _ACCOUNT, "tender": _CASH},
    "post /desk-payments/{payment_id}/void": {"by": "jdoe", "till": "front", "reason": "typed 80.00 for 8.00"},
    "post /desk-refunds": {
        "by": "jdoe",
        "payment": _PAYMENT,
        "amount": _AMOUNT,
        "tender": {"kind": "cash", "till": "front"},
        "reason": "the surgery was called off",
    },
    "post /splits": {
        "by": "jdoe",
        "account": _ACCOUNT,
        "tenders": [
            {"amount": _AMOUNT, "tender": {"kind": "cash", "till": "front"}},
            {"amount": _AMOUNT, "method": {"stored_method": "met01kdp3v0a3d6g9k2n5q8t1w4y"}},
        ],
    },
    "post /closes": {
        "by": "jdoe",
        "facility": "main",
        "till": "front",
        "batch": {"value": "412.50", "currency": "USD"},
        "reference": "0173",
    },
    "post /closes/{close_id}/reopen": {"by": "jdoe", "why": "a bag of coins was found"},
    "post /bank-bags": {"by": "jdoe", "checks": [_PAYMENT], "slip": "000123"},
    "post /returned-checks": {"by": "jdoe", "payment": _PAYMENT, "reason": "insufficient_funds"},
    "post /tills/{till}/open": {"by": "jdoe", "float": {"value": "100.00", "currency": "USD"}},
    "post /tills/{till}/drop": {"by": "jdoe", "amount": _AMOUNT},
    "post /tills/{till}/pay-in": {"by": "jdoe", "amount": _AMOUNT, "reason": "change"},
    "post /tills/{till}/pay-out": {"by": "jdoe", "amount": _AMOUNT, "reason": "stamps"},
    "post /tills/{till}/count": {"by": "jdoe", "counted": _AMOUNT},
    "post /tills/{till}/close": {"by": "jdoe", "counted": _AMOUNT},
    "post /safes/{facility}": {"by": "jdoe", "amount": _AMOUNT, "source": "bank", "reason": "change for the week"},
    "post /operations/{operation_id}/found": {
        "by": "jdoe",
        "became": "not_done",
        "why": "their support has no such payment",
        "evidence": "ticket 4711",
    },
    "post /deposits": {
        "by": "jdoe",
        "account": _ACCOUNT,
        "amount": {"value": "60.00", "currency": "USD"},
        "tender": _CASH,
        "purpose": "surgery in December",
    },
    "post /credits/apply": {
        "by": "jdoe",
        "account": _ACCOUNT,
        "payment": _PAYMENT,
        "obligation": _OBLIGATION,
        "reason": "she asked for it",
    },
    "post /reallocations": {
        "by": "jdoe",
        "payment": _PAYMENT,
        "from": _OBLIGATION,
        "to": _OTHER,
        "reason": "it was meant for the other visit",
    },
    "post /method-setups": {"account": _ACCOUNT},
    "post /stored-methods": {
        "account": _ACCOUNT,
        "setup": "set01kdp3s5a8c1e4g7j0m3p6r9u",
        "consent": {"text": "Charge this card for my copays.", "cap": {"value": "100.00", "currency": "USD"}},
    },
    "post /stored-methods/{method_id}/mandate": {"by": "jdoe", "state": "active", "why": "agreed by phone"},
    "post /disputes/{dispute_id}/accept": _WHY,
    "post /disputes/{dispute_id}/end": {"by": "jdoe", "ended": "lost", "why": "the Customer Area shows it as lost"},
    "post /worklist/{line_id}/done": _WHY,
    "post /holds": {"by": "jdoe", "account": _ACCOUNT, "name": "dispute", "says": "the patient disputes the charge"},
    "post /holds/{hold_id}/release": _WHY,
    "post /staff-amounts": {"by": "jdoe", "account": _ACCOUNT, "amount": _AMOUNT, "reason": "quoted before the visit"},
    "post /self-pay": {"by": "jdoe", "account": _ACCOUNT, "reason": "the coverage ended before the visit"},
    "post /second-charges": {"by": "jdoe", "charge": "ChargeItem/cha01kdp3", "reason": "given twice that day"},
    "post /write-offs": {"by": "jdoe", "obligation": _OBLIGATION, "kind": "charity", "reason": "approved on 11/19"},
    "post /staff-entries/{entry_id}/withdraw": _WHY,
    "post /postings/{posting_id}/confirm": _WHY,
    "post /postings/{posting_id}/reject": _WHY,
    "post /webhook-endpoints": {"url": "https://ehr.example.org/fhirpay", "events": ["payment.captured"]},
    "put /webhook-endpoints/{endpoint_id}": {"url": "https://ehr.example.org/fhirpay", "state": "active"},
    "post /webhook-endpoints/{endpoint_id}/rotate": {"overlap_h": 24},
    "post /webhook-endpoints/{endpoint_id}/replay": {"since": "2026-12-01T00:00:00Z"},
    "post /webhook-endpoints/{endpoint_id}/events/{event_id}/skip": {},
}

_ZERO = _usd(0)
PAYMENT: Json = {
    "id": _PAYMENT,
    "state": "captured",
    "amount": _usd(50),
    "authorized": _usd(50),
    "captured": _usd(50),
    "voided": _ZERO,
    "refunded": _ZERO,
    "returned": _ZERO,
    "account": "Account/acc01kdp3",
    "method": {"kind": "cash", "till": "front", "taken_by": "client:ehr/jdoe", "tendered": _usd(50)},
    "initiated_by": "customer",
    "merchant_reason": None,
    "allocations": [
        {
            "number": 1,
            "obligation": _OBLIGATION,
            "account": "Account/acc01kdp3",
            "reserved": _usd(50),
            "paid": _usd(50),
            "refunded": _ZERO,
            "returned": _ZERO,
        }
    ],
    "hosted_url": None,
    "created_at": _AT,
    "captured_at": _AT,
    "returnable_until": None,
    "retry": None,
    "business_date": "2026-11-20",
    "merchant": "main",
    "tried": [],
    "processor": {"name": "desk", "reference": None, "capture": _PAYMENT},
    "operations": [],
    "refunds": [_REFUND],
    "returns": [],
    "disputes": [],
}
REFUND: Json = {
    "id": _REFUND,
    "payment": _PAYMENT,
    "state": "requested",
    "amount": _usd(1),
    "reason": "paid twice",
    "takes_back": [],
    "requested_by": "client:ehr",
    "created_at": _AT,
    "succeeded_at": None,
    "business_date": None,
    "processor": {"reference": None},
}
ENDPOINT: Json = {
    "id": _ENDPOINT,
    "url": "https://ehr.example.org/fhirpay",
    "events": ["payment.captured"],
    "state": "active",
    "says": None,
    "failures": 0,
    "rests_until": None,
    "previous_secret_until": None,
    "deliveries": {"waiting": 0, "delivered": 2, "parked": 0, "skipped": 0},
    "created_at": _AT,
    "changed_at": _AT,
}
EVENT: Json = {
    "id": _EVENT,
    "type": "payment.captured",
    "timestamp": "2026-11-20T15:00:00.000000Z",
    "data": {
        "id": _PAYMENT,
        "payment": _PAYMENT,
        "state": "captured",
        "amount": 50,
        "currency": "USD",
        "url": f"https://pay.example.org/api/v1/payments/{_PAYMENT}",
    },
}
_COUNTS = {
    "says": "What patients and guarantors owed at the end of the day, …",
    "denominators": "No percentages: …",
}
REPORT: Json = {
    "name": "aging",
    **_COUNTS,
    "span": "as_of",
    "by": [{"name": "facility", "says": "the facility"}],
    "columns": [{"name": "owed", "unit": "money", "says": "what is owed"}],
}
REPORT_PAGE: Json = {
    "report": "aging",
    **_COUNTS,
    "as_of": "2026-11-30",
    "recorded_by": 48211,
    "rows": [
        {
            "currency": "USD",
            "obligations": 5,
            "owed": "230.00",
            "d0_30": "60.00",
            "d31_60": "20.00",
            "d61_90": "50.00",
            "d91_120": "0.00",
            "d121_up": "100.00",
        }
    ],
}
_DELIVERY: Json = {"endpoint": _ENDPOINT, "state": "delivered", "tries": 1, "says": None, "told_at": _AT}
_LAST = {"next_cursor": None, "next": None}

ANSWERS: dict[str, Json] = {
    "post /payments": PAYMENT,
    "get /payments/{payment_id}": PAYMENT,
    "get /payments": {"payments": [PAYMENT], **_LAST},
    "post /payments/{payment_id}/capture": PAYMENT,
    "post /payments/{payment_id}/void": PAYMENT,
    "post /payments/{payment_id}/reverse": PAYMENT,
    "post /desk-payments": PAYMENT,
    "post /refunds": REFUND,
    "get /refunds/{refund_id}": REFUND,
    "get /refunds": {"refunds": [REFUND], **_LAST},
    "post /webhook-endpoints": ENDPOINT,
    "get /webhook-endpoints/{endpoint_id}": ENDPOINT,
    "put /webhook-endpoints/{endpoint_id}": ENDPOINT,
    "post /webhook-endpoints/{endpoint_id}/rotate": ENDPOINT,
    "get /webhook-endpoints": {"webhook_endpoints": [ENDPOINT], **_LAST},
    "get /webhook-endpoints/{endpoint_id}/secrets": {"secrets": [{"secret": "whsec_…", "until": None}]},
    "post /webhook-endpoints/{endpoint_id}/replay": {"queued": [_EVENT], "next_cursor": None},
    "get /reports": {"reports": [REPORT], **_LAST},
    "get /reports/{name}": {**REPORT_PAGE, **_LAST},
    "get /events": {"events": [EVENT], **_LAST},
    "get /events/{event_id}": {**EVENT, "deliveries": [_DELIVERY]},
}

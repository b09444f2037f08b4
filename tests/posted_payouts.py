"""What is posted of a payout: the cases of tests/golden/writeback."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from fhirpay.writeback.payout_posting import PayoutLine, PostedPayout
from posted_payments import ref, usd

PAYOUT = PostedPayout(
    id="po01",
    amount=usd("382.25"),
    at=datetime(2026, 11, 25, 8, 0, tzinfo=UTC),
    on=date(2026, 11, 26),
    zone="America/New_York",
    processor="sim",
    reference="po_1",
    lines=[
        PayoutLine(1, "payment", usd("25.00"), date(2026, 11, 20), "pay01", ref("PaymentReconciliation/pay01")),
        PayoutLine(2, "payment", usd("300.00"), date(2026, 11, 21), "pay02", ref("PaymentReconciliation/pay02")),
        PayoutLine(3, "payment", usd("100.00"), date(2026, 11, 21), "pay03"),
        PayoutLine(4, "payment", usd("-30.00"), date(2026, 11, 25), "ref01", ref("PaymentReconciliation/ref01")),
        PayoutLine(5, "adjustment", usd("-12.75"), date(2026, 11, 25)),
    ],
)
PAYOUTS = {
    "e-payout": PAYOUT,
    "e-payout-back": replace(
        PAYOUT,
        id="po01-back",
        amount=-PAYOUT.amount,
        on=date(2026, 12, 1),
        lines=[replace(line, amount=-line.amount, request=None) for line in PAYOUT.lines],
        back_of="po01",
    ),
}

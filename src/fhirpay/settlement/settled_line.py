"""A processor's line as it would be kept, of no payout yet: to be asked whose it is. Pure."""

from __future__ import annotations

from ..payments.settlement_port import SettlementLine
from .store import Line, LineState


def of(merchant: str, line: SettlementLine) -> Line:
    return Line(
        merchant=merchant,
        line_ref=line.reference,
        payout_ref="",
        kind=line.kind,
        raw_type=line.raw_type,
        gross=line.gross,
        fee=line.fee,
        net=line.net,
        presentment=line.presentment,
        payment_ref=line.payment or "",
        of_ref=line.of or "",
        our_ref=line.our_reference,
        occurred_at=line.occurred_at,
        state=LineState.WAITING,
        payment_id="",
        recorded_at=line.occurred_at,
    )

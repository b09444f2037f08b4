"""Adyen's dispute events → our port's words. Pure; used by adyen_events.py alone.

All events of a dispute have its pspReference, and the payment's as originalReference. Each states by its code, which is
signed, how far the dispute has come and which money has moved; the money that it moved is its amount. Of what isn't
signed only the day until which it can be defended is taken, to be shown. Sources: docs.adyen.com, Dispute webhooks, and
the pages of each event.

| event | states | money |
|---|---|---|
| NOTIFICATION_OF_CHARGEBACK, DISPUTE_OPENED_WITH_CHARGEBACK | opened: it can be defended | |
| CHARGEBACK | the same | taken |
| INFORMATION_SUPPLIED | defended | |
| CHARGEBACK_REVERSED | won, which is not final | given back |
| ISSUER_RESPONSE_TIMEFRAME_EXPIRED | won: the issuer accepted, or did not respond | |
| SECOND_CHARGEBACK | lost in the second round | taken |
| DISPUTE_DEFENSE_PERIOD_ENDED | lost: not defended in time, or liability accepted | |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ...domain.dispute import DisputeState
from ...domain.money import Money
from ..port import DisputeMoney, DisputeSeen, Reference

_S = DisputeState


@dataclass(frozen=True, slots=True)
class _Says:
    state: DisputeState
    money: Literal["", "taken", "back"] = ""
    round: int = 1


SAYS: Mapping[str, _Says] = {
    "NOTIFICATION_OF_CHARGEBACK": _Says(_S.NEEDS_RESPONSE),
    "DISPUTE_OPENED_WITH_CHARGEBACK": _Says(_S.NEEDS_RESPONSE),
    "CHARGEBACK": _Says(_S.NEEDS_RESPONSE, "taken"),
    "INFORMATION_SUPPLIED": _Says(_S.UNDER_REVIEW),
    "CHARGEBACK_REVERSED": _Says(_S.WON, "back"),
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": _Says(_S.WON),
    "SECOND_CHARGEBACK": _Says(_S.LOST, "taken", 2),
    "DISPUTE_DEFENSE_PERIOD_ENDED": _Says(_S.LOST),
}


def seen(code: str, dispute: Reference, payment: Reference, amount: Money, at: datetime, more: Any) -> DisputeSeen:
    """What the event of this code states. `more`: its additionalData, unsigned."""
    says = SAYS[code]
    line = DisputeMoney(
        Reference(f"{dispute}-{code}"), amount, says.money == "back", Money.zero(amount.currency), at, says.round
    )
    return DisputeSeen(
        reference=dispute,
        payment=payment,
        state=says.state,
        amount=amount,
        opened_at=at,
        money=(line,) if says.money and amount else (),
        round=says.round,
        respond_by=_until(more.get("defensePeriodEndsAt") if isinstance(more, dict) else None, at),
    )


def _until(said: object, since: datetime) -> datetime | None:
    """When the defense period ends, where that can be read and is still to come."""
    try:
        found = datetime.fromisoformat(str(said).replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo is not None and found > since else None

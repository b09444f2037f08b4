"""The rules of matching lines with payments, read from rules.toml; and the one that decides by amount and day. Pure.

Called by usecases/reconcile.py. To change how near is near, edit rules.toml.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources

from ..domain.money import Money

REFERENCE = "reference"
AMOUNT_AND_DAY = "amount_and_day"
_ROWS = tomllib.loads((resources.files("fhirpay.reconciliation") / "rules.toml").read_text(encoding="utf-8"))
CONFIDENCE = {name: str(row["confidence"]) for name, row in _ROWS.items() if "confidence" in row}
HORIZON = timedelta(days=_ROWS["horizon"]["days"])
_BEFORE = timedelta(days=_ROWS[AMOUNT_AND_DAY]["captured_before_days"])
_AFTER = timedelta(days=_ROWS[AMOUNT_AND_DAY]["captured_after_days"])


@dataclass(frozen=True, slots=True)
class Nameless:
    """A line of a payment that names nothing."""

    merchant: str
    payout_ref: str
    line_ref: str
    gross: Money
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Unlined:
    """A payment that no line is of."""

    payment_id: str
    merchant: str
    amount: Money
    captured_at: datetime


def by_amount_and_day(lines: Iterable[Nameless], payments: Sequence[Unlined]) -> dict[Nameless, str]:
    """Line → payment, where neither could be anything else."""
    alike: dict[tuple[str, Money], list[Unlined]] = {}
    for one in payments:
        alike.setdefault((one.merchant, one.amount), []).append(one)
    may_be = {
        line: [
            one.payment_id
            for one in alike.get((line.merchant, line.gross), ())
            if -_AFTER <= line.occurred_at - one.captured_at <= _BEFORE
        ]
        for line in lines
    }
    wanted = Counter(payment for found in may_be.values() for payment in found)
    return {line: found[0] for line, found in may_be.items() if len(found) == 1 and wanted[found[0]] == 1}

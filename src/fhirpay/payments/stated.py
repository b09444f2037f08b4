"""What an event states, as text and back: it is kept with the event until it is worked on. Pure.

Called by usecases/webhook.py and told_by_event.py. The outcomes of `Stated` and no others; to add a field that an event
may state: a line in `_written` and one in `_read`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from ..domain.money import Money
from ..errors import InvariantBroken
from .declines import DeclineCode
from .port import Approved, Canceled, Declined, OperationKind, Reference, Return, Stated

Doc = dict[str, Any]
_KINDS = {"approved": Approved, "declined": Declined, "canceled": Canceled}
_REFERENCES = ("reference", "payment", "undoes")


def as_text(stated: Stated) -> str:
    doc = {
        "of": None if stated.of is None else str(stated.of),
        "key": stated.key,
        "outcomes": [_written(one) for one in stated.outcomes],
    }
    return json.dumps(doc, sort_keys=True)


def from_text(text: str) -> Stated:
    doc = json.loads(text)
    kind = None if doc["of"] is None else OperationKind(doc["of"])
    return Stated(kind, tuple(_read(one) for one in doc["outcomes"]), doc["key"])


def _written(outcome: Approved | Declined | Canceled) -> Doc:
    """Fields that have nothing to say are left out. What a card is (`details`) is not signed, so it isn't here."""
    name = next(name for name, kind in _KINDS.items() if isinstance(outcome, kind))
    doc: Doc = {"is": name}
    for field in ("reference", "payment", "undoes", "code", "said", "captured", "expired"):
        if (value := getattr(outcome, field, None)) is not None:
            doc[field] = value
    if (amount := getattr(outcome, "amount", None)) is not None:
        doc["amount"] = [amount.minor, amount.currency]
    if (at := getattr(outcome, "at", None)) is not None:
        doc["at"] = _moment(at)
    if returns := getattr(outcome, "returns", ()):
        doc["returns"] = [
            [one.reference, one.amount.minor, one.amount.currency, _moment(one.at), one.code, one.reason]
            for one in returns
        ]
    return doc


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _read(doc: Doc) -> Approved | Declined | Canceled:
    kind = _KINDS.get(doc["is"])
    if kind is None:
        raise InvariantBroken(f"an event can't state an outcome '{doc['is']}'")
    values: Doc = {name: value for name, value in doc.items() if name != "is"}
    values |= {name: Reference(values[name]) for name in _REFERENCES if name in values}
    if "amount" in values:
        values["amount"] = Money(*values["amount"])
    if "code" in values:
        values["code"] = DeclineCode(values["code"])
    if "returns" in values:
        values["returns"] = tuple(
            Return(Reference(reference), Money(minor, currency), datetime.fromisoformat(at), code, reason)
            for reference, minor, currency, at, code, reason in values["returns"]
        )
    if "at" in values:
        values["at"] = datetime.fromisoformat(values["at"])
    return kind(**values)

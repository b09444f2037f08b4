"""What EHRs say of a payment of ours, as nodes of `explain`: by a report or a search, and by which rule it is ours."""

from __future__ import annotations

from collections.abc import Iterable

from ..db.unit import Tx
from ..writeback import said
from .explain_text import Node


def nodes_of(tx: Tx, subjects: Iterable[str]) -> list[Node]:
    """Of a payment and of what takes it back, by day."""
    return [_node(one) for subject in subjects for one in said.of_subject(tx, subject)]


def _node(one: said.Entry) -> Node:
    number = f" under number {one.number}" if one.number else ""
    how = "what was read back" if one.source == "read_back" else f"its {one.source}"
    says = f"'{one.said_by}' says by {how} that it has {one.amount} of {one.day}{number} ({one.said_at})"
    facts = {
        "source": one.source,
        "saidBy": one.said_by,
        "amount": f"{one.amount.decimal:f}",
        "currency": one.amount.currency,
        "day": one.day.isoformat(),
        "number": one.number or None,
        "at": one.said_at,
        "is": one.subject,
        "rule": one.rule,
        "confidence": one.confidence,
    }
    return Node("ehrPosting", one.entry_id, f"{says}, by rule '{one.rule}', {one.confidence}", (), facts)

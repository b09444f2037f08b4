"""What EHRs say of a payment of ours, as nodes of `explain`: by a report or a search, and by which rule it is ours."""

from __future__ import annotations

from collections.abc import Iterable

from ..db.unit import Tx
from ..writeback import said
from .explain_text import Node


def nodes_of(tx: Tx, subjects: Iterable[str]) -> list[Node]:
    """Of a payment and of what takes it back, by day."""
    return [_node(one) for subject in subjects for one in said.of_subject(tx, subject)]


def says_of(tx: Tx, some_id: str) -> tuple[str, list[str]] | None:
    """What this id of something that an EHR says is, and the payment that it was found to be. None: it is none."""
    if not (one := _entry(tx, some_id)):
        return None
    return f"what '{one.said_by}' says that it has", [one.subject] if one.subject.startswith("pay") else []


def node_of(tx: Tx, some_id: str) -> list[Node]:
    """The same by itself, where no payment shows it."""
    one = _entry(tx, some_id)
    return [_node(one)] if one and not one.subject.startswith("pay") else []


def _entry(tx: Tx, some_id: str) -> said.Entry | None:
    return said.entry(tx, some_id) if some_id.startswith("eps") else None


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
    says += f", by rule '{one.rule}', {one.confidence}" if one.rule else ", of nothing that is known here"
    return Node("ehrPosting", one.entry_id, says, (), facts)

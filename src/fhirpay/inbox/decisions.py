"""What people (or a new release of the mappings) decided about stored messages: queued again, set aside; by whom, why.

Kept for ever beside the message, whose own `detail` says only what became of it last. Written in the unit that does
what was decided; read by `explain` and the staff API.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import insert, select

from ..db.metadata import table
from ..db.types import legible
from ..db.unit import Tx
from .tables import DecisionRow

_decision = table(DecisionRow)
Kind = Literal["replayed", "set aside"]


@dataclass(frozen=True, slots=True)
class Decision:
    kind: str
    by: str
    why: str
    at: datetime


def note(tx: Tx, message_ids: Sequence[str], kind: Kind, *, by: str, why: str) -> None:
    """Of each of these messages."""
    said = {"tenant_id": tx.tenant, "kind": kind, "decided_by": legible(by), "why": legible(why), "decided_at": tx.now}
    rows = [{**said, "message_id": one, "decision_id": tx.ids.new("dec")} for one in message_ids]
    if rows:
        tx.execute(insert(_decision), rows)


def about(tx: Tx, message_id: str) -> list[Decision]:
    """All about one message, oldest first."""
    where = (_decision.c.tenant_id == tx.tenant, _decision.c.message_id == message_id)
    rows = tx.all(select(_decision).where(*where).order_by(_decision.c.decision_id))
    return [Decision(row["kind"], row["decided_by"], row["why"], row["decided_at"]) for row in rows]

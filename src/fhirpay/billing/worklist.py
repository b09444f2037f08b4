"""What waits for a person: one line a thing. Called by anyone who finds something that can't be decided by a rule.

(kind, subject) is there once, however often it is found. What was done opens again when it happens again; what is
merely still so (`standing`) opens again only when there is something new to say of it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..errors import NotFound
from .tables import WorklistItem

_items = table(WorklistItem)


@dataclass(frozen=True, slots=True)
class Item:
    item_id: str
    kind: str
    subject: str
    says: str
    account_ref: str
    state: str
    created_at: datetime


def open_item(tx: Tx, *, kind: str, subject: str, says: str, account_ref: str = "", standing: bool = False) -> str:
    """Put it on the list; its id, the same one when it is there already."""
    is_it = (_items.c.tenant_id == tx.tenant, _items.c.kind == kind, _items.c.subject == subject)
    known = tx.one(select(_items).where(*is_it))
    if known is not None and known["says"] == says and (standing or known["state"] == "open"):
        return known["item_id"]
    item_id = tx.ids.new("wrk")
    row = {"tenant_id": tx.tenant, "item_id": item_id, "kind": kind, "subject": subject, "says": says}
    row |= {"account_ref": account_ref or None, "state": "open", "created_at": tx.now}
    again = {"says": says, "state": "open", "done_at": None}
    statement = (
        insert(_items).values(row).on_conflict_do_update(index_elements=["tenant_id", "kind", "subject"], set_=again)
    )
    return tx.scalar(statement.returning(_items.c.item_id))


def done(tx: Tx, item_id: str) -> None:
    """Take it off the list. Raises NotFound."""
    where = (_items.c.tenant_id == tx.tenant, _items.c.item_id == item_id)
    values = {"state": "done", "done_at": tx.now}
    if tx.execute(update(_items).where(*where).values(values)).rowcount == 0:
        raise NotFound(f"there is no item {item_id} on the worklist")


def settled(tx: Tx, kind: str, subject: str) -> None:
    """It needs nobody any more: take it off the list, if it is there. Found again, it opens again."""
    _settle(tx, _items.c.kind == kind, _items.c.subject == subject)


def settled_but(tx: Tx, kind: str, account_ref: str, subjects: Collection[str]) -> None:
    """Of an account's items of this kind, only these are left."""
    _settle(tx, _items.c.kind == kind, _items.c.account_ref == account_ref, _items.c.subject.not_in(subjects))


def _settle(tx: Tx, *which: ColumnElement[bool]) -> None:
    # The words change: what a person has put aside stays aside until it says something new (open_item).
    values = {"state": "done", "done_at": tx.now, "says": literal("no longer: ").concat(_items.c.says)}
    tx.execute(update(_items).where(_items.c.tenant_id == tx.tenant, _items.c.state == "open", *which).values(values))


def list_open(tx: Tx, *, account_ref: str | None = None, limit: int = 200) -> list[Item]:
    """What is open, oldest first."""
    where = [_items.c.tenant_id == tx.tenant, _items.c.state == "open"]
    if account_ref is not None:
        where.append(_items.c.account_ref == account_ref)
    found = tx.all(select(_items).where(*where).order_by(_items.c.created_at, _items.c.item_id).limit(limit))
    return [
        Item(
            row["item_id"],
            row["kind"],
            row["subject"],
            row["says"],
            row["account_ref"] or "",
            row["state"],
            row["created_at"],
        )
        for row in found
    ]

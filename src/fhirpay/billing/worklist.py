"""What waits for a person: one line a thing. Called by anyone who finds something that can't be decided by a rule.

(kind, subject) is there once, however often it is found. What was done opens again when it happens again; what is
merely still so (`standing`) opens again only when there is something new to say of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, and_, bindparam, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound
from .tables import WorklistItem

_items = table(WorklistItem)
_OPEN = (_items.c.tenant_id == bindparam("tenant"), _items.c.state == "open")
_OF_ACCOUNT = select(_items.c.kind, _items.c.subject).where(
    *_OPEN, _items.c.kind.in_(bindparam("kinds", expanding=True)), _items.c.account_ref == bindparam("account")
)
_ABOUT = select(_items).where(
    _items.c.tenant_id == bindparam("tenant"),
    _items.c.kind == bindparam("of_kind"),
    _items.c.subject == bindparam("about"),
)
# The words change: what a person has put aside stays aside until it says something new (open_item).
_SETTLE = (
    update(_items)
    .where(*_OPEN, _items.c.kind == bindparam("of_kind"), _items.c.subject == bindparam("about"))
    .values(state="done", says=literal("no longer: ").concat(_items.c.says))
)


@dataclass(frozen=True, slots=True)
class Item:
    item_id: str
    kind: str
    subject: str
    says: str
    account_ref: str
    amount: Money | None
    created_at: datetime


def open_item(
    tx: Tx,
    *,
    kind: str,
    subject: str,
    says: str,
    account_ref: str = "",
    amount: Money | None = None,
    standing: bool = False,
) -> str:
    """Put it on the list; its id, the same one when it is there already."""
    known = tx.one(_ABOUT, of_kind=kind, about=subject)
    if known is not None and known["says"] == says and (standing or known["state"] == "open"):
        return known["item_id"]
    item_id = tx.ids.new("wrk")
    row = {"tenant_id": tx.tenant, "item_id": item_id, "kind": kind, "subject": subject, "created_at": tx.now}
    worth = {"amount_minor": amount.minor if amount else None, "currency": amount.currency if amount else None}
    again = {"says": says, "state": "open", "done_at": None, "done_by": "", "done_why": "", **worth}
    statement = insert(_items).values(row | again | {"account_ref": account_ref or None})
    statement = statement.on_conflict_do_update(index_elements=["tenant_id", "kind", "subject"], set_=again)
    return tx.scalar(statement.returning(_items.c.item_id))


def done(tx: Tx, item_id: str, *, by: str, why: str) -> None:
    """Take it off the list, for good reason. Raises NotFound when it isn't on it."""
    where = (_items.c.tenant_id == tx.tenant, _items.c.item_id == item_id, _items.c.state == "open")
    values = {"state": "done", "done_at": tx.now, "done_by": by, "done_why": why}
    if tx.execute(update(_items).where(*where).values(values)).rowcount == 0:
        raise NotFound(f"{item_id} is not on the worklist")


def find(tx: Tx, item_id: str) -> Item | None:
    """An item that is open."""
    where = (_items.c.tenant_id == tx.tenant, _items.c.item_id == item_id, _items.c.state == "open")
    row = tx.one(select(_items).where(*where))
    return None if row is None else _item(row)


def known(tx: Tx, kind: str, subject: str) -> bool:
    """Whether it is on the list or has been."""
    where = (_items.c.tenant_id == tx.tenant, _items.c.kind == kind, _items.c.subject == subject)
    return tx.one(select(_items.c.item_id).where(*where)) is not None


def waits(tx: Tx, kind: str, subjects: Collection[str]) -> bool:
    """Whether one of these is on the list now."""
    where = (_items.c.tenant_id == tx.tenant, _items.c.kind == kind, _items.c.subject.in_(subjects))
    return tx.one(select(_items.c.item_id).where(*where, _items.c.state == "open")) is not None


def account_of(tx: Tx, kind: str, subject: str) -> str:
    """The account of an item that is on the list or has been. Raises NotFound."""
    where = (_items.c.tenant_id == tx.tenant, _items.c.kind == kind, _items.c.subject == subject)
    account_ref = tx.scalar(select(_items.c.account_ref).where(*where))
    if account_ref is None:
        raise NotFound(f"the worklist has had no {kind} {subject}")
    return account_ref


def settled(tx: Tx, kind: str, subject: str) -> None:
    """It needs nobody any more: take it off the list, if it is there. Found again, it opens again."""
    tx.put(_SETTLE, {"tenant": tx.tenant, "of_kind": kind, "about": subject, "done_at": tx.now})


def settled_but(tx: Tx, kind: str, account_ref: str, subjects: Collection[str]) -> None:
    """Of an account's items of this kind, only these are left."""
    only(tx, account_ref, {kind: subjects})


def only(tx: Tx, account_ref: str, left: Mapping[str, Collection[str]]) -> None:
    """Of an account's items of these kinds, only these subjects are left."""
    for row in tx.all(_OF_ACCOUNT, kinds=list(left), account=account_ref):
        if row["subject"] not in left[row["kind"]]:
            settled(tx, row["kind"], row["subject"])


def list_open(
    tx: Tx,
    *,
    account_ref: str | None = None,
    kind: str | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int | None = 200,
) -> list[Item]:
    """What is open, oldest first; `after` is the moment and id of the last one seen."""
    where = [_items.c.tenant_id == tx.tenant, _items.c.state == "open"]
    if account_ref is not None:
        where.append(_items.c.account_ref == account_ref)
    if kind is not None:
        where.append(_items.c.kind == kind)
    if after is not None:
        since, item_id = after
        where.append(or_(_items.c.created_at > since, and_(_items.c.created_at == since, _items.c.item_id > item_id)))
    found = tx.all(select(_items).where(*where).order_by(_items.c.created_at, _items.c.item_id).limit(limit))
    return [_item(row) for row in found]


def _item(row: RowMapping) -> Item:
    return Item(
        item_id=row["item_id"],
        kind=row["kind"],
        subject=row["subject"],
        says=row["says"],
        account_ref=row["account_ref"] or "",
        amount=None if row["currency"] is None else Money(row["amount_minor"], row["currency"]),
        created_at=row["created_at"],
    )

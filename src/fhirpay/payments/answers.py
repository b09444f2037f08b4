"""Clients' idempotency keys: the same key with the same body gets the same answer, for ever. Called by web/api.

The key replays an answer; it is not what stops a second payment. That is the constraint on the business fact.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..errors import Conflict
from .tables import IdempotencyKeyRow

_key = table(IdempotencyKeyRow)


@dataclass(frozen=True, slots=True)
class Kept:
    """What was made under a key. `status` is None while it has been made and not yet answered."""

    subject: str
    status: int | None
    answer: str | None


def find(tx: Tx, client: str, key: str, body_hash: str) -> Kept | None:
    """What this key has led to. Raises Conflict when it came with another body."""
    row = tx.one(select(_key).where(_key.c.tenant_id == tx.tenant, _key.c.client == client, _key.c.key == key))
    if row is None:
        return None
    if row["body_hash"] != body_hash:
        raise Conflict("this Idempotency-Key was used for another request; use a new one for a new request")
    return Kept(row["subject"], row["status"], row["answer"])


def claim(tx: Tx, client: str, key: str, body_hash: str) -> Kept | None:
    """Take the key for this request, or what it has led to already. Raises Conflict for another body.

    Two at once: the second waits for the first's unit and then finds what it made.
    """
    row = {"tenant_id": tx.tenant, "client": client, "key": key, "body_hash": body_hash, "subject": ""}
    statement = insert(_key).values(**row, created_at=tx.now).on_conflict_do_nothing().returning(_key.c.key)
    return None if tx.scalar(statement) is not None else find(tx, client, key, body_hash)


def made(tx: Tx, client: str, key: str, subject: str) -> None:
    """What was made, in the unit that claimed the key."""
    where = (_key.c.tenant_id == tx.tenant, _key.c.client == client, _key.c.key == key)
    tx.execute(update(_key).where(*where).values(subject=subject))


def answered(tx: Tx, client: str, key: str, status: int, answer: str) -> Kept:
    """Keep the first answer; what is to be sent, which may be an earlier one."""
    where = (_key.c.tenant_id == tx.tenant, _key.c.client == client, _key.c.key == key)
    tx.execute(update(_key).where(*where, _key.c.status.is_(None)).values(status=status, answer=answer))
    row = tx.one(select(_key).where(*where))
    assert row is not None
    return Kept(row["subject"], row["status"], row["answer"])

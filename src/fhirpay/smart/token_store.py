"""Tokens that were given out and assertions that were used, in the database. Called by authserver.py and callers.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.types import fitted
from ..db.unit import Tx
from .tables import OauthAssertionRow, OauthTokenRow

_tokens = table(OauthTokenRow)
_assertions = table(OauthAssertionRow)
_KEPT_FOR = timedelta(hours=1)  # after its end, for whoever looks into what happened
_SWEPT_AT_ONCE = 50  # one comes in by each request, so neither table grows behind
_FIND = select(_tokens).where(
    _tokens.c.tenant_id == bindparam("tenant"), _tokens.c.token_hash == bindparam("token_hash")
)


@dataclass(frozen=True, slots=True)
class Issued:
    """A token of ours that is in force."""

    client_id: str
    scope: str
    issued_at: datetime
    expires_at: datetime


def add(tx: Tx, token: str, client_id: str, scope: str, lifetime: timedelta) -> None:
    """Give out a token. What has ended long since goes."""
    row = {
        "tenant_id": tx.tenant,
        "token_hash": hashed(token),
        "client_id": client_id,
        "scope": scope,
        "issued_at": tx.now,
        "expires_at": tx.now + lifetime,
    }
    tx.execute(insert(_tokens).values(**row))
    sweep(tx, _tokens)


def find(tx: Tx, token: str) -> Issued | None:
    """The token, if it was given out here, hasn't ended and wasn't revoked."""
    row = tx.one(_FIND, token_hash=hashed(token))
    if row is None or row["revoked_at"] is not None or row["expires_at"] <= tx.now:
        return None
    return Issued(row["client_id"], row["scope"], row["issued_at"], row["expires_at"])


def revoke(tx: Tx, token: str) -> None:
    where = (_tokens.c.tenant_id == tx.tenant, _tokens.c.token_hash == hashed(token), _tokens.c.revoked_at.is_(None))
    tx.execute(update(_tokens).where(*where).values(revoked_at=tx.now))


def use_assertion(tx: Tx, client_id: str, jti: str, expires_at: datetime) -> bool:
    """Whether this is the first time. Two at once: the second waits for the first one's unit. Old ones go."""
    row = {"tenant_id": tx.tenant, "client_id": client_id, "jti": fitted(jti), "expires_at": expires_at}
    statement = insert(_assertions).values(**row).on_conflict_do_nothing().returning(_assertions.c.jti)
    first = tx.scalar(statement) is not None
    sweep(tx, _assertions)
    return first


def sweep(tx: Tx, of: Table) -> None:
    """Delete a few that ended long ago; those that another unit is deleting are left to it."""
    old = select(*of.primary_key.columns).where(of.c.tenant_id == tx.tenant, of.c.expires_at < tx.now - _KEPT_FOR)
    for row in tx.all(old.limit(_SWEPT_AT_ONCE).with_for_update(skip_locked=True)):
        tx.execute(delete(of).where(*(of.c[name] == value for name, value in row.items())))


def hashed(token: str) -> str:
    """How a token of ours, or another secret that we drew, is kept."""
    # Plain: it has 192 random bits, which no table of guesses holds.
    return sha256(token.encode()).hexdigest()

"""Tables of the authorization server: tokens that were given out, and assertions that were used. By token_store.py.

Both end by themselves within minutes, and are deleted a while after.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


class OauthTokenRow(Row, table=True):
    """An access token of ours. What is kept is its hash: whoever reads this table can't call us with it."""

    __tablename__ = "oauth_token"
    __table_args__ = (Index(None, "tenant_id", "expires_at"),)

    tenant_id: str = Field(primary_key=True)
    token_hash: str = Field(primary_key=True)
    client_id: str
    scope: str
    issued_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class OauthAssertionRow(Row, table=True):
    """A client assertion by its `jti`, until it would be refused by its `exp` anyway."""

    __tablename__ = "oauth_assertion"
    __table_args__ = (Index(None, "tenant_id", "expires_at"),)

    tenant_id: str = Field(primary_key=True)
    client_id: str = Field(primary_key=True)
    jti: str = Field(primary_key=True)
    expires_at: datetime = Field(sa_type=UtcDateTime)

"""Tables of the authorization server: tokens that were given out, and assertions that were used. By token_store.py.

And of the app that EHRs launch: sign-ins on their way, and the sessions that came of them. By launch_store.py.
All but the sessions end by themselves within minutes, and are deleted a while after.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index
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


class SmartLaunchRow(Row, table=True):
    """A sign-in that was begun, by the hash of its `state`. What proves it to be this browser's is its cookie."""

    __tablename__ = "smart_launch"
    __table_args__ = (Index(None, "tenant_id", "expires_at"),)

    tenant_id: str = Field(primary_key=True)
    state_hash: str = Field(primary_key=True)
    browser_hash: str
    connection: str
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SmartSessionRow(Row, table=True):
    """Who was let in from an EHR, and to what: kept as the record of who has looked. The browser's cookie is the key of
    `refresh`; without it nobody can read that, nor call the EHR with it. `checked_until`: the EHR vouches till then."""

    __tablename__ = "smart_session"
    __table_args__ = (
        CheckConstraint("kind IN ('staff', 'patient')", name="kind"),
        Index(None, "tenant_id", "patient_ref"),
    )

    tenant_id: str = Field(primary_key=True)
    session_id: str = Field(primary_key=True)
    secret_hash: str
    connection: str
    kind: str
    fhir_user: str  # as the EHR calls them: Practitioner/123
    subject: str  # the id_token's `sub`
    remote_patient: str  # the patient in context, by the id that the EHR has for it
    patient_ref: str  # ours
    encounter_ref: str  # ours; empty: none in context, or none that is known here
    encounter_said: bool  # whether there is one in context
    refresh: str  # sealed; empty: none
    checked_until: datetime = Field(sa_type=UtcDateTime)
    renewing_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    renewed: int = Field(sa_type=BigInteger)  # how often
    opened_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_why: str

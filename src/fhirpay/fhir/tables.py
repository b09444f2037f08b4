"""Tables of the FHIR store: what a resource is now, what it was, what it is found by. Written by store.py alone.

A resource is kept as text written by us, so that no engine can touch its decimals. Payloads are PHI; keys and
versions aren't, and outlive them.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


class ResourceRow(Row, table=True):
    """The current version of a resource."""

    __tablename__ = "resource"
    __table_args__ = (Index(None, "tenant_id", "type", "updated", "resource_id"),)

    tenant_id: str = Field(primary_key=True)
    type: str = Field(primary_key=True)
    resource_id: str = Field(primary_key=True)
    version: int
    updated: datetime = Field(sa_type=UtcDateTime)
    source: str  # the message it was last written by
    content: str


class ResourceVersionRow(Row, table=True):
    """Every version that ever was, the current one included."""

    __tablename__ = "resource_version"
    __table_args__ = (Index(None, "tenant_id", "type", "updated", "resource_id", "version"),)

    tenant_id: str = Field(primary_key=True)
    type: str = Field(primary_key=True)
    resource_id: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    updated: datetime = Field(sa_type=UtcDateTime)
    source: str
    content: str


class ResourceIndexRow(Row, table=True):
    """What a search parameter finds. For names, birth dates and phones `value` is to hold a blind index, never them."""

    __tablename__ = "resource_index"
    __table_args__ = (Index(None, "tenant_id", "type", "resource_id"),)

    tenant_id: str = Field(primary_key=True)
    type: str = Field(primary_key=True)
    param: str = Field(primary_key=True)
    value: str = Field(primary_key=True)
    system: str = Field(primary_key=True)
    resource_id: str = Field(primary_key=True)


class ResourceKeyRow(Row, table=True):
    """A criterion that somebody writes by. Its row is what two writers of one identifier queue up at."""

    __tablename__ = "resource_key"

    tenant_id: str = Field(primary_key=True)
    type: str = Field(primary_key=True)
    system: str = Field(primary_key=True)
    value: str = Field(primary_key=True)


class ReplacedRow(Row, table=True):
    """A Patient, Account or Encounter that was merged into another one, which stands for it."""

    __tablename__ = "resource_replaced"
    __table_args__ = (Index(None, "tenant_id", "type", "by_id"),)

    tenant_id: str = Field(primary_key=True)
    type: str = Field(primary_key=True)
    resource_id: str = Field(primary_key=True)
    by_id: str
    since: datetime = Field(sa_type=UtcDateTime)

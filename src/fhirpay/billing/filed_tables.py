"""The table of what obligations were filed under before. Written by filed.py alone; nothing in it is changed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


class FiledBeforeRow(Row, table=True):
    """Under what an obligation was filed until then. What counts now stands in its own row."""

    __tablename__ = "filed_before"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    obligation_id: str = Field(primary_key=True, sa_type=Text)
    revision: int = Field(primary_key=True, sa_type=BigInteger)  # the obligation's own, with which it ended
    until: datetime = Field(sa_type=UtcDateTime)
    patient_ref: str = Field(sa_type=Text)
    debtor_ref: str = Field(sa_type=Text)
    payer_class: str = Field(sa_type=Text)
    facility: str = Field(sa_type=Text)

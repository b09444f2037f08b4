"""What reports read of tables that know a moment and no business date: days are those of the tenant's zone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_

from ..ledger.as_of import end_of
from .books import BUCKETS, total
from .frame import Asked


def by_then(asked: Asked, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether it had happened by the end of the day that is asked for, as known then."""
    return column <= asked.until


def within(asked: Asked, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether it happened in the period."""
    return by_then(asked, column) if asked.before is None else and_(column > asked.before, by_then(asked, column))


def still(asked: Asked, ended: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether what ended (or never did) had not ended by then."""
    return or_(ended.is_(None), ended > asked.until)


def aged_from(asked: Asked, minor: Any, since: ColumnElement[Any]) -> list[Any]:
    """A sum of minor units for each bucket of days since a moment."""
    found: list[Any] = []
    for name, least, most in BUCKETS:
        young = since <= end_of(asked.day - timedelta(days=least), asked.zone)
        old = since > end_of(asked.day - timedelta(days=most + 1), asked.zone) if most is not None else young
        found.append(total(minor, and_(young, old)).label(name))
    return found

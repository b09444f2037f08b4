"""Lists that are read page by page: what comes after the last one seen, by the columns that give the order.

Rows may be added meanwhile: what was there when the first page was read is seen once, in its place. The columns end in
one that tells any two rows apart, and an index has them in this order. Called by stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, literal, tuple_

Key = Sequence[Any]  # the values of the columns, of the last one seen


def page(
    statement: Select[Any],
    columns: Sequence[ColumnElement[Any]],
    after: Key | None,
    limit: int,
    *,
    newest: bool = False,
) -> Select[Any]:
    """In the order of these columns (`newest`: the other way round), at most `limit` rows `after` this one."""
    if after is not None:
        last = tuple_(*(literal(value, column.type) for value, column in zip(after, columns, strict=True)))
        statement = statement.where(tuple_(*columns) < last if newest else tuple_(*columns) > last)
    return statement.order_by(*(column.desc() if newest else column for column in columns)).limit(limit)

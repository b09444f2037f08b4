"""Each column of each row of a table set to something else, one at a time: for tests of what finds that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.exc import DBAPIError

from fhirpay.db.unit import Tx


def others(value: Any) -> list[Any]:
    if value is None:
        return ["x"]
    if isinstance(value, int):
        return [value + 1, value + 10**6, -value - 1]
    return ["", value + "x", value[:-1], ("0" if value[:1] != "0" else "1") + value[1:], value.upper()]


def changes(tx: Tx, rows: Table, whole: Callable[[Tx], bool]) -> Iterator[tuple[str, Any, bool]]:
    """Each column of each row set to something else: which, to what, and whether it goes unseen."""
    names = [column.name for column in rows.c]
    keys = [column.name for column in rows.primary_key]
    where = " AND ".join(f"{name} = :key_{name}" for name in keys)
    stored = [dict(one) for one in tx.all(text(f"SELECT {', '.join(names)} FROM {rows.name}"))]  # noqa: S608
    for row in stored:
        for name in names:
            for other in others(row[name]):
                if other == row[name]:
                    continue
                tx.execute(text("SAVEPOINT before"))
                try:
                    given = {"other": other, **{f"key_{key}": row[key] for key in keys}}
                    tx.execute(text(f"UPDATE {rows.name} SET {name} = :other WHERE {where}"), given)  # noqa: S608
                    yield f"{rows.name}.{name}", other, whole(tx)
                except DBAPIError:
                    yield f"{rows.name}.{name}", "refused", False
                tx.execute(text("ROLLBACK TO SAVEPOINT before"))

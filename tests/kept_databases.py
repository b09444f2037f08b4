"""Databases as earlier releases left them, a file each: what simulated patients, payers and staff had made of them.

    tests/golden/upgrade/0031.jsonl   a line a row: the table, then the row

tests/simulation/keep_database.py makes one; `fill` puts it into a database at its revision. Nobody in it is a real
person.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

KEPT = Path(__file__).resolve().parent / "golden" / "upgrade"


def lines(raw: sqlite3.Connection) -> Iterator[str]:
    """Every row of a SQLite database, but of its revision."""
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    for (table,) in raw.execute(tables).fetchall():
        if table == "alembic_version":
            continue
        found = raw.execute(f'SELECT * FROM "{table}"')  # noqa: S608  the schema's own names
        names = [column[0] for column in found.description]
        for row in found:
            yield json.dumps([table, dict(zip(names, row, strict=True))], default=_hex, separators=(",", ":"))


def fill(connection: sa.Connection, revision: str) -> dict[str, int]:
    """The kept rows into the tables as they are there; how many each table got."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in (KEPT / f"{revision}.jsonl").read_text().splitlines():
        table, row = json.loads(line)
        rows[table].append(row)
    there = sa.MetaData()
    there.reflect(connection)
    for table in there.sorted_tables:
        if table.name in rows:
            kinds = {column.name: column.type for column in table.columns}
            told = [{name: _value(value, kinds[name]) for name, value in row.items()} for row in rows[table.name]]
            connection.execute(table.insert(), told)
    return {table: len(found) for table, found in rows.items()}


def _hex(value: bytes) -> str:
    return value.hex()


def _value(value: Any, kind: sa.types.TypeEngine[Any]) -> Any:
    if value is None:
        return None
    if isinstance(kind, sa.Boolean):
        return bool(value)
    return bytes.fromhex(value) if isinstance(kind, sa.LargeBinary) else value

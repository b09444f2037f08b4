"""`python -m fhirpay.db.migrations.generate [URL]`: the operations that bring a database to the code's tables.

Without a URL it prints the first revision, all that an empty database needs; with one, what that database lacks, as
the body of the next revision. Review, `ruff format`, keep it in `versions/`. Types are written as the engines know
them, so that an old revision doesn't change its meaning with `db/types.py`. Triggers that come with tables are printed
whenever tables are, for all of them: keep those of the new ones. A changed CHECK isn't seen: the test of the catalogue
tells.
"""

from __future__ import annotations

import sys
from textwrap import wrap
from typing import Any

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from sqlalchemy import DDL, Connection, LargeBinary, create_engine, create_mock_engine
from sqlalchemy.types import BigInteger, Boolean, Integer, String, Text, TypeDecorator

from ..metadata import import_tables, metadata

# the most special first: Text is a String, BigInteger an Integer
_PLAIN = {
    Boolean: "sa.Boolean()",
    LargeBinary: "sa.LargeBinary()",
    BigInteger: "sa.BigInteger()",
    Integer: "sa.Integer()",
    Text: "sa.Text()",
    String: "sa.String()",
}

_FIRST = '''# ruff: noqa: E501
"""The first schema. Made by `python -m fhirpay.db.migrations.generate`; never edited once released."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    {body}


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
'''


def _render(kind: str, item: Any, _: Any) -> Any:
    if kind != "type":
        return False
    plain = item.impl_instance if isinstance(item, TypeDecorator) else item
    return next((text for known, text in _PLAIN.items() if isinstance(plain, known)), False)


def _triggers() -> str:
    """What is run beside CREATE TABLE and CREATE INDEX, by engine."""
    lines: list[str] = []
    for dialect, url in {"sqlite": "sqlite://", "postgresql": "postgresql+psycopg://"}.items():
        seen: list[str] = []

        def keep(statement: Any, *_: Any, texts: list[str] = seen, **__: Any) -> None:
            if isinstance(statement, DDL) and str(statement) not in texts:
                texts.append(str(statement))

        metadata.create_all(create_mock_engine(url, keep), checkfirst=False)
        if seen:
            lines.append(f"    if op.get_bind().dialect.name == {dialect!r}:")
            lines += [f"        op.execute(\n{_lines(text)}\n        )" for text in seen]
    return "\n".join(lines)


def _lines(text: str) -> str:
    """A long text as neighbouring literals of readable length."""
    parts = wrap(text, 95, drop_whitespace=False, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"            {part!r}" for part in parts)


def operations(connection: Connection) -> str:
    """The body of an `upgrade()`, as Python."""
    import_tables()
    options = {"target_metadata": metadata, "render_item": _render, "render_as_batch": True}
    context = MigrationContext.configure(connection, opts=options)
    ops = produce_migrations(context, metadata).upgrade_ops
    assert ops is not None
    body = render_python_code(ops, render_as_batch=True, render_item=_render, migration_context=context)
    body = "\n".join(line for line in body.splitlines() if "# ###" not in line)
    return f"{body.strip()}\n{_triggers()}" if "create_table" in body else body


def main(url: str = "sqlite://") -> None:
    from ..postgres import driver_url

    engine = create_engine(driver_url(url))
    with engine.connect() as connection:
        body = operations(connection)
    engine.dispose()
    sys.stdout.write(_FIRST.format(body=body) if url == "sqlite://" else f"{body}\n")


if __name__ == "__main__":
    main(*sys.argv[1:2])

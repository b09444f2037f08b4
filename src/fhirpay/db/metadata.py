"""Where all tables are known. Each room declares its own in `tables.py` as SQLModel classes on `Row`.

SQLModel is the declaration and a read model; its table rows don't validate, so writing goes by Core on `table(Class)`.
Every constraint is named by the convention below, so that a later migration can find it on both engines.
A new table: a class in the owner's `tables.py` or `…_tables.py` whose first field is `tenant_id` in the primary key,
and a revision.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import MetaData, Table
from sqlmodel import SQLModel

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


class Row(SQLModel):
    """Base of every table of ours. No row is ever validated, so nothing is built for that: a command starts sooner."""

    metadata = metadata
    model_config = {"defer_build": True}
    if TYPE_CHECKING:
        __tablename__: ClassVar[str]  # type: ignore[assignment]  (SQLModel says declared_attr; a table's name is text)


def table(declared: type[SQLModel]) -> Table:
    """The Core table of a declared class: what statements are written on."""
    return declared.__table__  # type: ignore[attr-defined]


def import_tables() -> None:
    """Import every `<room>/tables.py` and `<room>/…_tables.py`, so that `metadata` is complete for migrations and
    checks."""
    package = __name__.split(".")[0]
    for room in iter_modules(import_module(package).__path__):
        if not room.ispkg:
            continue
        for file in iter_modules(import_module(f"{package}.{room.name}").__path__):
            if file.name == "tables" or file.name.endswith("_tables"):
                import_module(f"{package}.{room.name}.{file.name}")

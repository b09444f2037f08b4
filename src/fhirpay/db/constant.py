"""Constant statements, run by the driver itself with nothing in between but the types of their columns.

`Tx.one`, `all`, `scalar` and `put` come here with a statement that was built once, and its values by name. Compiled
once for each engine it costs a fifth of `Connection.execute`, and such statements are most of what a payment does here.
SQL that was written as text stays with `Connection`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import Dialect, RowMapping, Table
from sqlalchemy.engine import result_tuple
from sqlalchemy.sql import Executable, Select
from sqlalchemy.sql.compiler import ExpandedState, SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.visitors import iterate

_Convert = Callable[[Any], Any]
_OFTEN = 20  # values in a list; the text for longer ones isn't kept


class Constant:
    """A statement on one engine. Its rows hold the values that `Connection` would give."""

    def __init__(self, statement: Select[Any] | UpdateBase, dialect: Dialect, names: Sequence[str] | None) -> None:
        """`names` are the columns of an INSERT that says itself nothing of them, or values set by an UPDATE."""
        compiled = cast(SQLCompiler, statement.compile(dialect=dialect, column_keys=names))
        self._compiled = compiled
        self._lists = [name for name, bind in compiled.binds.items() if bind.expanding]
        self._expanded: dict[tuple[int, ...], ExpandedState] = {}  # the text of an IN, by how many values there are
        self._text = str(compiled)
        self._order: list[str] | None = compiled.positiontup
        self._fixed = {name: bind.effective_value for name, bind in compiled.binds.items() if not bind.required}
        self._fixed |= {str(column.key): column.default.arg for column in compiled.insert_prefetch}  # type: ignore[union-attr]
        self._binds: dict[str, _Convert] = {}
        for name, bind in compiled.binds.items():
            if convert := bind.type.dialect_impl(dialect).bind_processor(dialect):
                self._binds[name] = _each(convert) if bind.expanding else convert
        self.changes = changed_by(statement)
        self.tables = frozenset(str(one.name) for one in iterate(statement) if isinstance(one, Table))
        columns = list(statement.exported_columns)
        self._results: list[tuple[int, _Convert]] = []
        for at, column in enumerate(columns):
            if convert := column.type.dialect_impl(dialect).result_processor(dialect, None):
                self._results.append((at, convert))
        self._row = result_tuple([str(column.key) for column in columns])

    def call(self, given: Mapping[str, Any]) -> tuple[str, Any]:
        """The text and its parameters, as the driver takes them."""
        values = {**self._fixed, **given}
        for name, convert in self._binds.items():
            values[name] = convert(values[name])
        text, order = self._text, self._order
        if self._lists:
            expanded = self._for_lists(values)
            text, order = expanded.statement, expanded.positiontup
            for name, names in expanded.parameter_expansion.items():
                values.update(zip(names, values[name], strict=True))
        return text, values if order is None else [values[name] for name in order]

    def _for_lists(self, values: Mapping[str, Any]) -> ExpandedState:
        lengths = tuple(len(values[name]) for name in self._lists)
        if (found := self._expanded.get(lengths)) is None:
            found = self._compiled.construct_expanded_state(values)
            if max(lengths) <= _OFTEN:
                self._expanded[lengths] = found
        return found

    def values(self, stored: tuple[Any, ...]) -> tuple[Any, ...] | list[Any]:
        """A row of the driver's, with its columns' types."""
        if not self._results:
            return stored
        values = list(stored)
        for at, convert in self._results:
            values[at] = convert(values[at])
        return values

    def row(self, stored: tuple[Any, ...]) -> RowMapping:
        return self._row(self.values(stored))._mapping


def changed_by(statement: object) -> str:
    """The table that an INSERT, UPDATE or DELETE changes; '' for what changes none."""
    return str(statement.table.name) if isinstance(statement, UpdateBase) else ""  # type: ignore[union-attr]


def _each(convert: _Convert) -> _Convert:
    return lambda values: [convert(value) for value in values]


@lru_cache(maxsize=4096)
def constant(statement: Executable, dialect: Dialect, names: tuple[str, ...] | None = None) -> Constant | None:
    """The statement made ready, the first time it is seen; None for one that only `Connection` can run."""
    return Constant(statement, dialect, names) if isinstance(statement, Select | UpdateBase) else None

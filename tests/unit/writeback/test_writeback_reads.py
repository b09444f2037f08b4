"""What is asked for each payment that is posted is read through an index, however many were posted before."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from fhirpay.writeback import files, store

ASKED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "what was posted of it": (lambda tx: store.of_subject(tx, "x"), "ix_posting_tenant_id_subject"),
    "what is unknown there": (lambda tx: store.unknown_of(tx, "x", "Basic"), "ix_posting_unfinished"),
    "what goes into the next file": (lambda tx: files.waiting(tx, "x", 9), "ix_posting_unfinished"),
    "what staff are to confirm there": (lambda tx: store.proposed(tx, "x"), "ix_posting_unfinished"),
}


class Asking:
    """A transaction that finds nothing, and tells the engine's plan."""

    tenant = "main"

    def __init__(self, path: str) -> None:
        self.plans: list[str] = []
        self._path = path

    def all(self, statement: Any, **given: Any) -> list[Any]:
        # With its values apart, as the program sends them: what is bound says nothing to a partial index.
        compiled = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
        with sqlite3.connect(self._path) as look:
            found = look.execute(f"EXPLAIN QUERY PLAN {compiled}", ["x"] * len(compiled.positiontup)).fetchall()
        self.plans.append(str(found))
        return []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", ASKED)
def test_what_each_posting_asks_is_read_through_an_index(database_url: str, what: str) -> None:
    ask, index = ASKED[what]
    tx = Asking(database_url.removeprefix("sqlite:///"))
    ask(tx)
    (plan,) = tx.plans
    assert index in plan, plan

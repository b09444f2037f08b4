"""What makes the database itself refuse to change the books, on both engines. Called by tables.py, and by that of
close/, whose records are as final.

The triggers come with the tables (`metadata.create_all`, and so the first migration). A correction is a reversing
entry; there is no door for an update. A later migration that touches these tables drops them by name, and says why.
"""

from __future__ import annotations

from sqlalchemy import DDL, Table, event

_FINAL = "the ledger is never changed: post a reversing entry"
_CLOSED = "the period of this day is closed: the ledger books on the first open day"
_STEPS = "the head of the ledger moves by one entry at a time"
_THROUGH = "SELECT closed_through FROM ledger_period_step WHERE tenant_id = NEW.tenant_id ORDER BY number DESC LIMIT 1"
_CLOSED_PERIODS = {
    "sqlite": (
        "CREATE TRIGGER ledger_entry_closed BEFORE INSERT ON ledger_entry "
        f"WHEN NEW.business_date <= ({_THROUGH}) BEGIN SELECT RAISE(ABORT, '{_CLOSED}'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION ledger_refuse_closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f'IF NEW.business_date COLLATE "C" <= ({_THROUGH}) COLLATE "C" THEN '
        f"RAISE EXCEPTION '{_CLOSED}'; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER ledger_entry_closed BEFORE INSERT ON ledger_entry "
        "FOR EACH ROW EXECUTE FUNCTION ledger_refuse_closed()",
    ),
}


def keep(table: Table, *, final: str = _FINAL) -> None:
    """Rows of this table are never changed or deleted; `final` is what the database says to who tries."""
    _attach(table, update_when="", message=final, final=final)


def keep_stepping(table: Table) -> None:
    """A row of this table may only step from one `seq` to the next."""
    _attach(table, update_when="WHEN (NEW.seq <> OLD.seq + 1)", message=_STEPS, final=_FINAL)


def keep_closed(table: Table) -> None:
    """No row is added to this table whose business date is in a closed period."""
    for dialect, texts in _CLOSED_PERIODS.items():
        for text in texts:
            event.listen(table, "after_create", DDL(text).execute_if(dialect=dialect))


def _statements(name: str, *, update_when: str, message: str, final: str) -> dict[str, tuple[str, ...]]:
    """By dialect, what has to be run once the table is there."""
    return {
        "sqlite": (
            f"CREATE TRIGGER {name}_update BEFORE UPDATE ON {name} {update_when} "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END",
            f"CREATE TRIGGER {name}_delete BEFORE DELETE ON {name} BEGIN SELECT RAISE(ABORT, '{final}'); END",
        ),
        "postgresql": (
            "CREATE OR REPLACE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql "
            "AS $$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_ARGV[0]; END $$",
            f"CREATE TRIGGER {name}_update BEFORE UPDATE ON {name} "
            f"FOR EACH ROW {update_when} EXECUTE FUNCTION ledger_refuse('{message}')",
            f"CREATE TRIGGER {name}_delete BEFORE DELETE ON {name} "
            f"FOR EACH ROW EXECUTE FUNCTION ledger_refuse('{final}')",
            f"CREATE TRIGGER {name}_truncate BEFORE TRUNCATE ON {name} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('{final}')",
        ),
    }


def _attach(table: Table, *, update_when: str, message: str, final: str) -> None:
    for dialect, texts in _statements(table.name, update_when=update_when, message=message, final=final).items():
        for text in texts:
            event.listen(table, "after_create", DDL(text).execute_if(dialect=dialect))

"""Payments on card readers, as rows: who has a reader, and how the card was read. Takes the caller's `tx`.

Called by usecases/start_payment.py (a reader is taken), settle_outcome.py (it is free again, and what was read),
on_terminal.py, and whoever shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from ..config_terminal import Terminal
from ..db.metadata import table
from ..db.unit import Tx
from ..errors import Conflict
from .port import Details, is_network_reference
from .terminal_tables import TerminalPaymentRow

METHOD = "terminal"  # of a payment that is made on a reader
_row = table(TerminalPaymentRow)
_TENANT = _row.c.tenant_id == bindparam("tenant")
_OF = select(_row).where(_TENANT, _row.c.payment_id == bindparam("payment"))
_ACTIVE = select(_row).where(_TENANT, _row.c.freed_at.is_(None))
_ON = _ACTIVE.where(_row.c.merchant == bindparam("of"), _row.c.reader == bindparam("at"))
_TAKE = insert(_row).on_conflict_do_nothing()
_CHANGE = update(_row).where(_TENANT, _row.c.payment_id == bindparam("payment"))
_FREE = _CHANGE.where(_row.c.freed_at.is_(None))


@dataclass(frozen=True, slots=True)
class TerminalPayment:
    payment_id: str
    terminal: str
    merchant: str
    reader: str
    till: str
    entry_mode: str
    network_ref: str
    started_at: datetime
    freed_at: datetime | None


def take(tx: Tx, payment_id: str, terminal: Terminal) -> None:
    """The reader is this payment's until `free`. Raises Conflict, naming the payment that has it."""
    row = {"tenant_id": tx.tenant, "payment_id": payment_id, "terminal": terminal.name, "merchant": terminal.merchant}
    row |= {"reader": terminal.reader, "till": terminal.till, "entry_mode": "", "network_ref": ""}
    if tx.put(_TAKE, {**row, "started_at": tx.now, "freed_at": None}):
        return
    there = active_on(tx, terminal.merchant, terminal.reader)
    who = f"payment {there.payment_id}" if there else "another payment, which has just ended"
    raise Conflict(
        f"terminal '{terminal.name}' has {who}: wait until that has ended, or cancel it",
        location="method.terminal",
        **({"payment_id": there.payment_id} if there else {}),
    )


def find(tx: Tx, payment_id: str) -> TerminalPayment | None:
    """None of a payment that was not made on a reader."""
    row = tx.one(_OF, payment=payment_id)
    return None if row is None else _of(row)


def reader_of(tx: Tx, payment_id: str) -> str:
    """The processor's id of the reader; empty: none."""
    found = find(tx, payment_id)
    return found.reader if found else ""


def active_on(tx: Tx, merchant: str, reader: str) -> TerminalPayment | None:
    """Whose the reader is."""
    row = tx.one(_ON, of=merchant, at=reader)
    return None if row is None else _of(row)


def note_details(tx: Tx, payment_id: str, details: Details) -> None:
    """How the card was read, once that is known."""
    network = details.network if is_network_reference(details.network) else ""
    known = {"entry_mode": details.entry_mode, "network_ref": network}
    values = {name: value for name, value in known.items() if value}
    if values:
        tx.put(_CHANGE, {"tenant": tx.tenant, "payment": payment_id, **values})


def free(tx: Tx, payment_id: str) -> None:
    """The reader is anybody's again."""
    tx.put(_FREE, {"tenant": tx.tenant, "payment": payment_id, "freed_at": tx.now})


def _of(row: RowMapping) -> TerminalPayment:
    return TerminalPayment(**{name: row[name] for name in TerminalPayment.__slots__})

"""Which messages are parked because a code table has no line for a value of theirs: found again once it has one.

Written in the unit that parks a message; taken away in the unit that queues it again, so that a message which parks
for another reason then is left to people.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select

from ..db.metadata import table
from ..db.types import fitted
from ..db.unit import Tx
from .tables import InboxRow, MissingCodeRow

_inbox, _missing = table(InboxRow), table(MissingCodeRow)


class Missing(NamedTuple):
    """What an interface's code table lacks."""

    interface: str
    table: str
    value: str


def note(tx: Tx, message_id: str, codes: Iterable[tuple[str, str]]) -> None:
    """What the message waits for now (table, value), in place of what was noted of it before."""
    forget(tx, [message_id])
    rows = [
        {"tenant_id": tx.tenant, "message_id": message_id, "code_table": name, "value": value}
        for name, value in sorted({(name, fitted(value)) for name, value in codes})
    ]
    if rows:
        tx.execute(insert(_missing), rows)


def forget(tx: Tx, message_ids: Collection[str]) -> None:
    if message_ids:
        where = (_missing.c.tenant_id == tx.tenant, _missing.c.message_id.in_(message_ids))
        tx.execute(delete(_missing).where(*where))


def all_missing(tx: Tx) -> list[Missing]:
    """Each once, over all parked messages."""
    columns = (_inbox.c.interface, _missing.c.code_table, _missing.c.value)
    found = tx.all(select(*columns).distinct().where(*_parked(tx)))
    return sorted(Missing(row["interface"], row["code_table"], row["value"]) for row in found)


def waiting(tx: Tx, there: Collection[Missing], *, limit: int) -> list[str]:
    """The parked messages that lack nothing but what is `there` now, as they came in; `limit` at most."""
    columns = (_inbox.c.interface, _missing.c.message_id, _missing.c.code_table, _missing.c.value)
    lacks: dict[str, bool] = {}
    for row in tx.all(select(*columns).where(*_parked(tx)).order_by(_missing.c.message_id)):
        lacking = Missing(row["interface"], row["code_table"], row["value"]) not in there
        lacks[row["message_id"]] = lacks.get(row["message_id"], False) or lacking
    return [message_id for message_id, still in lacks.items() if not still][:limit]


def _parked(tx: Tx) -> tuple[Any, ...]:
    same = (_inbox.c.tenant_id == _missing.c.tenant_id, _inbox.c.message_id == _missing.c.message_id)
    return (_missing.c.tenant_id == tx.tenant, *same, _inbox.c.state == "parked")

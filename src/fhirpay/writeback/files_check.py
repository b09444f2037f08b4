"""Do posting files agree with the postings that stand in them? One of the doctor's equations (usecases/doctor.py)."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import BigInteger, and_, bindparam, case, cast, func, select

from ..db.metadata import table
from ..db.unit import Tx
from .tables import PostingFileHeadRow, PostingFileRow, PostingRow

_posting, _file, _head = table(PostingRow), table(PostingFileRow), table(PostingFileHeadRow)
_open = cast(func.sum(case((_posting.c.state.in_(("sent", "unknown")), 1), else_=0)), BigInteger)
_STANDING = (
    select(_posting.c.connection, _posting.c.file, func.count().label("count"), _open.label("open"))
    .where(_posting.c.tenant_id == bindparam("tenant"), _posting.c.file.is_not(None))
    .group_by(_posting.c.connection, _posting.c.file)
)
_FILES = select(_file.c.connection, _file.c.number, _file.c.state, _file.c.postings).where(
    _file.c.tenant_id == bindparam("tenant")
)
_NUMBERED = (
    select(_head.c.connection, _head.c.number, func.count(_file.c.number).label("count"))
    .outerjoin(_file, and_(_file.c.tenant_id == _head.c.tenant_id, _file.c.connection == _head.c.connection))
    .where(_head.c.tenant_id == bindparam("tenant"))
    .group_by(_head.c.connection, _head.c.number)
)


def wrong(tx: Tx) -> Iterator[tuple[str, str]]:
    """Which file, and what is wrong with it: its postings are as many as it says, and posted once it is in place;
    numbers have no gap."""
    standing = {(row["connection"], row["file"]): row for row in tx.all(_STANDING, tenant=tx.tenant)}
    for row in tx.all(_FILES, tenant=tx.tenant):
        found = standing.pop((row["connection"], row["number"]), None)
        name, count = f"{row['connection']}/{row['number']}", found["count"] if found else 0
        if count != row["postings"]:
            yield name, f"it holds {row['postings']} postings, and {count} stand in it"
        if row["state"] == "placed" and found and found["open"]:
            yield name, f"it is in place, and {found['open']} of its postings are not posted"
    for connection, number in standing:
        yield f"{connection}/{number}", "postings stand in it, and there is no such file"
    for row in tx.all(_NUMBERED, tenant=tx.tenant):
        if row["count"] != row["number"]:
            yield row["connection"], f"the last file is number {row['number']}, and there are {row['count']}"

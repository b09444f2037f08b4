"""Postings: what each EHR is to be given, what was sent, what it has taken. Takes the caller's `tx`.

Called by usecases/post_back.py (all changes) and usecases/explain.py (reading). `sent_at` is the last moment at which
the EHR *may* have got it: while it is set, nothing is sent again without looking first, and the body never changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import RowMapping, and_, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain import fhir_urls as urls
from ..errors import MessageUnsupported, NotFound, RuleBroken
from ..fhir import store as fhir
from ..fhir.crossversion import to_r4
from ..fhir.json import loads
from ..fhir.statement import FhirVersion
from ..subscriptions.events import tell
from .payment_reconciliation import RESOURCE_TYPE, is_of
from .tables import OPEN, PostingNumberRow, PostingRow

_posting = table(PostingRow)
_number = table(PostingNumberRow)
_IS_IT = (_posting.c.tenant_id == bindparam("tenant"), _posting.c.posting_id == bindparam("id"))
_BY_ID = select(_posting).where(*_IS_IT)
_UNKNOWN_OF = (
    select(_posting)
    .where(
        _posting.c.tenant_id == bindparam("tenant"),
        _posting.c.connection == bindparam("of"),
        _posting.c.resource_type == bindparam("kind"),
        _posting.c.state == "unknown",
        OPEN,
    )
    .order_by(_posting.c.created_at, _posting.c.posting_id)
)
_ADD = insert(_posting).on_conflict_do_nothing(index_elements=["tenant_id", "connection", "subject", "part"])
_KNOWN = select(_posting.c.posting_id).where(
    _posting.c.tenant_id == bindparam("tenant"),
    _posting.c.connection == bindparam("of"),
    _posting.c.subject == bindparam("about"),
    _posting.c.part == bindparam("piece"),
)
_CHANGE = update(_posting).where(*_IS_IT)
_SEND = _CHANGE.values(attempts=_posting.c.attempts + 1)

Held = Literal["shadow", "proposed", "rejected"]
"""Not to be sent: kept to be compared; as long as staff haven't confirmed it; since they said no."""
HELD: tuple[Held, ...] = get_args(Held)
State = Literal["shadow", "proposed", "rejected", "pending", "sent", "posted", "unknown", "parked"]
PAYOUT = "payout"
"""The `part` of a posting that is of a payout; its `payment_id` is the payout's."""
NEVER = ("shadow", "rejected")


@dataclass(frozen=True, slots=True)
class Posting:
    """One payment, refund or adjustment for one EHR, or (`part`) what of it is for one account."""

    posting_id: str
    work_id: str
    connection: str
    subject: str
    part: str
    payment_id: str
    state: State
    resource_type: str
    remote_id: str | None
    remote_version: str | None
    body: str | None
    attempts: int
    reason: str | None
    created_at: datetime
    sent_at: datetime | None
    posted_at: datetime | None
    way: str | None
    lines: str
    decided_by: str | None
    decided_at: datetime | None
    decided_why: str | None
    file: int | None = None

    @property
    def numbers(self) -> frozenset[int]:
        """Those of its lines; none: all there are."""
        return frozenset(map(int, self.lines.split()))

    @property
    def is_adjustment(self) -> bool:
        return not self.payment_id

    @property
    def is_payout(self) -> bool:
        """Whether it is of a payout, or takes one back."""
        return self.part == PAYOUT

    @property
    def is_refund(self) -> bool:
        """Whether it takes money of a payment back (a refund, a return), or reverses what did."""
        return not self.is_adjustment and self.subject != self.payment_id


def add(
    tx: Tx,
    *,
    connection: str,
    subject: str,
    payment_id: str,
    resource_type: str,
    part: str = "",
    lines: Collection[int] = (),
    state: State = "pending",
) -> tuple[str, bool]:
    """The posting's id, and whether it is new: the same fact asked for twice is one posting. An adjustment is of no
    payment."""
    made = tx.ids.new("pst")
    row = {"tenant_id": tx.tenant, "posting_id": made, "connection": connection, "subject": subject}
    row |= {"part": part, "lines": " ".join(map(str, sorted(lines)))}
    row |= {"payment_id": payment_id, "work_id": "", "state": state, "resource_type": resource_type}
    if tx.put(_ADD, {**row, "attempts": 0, "created_at": tx.now}):
        return made, True
    return str(tx.scalar(_KNOWN, of=connection, about=subject, piece=part)), False


def get(tx: Tx, posting_id: str) -> Posting:
    """Raises NotFound."""
    row = tx.one(_BY_ID, id=posting_id)
    if row is None:
        raise NotFound(f"there is no posting {posting_id}", posting_id=posting_id)
    return _read(row)


def of_payment(tx: Tx, payment_id: str) -> list[Posting]:
    """Those of a payment and of its refunds, oldest first."""
    return _all(tx, _posting.c.payment_id == payment_id)


def of_subject(tx: Tx, subject: str) -> list[Posting]:
    """Those of one payment, refund or adjustment, oldest first."""
    return _all(tx, _posting.c.subject == subject)


def of_part(tx: Tx, connection: str, part: str) -> list[Posting]:
    """Those of one receiver about one thing of ours, oldest first."""
    return _all(tx, and_(_posting.c.connection == connection, _posting.c.part == part))


def is_told(tx: Tx, subject: str, connection: str) -> bool:
    """Whether this receiver has been told of it, or is to be: who wasn't is not told what takes it back."""
    return any(one.connection == connection and one.state not in NEVER for one in of_subject(tx, subject))


def is_kept(tx: Tx, subject: str, connection: str) -> bool:
    """The same, or whether it was kept back from it."""
    return any(one.connection == connection for one in of_subject(tx, subject))


def find(tx: Tx, some_id: str) -> list[Posting]:
    """By any of its ids: its own, that of what is posted, the one that the EHR gave."""
    known = (_posting.c.posting_id, _posting.c.subject, _posting.c.payment_id, _posting.c.remote_id)
    return _all(tx, or_(*(column == some_id for column in known)))


def unfinished(tx: Tx) -> list[Posting]:
    """What no EHR has confirmed, and one is to be given, or may be."""
    return _all(tx, OPEN)


def of_connection(tx: Tx, connection: str) -> list[Posting]:
    """All of a receiver, oldest first."""
    return _all(tx, _posting.c.connection == connection)


def proposed(tx: Tx, connection: str = "", after: str | None = None, limit: int | None = None) -> list[Posting]:
    """What waits for staff to confirm it, oldest first by id; of one receiver, or of all; `after` the last one seen."""
    where = [_posting.c.tenant_id == tx.tenant, _posting.c.state == "proposed", OPEN]
    if connection:
        where.append(_posting.c.connection == connection)
    if after is not None:
        where.append(_posting.c.posting_id > after)
    # Not by the bare id: SQLite would walk all that was ever posted in that order to find the few that wait.
    in_order = func.coalesce(_posting.c.posting_id, "")
    return [_read(row) for row in tx.all(select(_posting).where(*where).order_by(in_order).limit(limit))]


def queued(tx: Tx, posting_id: str, work_id: str) -> None:
    """The item of the outbox that is to post it."""
    _change(tx, posting_id, work_id=work_id)


def keep_numbers(tx: Tx, subject: str, numbers: Mapping[str, int]) -> None:
    """What stands in FT1-2 for the lines of a payment or refund. Raises RuleBroken where another line has it."""
    for number, line in numbers.items():
        row = {"tenant_id": tx.tenant, "number": number, "subject": subject, "line": line}
        tx.execute(insert(_number).values(row).on_conflict_do_nothing())
        if line_of(tx, number) != (subject, line):
            raise RuleBroken(f"FT1-2 {number} stands for another payment already", subject=subject)


def line_of(tx: Tx, number: str) -> tuple[str, int] | None:
    """The payment or refund, and its line, that a short FT1-2 stands for."""
    where = (_number.c.tenant_id == tx.tenant, _number.c.number == number)
    row = tx.one(select(_number.c.subject, _number.c.line).where(*where))
    return None if row is None else (row["subject"], row["line"])


def waiting_for(tx: Tx) -> dict[str, int]:
    """How many postings each receiver has yet to be given, by its name."""
    open_ = (_posting.c.tenant_id == tx.tenant, _posting.c.state.in_(("proposed", "pending", "sent")))
    found = tx.all(
        select(_posting.c.connection, func.count().label("count")).where(*open_).group_by(_posting.c.connection)
    )
    return {row["connection"]: row["count"] for row in found}


def sending(tx: Tx, posting_id: str, way: str, body: str) -> None:
    """From now on it may be there, with this body. Committed before the first byte leaves."""
    values = {"state": "sent", "sent_at": tx.now, "way": way, "body": body, "reason": None}
    tx.put(_SEND, {"tenant": tx.tenant, "id": posting_id, **values})


def not_sent(tx: Tx, before: Posting, reason: str) -> None:
    """The attempt after `before` proved to have had no effect: what was known before it is true again."""
    state = "sent" if before.sent_at else "pending"
    _change(tx, before.posting_id, state=state, sent_at=before.sent_at, way=before.way, reason=reason)


def in_doubt(tx: Tx, posting_id: str, reason: str) -> None:
    """No answer: it stays `sent`, and the next step is to look."""
    _change(tx, posting_id, reason=reason)


def posted(tx: Tx, posting_id: str, *, remote_id: str, remote_version: str, body: str | None) -> None:
    """The EHR has it. `body` is what we say of it: later postings name its lines, and our own FHIR endpoint shows what
    went out as FHIR, by the posting's id.
    """
    _change(
        tx,
        posting_id,
        state="posted",
        remote_id=remote_id,
        remote_version=remote_version,
        body=body,
        posted_at=tx.now,
        reason=None,
    )
    posting = get(tx, posting_id)
    if body is not None and posting.resource_type == RESOURCE_TYPE and not posting.is_payout:
        _show(tx, posting, loads(body))


def _show(tx: Tx, posting: Posting, resource: dict[str, Any]) -> None:
    """It names no account as the EHR's own payments do (`urls.ACCOUNT`), so it counts for none. What went out as R5 is
    kept as R4, as everything is; our R5 endpoint shows it as it went out.
    """
    if not is_of(FhirVersion.R4, resource):
        try:
            resource = to_r4(resource)
        except MessageUnsupported:  # it is posted all the same
            return
    tag = {"system": urls.CONNECTION, "code": posting.connection}
    shown, change = fhir.put(tx, {**resource, "id": posting.posting_id, "meta": {"tag": [tag]}})
    if change != "unchanged":
        tell(tx, [shown])


def refused(tx: Tx, posting_id: str, reason: str) -> None:
    """It can't be. What certainly never arrived is rendered anew after a replay, since the cause may be mended."""
    kept = {} if get(tx, posting_id).sent_at else {"body": None}
    _change(tx, posting_id, state="parked", reason=reason, **kept)


def unknown(tx: Tx, posting_id: str, reason: str) -> None:
    """Nobody but a person who looks at the EHR can say whether it is there."""
    _change(tx, posting_id, state="unknown", reason=reason)


def not_there(tx: Tx, posting_id: str) -> None:
    """A person has looked: the EHR doesn't have it, and it may be made and sent as if for the first time."""
    _change(tx, posting_id, state="pending", sent_at=None, way=None, body=None, reason=None)


def look_again(tx: Tx, posting_id: str) -> None:
    """What was unknown may be known now."""
    _change(tx, posting_id, state="sent")


def first_after(tx: Tx, connection: str, resource_type: str, sent_at: datetime) -> Posting | None:
    """The first posting of that type that this EHR is known to have and that was sent to it later than that."""
    found = tx.one(
        select(_posting)
        .where(
            _posting.c.tenant_id == tx.tenant,
            _posting.c.connection == connection,
            _posting.c.resource_type == resource_type,
            _posting.c.sent_at > sent_at,
            _posting.c.state == "posted",
        )
        .order_by(_posting.c.sent_at, _posting.c.posting_id)
        .limit(1)
    )
    return None if found is None else _read(found)


def keeps_ids(tx: Tx, connection: str, resource_type: str, way: str) -> bool | None:
    """Whether the last posting of that type that was made there by this way has the id that it was sent to; None:
    none was."""
    found = tx.one(
        select(_posting.c.remote_id, _posting.c.subject)
        .where(
            _posting.c.tenant_id == tx.tenant,
            _posting.c.connection == connection,
            _posting.c.resource_type == resource_type,
            _posting.c.state == "posted",
            _posting.c.way == way,
        )
        .order_by(_posting.c.sent_at.desc())
        .limit(1)
    )
    return None if found is None else found["remote_id"] == found["subject"]


def in_doubt_of(tx: Tx, resource_type: str) -> list[Posting]:
    """What may be at its receiver and no receiver has confirmed."""
    states = _posting.c.state.in_(("sent", "unknown"))
    return _all(tx, and_(_posting.c.resource_type == resource_type, states))


def unknown_of(tx: Tx, connection: str, resource_type: str) -> list[Posting]:
    """What only a person, or a later posting of its type, can clear up."""
    return [_read(row) for row in tx.all(_UNKNOWN_OF, of=connection, kind=resource_type)]


def _change(tx: Tx, posting_id: str, **values: Any) -> None:
    tx.put(_CHANGE, {"tenant": tx.tenant, "id": posting_id, **values})


def _all(tx: Tx, where: Any) -> list[Posting]:
    rows = tx.all(
        select(_posting)
        .where(_posting.c.tenant_id == tx.tenant, where)
        .order_by(_posting.c.created_at, _posting.c.posting_id)
    )
    return [_read(row) for row in rows]


def _read(row: RowMapping) -> Posting:
    return Posting(**{name: value for name, value in row.items() if name != "tenant_id"})

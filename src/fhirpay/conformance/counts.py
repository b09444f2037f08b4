"""Which messages of the inbox are to be checked, and what was found in them, counted for good.

Called by usecases/check_traffic.py and `fhirpay conformance traffic`. Every look has a bound: what comes faster than it
is checked is left out and counted as such, nothing waits in a queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.ids import first_id
from ..inbox.tables import InboxRow
from .departures import Departure
from .tables import TrafficFeedRow, TrafficFindingRow, TrafficLookRow

AT_MOST = 2_000  # messages of a look: about what one processor checks until the next one
KINDS_MAX = 500  # kinds and places of an interface that are counted apart

_inbox, _look = table(InboxRow), table(TrafficLookRow)
_feed, _finding = table(TrafficFeedRow), table(TrafficFindingRow)


@dataclass(frozen=True, slots=True)
class Unseen:
    """One message that came in since the last look."""

    message_id: str
    interface: str
    label: str


@dataclass(frozen=True, slots=True)
class Look:
    """What there is between two looks, oldest first; `shed` of each interface came before the oldest of them."""

    before: str | None  # up to which message the last look went; None: this is the first one
    upto: str
    messages: tuple[Unseen, ...] = ()
    shed: Mapping[str, int] = field(default_factory=dict[str, int])


def unseen(tx: Tx, interfaces: Collection[str], until: datetime) -> Look:
    """The newest HL7 messages of these interfaces since the last look, `AT_MOST` of them. The first look has none."""
    before = tx.scalar(select(_look.c.message_id).where(_look.c.tenant_id == tx.tenant))
    upto = first_id("msg", until)  # of ids the front is the time: there is no index on received_at
    if before is None or before >= upto:
        return Look(before, upto)
    new = [_inbox.c.tenant_id == tx.tenant, _inbox.c.kind == "hl7", _inbox.c.interface.in_(sorted(interfaces))]
    new += [_inbox.c.message_id >= before, _inbox.c.message_id < upto]
    columns = (_inbox.c.message_id, _inbox.c.interface, _inbox.c.label)
    rows = tx.all(select(*columns).where(*new).order_by(_inbox.c.message_id.desc()).limit(AT_MOST))
    shed: dict[str, int] = {}
    if len(rows) == AT_MOST:
        older = (*new, _inbox.c.message_id < rows[-1]["message_id"])
        counted = select(_inbox.c.interface, func.count().label("count")).where(*older).group_by(_inbox.c.interface)
        shed = {row["interface"]: row["count"] for row in tx.all(counted)}
    return Look(before, upto, tuple(Unseen(**row) for row in reversed(rows)), shed)


def claim(tx: Tx, look: Look) -> bool:
    """What the look has found is ours to check. False: another process has looked meanwhile."""
    row = {"tenant_id": tx.tenant, "message_id": look.upto}
    if look.before is None:
        return tx.execute(insert(_look).values(row).on_conflict_do_nothing()).rowcount == 1
    where = (_look.c.tenant_id == tx.tenant, _look.c.message_id == look.before)
    return tx.execute(update(_look).where(*where).values(row)).rowcount == 1


def bodies(tx: Tx, message_ids: Sequence[str]) -> dict[str, bytes]:
    """Those that are kept still."""
    where = (_inbox.c.tenant_id == tx.tenant, _inbox.c.message_id.in_(message_ids), _inbox.c.body.is_not(None))
    return {row["message_id"]: row["body"] for row in tx.all(select(_inbox.c.message_id, _inbox.c.body).where(*where))}


@dataclass(slots=True)
class Tally:
    """What was found in some messages of one interface."""

    checked: int = 0
    found: Counter[Departure] = field(default_factory=Counter[Departure])
    first: dict[Departure, str] = field(default_factory=dict[Departure, str])  # the messages that have it
    last: dict[Departure, str] = field(default_factory=dict[Departure, str])

    def add(self, message_id: str, departures: Collection[Departure]) -> None:
        self.checked += 1
        self.found.update(departures)
        for one in departures:
            self.first.setdefault(one, message_id)
            self.last[one] = message_id


def count(tx: Tx, interface: str, tally: Tally, *, shed: int = 0) -> dict[Departure, str]:
    """Add it to what was counted; what of it was never found before, with the first message that has it."""
    seen = {"tenant_id": tx.tenant, "interface": interface, "first_at": tx.now, "last_at": tx.now}
    adding = insert(_feed).values({**seen, "checked": tally.checked, "shed": shed})
    more = {name: _feed.c[name] + adding.excluded[name] for name in ("checked", "shed")}
    same = ["tenant_id", "interface"]
    tx.execute(adding.on_conflict_do_update(index_elements=same, set_={**more, "last_at": tx.now}))
    known = {(one.departure.kind, one.departure.location) for one in found(tx, interface)}
    new: dict[Departure, str] = {}
    for one, messages in sorted(tally.found.items()):
        counted = one
        if (one.kind, one.location) not in known:
            if len(known) >= KINDS_MAX:
                counted = Departure(False, "MSH", "more")
            else:
                known.add((one.kind, one.location))
                new[one] = tally.first[one]
        which = {"kind": counted.kind, "location": counted.location, "agreed": counted.agreed, "messages": messages}
        ids = {"first_message": tally.first[one], "last_message": tally.last[one]}
        adding = insert(_finding).values({**seen, **which, **ids})
        again = {"messages": _finding.c.messages + adding.excluded.messages}
        again |= {name: adding.excluded[name] for name in ("last_at", "last_message")}
        tx.execute(adding.on_conflict_do_update(index_elements=[*same, "kind", "location"], set_=again))
    return new


@dataclass(frozen=True, slots=True)
class Found:
    departure: Departure
    messages: int
    first_at: datetime
    last_at: datetime
    first_message: str
    last_message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """One interface's traffic as it was checked so far."""

    interface: str
    checked: int
    shed: int
    first_at: datetime
    last_at: datetime


def checked(tx: Tx, interface: str = "") -> list[Checked]:
    where = [_feed.c.tenant_id == tx.tenant, *([_feed.c.interface == interface] if interface else [])]
    columns = [column for column in _feed.c if column.name != "tenant_id"]
    return [Checked(**row) for row in tx.all(select(*columns).where(*where).order_by(_feed.c.interface))]


def found(tx: Tx, interface: str) -> list[Found]:
    """What was found in an interface's traffic: first what departs from its profile, what is met most often first."""
    where = (_finding.c.tenant_id == tx.tenant, _finding.c.interface == interface)
    order: list[Any] = [_finding.c.agreed.desc(), _finding.c.messages.desc(), _finding.c.location, _finding.c.kind]
    names = ("messages", "first_at", "last_at", "first_message", "last_message")
    return [
        Found(
            Departure(bool(row["agreed"]), row["location"], row["kind"]),
            **{name: row[name] for name in names},
        )
        for row in tx.all(select(_finding).where(*where).order_by(*order))
    ]

"""The close of a business day: what it would show (`look`), its signature (`sign`), and `reopen`.

Called by `fhirpay close` and web/api/closes.py. Looking is one snapshot and may take its time; signing is a short unit
that keeps what was looked at, so a figure that moved meanwhile is the next close's, and of two clerks at once the
database lets one through. A till is closed by itself, by who counted it; the facility's close stands on those of its
tills. What a close may be signed in spite of (open points) needs a reason, and both are in its document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ..close import copays, days, document, money, open_points, sessions, store
from ..close.counted import Counting, Reach
from ..close.figures import Batch, Figures, MoneyLine, OpenPoint, TillClosed
from ..close.store import Close
from ..config import Facility, Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import Conflict, NotFound, RuleBroken, ValueInvalid
from ..fhir.json import loads
from ..ledger import store as ledger
from ..ledger.as_of import day_of
from ..log import Log
from ..payments import till_sessions
from ..payments.till_sessions import Session
from ..security.pan import screen_text
from ..smart import heads
from ..smart.keys import KeyRing
from . import tills
from .doctor import examine
from .money_off import business_day

log = Log("close")

_TEXT_MAX = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """Which close is meant. Empty facility: the till's, or the only one; `day` None: see `_day`. `batch` is what the
    practice's own card terminal says that it took, `reference` its number there."""

    facility: str = ""
    till: str = ""
    day: date | None = None
    batch: Money | None = None
    reference: str = ""

    @classmethod
    def of(cls, tenant: Tenant, *, facility: str, till: str, day: str, batch: str, reference: str) -> Wish:
        """As people say it; the batch is in the till's currency. Raises ValueInvalid, NotFound."""
        try:
            on = date.fromisoformat(day) if day else None
        except ValueError:
            raise ValueInvalid(f"'{day[:20]}' is no day such as 2026-03-31", location="day") from None
        if batch and not till:
            raise ValueInvalid("a terminal's batch is of a till: name it", location="till")
        total = Money.of(batch, tills.till_of(tenant, till).currency) if batch else None
        return cls(facility, till, on, total, reference)


@dataclass(frozen=True, slots=True)
class Looked:
    """What would be signed now. `blocked`: why it can't be; `closed`: the close of that day, where it has one."""

    facility: str
    till: str
    day: date
    number: int
    replaces: str
    seq: int
    document: dict[str, Any]
    parts: tuple[str, ...]
    blocked: tuple[str, ...]
    closed: Close | None

    @property
    def points(self) -> list[dict[str, Any]]:
        return self.document["open"]


@dataclass(frozen=True, slots=True)
class Signed:
    """`again`: it had been signed by the same person before, and nothing was done."""

    close: Close
    again: bool


@dataclass(frozen=True, slots=True)
class _Scope:
    facility: Facility
    till: str
    day: date
    closes: Sequence[Close]
    counting: Counting
    replaces: Close | None


def look(tx: Tx, tenant: Tenant, wish: Wish, ring: KeyRing | None = None) -> Looked:
    """The close as it would be signed now, with the ledger's head signed by a key of `ring`; of a day that is closed,
    what was signed. Reads only.

    Raises NotFound for a facility or till that isn't there, RuleBroken for a till of another facility.
    """
    facility, till = _whose(tx, tenant, wish)
    closes = store.of(tx, facility.name, till)
    day = _day(tx, tenant, facility, till, wish.day)
    if closed := _standing(closes, day):
        kept = loads(store.body(tx, closed.close_id))
        return Looked(facility.name, till, day, closed.number, closed.replaces, closed.seq, kept, (), (), closed)
    head = ledger.head(tx)
    last = next((one for one in reversed(closes) if one.day == day), None)
    number = len(closes) + 1
    counting = store.counting(closes, Reach("", number, day, head.seq), last.close_id if last else "")
    scope = _Scope(facility, till, day, closes, counting, last)
    blocked = [*_blocked(tx, tenant, scope), *_open_tills(tx, scope)]
    figures, parts = _of_till(tx, scope, wish) if till else _of_facility(tx, tenant, scope)
    begins, ends = days.span(day, facility.zone)
    former = closes[-1] if closes else None
    asked = document.Asked(
        tenant=tx.tenant,
        facility=facility.name,
        till=till,
        zone=facility.zone,
        day=day,
        begins=begins,
        ends=ends,
        as_of=tx.now,
        number=number,
        former=(former.close_id, former.hash) if former else None,
        replaces=(last.close_id, last.hash, last.reopened_by, last.reopened_why) if last else None,
    )
    signs = heads.signer(ring, tx.tenant, tx.now) if ring else None
    made = document.unsigned(asked, figures, head, signs(ledger.mark(tx)) if signs else "")
    replaced = last.close_id if last else ""
    return Looked(facility.name, till, day, number, replaced, head.seq, made, tuple(parts), tuple(blocked), None)


def sign(tx: Tx, looked: Looked, *, by: str, reason: str) -> Signed:
    """Keep what was looked at, as part of the caller's unit. The same person's word again is the first answer.

    Raises RuleBroken for a day that somebody else has closed, that can't be closed, or that has open points and no
    reason; Conflict when another close was made since the look.
    """
    by, reason = _said(by, "by"), _said(reason, "reason") if reason.strip() else ""
    closes = store.of(tx, looked.facility, looked.till)
    if closed := _standing(closes, looked.day):
        return _again(closed, by, reason)
    if looked.blocked:
        raise RuleBroken("it can't be closed yet: " + "; ".join(looked.blocked))
    if looked.points and not reason:
        named = "; ".join(f"{one['kind']} {one['subject']}: {one['says']}" for one in looked.points[:3])
        raise RuleBroken(f"{len(looked.points)} open points need a written reason: {named}", location="reason")
    last = next((one for one in reversed(closes) if one.day == looked.day), None)
    if len(closes) + 1 != looked.number or (last.close_id if last else "") != looked.replaces:
        raise Conflict("another close was made meanwhile: look at it again, then sign")
    if not looked.replaces and (opened := _opened_again(closes)):
        raise RuleBroken("it can't be closed yet: " + "; ".join(opened))
    if not store.hold(tx, [one["close"] for one in looked.document["tills"]]):
        raise Conflict("a till that it counts was opened again meanwhile: sign that off, then look at it again")
    close_id = tx.ids.new("cls")
    text, digest = document.signed(looked.document, close_id=close_id, by=by, reason=reason, at=tx.now)
    one = Close(
        close_id=close_id,
        facility=looked.facility,
        till=looked.till,
        number=looked.number,
        business_date=looked.day.isoformat(),
        seq=looked.seq,
        replaces=looked.replaces,
        signed_by=by,
        reason=reason,
        signed_at=tx.now,
        hash=digest,
    )
    if not store.add(tx, one, text, looked.parts):
        if closed := _standing(store.of(tx, looked.facility, looked.till), looked.day):
            return _again(closed, by, reason)
        raise Conflict("another close was made at the same time: look at it again, then sign")
    log.info("day.closed", close_id=close_id, facility=looked.facility)
    return Signed(one, again=False)


def _again(closed: Close, by: str, reason: str) -> Signed:
    if (closed.signed_by, closed.reason) == (by, reason):
        return Signed(closed, again=True)
    says = f"{closed.where} is closed for {closed.business_date} already: by {closed.signed_by}"
    says += f" at {closed.signed_at.isoformat(timespec='seconds')} ({closed.close_id})"
    raise RuleBroken(says, close_id=closed.close_id)


def reopen(tx: Tx, close_id: str, *, by: str, why: str) -> Close:
    """Open a close again: a row beside it, and the day can be closed once more. Raises RuleBroken, NotFound."""
    by, why = _said(by, "by"), _said(why, "why")
    store.hold(tx, [close_id])
    one = store.get(tx, close_id)
    if one.till and (whole := _counted_by(tx, one)):
        raise RuleBroken(f"the close of '{one.facility}' stands on it ({whole.close_id}): open that again first")
    if not store.reopen(tx, close_id, by=by, why=why):
        before = store.get(tx, close_id)
        if (before.reopened_by, before.reopened_why) != (by, why):
            raise RuleBroken(f"{close_id} was opened again already, by {before.reopened_by}", close_id=close_id)
        return before
    log.info("day.reopened", close_id=close_id, facility=one.facility)
    return store.get(tx, close_id)


def _counted_by(tx: Tx, till: Close) -> Close | None:
    """The facility's close that stands and counts this one of a till."""
    counted = store.counted_in(tx, till.close_id)
    whole = store.of(tx, till.facility, "")
    return next((one for one in whole if one.stands and counted in _ids(store.line_of(whole, one.close_id))), None)


# ── which close ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _whose(tx: Tx, tenant: Tenant, wish: Wish) -> tuple[Facility, str]:
    of = _facility_of_till(tx, tenant, wish.till) if wish.till else wish.facility
    if wish.facility and of != wish.facility:
        raise RuleBroken(f"till '{wish.till}' is of facility '{of}', not of '{wish.facility}'", location="till")
    if not of:
        if len(tenant.facilities) != 1:
            raise RuleBroken("name the facility: there are several", location="facility")
        of = tenant.facilities[0].name
    found = next((one for one in tenant.facilities if one.name == of), None)
    if found is None:
        raise NotFound(f"there is no facility '{of}'", location="facility")
    return found, wish.till


def _facility_of_till(tx: Tx, tenant: Tenant, name: str) -> str:
    """A till that is not configured any more still has its sessions to close. Raises NotFound."""
    last = next(iter(till_sessions.of_till(tx, name, limit=1)), None)
    if last is not None and name not in {one.name for one in tenant.tills}:
        return last.facility
    return tills.till_of(tenant, name).facility


def _day(tx: Tx, tenant: Tenant, facility: Facility, till: str, said: date | None) -> date:
    """The one that is said; else the day of what is to be counted: of the till's sessions that no close has, of the
    tills' closes that no facility's close has; else today at the facility. Raises ValueInvalid."""
    if said is not None:
        return day_of(said.isoformat(), "day")
    today = business_day(tenant, facility.name, tx.now)
    if till:
        waiting = [one.business_date for one in sessions.uncounted(tx, facility.name, today.isoformat(), till)]
    else:
        closes = _till_closes(tx, facility.name)
        waiting = [one.business_date for one in closes if not store.counted_in(tx, one.close_id)]
    return date.fromisoformat(max(waiting)) if waiting else today


def _standing(closes: Sequence[Close], day: date) -> Close | None:
    return next((one for one in closes if one.day == day and one.stands), None)


def _ids(closes: Sequence[Close]) -> list[str]:
    return [one.close_id for one in closes]


# ── what stands in the way ────────────────────────────────────────────────────────────────────────────────────────────


def _blocked(tx: Tx, tenant: Tenant, scope: _Scope) -> list[str]:
    found: list[str] = []
    today = business_day(tenant, scope.facility.name, tx.now)
    if scope.day > today:
        found.append(f"{scope.day} has not begun at '{scope.facility.name}': it is {today} there")
    if scope.replaces is None:
        found += _opened_again(scope.closes)
    latest = max(scope.closes, key=lambda one: (one.day, one.number), default=None)
    if scope.replaces is None and latest is not None and latest.day > scope.day:
        found.append(f"what was open of {scope.day} is counted with {latest.business_date} ({latest.close_id})")
    return found


def _opened_again(closes: Sequence[Close]) -> list[str]:
    replaced = {one.replaces for one in closes}
    opened = [one for one in closes if not one.stands and one.close_id not in replaced]
    return [f"{one.business_date} was opened again by {one.reopened_by}: close that first" for one in opened]


def _open_tills(tx: Tx, scope: _Scope) -> list[str]:
    """Sessions of the day that run, and (of a facility) those that ran and have no close that stands."""
    found: list[str] = []
    day = scope.day.isoformat()
    for one in sessions.uncounted(tx, scope.facility.name, day, scope.till):
        if one.closed_at is None:
            found.append(
                f"till '{one.till}' is open since {one.business_date} by {one.opened_by} ({one.session_id}):"
                " count it and close it"
            )
        elif not scope.till:
            found.append(f"till '{one.till}' of {one.business_date} is not signed off ({one.session_id})")
    if not scope.till:
        closes = _till_closes(tx, scope.facility.name, standing=False)
        replaced = {one.replaces for one in closes}
        for one in closes:
            if not one.stands and one.close_id not in replaced and one.business_date <= day:
                found.append(f"till '{one.till}' of {one.business_date} was opened again: sign it off")
    return found


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_till(tx: Tx, scope: _Scope, wish: Wish) -> tuple[Figures, list[str]]:
    mine = scope.facility.name, scope.till
    new = [one for one in sessions.uncounted(tx, mine[0], scope.day.isoformat(), scope.till) if one.closed_at]
    before = [till_sessions.get(tx, part) for part in store.parts(tx, _own(scope))]
    counted = sessions.figures(tx, sorted([*before, *new], key=_opened))
    lines = money.lines(tx, scope.counting, *mine)
    batches, points = _batch(lines, wish)
    points += [
        OpenPoint("session_rest", one.session_id, f"{one.rest} of what is expected in it is not explained", one.rest)
        for one in counted
        if one.rest
    ]
    figures = Figures(
        money=tuple(lines),
        late=tuple(money.late(tx, scope.counting, *mine)),
        sessions=tuple(counted),
        batches=tuple(batches),
        points=(*open_points.points(tx, *mine), *points),
    )
    return figures, [one.session_id for one in new]


def _opened(one: Session) -> tuple[Any, str]:
    return one.opened_at, one.session_id


def _batch(lines: Sequence[MoneyLine], wish: Wish) -> tuple[list[Batch], list[OpenPoint]]:
    """What staff keyed beside what the books have. Raises RuleBroken for another currency."""
    booked = [one.amount for one in lines if one.tender == "external_card"]
    if not booked and wish.batch is None:
        return [], []
    total = sum(booked[1:], booked[0]) if booked else Money.zero(wish.batch.currency if wish.batch else "USD")
    if wish.batch is None:
        says = f"the books have {total} on the practice's own terminal, and no batch total was keyed"
        return [], [OpenPoint("batch_missing", "batch", says, total)]
    if wish.batch.currency != total.currency:
        raise RuleBroken(f"the terminal's batch is in {total.currency}, not in {wish.batch.currency}", location="batch")
    one = Batch(wish.batch, _said(wish.reference, "reference") if wish.reference else "", total)
    if not one.difference:
        return [one], []
    says = f"the terminal says {one.keyed}, the books {one.booked}"
    return [one], [OpenPoint("batch_differs", one.reference or "batch", says, one.difference)]


def _of_facility(tx: Tx, tenant: Tenant, scope: _Scope) -> tuple[Figures, list[str]]:
    name = scope.facility.name
    visits, off = copays.of_day(tx, tenant, scope.facility, scope.day)
    before = set(store.parts(tx, _own(scope)))
    of_days = [one for one in _till_closes(tx, name) if one.day <= scope.day]
    closed = [one for one in of_days if one.close_id in before or not store.counted_in(tx, one.close_id)]
    findings = [OpenPoint("control", one.subject, f"{one.check}: {one.says}") for one in examine(tx)]
    figures = Figures(
        copays=tuple(visits),
        called_off=off,
        money=tuple(money.lines(tx, scope.counting, name)),
        late=tuple(money.late(tx, scope.counting, name)),
        tills=tuple(_till_closed(tx, one) for one in closed),
        waiting_for_payer=open_points.waiting_for_payer(tx, name),
        points=(*open_points.points(tx, name), *findings),
        safe=tuple(_safe(tx, tenant, name)),
    )
    return figures, [one.close_id for one in closed if one.close_id not in before]


def _own(scope: _Scope) -> list[str]:
    return _ids(store.line_of(scope.closes, scope.replaces.close_id)) if scope.replaces else []


def _till_closes(tx: Tx, facility: str, *, standing: bool = True) -> list[Close]:
    found = store.of_tills(tx, facility)
    return [one for one in found if one.stands or not standing]


def _till_closed(tx: Tx, one: Close) -> TillClosed:
    kept = loads(store.body(tx, one.close_id))
    over = document.totals(each["over"] for each in kept["sessions"])
    return TillClosed(one.till, one.close_id, one.hash, one.business_date, one.signed_by, tuple(over))


def _safe(tx: Tx, tenant: Tenant, facility: str) -> list[Money]:
    currencies = sorted({one.currency for one in tenant.tills if one.facility == facility})
    return [tills.in_safe(tx, facility, one) for one in currencies]


def _said(text: str, what: str) -> str:
    """Words that are kept. Raises RuleBroken for none, for too many, or where they hold a card number."""
    text = text.strip()
    if not text:
        raise RuleBroken("this is needed: it is kept with the close", location=what)
    if len(text) > _TEXT_MAX or screen_text(text)[1]:
        raise RuleBroken(f"it has {_TEXT_MAX} characters at most, and no card number", location=what)
    return text

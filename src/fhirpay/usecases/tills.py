"""What is done with a till besides payments: opened with a float, cash dropped into the safe, paid in and out, counted
and closed. Each in one unit, with its entry; who did it and why is kept.

Called by web/api/tills.py, and by desk.py and desk_refund.py, which take and give at an open till only. Every unit
locks payments first, then the till, then its facility's safe, then accounts; nothing leaves a till or a safe that the
books don't have there. A count makes an entry of what is over or short, and of nothing else.
"""

from __future__ import annotations

import re
from typing import Literal

from ..config import Tenant, Till
from ..db.unit import Tx
from ..domain.events import Event
from ..domain.money import Money
from ..errors import NotFound, RuleBroken
from ..ledger import rules
from ..ledger import store as ledger
from ..log import Log
from ..payments import tenders, till_sessions
from ..payments.till_sessions import Kind, Session
from .money_off import business_day

log = Log("payments")

Source = Literal["bank", "opening"]
_SOURCES: dict[Source, Event] = {"bank": Event.CASH_FETCHED, "opening": Event.CASH_TAKEN_OVER}
_MOVES: dict[Kind, Event] = {
    "float": Event.CASH_FLOATED,
    "drop": Event.CASH_DROPPED,
    "pay_in": Event.CASH_PAID_IN,
    "pay_out": Event.CASH_PAID_OUT,
}
_OUT = ("drop", "pay_out")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


def till_of(tenant: Tenant, name: str) -> Till:
    """Raises NotFound."""
    found = next((one for one in tenant.tills if one.name == name), None)
    if found is None:
        raise NotFound(f"there is no till '{name}'", location="till")
    return found


def lock_open(tx: Tx, till: str) -> Session:
    """The till's session, nobody else's until this unit ends. After payments, before accounts. Raises RuleBroken."""
    tenders.lock_till(tx, till)
    found = till_sessions.open_at(tx, till)
    if found is None:
        raise RuleBroken(f"till '{till}' is closed: open it first", location="till")
    return found


def holds(tx: Tx, till: str, currency: str) -> Money:
    """What the books have in the till."""
    return Money(ledger.balance(tx, "cash_drawer", currency=currency, till=till), currency)


def check_in_till(tx: Tx, till: str, amount: Money) -> None:
    """Cash leaves a till only as far as the books have it there. Raises RuleBroken. Under the till's lock."""
    if amount > (there := holds(tx, till, amount.currency)):
        raise RuleBroken(f"till '{till}' holds {there}, not {amount}", till=till)


def open_till(tx: Tx, name: str, tenant: Tenant, *, by: str, float_: Money | None = None) -> str:
    """Open it, with this much from the safe on top of what was left in it; the session's id.

    Raises RuleBroken where it is open, or the safe hasn't so much; NotFound.
    """
    till = till_of(tenant, name)
    tenders.lock_till(tx, name)
    day = business_day(tenant, till.facility, tx.now)
    session = Session(tx.ids.new("ses"), name, till.facility, till.currency, day.isoformat(), by, tx.now)
    if not till_sessions.add(tx, session):
        raise RuleBroken(f"till '{name}' is open already", location="till")
    if float_ is not None and float_.minor:
        _move(tx, session, "float", float_, tenant, by=by, reason="")
    log.info("till.opened", session_id=session.session_id)
    return session.session_id


def move_cash(tx: Tx, name: str, kind: Kind, amount: Money, tenant: Tenant, *, by: str, reason: str = "") -> str:
    """Put cash in or take it out, of an open till; the session's id. What is paid in or out has a reason.

    Raises RuleBroken for more than is there, NotFound.
    """
    till_of(tenant, name)
    session = lock_open(tx, name)
    if kind in ("pay_in", "pay_out") and not reason.strip():
        raise RuleBroken("what is paid in or out needs a reason: it is kept with it", location="reason")
    _move(tx, session, kind, amount, tenant, by=by, reason=reason)
    return session.session_id


def count(tx: Tx, name: str, counted: Money, tenant: Tenant, *, by: str, close: bool = False) -> str:
    """What lies in it by somebody's count, and with `close` its end; the session's id. Raises RuleBroken, NotFound."""
    till_of(tenant, name)
    session = lock_open(tx, name)
    if counted.currency != session.currency or counted.minor < 0:
        raise RuleBroken(f"till '{name}' is counted in {session.currency}, from nothing upwards, not as {counted}")
    expected = holds(tx, name, session.currency)
    count_id = till_sessions.add_count(tx, session.session_id, expected, counted, by=by)
    if close:
        till_sessions.closed(tx, session.session_id, by=by)
    if difference := abs(counted - expected):
        event = Event.CASH_OVER if counted > expected else Event.CASH_SHORT
        entry = rules.cash_moved(event, difference, till=name, **_when(tx, tenant, session.facility, count=count_id))
        ledger.post(tx, entry, key=f"till-count/{count_id}")
    log.info("till.closed" if close else "till.counted", session_id=session.session_id)
    return session.session_id


def fill_safe(tx: Tx, facility: str, amount: Money, source: Source, tenant: Tenant, *, by: str, reason: str) -> str:
    """Cash from the bank into the facility's safe, or what lay in it when these books began. Raises RuleBroken,
    NotFound."""
    if facility not in {one.name for one in tenant.facilities}:
        raise NotFound(f"there is no facility '{facility}'", location="facility")
    if amount.minor <= 0:
        raise RuleBroken(f"an amount above zero is put into a safe, not {amount}")
    safe = safe_of(facility)
    tenders.lock_till(tx, safe)
    move_id = till_sessions.add_to_safe(tx, facility, source, amount, by=by, reason=reason)
    when = _when(tx, tenant, facility, move=move_id)
    ledger.post(tx, rules.cash_moved(_SOURCES[source], amount, safe=safe, **when), key=f"safe/{move_id}")
    return move_id


def in_safe(tx: Tx, facility: str, currency: str) -> Money:
    """What the books have in the facility's safe."""
    return Money(ledger.balance(tx, "cash_safe", currency=currency, till=safe_of(facility)), currency)


def lock_safe(tx: Tx, facility: str, takes: Money) -> str:
    """The facility's safe, as the books name it, with so much in it. Raises RuleBroken."""
    safe = safe_of(facility)
    tenders.lock_till(tx, safe)
    if takes > (there := in_safe(tx, facility, takes.currency)):
        raise RuleBroken(f"the safe of '{facility}' holds {there}, not {takes}")
    return safe


def safe_of(facility: str) -> str:
    """How the books name its safe: as no till can be named. Raises RuleBroken."""
    if not _NAME.fullmatch(facility):
        raise RuleBroken("a facility with a safe is named by letters, digits, dots and dashes: books know it by that")
    return f"safe:{facility}"


def _move(tx: Tx, session: Session, kind: Kind, amount: Money, tenant: Tenant, *, by: str, reason: str) -> None:
    if amount.currency != session.currency or amount.minor <= 0:
        raise RuleBroken(f"till '{session.till}' takes amounts of {session.currency} above zero, not {amount}")
    if kind in _OUT:
        check_in_till(tx, session.till, amount)
    safe = ""
    if kind in ("float", "drop"):
        safe = lock_safe(tx, session.facility, amount if kind == "float" else Money.zero(amount.currency))
    move_id = till_sessions.add_move(tx, session.session_id, kind, amount, by=by, reason=reason)
    when = _when(tx, tenant, session.facility, move=move_id)
    ledger.post(tx, rules.cash_moved(_MOVES[kind], amount, till=session.till, safe=safe, **when), key=f"till/{move_id}")


def _when(tx: Tx, tenant: Tenant, facility: str, **refs: str) -> rules.When:
    return rules.When(occurred_at=tx.now, business_date=business_day(tenant, facility, tx.now), refs=refs)

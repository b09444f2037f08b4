"""Money of a facility, or of one till, as the ledger has it: the entries that a close counts, by tender and till.

Reads entries with their payments and changes nothing. What an EHR took itself is the EHR's to close. Fees, payouts and
allocations are no money taken: they stand in other reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import BigInteger, case, cast, func, select

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.events import Event
from ..domain.money import Money
from ..ledger.tables import LedgerEntry, LedgerPosting
from ..payments.tables import HandedBackRow, PaymentRow, TenderRow
from ..payments.terminal_tables import TerminalPaymentRow
from ..payments.terminals import METHOD as ON_TERMINAL
from .counted import Counting
from .figures import LateEntry, MoneyLine, When

_entry, _leg, _payment = table(LedgerEntry), table(LedgerPosting), table(PaymentRow)
_tender, _back, _terminal = table(TenderRow), table(HandedBackRow), table(TerminalPaymentRow)

# event → what it is called, and which way the money goes
KINDS: Mapping[Event, tuple[str, int]] = {
    Event.PAYMENT_CAPTURED: ("taken", 1),
    Event.CAPTURE_VOIDED: ("voided", -1),
    Event.REFUND_TAKEN: ("refunded", -1),
    Event.REFUND_FAILED_LATE: ("refund_failed", 1),
    Event.PAYMENT_RETURNED: ("returned", -1),
    Event.RETURN_RECOVERABLE: ("returned", -1),
    Event.RECOVERABLE_SET_OFF: ("returned", 1),
    Event.RETURN_REVERSED: ("return_reversed", 1),
    Event.DISPUTE_WITHDRAWN: ("disputed", -1),
    Event.DISPUTE_REINSTATED: ("dispute_reinstated", 1),
}
TENDERS: Mapping[str, str] = {
    "cash": "cash",
    "check": "checks",
    "external_card": "cards on the practice's own terminal",
    "card": "cards at a processor",
    "card_terminal": "cards on a reader",
    "ach": "bank debits",
    "own_check": "checks of the practice's own",
    "bank_receipt": "receipts at the bank",
}
_DESK = ("cash", "check", "external_card", "bank_receipt")

_TENDER = case(
    (_back.c.kind == "check", "own_check"),
    (_back.c.kind.is_not(None), _back.c.kind),
    (_payment.c.method == ON_TERMINAL, "card_terminal"),
    (_payment.c.method.in_(_DESK), _payment.c.method),
    (_payment.c.tender == "bank", "ach"),
    else_="card",
)
_TILL = func.coalesce(_back.c.till, _tender.c.till, _terminal.c.till, "")
_READER = func.coalesce(_terminal.c.terminal, "")


def lines(tx: Tx, counting: Counting, facility: str, till: str = "") -> list[MoneyLine]:
    """Summed by when, till, reader, tender, kind and currency, in this order; `till` empty: of the whole facility."""
    what = (_TILL, _READER, _TENDER, _entry.c.kind, _leg.c.currency, _entry.c.business_date)
    names = ("till", "terminal", "tender", "kind", "currency", "day")
    columns = [column.label(name) for column, name in zip(what, names, strict=True)]
    each = _of(select(*columns, _leg.c.amount_minor), tx, counting, facility, till).subquery()
    along = [each.c[name] for name in names]
    total = cast(func.sum(each.c.amount_minor), BigInteger).label("minor")
    query = select(*along, total, func.count().label("count")).group_by(*along)
    found: dict[tuple[When, str, str, str, str, str], MoneyLine] = {}
    for row in tx.all(query):
        day, (kind, sign) = date.fromisoformat(row["day"]), KINDS[Event(row["kind"])]
        when: When = "day" if day == counting.day else "after_close" if counting.after(day) else "earlier"
        key = when, row["till"], row["terminal"], row["tender"], kind, row["currency"]
        one = MoneyLine(*key[:5], Money(sign * int(row["minor"]), row["currency"]), int(row["count"]), day, day)
        found[key] = _both(found[key], one) if key in found else one
    return [found[key] for key in sorted(found)]


def _both(one: MoneyLine, other: MoneyLine) -> MoneyLine:
    amount, count = one.amount + other.amount, one.count + other.count
    days = min(one.first_day, other.first_day), max(one.last_day, other.last_day)
    return MoneyLine(one.when, one.till, one.terminal, one.tender, one.kind, amount, count, *days)


def late(tx: Tx, counting: Counting, facility: str, till: str = "") -> list[LateEntry]:
    """Each entry of a day that was closed before, as the books have them."""
    columns = (_entry.c.seq, _entry.c.kind, _entry.c.business_date, _entry.c.recorded_at, _leg.c.payment_id)
    more = (_leg.c.refund_id, _leg.c.amount_minor, _leg.c.currency, _TENDER.label("tender"), _TILL.label("till"))
    query = _of(select(*columns, *more), tx, counting, facility, till)
    query = query.where(_entry.c.business_date < counting.day.isoformat()).order_by(_entry.c.seq)
    found: list[LateEntry] = []
    for row in tx.all(query) if counting.closed_before else ():
        day, (kind, sign) = date.fromisoformat(row["business_date"]), KINDS[Event(row["kind"])]
        if after := counting.after(day):
            amount = Money(sign * row["amount_minor"], row["currency"])
            what = row["payment_id"], row["refund_id"] or "", kind, row["tender"], row["till"]
            found.append(LateEntry(row["seq"], *what, amount, day, row["recorded_at"], after))
    return found


def _of(query: Any, tx: Tx, counting: Counting, facility: str, till: str) -> Any:
    of_tenant = _entry.c.tenant_id == _leg.c.tenant_id
    joined = (
        _entry.join(_leg, of_tenant & (_entry.c.entry_id == _leg.c.entry_id) & (_leg.c.side == "debit"))
        .join(_payment, (_payment.c.tenant_id == _leg.c.tenant_id) & (_payment.c.payment_id == _leg.c.payment_id))
        .outerjoin(_tender, (_tender.c.tenant_id == _leg.c.tenant_id) & (_tender.c.payment_id == _leg.c.payment_id))
        .outerjoin(_back, (_back.c.tenant_id == _leg.c.tenant_id) & (_back.c.refund_id == _leg.c.refund_id))
        .outerjoin(
            _terminal, (_terminal.c.tenant_id == _leg.c.tenant_id) & (_terminal.c.payment_id == _leg.c.payment_id)
        )
    )
    query = query.select_from(joined).where(_entry.c.tenant_id == tx.tenant, _payment.c.facility == facility)
    query = query.where(_entry.c.kind.in_([str(one) for one in KINDS]), counting.condition())
    return query.where(till == _TILL) if till else query

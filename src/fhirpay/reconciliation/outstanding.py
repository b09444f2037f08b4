"""Money that is on its way for too long, item by item: payouts, checks, bags, receipts of terminals and of nobody.

Its days are those of the calendar where it is: of the facility, of a payout's merchant, of the practice for what is at
the bank. Reads only, each kind in one statement. Called by usecases/age_in_transit.py, which tells; takes the caller's
`tx`. To add a kind: its days in config_in_transit.py, its row in kinds.toml, a function here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, String, and_, exists, literal, or_, select

from ..bank.tables import BankLineRow, BankMatchedRow
from ..config_in_transit import InTransit
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.local_days import day_of, days_later, latest_before
from ..domain.money import Money
from ..domain.payment import PaymentState
from ..domain.payout import PayoutState
from ..payments.many_breaks import NewBreak
from ..payments.tables import BagRow, PaymentBreakRow, PaymentRow, TenderRow
from ..settlement.tables import PayoutFactRow, PayoutRow

PAYOUT = "payout_outstanding"  # breaks
CHECK = "check_undeposited"
DEPOSIT = "deposit_outstanding"
TERMINAL = "terminal_unsettled"
RECEIPT = "receipt_unidentified"
KINDS = (PAYOUT, CHECK, DEPOSIT, TERMINAL, RECEIPT)
BY = "ageing"  # who closes them, once they are no longer so
_TOLD_AT_BANK = ("payout_not_at_bank", "payout_differs_at_bank", "bank_ambiguous")

_payout, _fact, _line = table(PayoutRow), table(PayoutFactRow), table(BankLineRow)
_matched = table(BankMatchedRow)
_payment, _tender, _bag, _break = table(PaymentRow), table(TenderRow), table(BagRow), table(PaymentBreakRow)
_Rows = Iterator[tuple[RowMapping, datetime, str]]  # since when, and what it says


@dataclass(frozen=True, slots=True)
class Zones:
    """Whose clock counts: `practice`, where neither facility nor merchant is known."""

    practice: str
    facilities: Mapping[str, str]
    merchants: Mapping[str, str]

    def of(self, row: RowMapping) -> str:
        return self.facilities.get(row["facility"]) or self.merchants.get(row["merchant"]) or self.practice


def outstanding(tx: Tx, days: InTransit, now: datetime, known: Mapping[str, str], zones: Zones) -> list[NewBreak]:
    """All that is older than its days. `known` is by facility and currency (`main USD`) the first day of which the
    bank's lines are here: no bag of before is told."""
    found: list[NewBreak] = []
    for kind, (limit, read) in _kinds(days).items():
        if limit:
            told = (
                (row, says)
                for row, since, says in read(tx, latest_before(now, limit), zones)
                if days_later(since, limit, zones.of(row)) <= now
                and (kind != DEPOSIT or row["business_date"] >= known.get(f"{row['facility']} {row['currency']}", "~"))
            )
            found += [_of(kind, row, says) for row, says in told]
    return found


def _kinds(days: InTransit) -> Mapping[str, tuple[int, Callable[[Tx, datetime, Zones], _Rows]]]:
    return {
        PAYOUT: (days.payout_days, _payouts),
        CHECK: (days.check_days, _checks),
        DEPOSIT: (days.deposit_days, _bags),
        TERMINAL: (days.terminal_days, _on_terminals),
        RECEIPT: (days.receipt_days, _receipts),
    }


def _of(kind: str, row: RowMapping, says: str) -> NewBreak:
    amount = Money(row["minor"], row["currency"])
    return NewBreak(
        f"in_transit:{kind}:{row['subject']}", kind, row["payment_id"], row["subject"], row["merchant"], amount, says
    )


def _payouts(tx: Tx, until: datetime, zones: Zones) -> _Rows:
    """Of processors that tell when a payout has arrived, those that haven't; what the bank's matching tells of isn't
    told twice."""
    arrived = _payout.alias("arrived")
    same = and_(_fact.c.tenant_id == arrived.c.tenant_id, _fact.c.payout_id == arrived.c.payout_id)
    theirs = and_(arrived.c.tenant_id == tx.tenant, arrived.c.merchant == _payout.c.merchant)
    told_at_bank = and_(
        _break.c.tenant_id == tx.tenant,
        _break.c.subject == _payout.c.payout_id,
        _break.c.kind.in_(_TOLD_AT_BANK),
        or_(_break.c.closed_at.is_(None), _break.c.accepted_minor.is_not(None)),
    )
    query = select(
        _payout.c.payout_id.label("subject"),
        _payout.c.merchant,
        _payout.c.amount_minor.label("minor"),
        _payout.c.currency,
        _payout.c.created_at,
        _payout.c.processor_ref,
        literal("", String).label("payment_id"),
        literal("", String).label("facility"),
    ).where(
        _payout.c.tenant_id == tx.tenant,
        _payout.c.state.in_((str(PayoutState.CLOSED), str(PayoutState.IN_TRANSIT))),
        _payout.c.amount_minor != 0,
        _payout.c.created_at <= until,
        exists().where(same, theirs, _fact.c.state == str(PayoutState.PAID)),
        ~exists().where(told_at_bank),
    )
    for row in tx.all(query.order_by(_payout.c.payout_id)):
        at, ref = row["created_at"], row["processor_ref"]
        says = f"payout {ref} is on its way since {day_of(at, zones.of(row))}, and is not said to have arrived"
        yield row, at, says


def _at_desk(method: str, tx: Tx, until: datetime) -> Any:
    same = and_(_tender.c.tenant_id == _payment.c.tenant_id, _tender.c.payment_id == _payment.c.payment_id)
    return (
        select(
            _payment.c.payment_id.label("subject"),
            _payment.c.payment_id,
            _payment.c.merchant,
            (_payment.c.captured_minor - _payment.c.refunded_minor).label("minor"),
            _payment.c.currency,
            _payment.c.captured_at,
            _payment.c.facility,
        )
        .select_from(_payment.join(_tender, same))
        .where(
            _payment.c.tenant_id == tx.tenant,
            _payment.c.method == method,
            _payment.c.state == str(PaymentState.CAPTURED),
            _payment.c.captured_at <= until,
        )
        .order_by(_payment.c.payment_id)
    )


def _checks(tx: Tx, until: datetime, zones: Zones) -> _Rows:
    for row in tx.all(_at_desk("check", tx, until).where(_tender.c.deposited_at.is_(None))):
        at = row["captured_at"]
        yield row, at, f"a check was taken at '{row['facility']}' on {day_of(at, zones.of(row))}, and lies there"


def _on_terminals(tx: Tx, until: datetime, zones: Zones) -> _Rows:
    for row in tx.all(_at_desk("external_card", tx, until)):
        at = row["captured_at"]
        yield row, at, f"a card was taken on the terminal of '{row['facility']}' on {day_of(at, zones.of(row))}"


def _bags(tx: Tx, until: datetime, zones: Zones) -> _Rows:
    """Those that no line of the bank is, but for what the bank's matching tells of."""
    seen = and_(_matched.c.tenant_id == tx.tenant, _matched.c.subject == _bag.c.bag_id, _matched.c.what == "deposit")
    ambiguous = and_(
        _break.c.tenant_id == tx.tenant,
        _break.c.subject == _bag.c.bag_id,
        _break.c.kind == "deposit_ambiguous",
        or_(_break.c.closed_at.is_(None), _break.c.accepted_minor.is_not(None)),
    )
    query = select(
        _bag.c.bag_id.label("subject"),
        literal("", String).label("payment_id"),
        literal("", String).label("merchant"),
        (_bag.c.cash_minor + _bag.c.checks_minor).label("minor"),
        _bag.c.currency,
        _bag.c.facility,
        _bag.c.at,
        _bag.c.business_date,
    ).where(
        _bag.c.tenant_id == tx.tenant,
        _bag.c.at <= until,
        ~exists().where(seen),
        ~exists().where(ambiguous),
    )
    for row in tx.all(query.order_by(_bag.c.bag_id)):
        says = f"a bag of '{row['facility']}' went to the bank on {row['business_date']}, and is not seen there"
        yield row, row["at"], says


def _receipts(tx: Tx, until: datetime, zones: Zones) -> _Rows:
    query = select(
        _line.c.line_id.label("subject"),
        literal("", String).label("payment_id"),
        literal("", String).label("merchant"),
        (_line.c.amount_minor - _line.c.credited_minor).label("minor"),
        _line.c.currency,
        literal("", String).label("facility"),
        _line.c.account,
        _line.c.booked_on,
    ).where(
        _line.c.tenant_id == tx.tenant,
        _line.c.receipt_by != "",
        _line.c.match_id == "",
        _line.c.amount_minor > _line.c.credited_minor,
        _line.c.booked_on <= until.date().isoformat(),
    )
    for row in tx.all(query.order_by(_line.c.line_id)):
        at = datetime.combine(date.fromisoformat(row["booked_on"]), time(), ZoneInfo(zones.practice))
        yield row, at, f"a receipt at '{row['account']}' of {row['booked_on']} is of nobody that is known"

"""What was handed over at a desk, as rows. Takes the caller's `tx`. Called by usecases/desk.py and whoever shows it.

The kinds are those of `ledger.rules.TENDERS`, and a payment's `method` is its tender's kind. A receipt at the bank that
was credited to an account (usecases/receipts.py) is a tender too: no till has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..ledger import rules
from .records import Payment
from .tables import HandedBackRow, PaymentRow, TenderRow, TillRow

_tender, _payment, _till, _back = table(TenderRow), table(PaymentRow), table(TillRow), table(HandedBackRow)
KINDS = frozenset(rules.TENDERS)
AT_BANK = "bank_receipt"
HANDED = KINDS - {AT_BANK}  # over a counter
BACK = frozenset(rules.REFUND_TENDERS)
_FIND = select(_tender).where(_tender.c.tenant_id == bindparam("tenant"), _tender.c.payment_id == bindparam("id"))


@dataclass(frozen=True, slots=True)
class Tender:
    """`tendered` is what was handed over, `change` what went back over the counter at once."""

    payment_id: str
    till: str
    taken_by: str
    payer: str
    tendered: Money
    change: Money
    check_number: str
    purpose: str
    about: str
    deposited_at: datetime | None
    session_id: str

    @property
    def is_deposit(self) -> bool:
        return bool(self.purpose)


@dataclass(frozen=True, slots=True)
class HandedBack:
    """How a desk gave a refund; the check is the practice's own."""

    refund_id: str
    kind: str
    till: str
    check_number: str
    session_id: str


def add(tx: Tx, one: Tender) -> None:
    row: dict[str, Any] = {"tenant_id": tx.tenant, "payment_id": one.payment_id, "till": one.till}
    row |= {"taken_by": one.taken_by, "payer": one.payer, "currency": one.tendered.currency}
    row |= {"tendered_minor": one.tendered.minor, "change_minor": one.change.minor}
    row |= {"check_number": one.check_number, "purpose": one.purpose, "about": one.about}
    row |= {"session_id": one.session_id}
    tx.execute(insert(_tender).values(row))


def taken_by(method: str) -> str:
    """Who took a payment that no processor did, and where it is taken back: of `KINDS`."""
    if method == AT_BANK:
        return "this payment is a receipt at the bank: `fhirpay bank uncredit` takes it back"
    return "a desk took this payment: void it there"


def find(tx: Tx, payment: Payment) -> Tender | None:
    """None of a payment that a processor or an EHR took."""
    row = tx.one(_FIND, id=payment.payment_id) if payment.method in KINDS else None
    if row is None:
        return None
    currency = row["currency"]
    return Tender(
        payment_id=row["payment_id"],
        till=row["till"],
        taken_by=row["taken_by"],
        payer=row["payer"],
        tendered=Money(row["tendered_minor"], currency),
        change=Money(row["change_minor"], currency),
        check_number=row["check_number"],
        purpose=row["purpose"],
        about=row["about"],
        deposited_at=row["deposited_at"],
        session_id=row["session_id"],
    )


def held(tx: Tx, payment: Payment) -> rules.Tender | None:
    """Where its money lies, for the ledger. None: a processor holds it."""
    found = find(tx, payment)
    return None if found is None else rules.Tender(payment.method, found.till)


def with_check(tx: Tx, account_ref: str, number: str) -> list[str]:
    """The payments on the account by a check of this number that stand."""
    mine = (_payment.c.account_ref == account_ref, _payment.c.method == "check", _payment.c.state == "captured")
    return _standing(tx, *mine, _tender.c.check_number == number)


def with_authorization(tx: Tx, account_ref: str, code: str, business_date: str) -> list[str]:
    """The payments on the account that day by a card of the practice's own terminal with this code that stand."""
    mine = (_payment.c.account_ref == account_ref, _payment.c.method == "external_card")
    same = (_payment.c.authorization_code == code, _payment.c.business_date == business_date)
    return _standing(tx, *mine, *same, _payment.c.state == "captured")


def _standing(tx: Tx, *where: Any) -> list[str]:
    joined = _tender.join(
        _payment, (_payment.c.tenant_id == _tender.c.tenant_id) & (_payment.c.payment_id == _tender.c.payment_id)
    )
    query = select(_tender.c.payment_id).select_from(joined).where(_tender.c.tenant_id == tx.tenant, *where)
    return [row["payment_id"] for row in tx.all(query.order_by(_tender.c.payment_id))]


def lock_till(tx: Tx, till: str) -> None:
    """Nobody else takes cash out of it until this unit ends. After payments, before accounts."""
    statement = select(_till.c.till).where(_till.c.tenant_id == tx.tenant, _till.c.till == till).with_for_update()
    if tx.scalar(statement) is None:
        tx.execute(insert(_till).values(tenant_id=tx.tenant, till=till).on_conflict_do_nothing())
        tx.scalar(statement)


def deposited(tx: Tx, payment_id: str, bag_id: str) -> None:
    """The check is on its way to the bank."""
    is_it = (_tender.c.tenant_id == tx.tenant, _tender.c.payment_id == payment_id)
    tx.execute(update(_tender).where(*is_it).values(deposited_at=tx.now, bag_id=bag_id))


def checks_to_deposit(tx: Tx, facility: str) -> list[str]:
    """The payments of a facility by checks that are still in the house, oldest first."""
    mine = (_payment.c.facility == facility, _payment.c.method == "check", _tender.c.deposited_at.is_(None))
    return _standing(tx, *mine, _payment.c.state == "captured")


def add_back(tx: Tx, one: HandedBack) -> None:
    row = {"tenant_id": tx.tenant, "refund_id": one.refund_id, "kind": one.kind, "till": one.till}
    tx.execute(insert(_back).values(row | {"check_number": one.check_number, "session_id": one.session_id}))


def given_back(tx: Tx, refund_id: str) -> HandedBack | None:
    """None of a refund that no desk gave."""
    row = tx.one(select(_back).where(_back.c.tenant_id == tx.tenant, _back.c.refund_id == refund_id))
    return None if row is None else HandedBack(**{name: row[name] for name in HandedBack.__slots__})


def checks_given(tx: Tx, number: str) -> list[str]:
    """The refunds given by the practice's own check of this number."""
    mine = (_back.c.tenant_id == tx.tenant, _back.c.kind == "check", _back.c.check_number == number)
    return [row["refund_id"] for row in tx.all(select(_back.c.refund_id).where(*mine).order_by(_back.c.refund_id))]

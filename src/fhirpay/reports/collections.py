"""Collections: what was charged, what of it can't be collected by agreement, and what came in."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, func, or_, select

from ..db.unit import Tx
from ..domain.events import Event
from ..ledger.chart import Side
from .books import DEBIT, is_a, obligation, of_period, payment, posting, signed, total
from .frame import Asked, Column, Query, Report
from .owed import filed

IN = (
    Event.PAYMENT_CAPTURED,
    Event.RETURN_REVERSED,
    Event.RECOVERABLE_SET_OFF,
    Event.REFUND_FAILED_LATE,
    Event.DISPUTE_REGAINED,
    Event.EHR_PAYMENT_TAKEN_IN,
)
OUT = (
    Event.CAPTURE_VOIDED,
    Event.PAYMENT_RETURNED,
    Event.RETURN_RECOVERABLE,
    Event.REFUND_TAKEN,
    Event.DISPUTE_LOST,
    Event.EHR_PAYMENT_TAKEN_BACK,
)
_DISCOUNTS, _GIVEN_UP = ("self_pay_discount", "charity"), ("bad_debt", "small_balance")
_ACCOUNTS = ("charges_control", "contractual_adjustment", *_DISCOUNTS, *_GIVEN_UP)


def statement(tx: Tx, asked: Asked) -> Query:
    account = posting.c.account
    came = case((is_a(*IN), posting.c.amount_minor), else_=-posting.c.amount_minor)
    insured = case((is_a(Event.INSURANCE_PAID_AT_EHR), posting.c.amount_minor), else_=-posting.c.amount_minor)
    of_money, of_insurance = is_a(*IN, *OUT), is_a(Event.INSURANCE_PAID_AT_EHR, Event.INSURANCE_PAID_AT_EHR_BACK)
    along: list[Any] = [func.coalesce(payment.c.facility, filed(asked, "facility"), "").label(one) for one in asked.by]
    legs = (
        of_period(asked, payment, obligation)
        .where(or_(account.in_(_ACCOUNTS), and_(DEBIT, or_(of_money, of_insurance))))
        .add_columns(
            *along,
            posting.c.currency,
            case((account == "charges_control", signed(Side.CREDIT)), else_=0).label("charge"),
            case((account == "contractual_adjustment", signed()), else_=0).label("contract"),
            case((account.in_(_DISCOUNTS), signed()), else_=0).label("discount"),
            case((account.in_(_GIVEN_UP), signed()), else_=0).label("lost"),
            case((and_(DEBIT, of_money, account.not_in(_ACCOUNTS)), came), else_=0).label("patient"),
            case((and_(DEBIT, of_insurance, account.not_in(_ACCOUNTS)), insured), else_=0).label("insurer"),
        )
        .subquery("legs")
    )
    keys: list[Any] = [*(legs.c[name] for name in asked.by), legs.c.currency]
    sums: list[Any] = [
        total(legs.c.charge).label("charges"),
        total(legs.c.contract).label("contractual"),
        total(legs.c.discount).label("discounts"),
        total(legs.c.charge - legs.c.contract - legs.c.discount).label("net_charges"),
        total(legs.c.lost).label("given_up"),
        total(legs.c.patient).label("patients_paid"),
        total(legs.c.insurer).label("insurers_paid"),
        total(legs.c.patient + legs.c.insurer).label("collected"),
    ]
    return select(*keys, *sums).group_by(*keys)


COLLECTIONS = Report(
    name="collections",
    says=(
        "What was charged in the period and what came in during it, by business date in the ledger, whenever what is "
        "paid was charged. Charges are less credits. Money that came in is less voids, refunds that went out, returns "
        "and lost disputes; with what an EHR says it took itself, and what insurers paid there. Balances taken over "
        "at go-live are no charges."
    ),
    denominators=(
        "`net_rate` is `collected` of `net_charges`: charges less contractual adjustments, self-pay discounts and "
        "charity; bad debt and small balances are not taken off. `gross_rate` is `collected` of `charges`. The "
        "payments of a period are mostly of earlier charges: over a short period either can be above 100."
    ),
    span="period",
    columns=(
        Column("charges", "money", "charged, less credits"),
        Column("contractual", "money", "adjusted by agreement with a payer"),
        Column("discounts", "money", "self-pay discounts and charity"),
        Column("net_charges", "money", "charges less the two"),
        Column("given_up", "money", "bad debt and small balances, less what was recovered of them"),
        Column("patients_paid", "money", "from patients and guarantors"),
        Column("insurers_paid", "money", "from insurers, as EHRs have posted it"),
        Column("collected", "money", "both"),
        Column("net_rate", "percent", "collected of net_charges", ("collected", "net_charges")),
        Column("gross_rate", "percent", "collected of charges", ("collected", "charges")),
    ),
    statement=statement,
    by={"facility": "the facility that charged, or that was paid"},
)

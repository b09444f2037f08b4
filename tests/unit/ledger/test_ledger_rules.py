"""One story a rule: what is posted, and the balances that an accountant expects afterwards.

Amounts are whole dollars; a balance is positive on its account's normal side (assets and costs: debit; liabilities
and `charges_control`: credit). An account that isn't listed stands at zero.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from fhirpay.domain.events import Event
from fhirpay.domain.money import Money
from fhirpay.errors import InvariantBroken, RuleBroken
from fhirpay.ledger import rules
from fhirpay.ledger.chart import CHART, Side
from fhirpay.ledger.entry import Entry, Posting
from fhirpay.ledger.rules import RULES, Tender, When

WHEN = When(occurred_at=datetime(2026, 3, 2, 12, tzinfo=UTC), business_date=date(2026, 3, 2))
OWED = ("obl1", "Account/a1")
USD = "USD"


def usd(dollars: int) -> Money:
    return Money(dollars * 100, USD)


def charged(dollars: int) -> Entry:
    return rules.charge_self_pay(*OWED, usd(dollars), **WHEN)


def pending(dollars: int) -> Entry:
    return rules.charge_pending(*OWED, usd(dollars), **WHEN)


def credited(dollars: int, stands_in: str) -> Entry:
    return rules.charge_credited(*OWED, usd(dollars), stands_in=stands_in, **WHEN)


def captured(dollars: int) -> Entry:
    return rules.capture("pay1", "main", usd(dollars), **WHEN)


def allocated(dollars: int) -> Entry:
    return rules.allocate("pay1", "obl1", usd(dollars), account_ref="Account/a1", **WHEN)


def deallocated(dollars: int) -> Entry:
    return rules.deallocate("pay1", "obl1", usd(dollars), account_ref="Account/a1", **WHEN)


def approved(dollars: int) -> Entry:
    return rules.refund_approved("pay1", "ref1", usd(dollars), **WHEN)


def taken(dollars: int) -> Entry:
    return rules.refund_taken("pay1", "ref1", "main", usd(dollars), **WHEN)


def recoverable(*, back: bool = False) -> Entry:
    ids = {"account_ref": "Account/a1", "returned": "ret1"}
    return rules.return_recoverable("pay1", "main", "obl2", usd(80), **ids, back=back, **WHEN)


def withdrawn(dollars: int) -> Entry:
    return rules.dispute_withdrawn("pay1", "main", usd(dollars), **WHEN)


SAFE = rules.cash_moved(Event.CASH_TAKEN_OVER, usd(100), safe="safe:main", **WHEN)
FLOAT = rules.cash_moved(Event.CASH_FLOATED, usd(40), till="front", safe="safe:main", **WHEN)
CHECK = rules.capture("pay1", "", usd(80), tender=Tender("check", "front"), **WHEN)
PAID = (charged(80), captured(80), allocated(80))
DISPUTED = (*PAID, withdrawn(80))
TO = "Account/a2"

STORIES: dict[str, tuple[Event, tuple[Entry, ...], dict[str, int]]] = {
    "a charge of a confirmed self-pay patient is owed at once": (
        Event.SELF_PAY_CHARGE_POSTED,
        (charged(80),),
        {"ar_patient": 80, "charges_control": 80},
    ),
    "a charge that is covered, or may be, is pending": (
        Event.CHARGE_POSTED,
        (pending(80),),
        {"ar_pending": 80, "charges_control": 80},
    ),
    "what the patient owes moves to the account that was merged into": (
        Event.RECEIVABLE_MOVED,
        (charged(80), rules.receivable_moved(*OWED, usd(80), to_account=TO, **WHEN)),
        {"ar_patient": 80, "charges_control": 80},
    ),
    "what waits for insurance moves to the account that was merged into": (
        Event.PENDING_MOVED,
        (pending(80), rules.pending_moved(*OWED, usd(80), to_account=TO, **WHEN)),
        {"ar_pending": 80, "charges_control": 80},
    ),
    "an opening balance is taken over": (
        Event.OPENING_RECEIVABLE,
        (rules.opening_receivable(*OWED, usd(80), **WHEN),),
        {"ar_patient": 80, "opening_balance": 80},
    ),
    "a wrong opening balance is taken back": (
        Event.OPENING_TAKEN_BACK,
        (rules.opening_receivable(*OWED, usd(80), **WHEN), rules.opening_taken_back(*OWED, usd(80), **WHEN)),
        {},
    ),
    "an insurance has paid at the EHR": (
        Event.INSURANCE_PAID_AT_EHR,
        (pending(80), rules.relief(*OWED, usd(50), kind="insurance", stands_in="ar_pending", **WHEN)),
        {"ar_pending": 30, "charges_control": 80, "ehr_receipts": 50},
    ),
    "an insurance has not paid after all what its patient had been spared": (
        Event.INSURANCE_PAID_AT_EHR_BACK,
        (
            charged(80),
            rules.relief(*OWED, usd(50), kind="insurance", stands_in="ar_patient", **WHEN),
            rules.relief(*OWED, usd(50), kind="insurance", stands_in="ar_patient", back=True, **WHEN),
        ),
        {"ar_patient": 80, "charges_control": 80},
    ),
    "a charge written off at the EHR": (
        Event.WRITTEN_OFF_AT_EHR,
        (charged(80), rules.relief(*OWED, usd(30), kind="charity", stands_in="ar_patient", **WHEN)),
        {"ar_patient": 50, "charges_control": 80, "charity": 30},
    ),
    "a write-off taken back": (
        Event.WRITTEN_OFF_AT_EHR_BACK,
        (
            pending(80),
            rules.relief(*OWED, usd(30), kind="contractual", stands_in="ar_pending", **WHEN),
            rules.relief(*OWED, usd(10), kind="contractual", stands_in="ar_pending", back=True, **WHEN),
        ),
        {"ar_pending": 60, "charges_control": 80, "contractual_adjustment": 20},
    ),
    "what a patient owes is given up": (
        Event.WRITTEN_OFF,
        (charged(80), rules.written_off(*OWED, usd(30), kind="bad_debt", **WHEN)),
        {"ar_patient": 50, "charges_control": 80, "bad_debt": 30},
    ),
    "what was given up is paid after all": (
        Event.WRITE_OFF_RECOVERED,
        (
            charged(80),
            rules.written_off(*OWED, usd(80), kind="charity", **WHEN),
            rules.written_off(*OWED, usd(80), kind="charity", back=True, **WHEN),
            captured(80),
            allocated(80),
        ),
        {"charges_control": 80, "processor_clearing": 80},
    ),
    "a payment that the EHR took": (
        Event.EHR_PAYMENT_TAKEN_IN,
        (charged(80), rules.ehr_payment("pay1", usd(80), **WHEN), allocated(80)),
        {"charges_control": 80, "ehr_receipts": 80},
    ),
    "a payment that the EHR took, and took back": (
        Event.EHR_PAYMENT_TAKEN_BACK,
        (
            charged(80),
            rules.ehr_payment("pay1", usd(80), **WHEN),
            allocated(80),
            deallocated(80),
            rules.ehr_payment_back("pay1", usd(80), **WHEN),
        ),
        {"ar_patient": 80, "charges_control": 80},
    ),
    "a pending charge credited": (
        Event.CHARGE_CREDITED,
        (pending(80), credited(30, "ar_pending")),
        {"ar_pending": 50, "charges_control": 50},
    ),
    "a patient's charge voided": (
        Event.SELF_PAY_CHARGE_CREDITED,
        (charged(80), credited(80, "ar_patient")),
        {},
    ),
    "a paid charge voided: the excess is unapplied credit": (
        Event.SELF_PAY_CHARGE_CREDITED,
        (*PAID, deallocated(80), credited(80, "ar_patient")),
        {"processor_clearing": 80, "unapplied_credit": 80},
    ),
    "the patient's share becomes known": (
        Event.SHARE_KNOWN,
        (pending(80), rules.share_known(*OWED, usd(25), **WHEN)),
        {"ar_pending": 55, "ar_patient": 25, "charges_control": 80},
    ),
    "insurance found: the share goes back": (
        Event.SHARE_WITHDRAWN,
        (pending(80), rules.share_known(*OWED, usd(25), **WHEN), rules.share_withdrawn(*OWED, usd(25), **WHEN)),
        {"ar_pending": 80, "charges_control": 80},
    ),
    "an Invoice whose charges we never saw": (
        Event.UNSEEN_CHARGES_INVOICED,
        (rules.invoice_unseen(*OWED, usd(120), **WHEN),),
        {"ar_patient": 120, "charges_control": 120},
    ),
    "that Invoice cancelled": (
        Event.UNSEEN_CHARGES_INVOICE_CANCELLED,
        (rules.invoice_unseen(*OWED, usd(120), **WHEN), rules.invoice_unseen_cancelled(*OWED, usd(120), **WHEN)),
        {},
    ),
    "a self-pay discount": (
        Event.SELF_PAY_DISCOUNTED,
        (charged(80), rules.self_pay_discount(*OWED, usd(20), **WHEN)),
        {"ar_patient": 60, "self_pay_discount": 20, "charges_control": 80},
    ),
    "a self-pay discount withdrawn": (
        Event.SELF_PAY_DISCOUNT_WITHDRAWN,
        (
            charged(80),
            rules.self_pay_discount(*OWED, usd(20), **WHEN),
            rules.self_pay_discount_withdrawn(*OWED, usd(20), **WHEN),
        ),
        {"ar_patient": 80, "charges_control": 80},
    ),
    "a copay received before any charge": (
        Event.PAYMENT_CAPTURED,
        (captured(25),),
        {"processor_clearing": 25, "unapplied_credit": 25},
    ),
    "a payment allocated to its charge": (
        Event.PAYMENT_ALLOCATED,
        PAID,
        {"processor_clearing": 80, "charges_control": 80},
    ),
    "a payment de-allocated": (
        Event.PAYMENT_DEALLOCATED,
        (*PAID, deallocated(80)),
        {"processor_clearing": 80, "charges_control": 80, "ar_patient": 80, "unapplied_credit": 80},
    ),
    "a void after capture leaves what was owed": (
        Event.CAPTURE_VOIDED,
        (*PAID, deallocated(80), rules.void_capture("pay1", "main", usd(80), **WHEN)),
        {"ar_patient": 80, "charges_control": 80},
    ),
    "an ACH payment returned after it had cleared, with its fee": (
        Event.PAYMENT_RETURNED,
        (
            *PAID,
            deallocated(80),
            rules.payment_returned("pay1", "ret1", "main", usd(80), **WHEN),
            rules.fee("main", usd(4), payment="pay1", **WHEN),
        ),
        {"ar_patient": 80, "charges_control": 80, "fees": 4, "processor_clearing": -4},
    ),
    "a return that was reversed is unapplied credit again": (
        Event.RETURN_REVERSED,
        (
            captured(80),
            rules.payment_returned("pay1", "ret1", "main", usd(80), **WHEN),
            rules.return_reversed("pay1", "ret2", "main", usd(80), **WHEN),
        ),
        {"processor_clearing": 80, "unapplied_credit": 80},
    ),
    "returned after it had been refunded: to be recovered": (
        Event.RETURN_RECOVERABLE,
        (
            captured(80),
            approved(80),
            taken(80),
            recoverable(),
        ),
        {"ar_patient": 80, "processor_clearing": -80},
    ),
    "returned while it was being refunded, which failed: nothing is to be recovered": (
        Event.RECOVERABLE_SET_OFF,
        (
            captured(80),
            approved(80),
            recoverable(),
            recoverable(back=True),
            rules.refund_dropped("pay1", "ref1", usd(80), **WHEN),
            rules.payment_returned("pay1", "ret1", "main", usd(80), **WHEN),
        ),
        {},
    ),
    "a fee line": (
        Event.FEE_TAKEN,
        (captured(80), rules.fee("main", usd(3), **WHEN)),
        {"processor_clearing": 77, "fees": 3, "unapplied_credit": 80},
    ),
    "a dispute takes the money, and nobody knows yet whose it is": (
        Event.DISPUTE_WITHDRAWN,
        DISPUTED,
        {"dispute_receivable": 80, "charges_control": 80},
    ),
    "a dispute that is won": (
        Event.DISPUTE_REINSTATED,
        (*DISPUTED, rules.dispute_reinstated("pay1", "main", usd(80), **WHEN)),
        {"processor_clearing": 80, "charges_control": 80},
    ),
    "the fee of a dispute": (
        Event.DISPUTE_FEE_TAKEN,
        (*PAID, rules.dispute_fee("pay1", "main", usd(15), **WHEN)),
        {"processor_clearing": 65, "dispute_fees": 15, "charges_control": 80},
    ),
    "the fee of a dispute given back": (
        Event.DISPUTE_FEE_BACK,
        (*PAID, *(rules.dispute_fee("pay1", "main", usd(15), back=back, **WHEN) for back in (False, True))),
        {"processor_clearing": 80, "charges_control": 80},
    ),
    "a fee given back": (
        Event.FEE_GIVEN_BACK,
        (
            captured(80),
            rules.fee("main", usd(3), payment="pay1", **WHEN),
            rules.fee("main", usd(2), payment="pay1", back=True, **WHEN),
        ),
        {"processor_clearing": 79, "unapplied_credit": 80, "fees": 1},
    ),
    "a reserve is kept back": (
        Event.RESERVE_HELD,
        (captured(80), rules.reserve("main", usd(10), **WHEN)),
        {"processor_clearing": 70, "reserve_held": 10, "unapplied_credit": 80},
    ),
    "and released": (
        Event.RESERVE_RELEASED,
        (captured(80), rules.reserve("main", usd(10), **WHEN), rules.reserve("main", usd(10), released=True, **WHEN)),
        {"processor_clearing": 80, "unapplied_credit": 80},
    ),
    "a payout is on its way": (
        Event.PAYOUT_CLOSED,
        (captured(80), rules.fee("main", usd(3), payment="pay1", **WHEN), rules.payout_closed("main", usd(77), **WHEN)),
        {"payout_in_transit": 77, "unapplied_credit": 80, "fees": 3},
    ),
    "a payout that failed is with the processor again": (
        Event.PAYOUT_FAILED,
        (captured(80), rules.payout_closed("main", usd(80), **WHEN), rules.payout_failed("main", usd(80), **WHEN)),
        {"processor_clearing": 80, "unapplied_credit": 80},
    ),
    "a payout below zero is taken from the bank": (
        Event.PAYOUT_DEBITED,
        (rules.fee("main", usd(25), **WHEN), rules.payout_closed("main", usd(25), debited=True, **WHEN)),
        {"payout_in_transit": -25, "fees": 25},
    ),
    "and one that could not be taken is owed to the processor": (
        Event.PAYOUT_DEBIT_FAILED,
        (
            rules.fee("main", usd(25), **WHEN),
            rules.payout_closed("main", usd(25), debited=True, **WHEN),
            rules.payout_failed("main", usd(25), debited=True, **WHEN),
        ),
        {"processor_clearing": -25, "fees": 25},
    ),
    "a payout is at the bank": (
        Event.PAYOUT_AT_BANK,
        (captured(80), rules.payout_closed("main", usd(80), **WHEN), rules.payout_at_bank("main", usd(80), **WHEN)),
        {"bank": 80, "unapplied_credit": 80},
    ),
    "and fails after that": (
        Event.PAYOUT_LEFT_BANK,
        (
            captured(80),
            rules.payout_closed("main", usd(80), **WHEN),
            rules.payout_at_bank("main", usd(80), **WHEN),
            rules.payout_left_bank("main", usd(80), **WHEN),
            rules.payout_failed("main", usd(80), **WHEN),
        ),
        {"processor_clearing": 80, "unapplied_credit": 80},
    ),
    "a payout below zero has been taken from the bank": (
        Event.PAYOUT_DEBIT_AT_BANK,
        (
            rules.fee("main", usd(25), **WHEN),
            rules.payout_closed("main", usd(25), debited=True, **WHEN),
            rules.payout_at_bank("main", usd(25), debited=True, **WHEN),
        ),
        {"bank": -25, "fees": 25},
    ),
    "and came back to it": (
        Event.PAYOUT_DEBIT_LEFT_BANK,
        (
            rules.fee("main", usd(25), **WHEN),
            rules.payout_closed("main", usd(25), debited=True, **WHEN),
            rules.payout_at_bank("main", usd(25), debited=True, **WHEN),
            rules.payout_left_bank("main", usd(25), debited=True, **WHEN),
        ),
        {"payout_in_transit": -25, "fees": 25},
    ),
    "money at the bank that nobody knows": (
        Event.RECEIPT_UNIDENTIFIED,
        (rules.receipt_unidentified(usd(40), **WHEN),),
        {"bank": 40, "unidentified_receipts": 40},
    ),
    "and was a patient's": (
        Event.PAYMENT_CAPTURED,
        (
            rules.receipt_unidentified(usd(40), **WHEN),
            rules.capture("pay1", "", usd(30), tender=rules.Tender("bank_receipt", ""), **WHEN),
        ),
        {"bank": 40, "unidentified_receipts": 10, "unapplied_credit": 30},
    ),
    "or another's": (
        Event.CAPTURE_VOIDED,
        (
            rules.receipt_unidentified(usd(40), **WHEN),
            rules.capture("pay1", "", usd(30), tender=rules.Tender("bank_receipt", ""), **WHEN),
            rules.void_capture("pay1", "", usd(30), tender=rules.Tender("bank_receipt", ""), **WHEN),
        ),
        {"bank": 40, "unidentified_receipts": 40},
    ),
    "a fee that a processor takes at the bank": (
        Event.FEE_AT_BANK,
        (rules.fee_at_bank("main", usd(12), **WHEN),),
        {"bank": -12, "fees": 12},
    ),
    "and gives back there": (
        Event.FEE_BACK_AT_BANK,
        (rules.fee_at_bank("main", usd(12), **WHEN), rules.fee_at_bank("main", usd(2), back=True, **WHEN)),
        {"bank": -10, "fees": 10},
    ),
    "and was a payout": (
        Event.RECEIPT_IDENTIFIED,
        (
            captured(80),
            rules.payout_closed("main", usd(80), **WHEN),
            rules.receipt_unidentified(usd(80), **WHEN),
            rules.receipt_unidentified(usd(80), back=True, **WHEN),
            rules.payout_at_bank("main", usd(80), **WHEN),
        ),
        {"bank": 80, "unapplied_credit": 80},
    ),
    "a currency is sold": (
        Event.CURRENCY_SOLD,
        (captured(80), rules.converted("main", usd(80), bought=False, **WHEN)),
        {"fx_clearing": 80, "unapplied_credit": 80},
    ),
    "a currency is bought": (
        Event.CURRENCY_BOUGHT,
        (rules.converted("main", usd(55), bought=True, **WHEN),),
        {"processor_clearing": 55, "fx_clearing": -55},
    ),
    "a dispute that is lost: it is owed again": (
        Event.DISPUTE_LOST,
        (*DISPUTED, deallocated(80), rules.dispute_lost("pay1", "dsl1", usd(80), **WHEN)),
        {"ar_patient": 80, "charges_control": 80},
    ),
    "a dispute that is won after it was lost": (
        Event.DISPUTE_REGAINED,
        (
            *DISPUTED,
            deallocated(80),
            rules.dispute_lost("pay1", "dsl1", usd(80), **WHEN),
            rules.dispute_reinstated("pay1", "main", usd(80), **WHEN),
            rules.dispute_regained("pay1", "dsl2", usd(80), **WHEN),
        ),
        {"ar_patient": 80, "charges_control": 80, "processor_clearing": 80, "unapplied_credit": 80},
    ),
    "a refund approved, of a charge that stays valid": (
        Event.REFUND_APPROVED,
        (*PAID, deallocated(30), approved(30)),
        {"processor_clearing": 80, "charges_control": 80, "ar_patient": 30, "refunds_payable": 30},
    ),
    "a refund taken from the processor's balance": (
        Event.REFUND_TAKEN,
        (*PAID, deallocated(30), approved(30), taken(30)),
        {"processor_clearing": 50, "charges_control": 80, "ar_patient": 30},
    ),
    "a check that has gone to the bank": (
        Event.CHECK_DEPOSITED,
        (CHECK, rules.check_deposited("pay1", "front", usd(80), **WHEN)),
        {"deposit_in_transit": 80, "unapplied_credit": 80},
    ),
    "a check that bounced, and what the bank takes for it": (
        Event.FEE_TAKEN,
        (
            CHECK,
            rules.check_deposited("pay1", "front", usd(80), **WHEN),
            rules.payment_returned("pay1", "ret1", "", usd(80), **WHEN),
            rules.fee("", usd(12), payment="pay1", **WHEN),
        ),
        {"deposit_in_transit": 80, "bank": -92, "fees": 12},
    ),
    "change fetched from the bank": (
        Event.CASH_FETCHED,
        (rules.cash_moved(Event.CASH_FETCHED, usd(50), safe="safe:main", **WHEN),),
        {"cash_safe": 50, "bank": -50},
    ),
    "what lay in the safe when the books began": (
        Event.CASH_TAKEN_OVER,
        (SAFE,),
        {"cash_safe": 100, "opening_balance": 100},
    ),
    "a float": (Event.CASH_FLOATED, (SAFE, FLOAT), {"cash_safe": 60, "cash_drawer": 40, "opening_balance": 100}),
    "a drop into the safe": (
        Event.CASH_DROPPED,
        (SAFE, FLOAT, rules.cash_moved(Event.CASH_DROPPED, usd(30), till="front", safe="safe:main", **WHEN)),
        {"cash_safe": 90, "cash_drawer": 10, "opening_balance": 100},
    ),
    "cash in a bag to the bank": (
        Event.CASH_BAGGED,
        (SAFE, rules.cash_moved(Event.CASH_BAGGED, usd(70), safe="safe:main", **WHEN)),
        {"cash_safe": 30, "deposit_in_transit": 70, "opening_balance": 100},
    ),
    "a bag at the bank, counted short there": (
        Event.BAG_AT_BANK,
        (
            SAFE,
            rules.cash_moved(Event.CASH_BAGGED, usd(70), safe="safe:main", **WHEN),
            rules.bag_at_bank(usd(68), safe="safe:main", **WHEN),
        ),
        {"cash_safe": 30, "deposit_in_transit": 2, "bank": 68, "opening_balance": 100},
    ),
    "and its match taken back": (
        Event.BAG_LEFT_BANK,
        (
            SAFE,
            rules.cash_moved(Event.CASH_BAGGED, usd(70), safe="safe:main", **WHEN),
            rules.bag_at_bank(usd(68), safe="safe:main", **WHEN),
            rules.bag_at_bank(usd(68), safe="safe:main", back=True, **WHEN),
        ),
        {"cash_safe": 30, "deposit_in_transit": 70, "opening_balance": 100},
    ),
    "cash paid in that pays for nothing": (
        Event.CASH_PAID_IN,
        (rules.cash_moved(Event.CASH_PAID_IN, usd(5), till="front", **WHEN),),
        {"cash_drawer": 5, "petty_cash": -5},
    ),
    "cash paid out for the practice itself": (
        Event.CASH_PAID_OUT,
        (SAFE, FLOAT, rules.cash_moved(Event.CASH_PAID_OUT, usd(5), till="front", **WHEN)),
        {"cash_safe": 60, "cash_drawer": 35, "petty_cash": 5, "opening_balance": 100},
    ),
    "counted over": (
        Event.CASH_OVER,
        (rules.cash_moved(Event.CASH_OVER, usd(2), till="front", **WHEN),),
        {"cash_drawer": 2, "over_short": -2},
    ),
    "counted short": (
        Event.CASH_SHORT,
        (SAFE, FLOAT, rules.cash_moved(Event.CASH_SHORT, usd(2), till="front", **WHEN)),
        {"cash_safe": 60, "cash_drawer": 38, "over_short": 2, "opening_balance": 100},
    ),
    "a refund that a desk gave in cash, of a check": (
        Event.REFUND_TAKEN,
        (
            CHECK,
            approved(30),
            rules.refund_taken("pay1", "ref1", "", usd(30), tender=Tender("cash", "front"), **WHEN),
        ),
        {"checks_on_hand": 80, "cash_drawer": -30, "unapplied_credit": 50},
    ),
    "a refund that failed late is payable again": (
        Event.REFUND_FAILED_LATE,
        (captured(80), approved(30), taken(30), rules.refund_failed_late("pay1", "ref1", "main", usd(30), **WHEN)),
        {"processor_clearing": 80, "unapplied_credit": 50, "refunds_payable": 30},
    ),
    "a refund dropped is unapplied credit again": (
        Event.REFUND_DROPPED,
        (captured(80), approved(30), rules.refund_dropped("pay1", "ref1", usd(30), **WHEN)),
        {"processor_clearing": 80, "unapplied_credit": 80},
    ),
}


def balances(entries: tuple[Entry, ...]) -> dict[str, int]:
    """The T-accounts, added up: whole dollars on the normal side."""
    sums: dict[str, int] = {}
    for entry in entries:
        for posting in entry.postings:
            sign = 1 if posting.side is CHART[posting.account].normal else -1
            sums[posting.account] = sums.get(posting.account, 0) + sign * posting.amount.minor
    return {account: minor // 100 for account, minor in sums.items() if minor}


@pytest.mark.parametrize(("event", "entries", "expected"), STORIES.values(), ids=STORIES.keys())
def test_balances_are_those_an_accountant_expects(
    event: Event, entries: tuple[Entry, ...], expected: dict[str, int]
) -> None:
    assert event in {entry.kind for entry in entries}
    assert balances(entries) == expected


def test_every_event_has_its_row_and_its_story() -> None:
    assert set(RULES) == set(Event)
    assert {event for event, _, _ in STORIES.values()} == set(Event)


def test_every_row_names_accounts_of_the_chart() -> None:
    assert {account for row in RULES.values() for account in row} <= CHART.keys()


def test_a_copays_share_comes_out_of_another_obligations_pending_amount() -> None:
    entry = rules.share_known("obl2", "Account/a1", usd(25), from_obligation="obl1", **WHEN)
    assert [posting.dims["obligation"] for posting in entry.postings] == ["obl2", "obl1"]
    back = rules.share_withdrawn("obl2", "Account/a1", usd(25), to_obligation="obl1", **WHEN)
    assert [(p.account, p.dims["obligation"]) for p in back.postings] == [
        ("ar_pending", "obl1"),
        ("ar_patient", "obl2"),
    ]


def test_unapplied_credit_is_kept_by_payment_not_by_account() -> None:
    debit, credit = allocated(5).postings
    assert debit.dims == {"payment": "pay1"}
    assert credit.dims == {"payment": "pay1", "obligation": "obl1", "account_ref": "Account/a1"}


@pytest.mark.parametrize("minor", [0, -1])
def test_an_entry_needs_an_amount(minor: int) -> None:
    with pytest.raises(RuleBroken, match="above zero"):
        rules.capture("pay1", "main", Money(minor, USD), **WHEN)


def test_a_charge_is_credited_where_it_stands() -> None:
    with pytest.raises(RuleBroken, match="ar_pending or ar_patient"):
        credited(5, "bank")


class TestEntry:
    debit = Posting("bank", Side.DEBIT, usd(5))

    def test_that_does_not_balance_can_not_be_made(self) -> None:
        with pytest.raises(InvariantBroken, match=r"does not balance.*1\.00 USD"):
            self.make(self.debit, Posting("fees", Side.CREDIT, usd(4)))

    def test_balances_in_each_currency_by_itself(self) -> None:
        with pytest.raises(InvariantBroken, match=r"-5\.00 EUR, 5\.00 USD"):
            self.make(self.debit, Posting("fees", Side.CREDIT, Money(5_00, "EUR")))

    def test_has_two_postings(self) -> None:
        with pytest.raises(InvariantBroken, match="two postings"):
            self.make()

    def test_says_when_in_which_zone(self) -> None:
        with pytest.raises(InvariantBroken, match="time zone"):
            Entry(Event.FEE_TAKEN, datetime(2026, 3, 2), date(2026, 3, 2), (self.debit,))  # noqa: DTZ001

    @pytest.mark.parametrize("ref", ["Ann Lee", "urn:oid:1.2|MRN7", "", "1970-01-01 12:00", "x" * 201])
    def test_refers_by_identifiers_only(self, ref: str) -> None:
        with pytest.raises(InvariantBroken, match="identifier"):
            Entry(
                Event.FEE_TAKEN,
                WHEN["occurred_at"],
                WHEN["business_date"],
                (self.debit, Posting("fees", Side.CREDIT, usd(5))),
                {"charge": ref},
            )

    def make(self, *postings: Posting) -> Entry:
        return Entry(Event.FEE_TAKEN, WHEN["occurred_at"], WHEN["business_date"], postings)


class TestPosting:
    @pytest.mark.parametrize("minor", [-1, 2**63])
    def test_has_an_amount_that_can_be_kept(self, minor: int) -> None:
        with pytest.raises(InvariantBroken, match="0 or more"):
            Posting("bank", Side.DEBIT, Money(minor, USD))

    def test_is_to_an_account_of_the_chart(self) -> None:
        with pytest.raises(InvariantBroken, match="slush_fund"):
            Posting("slush_fund", Side.DEBIT, usd(1))

    def test_says_along_what_it_is_kept(self) -> None:
        with pytest.raises(InvariantBroken, match="obligation and account_ref"):
            Posting("ar_patient", Side.DEBIT, usd(1), {"payment": "pay1"})

    def test_is_kept_along_known_dimensions(self) -> None:
        with pytest.raises(InvariantBroken, match="patient_name"):
            Posting("bank", Side.DEBIT, usd(1), {"patient_name": "x"})

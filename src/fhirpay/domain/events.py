"""What happened to money, in the past tense: the kinds of ledger entry that can be posted so far.

Used as the row names of `ledger/rules.py` and kept as the kind of each entry, so a value never changes once it has
been released. To add one: a member here, a row there, an account in `ledger/chart.py` if it needs a new one.
"""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    # what is owed
    SELF_PAY_CHARGE_POSTED = "self_pay_charge_posted"
    CHARGE_POSTED = "charge_posted"
    SELF_PAY_CHARGE_CREDITED = "self_pay_charge_credited"
    CHARGE_CREDITED = "charge_credited"
    SHARE_KNOWN = "share_known"
    SHARE_WITHDRAWN = "share_withdrawn"
    UNSEEN_CHARGES_INVOICED = "unseen_charges_invoiced"
    UNSEEN_CHARGES_INVOICE_CANCELLED = "unseen_charges_invoice_cancelled"
    SELF_PAY_DISCOUNTED = "self_pay_discounted"
    SELF_PAY_DISCOUNT_WITHDRAWN = "self_pay_discount_withdrawn"
    INSURANCE_PAID_AT_EHR = "insurance_paid_at_ehr"
    INSURANCE_PAID_AT_EHR_BACK = "insurance_paid_at_ehr_back"
    WRITTEN_OFF_AT_EHR = "written_off_at_ehr"
    WRITTEN_OFF_AT_EHR_BACK = "written_off_at_ehr_back"
    WRITTEN_OFF = "written_off"
    WRITE_OFF_RECOVERED = "write_off_recovered"
    RECEIVABLE_MOVED = "receivable_moved"
    PENDING_MOVED = "pending_moved"
    OPENING_RECEIVABLE = "opening_receivable"
    OPENING_TAKEN_BACK = "opening_taken_back"
    # money in
    PAYMENT_CAPTURED = "payment_captured"
    PAYMENT_ALLOCATED = "payment_allocated"
    PAYMENT_DEALLOCATED = "payment_deallocated"
    CAPTURE_VOIDED = "capture_voided"
    PAYMENT_RETURNED = "payment_returned"
    RETURN_REVERSED = "return_reversed"
    RETURN_RECOVERABLE = "return_recoverable"
    RECOVERABLE_SET_OFF = "recoverable_set_off"
    FEE_TAKEN = "fee_taken"
    EHR_PAYMENT_TAKEN_IN = "ehr_payment_taken_in"
    EHR_PAYMENT_TAKEN_BACK = "ehr_payment_taken_back"
    CHECK_DEPOSITED = "check_deposited"
    # settlement
    FEE_GIVEN_BACK = "fee_given_back"
    RESERVE_HELD = "reserve_held"
    RESERVE_RELEASED = "reserve_released"
    PAYOUT_CLOSED = "payout_closed"
    PAYOUT_DEBITED = "payout_debited"
    PAYOUT_FAILED = "payout_failed"
    PAYOUT_DEBIT_FAILED = "payout_debit_failed"
    PAYOUT_AT_BANK = "payout_at_bank"
    PAYOUT_DEBIT_AT_BANK = "payout_debit_at_bank"
    PAYOUT_LEFT_BANK = "payout_left_bank"
    PAYOUT_DEBIT_LEFT_BANK = "payout_debit_left_bank"
    RECEIPT_UNIDENTIFIED = "receipt_unidentified"
    RECEIPT_IDENTIFIED = "receipt_identified"
    FEE_AT_BANK = "fee_at_bank"
    FEE_BACK_AT_BANK = "fee_back_at_bank"
    CURRENCY_SOLD = "currency_sold"
    CURRENCY_BOUGHT = "currency_bought"
    # cash that no payment brings or takes
    CASH_FETCHED = "cash_fetched"
    CASH_TAKEN_OVER = "cash_taken_over"
    CASH_FLOATED = "cash_floated"
    CASH_DROPPED = "cash_dropped"
    CASH_BAGGED = "cash_bagged"
    BAG_AT_BANK = "bag_at_bank"
    BAG_LEFT_BANK = "bag_left_bank"
    CASH_PAID_IN = "cash_paid_in"
    CASH_PAID_OUT = "cash_paid_out"
    CASH_OVER = "cash_over"
    CASH_SHORT = "cash_short"
    # disputes
    DISPUTE_WITHDRAWN = "dispute_withdrawn"
    DISPUTE_REINSTATED = "dispute_reinstated"
    DISPUTE_FEE_TAKEN = "dispute_fee_taken"
    DISPUTE_FEE_BACK = "dispute_fee_back"
    DISPUTE_LOST = "dispute_lost"
    DISPUTE_REGAINED = "dispute_regained"
    # money back
    REFUND_APPROVED = "refund_approved"
    REFUND_TAKEN = "refund_taken"
    REFUND_FAILED_LATE = "refund_failed_late"
    REFUND_DROPPED = "refund_dropped"

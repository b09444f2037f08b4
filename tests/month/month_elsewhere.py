"""Breaks that no month of this practice can hold, each with the reason and the test that witnesses it.

`test_month_kinds.py` demands a row here, or a plant, of each kind in kinds.toml that two sides disagree about, and that
each test exists.
"""

from __future__ import annotations

IN_EACH_MONTH = {
    "payout_failed": "month_specials.py has one fail in each month, planted or not",
    "books_disagree": "month_planted.py changes a leg of the ledger, at the end of each month that is planted",
}

_UNIT = "unit/usecases/test_usecases_"
_BATCHES = "its processor pays no batches"
_REPORTS = "its processor makes no reports"
_ODD = "its processor tells no such thing of itself: other processors do"
_ONE_EHR = "its EHR is one FHIR server, which is posted to by itself"

# kind: why, and the test
ELSEWHERE = {
    "adjustment_differs": (_ONE_EHR, f"{_UNIT}adjustments_told.py"),
    "echo_differs": (_ONE_EHR, f"{_UNIT}external_payments.py::test_what_comes_back_as_something_else_is_a_break"),
    "echo_turned": (_ONE_EHR, f"{_UNIT}external_payments.py::test_what_comes_back_as_something_else_is_a_break"),
    "posting_file_unplaced": (_ONE_EHR, f"{_UNIT}posting_files.py"),
    "posting_file_unmade": (_ONE_EHR, f"{_UNIT}posting_files.py"),
    "receiver_gone": ("its configuration stays as it is", f"{_UNIT}post_dft.py"),
    "posting_to_confirm": ("its EHR is past that step", f"{_UNIT}rollout.py"),
    "invoice_given_back": ("its EHR has no invoices", f"{_UNIT}post_invoice.py"),
    "parked_call": ("told of a call, not of a difference: its EHR takes what is posted", f"{_UNIT}unposted.py"),
    "reallocated": ("its EHR moves no payments between accounts", f"{_UNIT}credit.py"),
    "ehr_payment_before_watermark": (
        "it went live long ago",
        f"{_UNIT}external_payments.py::test_what_was_paid_before_the_watermark_is_in_the_opening_balance",
    ),
    "report_gone": (
        "its configuration stays as it is",
        f"{_UNIT}ehr_said.py::test_a_report_that_is_read_no_more_leaves_one_line_in_the_place_of_its_own",
    ),
    "settlement_report_unread": (_REPORTS, "contract/test_settlement_adyen.py"),
    "batch_fee_gap": (_BATCHES, "unit/usecases/test_bank_matching.py"),
    "settlement_currency": ("all of it is in dollars", "unit/usecases/test_converted_lines.py"),
    "other_currency": (
        "all of it is in dollars",
        "unit/domain/test_domain_payment_fold.py::test_a_capture_in_another_currency_is_seen_but_not_added",
    ),
    "events_missed": (
        "the processor's list reaches back as far as the month",
        f"{_UNIT}sweep.py::test_what_the_list_reaches_no_more_is_told",
    ),
    "events_unlisted": (
        "while its list can't be read nothing of the day can be compared",
        f"{_UNIT}sweep.py::test_list_that_can_not_be_read_for_days_is_told",
    ),
    "settlement_unread": (
        "while its payouts can't be read nothing of the day can be compared: refused and read later, in the month",
        "unit/usecases/test_settlement_books.py",
    ),
    "return_unexplained": (
        "a debit that comes back after it was lost to a dispute takes two months",
        f"{_UNIT}disputes_ends.py::test_a_return_of_what_a_dispute_had_taken_is_carried_out_once_the_dispute_is_won",
    ),
    "by_hand_differs": (
        _ODD,
        f"{_UNIT}disputes_adyen.py::test_one_of_which_no_event_tells_the_end_is_ended_by_a_person_until_one_does",
    ),
    "over_captured": (_ODD, f"{_UNIT}other_amounts.py::test_a_sale_of_more_than_asked_is_credit_and_told"),
    "refund_unknown": (
        _ODD,
        f"{_UNIT}refunds_outside.py::test_a_refund_whose_event_was_lost_is_told_when_its_payment_is_looked_up",
    ),
    "event_not_applied": (
        _ODD,
        f"{_UNIT}refunds_outside.py::test_an_event_about_a_refund_that_can_never_be_looked_up_is_told_by_its_name",
    ),
    "amounts_disagree": (_ODD, "unit/domain/test_domain_payment_fold.py::test_facts_amount_to"),
    "illegal_move": (_ODD, "unit/domain/test_domain_payment_fold.py::test_facts_amount_to"),
    "unmatched": (_ODD, "unit/domain/test_domain_payment_fold.py::test_facts_amount_to"),
    "terminal_unsettled": ("told only where it is asked for", "unit/usecases/test_age_in_transit.py"),
    "payout_outstanding": (
        "each place has its bank, whose break is told instead",
        "unit/usecases/test_age_in_transit.py",
    ),
}

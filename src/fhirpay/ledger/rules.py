"""Event → entry. `RULES` is the table an accountant reads; below it, one function an event says which ids it needs.

Called by billing/, payments/ and usecases/, which hand the entry to `store.post`. What the table holds to:

- every receipt goes to `unapplied_credit`, every allocation is an entry of its own;
- a correction is the opposite entry, never an edit;
- `ar_*` never goes below zero for an obligation: `deallocate` what was paid before crediting what was owed;
- an authorisation, its void or expiry, an ACH payment submitted and a copay due before any charge post nothing.

To add an event: a member of `domain.events.Event`, a row here, a function, and one test of the balances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import NotRequired, TypedDict, Unpack

from ..domain.events import Event
from ..domain.money import Money
from ..errors import RuleBroken
from .chart import CHART, Side
from .entry import Entry, Posting

RULES: Mapping[Event, tuple[str, str]] = {
    #                                        debit                 credit
    Event.SELF_PAY_CHARGE_POSTED:           ("ar_patient",         "charges_control"),
    Event.CHARGE_POSTED:                    ("ar_pending",         "charges_control"),
    Event.SELF_PAY_CHARGE_CREDITED:         ("charges_control",    "ar_patient"),
    Event.CHARGE_CREDITED:                  ("charges_control",    "ar_pending"),
    Event.SHARE_KNOWN:                      ("ar_patient",         "ar_pending"),
    Event.SHARE_WITHDRAWN:                  ("ar_pending",         "ar_patient"),
    Event.UNSEEN_CHARGES_INVOICED:          ("ar_patient",         "charges_control"),
    Event.UNSEEN_CHARGES_INVOICE_CANCELLED: ("charges_control",    "ar_patient"),
    Event.SELF_PAY_DISCOUNTED:              ("self_pay_discount",  "ar_patient"),
    Event.SELF_PAY_DISCOUNT_WITHDRAWN:      ("ar_patient",         "self_pay_discount"),
    #   of a write-off the debit is the account of its kind; either stands in ar_patient where that is what it lowers
    Event.INSURANCE_PAID_AT_EHR:            ("ehr_receipts",       "ar_pending"),
    Event.INSURANCE_PAID_AT_EHR_BACK:       ("ar_pending",         "ehr_receipts"),
    Event.WRITTEN_OFF_AT_EHR:               ("contractual_adjustment", "ar_pending"),
    Event.WRITTEN_OFF_AT_EHR_BACK:          ("ar_pending",         "contractual_adjustment"),
    #   by staff here, of what the patient owes; the debit is the account of its kind
    Event.WRITTEN_OFF:                      ("bad_debt",           "ar_patient"),
    Event.WRITE_OFF_RECOVERED:              ("ar_patient",         "bad_debt"),
    Event.RECEIVABLE_MOVED:                 ("ar_patient",         "ar_patient"),
    Event.PENDING_MOVED:                    ("ar_pending",         "ar_pending"),
    Event.OPENING_RECEIVABLE:               ("ar_patient",         "opening_balance"),
    Event.OPENING_TAKEN_BACK:               ("opening_balance",    "ar_patient"),
    #   of what no processor took the debit is the account of its tender (TENDERS)
    Event.PAYMENT_CAPTURED:                 ("processor_clearing", "unapplied_credit"),
    Event.PAYMENT_ALLOCATED:                ("unapplied_credit",   "ar_patient"),
    Event.PAYMENT_DEALLOCATED:              ("ar_patient",         "unapplied_credit"),
    Event.CAPTURE_VOIDED:                   ("unapplied_credit",   "processor_clearing"),
    Event.CHECK_DEPOSITED:                  ("deposit_in_transit", "checks_on_hand"),
    #   of a check, which no merchant has, it is the practice's bank that takes it back, and its fee
    Event.PAYMENT_RETURNED:                 ("unapplied_credit",   "processor_clearing"),
    Event.RETURN_REVERSED:                  ("processor_clearing", "unapplied_credit"),
    Event.RETURN_RECOVERABLE:               ("ar_patient",         "processor_clearing"),
    Event.RECOVERABLE_SET_OFF:              ("processor_clearing", "ar_patient"),
    Event.FEE_TAKEN:                        ("fees",               "processor_clearing"),
    Event.FEE_GIVEN_BACK:                   ("processor_clearing", "fees"),
    Event.RESERVE_HELD:                     ("reserve_held",       "processor_clearing"),
    Event.RESERVE_RELEASED:                 ("processor_clearing", "reserve_held"),
    #   of a payout: its net; debited where it is below zero
    Event.PAYOUT_CLOSED:                    ("payout_in_transit",  "processor_clearing"),
    Event.PAYOUT_DEBITED:                   ("processor_clearing", "payout_in_transit"),
    Event.PAYOUT_FAILED:                    ("processor_clearing", "payout_in_transit"),
    Event.PAYOUT_DEBIT_FAILED:              ("payout_in_transit",  "processor_clearing"),
    #   of a payout: its line at the bank; taken back there where it failed after that
    Event.PAYOUT_AT_BANK:                   ("bank",               "payout_in_transit"),
    Event.PAYOUT_DEBIT_AT_BANK:             ("payout_in_transit",  "bank"),
    Event.PAYOUT_LEFT_BANK:                 ("payout_in_transit",  "bank"),
    Event.PAYOUT_DEBIT_LEFT_BANK:           ("bank",               "payout_in_transit"),
    #   of a line of nobody, by staff's word; it turned out to be a payout
    Event.RECEIPT_UNIDENTIFIED:             ("bank",               "unidentified_receipts"),
    Event.RECEIPT_IDENTIFIED:               ("unidentified_receipts", "bank"),
    #   a processor's fee that it debits at the bank, by staff's word; given back there
    Event.FEE_AT_BANK:                      ("fees",               "bank"),
    Event.FEE_BACK_AT_BANK:                 ("bank",               "fees"),
    Event.CURRENCY_SOLD:                    ("fx_clearing",        "processor_clearing"),
    Event.CURRENCY_BOUGHT:                  ("processor_clearing", "fx_clearing"),
    Event.EHR_PAYMENT_TAKEN_IN:             ("ehr_receipts",       "unapplied_credit"),
    Event.EHR_PAYMENT_TAKEN_BACK:           ("unapplied_credit",   "ehr_receipts"),
    Event.CASH_FETCHED:                     ("cash_safe",          "bank"),
    Event.CASH_TAKEN_OVER:                  ("cash_safe",          "opening_balance"),
    Event.CASH_FLOATED:                     ("cash_drawer",        "cash_safe"),
    Event.CASH_DROPPED:                     ("cash_safe",          "cash_drawer"),
    Event.CASH_BAGGED:                      ("deposit_in_transit", "cash_safe"),
    #   of a bag with its checks: what the bank has credited; its match was taken back
    Event.BAG_AT_BANK:                      ("bank",               "deposit_in_transit"),
    Event.BAG_LEFT_BANK:                    ("deposit_in_transit", "bank"),
    Event.CASH_PAID_IN:                     ("cash_drawer",        "petty_cash"),
    Event.CASH_PAID_OUT:                    ("petty_cash",         "cash_drawer"),
    Event.CASH_OVER:                        ("cash_drawer",        "over_short"),
    Event.CASH_SHORT:                       ("over_short",         "cash_drawer"),
    Event.DISPUTE_WITHDRAWN:                ("dispute_receivable", "processor_clearing"),
    Event.DISPUTE_REINSTATED:               ("processor_clearing", "dispute_receivable"),
    Event.DISPUTE_FEE_TAKEN:                ("dispute_fees",       "processor_clearing"),
    Event.DISPUTE_FEE_BACK:                 ("processor_clearing", "dispute_fees"),
    Event.DISPUTE_LOST:                     ("unapplied_credit",   "dispute_receivable"),
    Event.DISPUTE_REGAINED:                 ("dispute_receivable", "unapplied_credit"),
    Event.REFUND_APPROVED:                  ("unapplied_credit",   "refunds_payable"),
    #   of what a desk gives the credit is the account of its tender (REFUND_TENDERS)
    Event.REFUND_TAKEN:                     ("refunds_payable",    "processor_clearing"),
    Event.REFUND_FAILED_LATE:               ("processor_clearing", "refunds_payable"),
    Event.REFUND_DROPPED:                   ("refunds_payable",    "unapplied_credit"),
}  # fmt: skip


class When(TypedDict):
    """Every function below takes these by name. `refs` name what the entry came from: ids only, no health data."""

    occurred_at: datetime
    business_date: date
    refs: NotRequired[Mapping[str, str]]


def _entry(
    event: Event,
    amount: Money,
    when: When,
    ids: Mapping[str, str],
    credit: Mapping[str, str] | None = None,
    accounts: tuple[str, str] | None = None,
) -> Entry:
    """The event's row as an entry of one amount; `credit` replaces ids on that leg, `accounts` those of its row.

    Raises RuleBroken at zero.
    """
    if amount.minor <= 0:
        raise RuleBroken(f"'{event}' of {amount}: an entry needs an amount above zero")
    debit_account, credit_account = accounts or RULES[event]
    postings = (
        Posting(debit_account, Side.DEBIT, amount, _dims(debit_account, ids)),
        Posting(credit_account, Side.CREDIT, amount, _dims(credit_account, {**ids, **(credit or {})})),
    )
    return Entry(event, when["occurred_at"], when["business_date"], postings, when.get("refs", {}))


def _dims(account: str, ids: Mapping[str, str]) -> dict[str, str]:
    # Unapplied credit is kept by payment and never by account: one payment may go to several accounts.
    kept_by = CHART[account].kept_by
    ids = {name: value for name, value in ids.items() if value}
    kept = {*kept_by, "payment", "refund"} if kept_by else ids.keys()
    return {name: value for name, value in ids.items() if name in kept}


def _owed(obligation: str, account_ref: str) -> dict[str, str]:
    return {"obligation": obligation, "account_ref": account_ref}


# ── what is owed ──────────────────────────────────────────────────────────────────────────────────────────────────


def charge_self_pay(obligation: str, account_ref: str, amount: Money, **when: Unpack[When]) -> Entry:
    """A charge on an account that is confirmed self-pay."""
    return _entry(Event.SELF_PAY_CHARGE_POSTED, amount, when, _owed(obligation, account_ref))


def charge_pending(obligation: str, account_ref: str, amount: Money, **when: Unpack[When]) -> Entry:
    """A charge that insurance covers, or may cover: the absence of coverage is never self-pay."""
    return _entry(Event.CHARGE_POSTED, amount, when, _owed(obligation, account_ref))


def charge_credited(obligation: str, account_ref: str, amount: Money, *, stands_in: str, **when: Unpack[When]) -> Entry:
    """A charge credited, voided or entered in error, taken from where it now stands: `ar_pending` or `ar_patient`.

    What was paid of it has to be de-allocated first: the excess is then unapplied credit.
    """
    events = {"ar_pending": Event.CHARGE_CREDITED, "ar_patient": Event.SELF_PAY_CHARGE_CREDITED}
    if stands_in not in events:
        raise RuleBroken(f"a charge stands in ar_pending or ar_patient, not in {stands_in}")
    return _entry(events[stands_in], amount, when, _owed(obligation, account_ref))


def share_known(
    obligation: str,
    account_ref: str,
    amount: Money,
    *,
    from_obligation: str | None = None,
    **when: Unpack[When],
) -> Entry:
    """The patient's share: copay, Invoice on known charges, remittance, staff; of a stated balance the difference.

    `from_obligation` is whose pending amount it comes out of, when a copay is carved from a charge's.
    """
    credit = {"obligation": from_obligation or obligation}
    return _entry(Event.SHARE_KNOWN, amount, when, _owed(obligation, account_ref), credit)


def share_withdrawn(
    obligation: str, account_ref: str, amount: Money, *, to_obligation: str | None = None, **when: Unpack[When]
) -> Entry:
    """Insurance found after all, or a share corrected: back to pending. De-allocate first what was paid of it."""
    ids = _owed(to_obligation or obligation, account_ref)
    return _entry(Event.SHARE_WITHDRAWN, amount, when, ids, {"obligation": obligation})


def invoice_unseen(obligation: str, account_ref: str, amount: Money, **when: Unpack[When]) -> Entry:
    """An Invoice whose charges we never saw. Its lines claim them: a later ChargeItem posts nothing."""
    return _entry(Event.UNSEEN_CHARGES_INVOICED, amount, when, _owed(obligation, account_ref))


def invoice_unseen_cancelled(obligation: str, account_ref: str, amount: Money, **when: Unpack[When]) -> Entry:
    """The reversal of `invoice_unseen`. De-allocate first what was paid of it."""
    event = Event.UNSEEN_CHARGES_INVOICE_CANCELLED
    return _entry(event, amount, when, _owed(obligation, account_ref))


def self_pay_discount(obligation: str, account_ref: str, amount: Money, **when: Unpack[When]) -> Entry:
    return _entry(Event.SELF_PAY_DISCOUNTED, amount, when, _owed(obligation, account_ref))


def self_pay_discount_withdrawn(obligation: str, account_ref: str, amount: Money, **when: Unpack[When]) -> Entry:
    event = Event.SELF_PAY_DISCOUNT_WITHDRAWN
    return _entry(event, amount, when, _owed(obligation, account_ref))


WRITE_OFFS: Mapping[str, str] = {
    "contractual": "contractual_adjustment",
    "charity": "charity",
    "bad_debt": "bad_debt",
    "small_balance": "small_balance",
    "discount": "self_pay_discount",
}
# What is agreed with a payer lowers what the payer owes, and a discount is the policy's: staff give up neither.
BY_STAFF = ("charity", "bad_debt", "small_balance")


def relief(
    obligation: str,
    account_ref: str,
    amount: Money,
    *,
    kind: str,
    stands_in: str,
    back: bool = False,
    **when: Unpack[When],
) -> Entry:
    """What an insurance paid at the EHR (`insurance`), or it wrote off, of what stands in `ar_pending` or `ar_patient`.

    `back`: its reversal. De-allocate first what was paid of it.
    """
    if stands_in not in ("ar_pending", "ar_patient") or (kind != "insurance" and kind not in WRITE_OFFS):
        raise RuleBroken(f"there is no relief '{kind}' of what stands in {stands_in}")
    event, contra = Event.WRITTEN_OFF_AT_EHR, WRITE_OFFS.get(kind, "ehr_receipts")
    if kind == "insurance":
        event = Event.INSURANCE_PAID_AT_EHR
    if back:
        event = {one: Event(f"{one}_back") for one in (Event.WRITTEN_OFF_AT_EHR, Event.INSURANCE_PAID_AT_EHR)}[event]
    accounts = (stands_in, contra) if back else (contra, stands_in)
    return _entry(event, amount, when, _owed(obligation, account_ref), accounts=accounts)


def written_off(
    obligation: str, account_ref: str, amount: Money, *, kind: str, back: bool = False, **when: Unpack[When]
) -> Entry:
    """Staff have given up what a patient owes, for a reason that `kind` names. `back`: the recovery of it."""
    if kind not in BY_STAFF:
        raise RuleBroken(f"there is no write-off '{kind}': {', '.join(BY_STAFF)}")
    event = Event.WRITE_OFF_RECOVERED if back else Event.WRITTEN_OFF
    contra = WRITE_OFFS[kind]
    accounts = ("ar_patient", contra) if back else (contra, "ar_patient")
    return _entry(event, amount, when, _owed(obligation, account_ref), accounts=accounts)


def receivable_moved(
    obligation: str, from_account: str, amount: Money, *, to_account: str, **when: Unpack[When]
) -> Entry:
    """Accounts were merged: what the patient owes stands on the other account now, in the same obligation."""
    return _moved(Event.RECEIVABLE_MOVED, obligation, from_account, to_account, amount, when)


def pending_moved(obligation: str, from_account: str, amount: Money, *, to_account: str, **when: Unpack[When]) -> Entry:
    """The same of what waits for insurance."""
    return _moved(Event.PENDING_MOVED, obligation, from_account, to_account, amount, when)


def _moved(event: Event, obligation: str, from_account: str, to_account: str, amount: Money, when: When) -> Entry:
    return _entry(event, amount, when, _owed(obligation, to_account), {"account_ref": from_account})


def opening_receivable(obligation: str, account_ref: str, amount: Money, **when: Unpack[When]) -> Entry:
    """What the patient owed in the books before ours, taken over at go-live."""
    return _entry(Event.OPENING_RECEIVABLE, amount, when, _owed(obligation, account_ref))


def opening_taken_back(obligation: str, account_ref: str, amount: Money, **when: Unpack[When]) -> Entry:
    """An opening balance that was wrong, or that a stronger statement replaces. De-allocate first what was paid."""
    return _entry(Event.OPENING_TAKEN_BACK, amount, when, _owed(obligation, account_ref))


# ── money in ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Tender:
    """Where money that no processor took lies afterwards: the account of its kind, and of cash the till."""

    kind: str
    till: str


# A processor holds all else. A receipt of nobody that was credited is at the bank already.
TENDERS: Mapping[str, str] = {
    "cash": "cash_drawer",
    "check": "checks_on_hand",
    "external_card": "external_terminal_clearing",
    "bank_receipt": "unidentified_receipts",
}
# What a desk gives back: from its drawer, or by a check of the practice's own.
REFUND_TENDERS: Mapping[str, str] = {"cash": "cash_drawer", "check": "bank"}


def capture(payment: str, merchant: str, amount: Money, *, tender: Tender | None = None, **when: Unpack[When]) -> Entry:
    """A capture, or an ACH payment cleared: gross, and nobody's charge yet. With `tender`, what a desk has received:
    of cash what is kept, not what was handed over; or a receipt of nobody that is a patient's."""
    debit, credit = RULES[Event.PAYMENT_CAPTURED]
    held, ids = _held(debit, payment, merchant, tender)
    return _entry(Event.PAYMENT_CAPTURED, amount, when, ids, accounts=(held, credit))


def _held(account: str, payment: str, merchant: str, tender: Tender | None) -> tuple[str, dict[str, str]]:
    if tender is None:
        return account, {"payment": payment, "merchant": merchant}
    return TENDERS[tender.kind], {"payment": payment, "till": tender.till}


def allocate(payment: str, obligation: str, amount: Money, *, account_ref: str, **when: Unpack[When]) -> Entry:
    """Money of this payment put against an obligation; a credit or a deposit is applied in the same way."""
    ids = {"payment": payment, "obligation": obligation, "account_ref": account_ref}
    return _entry(Event.PAYMENT_ALLOCATED, amount, when, ids)


def deallocate(payment: str, obligation: str, amount: Money, *, account_ref: str, **when: Unpack[When]) -> Entry:
    """The reversal of `allocate`: before a void, a return, a refund of a valid charge, a credit of a paid one."""
    ids = {"payment": payment, "obligation": obligation, "account_ref": account_ref}
    return _entry(Event.PAYMENT_DEALLOCATED, amount, when, ids)


def void_capture(
    payment: str, merchant: str, amount: Money, *, tender: Tender | None = None, **when: Unpack[When]
) -> Entry:
    """A void after capture, before settlement: the reversal of `capture`, after that of each allocation."""
    debit, credit = RULES[Event.CAPTURE_VOIDED]
    held, ids = _held(credit, payment, merchant, tender)
    return _entry(Event.CAPTURE_VOIDED, amount, when, ids, accounts=(debit, held))


def check_deposited(payment: str, till: str, amount: Money, **when: Unpack[When]) -> Entry:
    """A check has gone to the bank."""
    return _entry(Event.CHECK_DEPOSITED, amount, when, {"payment": payment, "till": till})


def _taken_by(event: Event, merchant: str) -> tuple[str, str]:
    """The event's accounts, with `bank` for `processor_clearing` where no merchant took the payment."""
    debit, credit = (account.replace("processor_clearing", "bank") for account in RULES[event])
    return RULES[event] if merchant else (debit, credit)


def payment_returned(payment: str, returned: str, merchant: str, amount: Money, **when: Unpack[When]) -> Entry:
    """An ACH payment returned after it had cleared, or a capture that failed late; without a merchant, a check that
    bounced. De-allocate first.

    `returned` is the return's id; in the postings it stands in the place of a refund's: what takes the payment back.
    """
    ids = {"payment": payment, "refund": returned, "merchant": merchant}
    return _entry(Event.PAYMENT_RETURNED, amount, when, ids, accounts=_taken_by(Event.PAYMENT_RETURNED, merchant))


def return_reversed(payment: str, returned: str, merchant: str, amount: Money, **when: Unpack[When]) -> Entry:
    """The money of a return came back after all; `returned` is the id of what reversed it."""
    return _entry(Event.RETURN_REVERSED, amount, when, {"payment": payment, "refund": returned, "merchant": merchant})


def return_recoverable(
    payment: str,
    merchant: str,
    obligation: str,
    amount: Money,
    *,
    account_ref: str,
    returned: str,
    back: bool = False,
    **when: Unpack[When],
) -> Entry:
    """A return of what had been refunded already: the patient has had it twice. An obligation of kind `recovery`.
    `back`: they have not, since the refund failed, or the return came again (`returned` is what brought it)."""
    ids = {"payment": payment, "refund": returned, "merchant": merchant}
    ids |= {"obligation": obligation, "account_ref": account_ref}
    event = Event.RECOVERABLE_SET_OFF if back else Event.RETURN_RECOVERABLE
    return _entry(event, amount, when, ids, accounts=_taken_by(event, merchant))


def fee(merchant: str, amount: Money, *, payment: str | None = None, back: bool = False, **when: Unpack[When]) -> Entry:
    """A processor's fee: of one payment, or (without `payment`) a monthly one; the bank's, of a check that bounced.
    `back`: given back."""
    ids = {"merchant": merchant} | ({"payment": payment} if payment else {})
    if back:
        return _entry(Event.FEE_GIVEN_BACK, amount, when, ids)
    return _entry(Event.FEE_TAKEN, amount, when, ids, accounts=_taken_by(Event.FEE_TAKEN, merchant))


def ehr_payment(payment: str, amount: Money, **when: Unpack[When]) -> Entry:
    """The EHR says that it has received this: cash or a check at its desk, or what another program took."""
    return _entry(Event.EHR_PAYMENT_TAKEN_IN, amount, when, {"payment": payment})


def ehr_payment_back(payment: str, amount: Money, **when: Unpack[When]) -> Entry:
    """The reversal of `ehr_payment`, after that of each allocation: it was corrected, taken back, or ours after all."""
    return _entry(Event.EHR_PAYMENT_TAKEN_BACK, amount, when, {"payment": payment})


# ── settlement ────────────────────────────────────────────────────────────────────────────────────────────────────


def reserve(merchant: str, amount: Money, *, released: bool = False, **when: Unpack[When]) -> Entry:
    """The processor keeps this much back of what it holds for us; `released`: it is ours to be paid out again."""
    event = Event.RESERVE_RELEASED if released else Event.RESERVE_HELD
    return _entry(event, amount, when, {"merchant": merchant})


def payout_closed(merchant: str, amount: Money, *, debited: bool = False, **when: Unpack[When]) -> Entry:
    """A payout has left our balance at the processor, and isn't seen at the bank. `debited`: taken from the bank."""
    return _entry(Event.PAYOUT_DEBITED if debited else Event.PAYOUT_CLOSED, amount, when, {"merchant": merchant})


def payout_failed(merchant: str, amount: Money, *, debited: bool = False, **when: Unpack[When]) -> Entry:
    """It never came to the bank, or was canceled: in our balance at the processor again. After `payout_closed`."""
    event = Event.PAYOUT_DEBIT_FAILED if debited else Event.PAYOUT_FAILED
    return _entry(event, amount, when, {"merchant": merchant})


def payout_at_bank(merchant: str, amount: Money, *, debited: bool = False, **when: Unpack[When]) -> Entry:
    """The bank's line of a payout is there. After `payout_closed`."""
    event = Event.PAYOUT_DEBIT_AT_BANK if debited else Event.PAYOUT_AT_BANK
    return _entry(event, amount, when, {"merchant": merchant})


def payout_left_bank(merchant: str, amount: Money, *, debited: bool = False, **when: Unpack[When]) -> Entry:
    """The reversal of `payout_at_bank`: it failed after that. Before `payout_failed`."""
    event = Event.PAYOUT_DEBIT_LEFT_BANK if debited else Event.PAYOUT_LEFT_BANK
    return _entry(event, amount, when, {"merchant": merchant})


def receipt_unidentified(amount: Money, *, back: bool = False, **when: Unpack[When]) -> Entry:
    """Money at the bank whose owner nobody knows; `back`: what it is was found out, and is booked as that."""
    return _entry(Event.RECEIPT_IDENTIFIED if back else Event.RECEIPT_UNIDENTIFIED, amount, when, {})


def fee_at_bank(merchant: str, amount: Money, *, back: bool = False, **when: Unpack[When]) -> Entry:
    """A fee of no single payment that a processor took from the practice's bank; `back`: given back there."""
    return _entry(Event.FEE_BACK_AT_BANK if back else Event.FEE_AT_BANK, amount, when, {"merchant": merchant})


def converted(merchant: str, amount: Money, *, bought: bool, payment: str = "", **when: Unpack[When]) -> Entry:
    """One side of a conversion at the processor. Each currency balances by itself, against `fx_clearing`; with
    `payment`, what was taken for it in one currency and settled in another."""
    ids = {"merchant": merchant, "payment": payment}
    return _entry(Event.CURRENCY_BOUGHT if bought else Event.CURRENCY_SOLD, amount, when, ids)


# ── cash that no payment brings or takes ───────────────────────────────────────────────────────────────────────────


def cash_moved(event: Event, amount: Money, *, till: str = "", safe: str = "", **when: Unpack[When]) -> Entry:
    """Cash of a till (`till`), or of a facility's safe (`safe`), by one of the events above that begin with CASH_."""
    debit, _ = RULES[event]
    first, second = (safe, till) if debit == "cash_safe" else (till, safe)
    return _entry(event, amount, when, {"till": first or second}, {"till": second or first})


def bag_at_bank(amount: Money, *, safe: str, back: bool = False, **when: Unpack[When]) -> Entry:
    """The bank has credited a bag, whatever of it is cash; `back`: the line is not that bag's after all."""
    return _entry(Event.BAG_LEFT_BANK if back else Event.BAG_AT_BANK, amount, when, {"till": safe})


# ── disputes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def dispute_withdrawn(payment: str, merchant: str, amount: Money, **when: Unpack[When]) -> Entry:
    """The processor has taken this much for a dispute. Whose it is shows when the dispute ends."""
    return _entry(Event.DISPUTE_WITHDRAWN, amount, when, {"payment": payment, "merchant": merchant})


def dispute_reinstated(payment: str, merchant: str, amount: Money, **when: Unpack[When]) -> Entry:
    """It gave this much back: the dispute was won, or reversed late."""
    return _entry(Event.DISPUTE_REINSTATED, amount, when, {"payment": payment, "merchant": merchant})


def dispute_fee(payment: str, merchant: str, amount: Money, *, back: bool = False, **when: Unpack[When]) -> Entry:
    """What the processor takes for a dispute; `back`: given back, as some do where it is won."""
    event = Event.DISPUTE_FEE_BACK if back else Event.DISPUTE_FEE_TAKEN
    return _entry(event, amount, when, {"payment": payment, "merchant": merchant})


def dispute_lost(payment: str, loss: str, amount: Money, **when: Unpack[When]) -> Entry:
    """What was withdrawn is the payer's for good. De-allocate first: what it had paid is owed again, on hold.

    `loss` is its id; in the postings it stands in the place of a refund's: what takes the payment back.
    """
    return _entry(Event.DISPUTE_LOST, amount, when, {"payment": payment, "refund": loss})


def dispute_regained(payment: str, loss: str, amount: Money, **when: Unpack[When]) -> Entry:
    """What came back of a dispute that had been lost is the payer's credit with us again."""
    return _entry(Event.DISPUTE_REGAINED, amount, when, {"payment": payment, "refund": loss})


# ── money back ────────────────────────────────────────────────────────────────────────────────────────────────────


def refund_approved(payment: str, refund: str, amount: Money, **when: Unpack[When]) -> Entry:
    """Money of this payment is to go back. Where its charge is still valid, de-allocate first."""
    return _entry(Event.REFUND_APPROVED, amount, when, {"payment": payment, "refund": refund})


def refund_taken(
    payment: str, refund: str, merchant: str, amount: Money, *, tender: Tender | None = None, **when: Unpack[When]
) -> Entry:
    """The refund was taken from the balance that the processor holds for us. With `tender`, what a desk has given: cash
    of a till, or a check drawn on the practice's bank."""
    debit, _ = RULES[Event.REFUND_TAKEN]
    ids = {"payment": payment, "refund": refund}
    if tender is None:
        return _entry(Event.REFUND_TAKEN, amount, when, ids | {"merchant": merchant})
    accounts = (debit, REFUND_TENDERS[tender.kind])
    return _entry(Event.REFUND_TAKEN, amount, when, ids | {"till": tender.till}, accounts=accounts)


def refund_failed_late(payment: str, refund: str, merchant: str, amount: Money, **when: Unpack[When]) -> Entry:
    """A refund that had been taken came back: still payable, by check or another tender, or dropped."""
    return _entry(Event.REFUND_FAILED_LATE, amount, when, {"payment": payment, "refund": refund, "merchant": merchant})


def refund_dropped(payment: str, refund: str, amount: Money, **when: Unpack[When]) -> Entry:
    """An approved refund that will not go out (refused, canceled): the money is unapplied credit again."""
    return _entry(Event.REFUND_DROPPED, amount, when, {"payment": payment, "refund": refund})

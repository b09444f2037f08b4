"""The chart of accounts. Data only: read by entry.py (does the account exist, along what is it kept) and by reports.

This is a subledger; the practice's EHR is the book for charges, so a charge's contra account is `charges_control`.
There is no plug account: a remainder stays in the account that is wrong. To add an account, add its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class AccountType(StrEnum):
    ASSET = "asset"
    LIABILITY = "liability"
    RESULT = "result"
    EQUITY = "equity"


class Side(StrEnum):
    DEBIT = "debit"
    CREDIT = "credit"

    @property
    def other(self) -> Side:
        return Side.CREDIT if self is Side.DEBIT else Side.DEBIT


@dataclass(frozen=True, slots=True)
class Account:
    """`normal` is the side on which its balance grows; `kept_by` names what each posting to it has to say."""

    code: str
    type: AccountType
    normal: Side
    says: str
    kept_by: tuple[str, ...] = ()


_A, _L, _R, _E = AccountType.ASSET, AccountType.LIABILITY, AccountType.RESULT, AccountType.EQUITY
_DR, _CR = Side.DEBIT, Side.CREDIT
_OWED = ("obligation", "account_ref")

_LINES = (
    Account("ar_pending", _A, _DR, "charges that insurance may yet pay", _OWED),
    Account("ar_patient", _A, _DR, "what the patient or a guarantor owes", _OWED),
    Account("processor_clearing", _A, _DR, "held for us by a processor", ("merchant",)),
    Account("payout_in_transit", _A, _DR, "paid out, not yet seen at the bank", ("merchant",)),
    Account("reserve_held", _A, _DR, "kept back by a processor", ("merchant",)),
    Account("dispute_receivable", _A, _DR, "taken by a dispute that is open", ("payment",)),
    Account("payer_clearing", _A, _DR, "announced by a payer, not yet at the bank"),
    Account("cash_drawer", _A, _DR, "cash in a till", ("till",)),
    Account("cash_safe", _A, _DR, "cash in the safe", ("till",)),  # as `safe:<facility>`
    Account("checks_on_hand", _A, _DR, "checks not yet deposited", ("payment",)),
    Account("deposit_in_transit", _A, _DR, "on its way to the bank"),
    Account("external_terminal_clearing", _A, _DR, "taken on the practice's own terminal", ("payment",)),
    Account("fx_clearing", _A, _DR, "between two currencies of one payout"),
    Account("bank", _A, _DR, "at the bank"),
    Account("unapplied_credit", _L, _CR, "patient money that no charge has claimed", ("payment",)),
    Account("payer_credit", _L, _CR, "paid too much by a payer"),
    Account("refunds_payable", _L, _CR, "refunds approved and not yet gone out", ("payment", "refund")),
    Account("unidentified_receipts", _L, _CR, "money whose owner is not known"),
    Account("unclaimed_property", _L, _CR, "credit to be turned over to the state"),
    Account("charges_control", _R, _CR, "contra of charges; the EHR's books hold the revenue"),
    Account("ehr_receipts", _A, _DR, "contra of payments that the EHR has posted; its books hold the cash"),
    Account("contractual_adjustment", _R, _DR, "agreed with a payer"),
    Account("self_pay_discount", _R, _DR, "given to patients who pay themselves"),
    Account("charity", _R, _DR, "financial assistance"),
    Account("bad_debt", _R, _DR, "given up"),
    Account("small_balance", _R, _DR, "not worth asking for"),
    Account("fees", _R, _DR, "processors' fees"),
    Account("dispute_fees", _R, _DR, "processors' fees for disputes"),
    Account("surcharge_income", _R, _CR, "surcharges on card payments"),
    Account("other_income", _R, _CR, "such as a payer's interest"),
    Account("petty_cash", _R, _DR, "paid out of a till for the practice itself, less what was put in"),
    Account("over_short", _R, _DR, "cash counted short, or (credit) over"),
    Account("opening_balance", _E, _CR, "taken over at go-live"),
)
CHART: Mapping[str, Account] = {account.code: account for account in _LINES}

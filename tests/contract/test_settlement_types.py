"""Each type of line that a processor documents is a kind of ours, or is `other` here in so many words.

The lists are those of the processors' own SDKs, so a type that is new to one of them is red until somebody has said
what it is. Adyen has no such list: a person has read the page "Journal types", and what the parser knows is compared.
"""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path

import pytest
import stripe
from square.types.activity_type import ActivityType
from square.types.payout_status import PayoutStatus
from stripe.params.reporting._report_run_create_params import ReportRunCreateParamsParameters

from fhirpay.domain.settlement import LineKind
from fhirpay.payments.adapters import (
    adyen_report,
    authorizenet_settlement,
    simulated_settlement,
    square_settlement,
    stripe_settlement,
)
from fhirpay.payments.adapters.authorizenet_wire import read_json
from fhirpay.simulators import processor_payouts
from fhirpay.simulators.processor_books import Books
from node_running import NPM, needs_npm

SAMPLES = Path(__file__).parents[1] / "samples"
K = LineKind
# By the sign of the amount: below zero, above it.
Ways = tuple[LineKind, LineKind]
Table = dict[str, Ways]


def each(kind: LineKind | Ways, names: str) -> Table:
    return dict.fromkeys(names.split(), kind if isinstance(kind, tuple) else (kind, kind))


_RESERVE, _OTHER = (K.RESERVE_HELD, K.RESERVE_RELEASED), (K.OTHER, K.OTHER)
STRIPE_CATEGORIES: Table = {
    **each(K.PAYMENT, "charge"),
    **each(K.CAPTURE_RELEASE, "partial_capture_reversal"),
    **each(K.REFUND, "refund"),
    **each(K.REFUND_FAILURE, "refund_failure"),
    **each(K.RETURN, "charge_failure"),
    **each(K.DISPUTE, "dispute"),
    **each(K.DISPUTE_REVERSAL, "dispute_reversal"),
    **each(K.FEE, "fee network_cost"),
    **each(K.ADJUSTMENT, "other_adjustment"),
    **each(K.PAYOUT, "payout"),
    **each(K.PAYOUT_FAILURE, "payout_reversal"),
    **each(_RESERVE, "risk_reserved_funds"),
    **each(_OTHER, "advance advance_funding anticipation_repayment climate_order_purchase climate_order_refund"),
    **each(_OTHER, "connect_collection_transfer connect_reserved_funds contribution financing_paydown"),
    **each(_OTHER, "financing_paydown_reversal financing_payout financing_payout_reversal tax topup topup_reversal"),
    **each(_OTHER, "issuing_authorization_hold issuing_authorization_release issuing_dispute issuing_transaction"),
    **each(_OTHER, "platform_earning platform_earning_refund transfer transfer_reversal unreconciled_customer_funds"),
}
# Of a category that we don't know. A payment or refund is believed by its category alone.
STRIPE_TYPES: Table = {
    **each(K.PAYOUT_FAILURE, "payout_failure payout_cancel"),
    **each(K.FEE, "stripe_fee stripe_fx_fee"),
    **each(_RESERVE, "payment_network_reserve_hold payment_network_reserve_release payout_minimum_balance_hold"),
    **each(_RESERVE, "payout_minimum_balance_release reserve_hold reserve_release reserve_transaction reserved_funds"),
    **each(_OTHER, "adjustment advance advance_funding anticipation_repayment application_fee application_fee_refund"),
    **each(_OTHER, "charge climate_order_purchase climate_order_refund connect_collection_transfer contribution"),
    **each(_OTHER, "fee_credit_funding inbound_transfer inbound_transfer_reversal issuing_authorization_hold"),
    **each(_OTHER, "issuing_authorization_release issuing_dispute issuing_dispute_provisional_credit"),
    **each(_OTHER, "issuing_dispute_provisional_credit_reversal issuing_transaction obligation_outbound"),
    **each(_OTHER, "obligation_reversal_inbound payment payment_failure_refund payment_refund payment_reversal"),
    **each(_OTHER, "payment_unreconciled payout refund refund_failure stripe_balance_payment_debit"),
    **each(_OTHER, "stripe_balance_payment_debit_reversal tax_fee tax_fund topup topup_reversal"),
    **each(_OTHER, "transfer transfer_cancel transfer_failure transfer_refund"),
}
SQUARE: Table = {
    **each(K.PAYMENT, "CHARGE"),
    **each((K.REFUND, K.REFUND_FAILURE), "REFUND"),
    **each((K.DISPUTE, K.DISPUTE_REVERSAL), "DISPUTE OPEN_DISPUTE"),
    **each(_RESERVE, "HOLD_ADJUSTMENT RELEASE_ADJUSTMENT RESERVE_HOLD RESERVE_RELEASE"),
    **each(K.ADJUSTMENT, "ADJUSTMENT OTHER_ADJUSTMENT"),
    **each(K.PAYOUT, "PAYOUT"),
    **each(K.PAYOUT_FAILURE, "RETURNED_PAYOUT"),
    **each(K.FEE, "FEE DEPOSIT_FEE DEPOSIT_FEE_REVERSED FREE_PROCESSING PAID_SERVICE_FEE PAID_SERVICE_FEE_REFUND"),
    **each(K.FEE, "PROCESSING_FEE PROCESSING_FEE_REFUND UNDO_PROCESSING_FEE_REFUND TAX_ON_FEE THIRD_PARTY_FEE"),
    **each(K.FEE, "THIRD_PARTY_FEE_REFUND SUBSCRIPTION_FEE SUBSCRIPTION_FEE_PAID_REFUND SUBSCRIPTION_FEE_REFUND"),
    **each(K.FEE, "GIFT_CARD_LOAD_FEE GIFT_CARD_LOAD_FEE_REFUND UNDO_GIFT_CARD_LOAD_FEE_REFUND LOCAL_OFFERS_FEE"),
    **each(_OTHER, "APP_FEE_REFUND APP_FEE_REVENUE AUTOMATIC_BITCOIN_CONVERSIONS ESCHEATMENT LOCAL_OFFERS_CASHBACK"),
    **each(_OTHER, "AUTOMATIC_BITCOIN_CONVERSIONS_REVERSED AUTOMATIC_SAVINGS AUTOMATIC_SAVINGS_REVERSED OTHER"),
    **each(_OTHER, "BALANCE_FOLDERS_TRANSFER BALANCE_FOLDERS_TRANSFER_REVERSED CREDIT_CARD_REPAYMENT"),
    **each(_OTHER, "CREDIT_CARD_REPAYMENT_REVERSED GIFT_CARD_POOL_TRANSFER GIFT_CARD_POOL_TRANSFER_REVERSED"),
    **each(_OTHER, "INITIAL_BALANCE_CHANGE MONEY_TRANSFER MONEY_TRANSFER_REVERSAL PERCENTAGE_PROCESSING_ENROLLMENT"),
    **each(_OTHER, "PERCENTAGE_PROCESSING_DEACTIVATION PERCENTAGE_PROCESSING_REPAYMENT REDEMPTION_CODE"),
    **each(_OTHER, "PERCENTAGE_PROCESSING_REPAYMENT_REVERSED SQUARE_CAPITAL_PAYMENT SQUARE_CAPITAL_REVERSED_PAYMENT"),
    **each(_OTHER, "SQUARE_PAYROLL_TRANSFER SQUARE_PAYROLL_TRANSFER_REVERSED"),
}
# None: nothing of it ever was money, and it is no line. What is under way has no business in a settled batch.
AUTHORIZENET: dict[str, LineKind | None] = {
    "settledSuccessfully": K.PAYMENT,
    "refundSettledSuccessfully": K.REFUND,
    **dict.fromkeys("voided declined expired generalError communicationError failedReview".split(), None),
    **dict.fromkeys("chargeback chargebackReversal returnedItem settlementError couldNotVoid".split(), K.OTHER),
    **dict.fromkeys("authorizedPendingCapture authorizedPendingRelease capturedPendingSettlement".split(), K.OTHER),
    **dict.fromkeys("refundPendingSettlement pendingFinalSettlement pendingSettlement approvedReview".split(), K.OTHER),
    **dict.fromkeys("underReview updatingSettlement FDSPendingReview FDSAuthorizedPendingReview".split(), K.OTHER),
}
ADYEN: Table = {
    **each((K.OTHER, K.PAYMENT), "Settled"),
    **each((K.RETURN, K.OTHER), "SettledReversed"),
    **each((K.REFUND, K.OTHER), "Refunded"),
    **each((K.OTHER, K.REFUND_FAILURE), "RefundedReversed"),
    **each((K.DISPUTE, K.OTHER), "Chargeback SecondChargeback"),
    **each((K.OTHER, K.DISPUTE_REVERSAL), "ChargebackReversed"),
    **each(K.FEE, "Fee MiscCosts PaymentCost InvoiceDeduction AuthorisationSchemeFee"),
    **each(_RESERVE, "DepositCorrection ReserveAdjustment ReserveWithdrawal"),
    **each(K.ADJUSTMENT, "MatchedStatement ManualCorrected InternalCompanyPayout"),
    **each(K.CARRIED, "BalanceTransfer"),
    **each(K.PAYOUT, "MerchantPayout"),
    **each(K.PAYOUT_RETURNED, "BankInstructionReturned"),
}
SIMULATED: dict[str, tuple[LineKind, int]] = {
    "capture": (K.PAYMENT, 1),
    "void": (K.CAPTURE_RELEASE, -1),
    "refund": (K.REFUND, -1),
    "refund_failed": (K.REFUND_FAILURE, 1),
    "return": (K.RETURN, -1),
    "return_reversed": (K.RETURN_REVERSAL, 1),
    "dispute_withdrawn": (K.DISPUTE, -1),
    "dispute_reinstated": (K.DISPUTE_REVERSAL, 1),
    "fee": (K.FEE, -1),
    "reserve_held": (K.RESERVE_HELD, -1),
    "reserve_released": (K.RESERVE_RELEASED, 1),
    "adjustment": (K.ADJUSTMENT, 1),
    "payout": (K.PAYOUT, -1),
    "payout_failed": (K.PAYOUT_FAILURE, 1),
}


def _literals(of: object) -> set[str]:
    """Of a union whose first member is a Literal."""
    return set(typing.get_args(typing.get_args(of)[0]))


def _stripe(names: dict[str, str]) -> Ways:
    doc = json.loads((SAMPLES / "stripe" / "balance_transaction.json").read_bytes()) | names
    pair = [{**doc, "amount": minor, "net": minor} for minor in (-100, 100)]
    below, above = stripe_settlement.lines({"data": pair}).lines
    return below.kind, above.kind


def test_each_of_stripes_categories_and_types() -> None:
    in_words = str(ReportRunCreateParamsParameters.__annotations__["reporting_category"])
    assert set(re.findall(r"'(\w+)'", in_words)) == STRIPE_CATEGORIES.keys()
    assert _literals(stripe.BalanceTransaction.__annotations__["type"]) == STRIPE_TYPES.keys()
    for name, kinds in STRIPE_CATEGORIES.items():
        assert _stripe({"reporting_category": name, "type": "adjustment"}) == kinds, name
    for name, kinds in STRIPE_TYPES.items():
        assert _stripe({"reporting_category": "not_known_yet", "type": name}) == kinds, name


def test_each_of_squares_types_of_activity() -> None:
    assert _literals(ActivityType) == SQUARE.keys()
    assert _literals(PayoutStatus) == square_settlement.STATUS.keys()
    _, charge = json.loads((SAMPLES / "square" / "list_payout_entries.json").read_bytes())["payout_entries"]
    for name, kinds in SQUARE.items():
        pair = []
        for sign in (-1, 1):
            amount = {"amount": sign * 100, "currency": "USD"}
            parts = {
                "gross_amount_money": amount,
                "net_amount_money": amount,
                "fee_amount_money": {**amount, "amount": 0},
            }
            pair.append({**charge, **parts, "type": name})
        below, above = square_settlement.lines({"payout_entries": pair}).lines
        assert (below.kind, above.kind) == kinds, name


@needs_npm
def test_each_of_authorizenets_states_of_a_transaction() -> None:
    contracts = (NPM / "node_modules" / "authorizenet" / "lib" / "apicontracts.js").read_text(encoding="utf-8")
    for name, known in (
        ("TransactionStatusEnum", AUTHORIZENET.keys()),
        ("SettlementStateEnum", authorizenet_settlement.STATES.keys()),
    ):
        listed = re.search(rf"const {name} = \{{(.*?)\}};", contracts, re.DOTALL)
        assert listed, name
        assert set(re.findall(r"'(\w+)'", listed[1])) == known


@pytest.mark.parametrize("status", AUTHORIZENET)
def test_a_transaction_is_what_its_state_says(status: str) -> None:
    (doc,) = read_json((SAMPLES / "authorizenet" / "get_transaction_list.json").read_bytes())["transactions"]
    found = authorizenet_settlement.lines({"transactions": [{**doc, "transactionStatus": status}]}, "USD")
    amounts = {K.PAYMENT: 1018_88, K.REFUND: -1018_88, K.OTHER: 0}
    kind = AUTHORIZENET[status]
    assert [(one.kind, one.gross.minor) for one in found] == ([] if kind is None else [(kind, amounts[kind])])


def test_each_of_adyens_journal_types() -> None:
    known = adyen_report.TYPES.keys() | adyen_report.RESERVES
    assert {name.lower() for name in ADYEN} == known
    name = "settlement_detail_report_batch_4.csv"
    head, above, _, end, _ = (SAMPLES / "adyen" / name).read_text(encoding="ascii").splitlines(keepends=True)
    below = above.replace(",62.50,", "62.50,,").replace(",61.31,", "61.31,,")
    for type_, kinds in {**ADYEN, "SomethingNew": _OTHER}.items():
        found = []
        for row in (below, above):
            report = head + row.replace("Settled", type_) + end
            (batch,) = adyen_report.read(name, report.encode(), "MainStreetPractice")
            found.append(batch.lines[0].kind)
        assert tuple(found) == kinds, type_


def test_each_type_of_the_simulated_processor() -> None:
    listed = re.search(r"By ([\w, \n]+);", Books.move.__doc__ or "")
    assert listed
    assert {name.strip() for name in listed[1].split(",")} == SIMULATED.keys() == simulated_settlement.KINDS.keys()
    assert set(processor_payouts.STATUS) == simulated_settlement.STATUS.keys()
    books = Books(clock=lambda: 1_767_225_600.0)
    for type_, (_, sign) in SIMULATED.items():
        books.move(type_, {"id": "py_1", "currency": "USD"}, sign * 100)
    read = simulated_settlement.lines(processor_payouts.lines_since(books, 0, "")).lines
    assert [(one.kind, one.gross.minor) for one in read] == [(kind, sign * 100) for kind, sign in SIMULATED.values()]

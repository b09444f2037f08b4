"""Each processor's documented sample is read to the canonical lines that were worked out by hand.

tests/samples/NOTICE says where each file is from. Adyen gives no sample that may be passed on: its file has our values
in the columns that the page "Settlement details report" names. The simulated processor's is what its books answer.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fhirpay.domain.money import Money
from fhirpay.domain.payout import PayoutState
from fhirpay.domain.settlement import LineKind
from fhirpay.payments.adapters import (
    adyen_report,
    authorizenet_settlement,
    simulated_settlement,
    square_settlement,
    stripe_settlement,
)
from fhirpay.payments.adapters.authorizenet_wire import read_json
from fhirpay.payments.settlement_port import SettlementLine
from fhirpay.simulators import processor_payouts
from fhirpay.simulators.processor_books import Books

SAMPLES = Path(__file__).parents[1] / "samples"
K, S = LineKind, PayoutState


def _json(name: str) -> Any:
    return json.loads((SAMPLES / name).read_bytes())


def _amounts(line: SettlementLine) -> tuple[LineKind, str, int, int, int]:
    return line.kind, line.net.currency, line.gross.minor, line.fee.minor, line.net.minor


def test_stripe() -> None:
    doc = _json("stripe/balance_transaction.json")
    (line,) = stripe_settlement.lines({"object": "list", "data": [doc], "has_more": False}).lines
    assert _amounts(line) == (K.PAYMENT, "USD", 1_00, 0, 1_00)
    assert (line.reference, line.of) == ("txn_1PgaxNB7WZ01zgkWEV3TLf40", "ch_1PgafuB7WZ01zgkWXYmPNZs8")
    assert (line.payment, line.our_reference, line.raw_type) == (None, "", "charge/charge")
    assert line.occurred_at == line.available_at == datetime(2009, 2, 13, 23, 31, 30, tzinfo=UTC)
    assert "First Test" not in repr(line)
    page = stripe_settlement.payouts({"object": "list", "data": [_json("stripe/payout.json")], "has_more": True})
    (payout,) = page.payouts
    assert page.after == payout.reference == "po_1Pgc79B7WZ01zgkWu1KToYf4"
    assert (payout.state, payout.amount) == (S.IN_TRANSIT, Money(11_00, "USD"))
    assert (payout.arrives_on, payout.itemised, payout.final, payout.trace) == ("2009-02-13", True, True, "")


def test_square() -> None:
    page = square_settlement.lines(_json("square/list_payout_entries.json"))
    refund, charge = page.lines
    assert _amounts(refund) == (K.REFUND, "USD", -50, -2, -48)
    assert refund.of == "HVdG62HeMlti8YYf94oxrN_dR8Nztxg7umf94oxrN12Ji5r2KW14FAY"
    assert _amounts(charge) == (K.PAYMENT, "USD", 1_00, 19, 81)
    assert charge.of == "HVdG62H5K3291d0SGJS6IWd4cSi8YY"
    assert {refund.our_reference, charge.our_reference} == {""}
    assert refund.occurred_at == charge.occurred_at == datetime(2021, 12, 14, 23, 31, 49, tzinfo=UTC)
    assert page.after == "TbfI80z98Xc2LdApCyZ2NvCYLpkPurYLR16GRIttpMJ55mrSIMzHgtkcRQdT0mOnTtfHO"
    listed = square_settlement.payouts(_json("square/list_payouts.json"))
    paid, below_zero = listed.payouts
    assert (paid.state, paid.amount, paid.arrives_on) == (S.PAID, Money(62_59, "USD"), "2022-03-29")
    assert (paid.itemised, paid.trace) == (True, "L2100000005")
    assert (below_zero.state, below_zero.amount, below_zero.arrives_on) == (S.PAID, Money(-1_03, "USD"), "2022-03-24")
    assert below_zero.created_at == datetime(2022, 3, 24, 3, 7, 9, tzinfo=UTC)
    assert listed.after == "EMPCyStibo64hS8wLayZPp3oedR3AeEUNd3z7u6zphi72LQZFIEMbkKVvot9eefpU"


def test_authorizenet() -> None:
    (line,) = authorizenet_settlement.lines(
        read_json((SAMPLES / "authorizenet/get_transaction_list.json").read_bytes()), "USD"
    )
    assert _amounts(line) == (K.PAYMENT, "USD", 1018_88, 0, 1018_88)
    assert (line.payment, line.of, line.our_reference) == ("2162566217", "2162566217", "60")
    assert line.occurred_at == datetime(2011, 9, 1, 16, 30, 49, tzinfo=UTC)
    assert "anary" not in repr(line)
    assert "4444" not in repr(line)
    first, second = authorizenet_settlement.batches(
        read_json((SAMPLES / "authorizenet/get_settled_batch_list.json").read_bytes()), "USD"
    )
    # 98.00 + 2255.50, and 19.95 + 5.00: what each kind of card came to
    assert (first.reference, first.amount) == ("3990061", Money(2353_50, "USD"))
    assert (second.reference, second.amount) == ("3990090", Money(24_95, "USD"))
    assert first.created_at == datetime(2015, 1, 2, 8, 40, 29, tzinfo=UTC)
    assert {(one.state, one.final, one.itemised) for one in (first, second)} == {(S.DEPOSIT_EXPECTED, True, True)}


def test_adyen() -> None:
    name = "settlement_detail_report_batch_4.csv"
    gbp, eur = adyen_report.read(name, (SAMPLES / "adyen" / name).read_bytes(), "MainStreetPractice")
    assert (gbp.payout.reference, gbp.payout.state, gbp.payout.amount) == (
        "MainStreetPractice-batch-4-GBP",
        S.IN_TRANSIT,
        Money(61_31, "GBP"),
    )
    assert (gbp.payout.trace, gbp.payout.created_at) == ("TX00000000000XT", datetime(2026, 2, 4, 1, 0, tzinfo=UTC))
    settled, payout = gbp.lines
    assert _amounts(settled) == (K.PAYMENT, "GBP", 62_50, 1_19, 61_31)
    assert (settled.payment, settled.of, settled.our_reference) == ("8836200000000011", "8836200000000011", "")
    assert settled.occurred_at == datetime(2026, 2, 3, 8, 15, 30, tzinfo=UTC)
    assert _amounts(payout) == (K.PAYOUT, "GBP", -61_31, 0, -61_31)
    assert (eur.payout.reference, eur.payout.state, eur.payout.amount) == (
        "MainStreetPractice-batch-4-EUR",
        S.CLOSED,
        Money(0, "EUR"),
    )
    chargeback, carried = eur.lines
    assert _amounts(chargeback) == (K.DISPUTE, "EUR", -120_00, 15_00, -135_00)
    assert (chargeback.payment, chargeback.of) == ("8836200000000037", "8836200000000045")
    assert _amounts(carried) == (K.CARRIED, "EUR", 135_00, 0, 135_00)


def test_simulated() -> None:
    books = Books(clock=lambda: 1_767_225_600.0)
    books.set("fees", {"per_mille": 29, "fixed": 30})
    of = {"id": "py_1", "currency": "USD", "reference": "pay1"}
    books.move("capture", of, 100_00, source="cp_1")
    books.move("refund", of, -20_00, source="rf_1", reference="ref1")
    processor_payouts.move(books, {"type": "reserve_held", "amount": 5_00})
    made = processor_payouts.pay_out(books, {"arrives_on": "2026-01-05", "trace": "T1"})
    (payout,) = simulated_settlement.payouts(processor_payouts.listed(books, 0, "")).payouts
    # 100.00 less 2.9 % and 0.30 is 96.80; less 20.00 and 5.00
    assert (payout.state, payout.amount, payout.trace) == (S.IN_TRANSIT, Money(71_80, "USD"), "T1")
    assert (payout.arrives_on, payout.created_at) == ("2026-01-05", datetime(2026, 1, 1, tzinfo=UTC))
    capture, refund, held, out = simulated_settlement.lines(processor_payouts.lines_of(books, made, "")).lines
    assert _amounts(capture) == (K.PAYMENT, "USD", 100_00, 3_20, 96_80)
    assert (capture.payment, capture.of, capture.our_reference) == ("py_1", "cp_1", "pay1")
    assert _amounts(refund) == (K.REFUND, "USD", -20_00, 0, -20_00)
    assert (refund.payment, refund.of, refund.our_reference) == ("py_1", "rf_1", "ref1")
    assert _amounts(held) == (K.RESERVE_HELD, "USD", -5_00, 0, -5_00)
    assert _amounts(out) == (K.PAYOUT, "USD", -71_80, 0, -71_80)

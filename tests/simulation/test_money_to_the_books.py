"""One payment by chance, in currencies of no, two and three decimals, followed everywhere it is said: to the last unit.

owed in parts ─▶ paid, split by largest remainders ─▶ refunded in part ─▶ settled with its fee, paid out
  what it should be: whole numbers, fractions and texts of this file alone
  what is said: the ledger, FT1-11, FHIR (as bytes), the posting files, the payout, the journal, the close, reports
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sim_till import Till

from fhirpay.cli.gl import by_entry
from fhirpay.close import csv_file
from fhirpay.config_destination import Destination
from fhirpay.config_gl import GlAccount
from fhirpay.config_posting_file import PostingFile
from fhirpay.db.unit import Tx
from fhirpay.domain.csv_text import csv_lines
from fhirpay.domain.money import Money
from fhirpay.fhir import json as fhir_json
from fhirpay.fhir.statement import FhirVersion
from fhirpay.ledger import store as ledger
from fhirpay.ledger.as_of import AsOf
from fhirpay.ledger.chart import CHART
from fhirpay.payments import store as payments
from fhirpay.reports.frame import Wish, asked, rows
from fhirpay.reports.registry import report_of
from fhirpay.reports.shown import as_csv
from fhirpay.simulators import processor_payouts
from fhirpay.usecases.day_close import Wish as CloseWish
from fhirpay.usecases.day_close import look
from fhirpay.usecases.gl_export import gl_postings
from fhirpay.usecases.posted_facts import posted_facts, told_facts
from fhirpay.usecases.pull_settlements import PullSettlements
from fhirpay.usecases.refund import NewRefund, request
from fhirpay.usecases.start_payment import NewPayment, start
from fhirpay.writeback import dft, layout, payment_reconciliation, payout_posting, posting_file, store
from fhirpay.writeback.as_received import Chart
from fhirpay.writeback.posted import PostedPayment, all_lines
from payments_world import tenant_of
from processor_sides import SIMULATED

PLACES = {"USD": 2, "JPY": 0, "KWD": 3}
PER_MILLE, FIXED = 29, 30


@dataclass(frozen=True)
class Case:
    currency: str
    owed: list[int]
    paid: int
    refunded: int

    @property
    def fee(self) -> int:
        return self.paid * PER_MILLE // 1000 + FIXED

    @property
    def net(self) -> int:
        return self.paid - self.refunded - self.fee

    def text(self, minor: int) -> str:
        """As it is written wherever it is written as a decimal."""
        places, sign, digits = PLACES[self.currency], "-" if minor < 0 else "", str(abs(minor))
        if not places:
            return sign + digits
        digits = digits.zfill(places + 1)
        return f"{sign}{digits[:-places]}.{digits[-places:]}"

    @property
    def shares(self) -> list[int]:
        """By largest remainders, and of equal ones the first."""
        exact = [Fraction(self.paid * one, sum(self.owed)) for one in self.owed]
        parts = [int(one) for one in exact]
        order = sorted(range(len(exact)), key=lambda at: (parts[at] - exact[at], at))
        for at in order[: self.paid - sum(parts)]:
            parts[at] += 1
        return parts


@st.composite
def cases(draw: st.DrawFn, currency: str) -> Case:
    owed = draw(st.lists(st.one_of(st.integers(4, 999), st.integers(4, 10**9)), min_size=1, max_size=4))
    paid = draw(st.integers(1, sum(owed)).filter(lambda minor: minor % 100 not in (1, 2, 3)))  # it declines those
    return Case(currency, owed, paid, draw(st.integers(1, paid)))


class Followed:
    """The case, played; and what is said of it, read in one snapshot."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.till = till = Till()
        accounts = tuple(GlAccount(account=one, number=f"{at}") for at, one in enumerate(CHART, start=1000))
        known = tenant_of(SIMULATED, "https://processor.test", 10)
        connection = known.connections[0].model_copy(update={"payout_target": True})
        till.tenant = till.tenant.model_copy(update={"connections": (connection,), "gl_accounts": accounts})
        till.do(till.processor.control("settings", {"fees": {"per_mille": PER_MILLE, "fixed": FIXED}}))
        account = till.do(till.invoiced("ana", *(Money(one, case.currency) for one in case.owed)))
        method = till.card("Account/ana")
        wish = NewPayment(
            str(account), "t", Money(case.paid, case.currency), method_id=method, spread_by="proportional"
        )
        self.payment = till.write(start, wish, till.tenant)
        till.hand()
        back = NewRefund(self.payment, "a test", "t", Money(case.refunded, case.currency))
        self.refund = till.write(request, back, till.tenant)
        till.hand()
        till.at_processor(processor_payouts.pay_out, {"currency": case.currency, "status": "paid"})
        pulls = PullSettlements(till.units, till.tenant, till.registry, now=till.clock.now)
        for _ in range(2):  # its lines, and then that it has all of them
            till.do(pulls.pull("main"))
        assert (till.refused, till.findings()) == ([], [])
        till.do(till.units_ours.read(self._read))

    def _read(self, tx: Tx) -> None:
        till, currency = self.till, self.case.currency
        self.legs = [leg for one in ledger.entries_for(tx, merchant="main") for leg in one.entry.postings]
        self.shares = [one.paid for one in payments.allocations(tx, self.payment)]
        self.balances = {one.account: one.amount.minor for one in ledger.balances(tx) if one.amount.minor}
        told = [one for one in store.of_connection(tx, "ehr") if not one.is_payout]
        of = {one.subject: posted_facts(tx, one, till.tenant) for one in told}
        assert sorted(of) == sorted([self.payment, self.refund])
        self.told: dict[str, PostedPayment] = of
        (payout,) = (one for one in store.of_connection(tx, "ehr") if one.is_payout)
        posted = told_facts(tx, payout, till.tenant)
        assert isinstance(posted, payout_posting.PostedPayout)
        self.payout = payout_posting.render(posted, organization="clinic", version=FhirVersion.R4)
        day = tx.now.date()
        postings = gl_postings(tx, till.tenant, day.replace(day=1), AsOf(day=day.replace(day=28)))
        self.journal = "".join(csv_lines(by_entry(postings)))
        self.close = csv_file.render(look(tx, till.tenant, CloseWish()).document, "").decode()
        self.reports = {name: self._report(tx, name) for name in ("collections", "refunds", "fees", "methods")}
        self.aging = self._report(tx, "aging")
        assert {one.amount.currency for one in self.legs} == {currency}

    def _report(self, tx: Tx, name: str) -> dict[str, str]:
        report = report_of(name)
        about = asked(tx, report, Wish(), self.till.tenant)
        header, *found = csv.reader(as_csv(report.header(about.by), rows(tx, report, about)))
        return dict(zip(header, found[0], strict=True)) if found else {}


def of_file(case: Case, told: Sequence[PostedPayment], name: str) -> tuple[list[str], str]:
    """The amounts of the lines of a posting file, and its trailer's total, as they stand in it."""
    to = PostingFile(name="epic", folder="/x", zone="America/New_York", every_min=10, layout=name)
    shape = layout.load(name)
    numbers = {at: posting_file.Numbers("A1", "G1", "V1", "C1") for at in range(1, 9)}
    parts = [posting_file.details(one, numbers, to, shape) for one in told]
    made = posting_file.render(parts, to, shape, number=1, made_at=told[0].at, currency=case.currency)
    text = made.body.decode()
    if shape.shape == "delimited":
        header, *lines, last = csv.reader(text.splitlines())
        return [line[header.index("amount")] for line in lines], last[1]
    found: list[list[str]] = [[], []]
    for line in text.splitlines():
        for columns, into, source in ((shape.detail, 0, "amount"), (shape.trailer, 1, "total")):
            if line.startswith(columns[0].value):
                at = 0
                for column in columns:
                    if column.source == source:
                        found[into].append(line[at : at + column.width])
                    at += column.width
    return found[0], found[1][0]


def ft1_amounts(told: PostedPayment) -> list[str]:
    profile = Destination(name="engine", host="h", port=1, amount_in=("FT1-11", "FT1-12"))
    lines = all_lines(told)
    text = dft.render(told, profile, posting_id="p1", lines=lines, chart=Chart(), charges={}, now=told.at)
    found = [segment.split("|") for segment in text.split("\r") if segment.startswith("FT1")]
    assert all(one[11] == one[12] for one in found)
    said = [one[11].split("&") for one in found]  # FT1-11.1: MO-1 and MO-2
    assert {currency for _, currency in said} == {told.amount.currency}
    return [amount for amount, _ in said]


def written(resource: dict[str, Any]) -> tuple[str, list[str]]:
    """The digits of the total and of the lines, as they leave."""
    read = json.loads(fhir_json.dumps(resource), parse_float=str, parse_int=str)
    return read["paymentAmount"]["value"], [one["amount"]["value"] for one in read["detail"]]


@pytest.mark.parametrize("currency", PLACES)
def test_a_payment_is_the_same_money_wherever_it_is_said(currency: str) -> None:
    @settings(max_examples=3, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @example(Case(currency, [3, 3, 3], 8, 1))
    @given(cases(currency))
    def law(case: Case) -> None:
        followed = Followed(case)
        try:
            the_same_everywhere(case, followed)
        finally:
            followed.till.close()

    law()


def the_same_everywhere(case: Case, said: Followed) -> None:
    text, currency = case.text, case.currency
    assert [one.minor for one in said.shares] == [one for one in case.shares if one]

    # the books
    kept = case.paid - case.refunded
    assert said.balances.get("processor_clearing", 0) == 0
    assert (said.balances.get("fees"), said.balances.get("payout_in_transit", 0)) == (case.fee, case.net)
    assert sum(case.owed) - said.balances.get("ar_patient", 0) == kept - said.balances.get("unapplied_credit", 0)

    # what each EHR is told, in each of its ways
    payment, refund = said.told[said.payment], said.told[said.refund]
    parts, backs = [text(one) for one in case.shares if one], [one.amount.minor for one in refund.lines]
    assert sum(backs) == case.refunded
    assert (ft1_amounts(payment), ft1_amounts(refund)) == (parts, [text(-one) for one in backs])
    wanted = ((payment, text(case.paid), parts), (refund, text(-case.refunded), [text(-one) for one in backs]))
    for told, total, lines in wanted:
        resource = payment_reconciliation.render(told, organization="clinic", version=FhirVersion.R4)
        assert written(resource) == (total, lines)
        assert {one["amount"]["currency"] for one in resource["detail"]} == {currency}
    for name in layout.INSTALLED:
        lines, total = of_file(case, [payment, refund], name)
        decimal = name == "delimited"
        minors = [*(one for one in case.shares if one), *(-one for one in backs)]
        assert [one if decimal else int(one) for one in lines] == [text(one) if decimal else one for one in minors]
        assert (total if decimal else int(total)) == (text(kept) if decimal else kept)

    # the payout
    total, lines = written(said.payout)
    assert (total, Counter(lines)) == (
        text(case.net),
        Counter([text(case.paid), text(-case.refunded), text(-case.fee)]),
    )

    # the journal
    header, *journal = csv.reader(said.journal.splitlines())
    sums: Counter[str] = Counter()
    for row in journal:
        one = dict(zip(header, row, strict=True))
        assert (one["debit"] == "") != (one["credit"] == "")
        amount = one["debit"] or one["credit"]
        minor = int(Decimal(amount).scaleb(PLACES[currency]))
        assert (amount, one["currency"]) == (text(minor), currency)
        sums[one["account"]] += minor if one["debit"] else -minor
    assert {name: abs(minor) for name, minor in sums.items() if minor} == {
        name: abs(minor) for name, minor in said.balances.items()
    }

    # the close and the reports
    closed = [row for row in csv.reader(said.close.splitlines()) if row[0] in ("money", "in all")]
    amounts = {(row[5], row[7]) for row in closed if row[0] == "money" and row[5] != "kind"}
    assert amounts == {
        ("taken", f"{text(case.paid)} {currency}"),
        ("refunded", f"{text(-case.refunded)} {currency}"),
    }
    assert ["in all", "money", f"{text(kept)} {currency}"] in closed
    collections, refunds, fees = (said.reports[name] for name in ("collections", "refunds", "fees"))
    assert (collections["charges"], collections["collected"]) == (text(sum(case.owed)), text(kept))
    assert (refunds["refunded"], refunds["captured"]) == (text(case.refunded), text(case.paid))
    assert (fees["fees"], fees["captured"]) == (text(case.fee), text(case.paid))
    assert said.aging.get("owed", text(0)) == text(said.balances.get("ar_patient", 0))

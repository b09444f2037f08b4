"""What banks write is read to the cent, or refused with the line: never half of it, and never in a payer's words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from bank_files import BAI2, CAMT, CSV, Line, bai2_of, camt_of, csv_of
from fhirpay.bank import bai2_file, camt_file, csv_file
from fhirpay.bank.statement import Statement
from fhirpay.config import BankAccount, BankCsv
from fhirpay.domain.money import Money
from fhirpay.errors import FhirpayError

LINES: list[Line] = [
    ("2026-11-19", 1_234_56, "R1", "STRIPE TRANSFER ST-A1B2C3 ANN CANARY"),
    ("2026-11-19", -25_00, "R2", "MONTHLY FEE"),
    ("2026-11-19", 1_234_56, "", "STRIPE TRANSFER ST-A1B2C3 ANN CANARY"),
]
AMOUNTS = [line[1] for line in LINES]


def _csv(data: bytes, account: BankAccount = CSV) -> list[Statement]:
    return csv_file.read(data, account)


def _bai2(data: bytes, _: BankAccount = BAI2) -> list[Statement]:
    return bai2_file.read(data)


def _camt(data: bytes, _: BankAccount = CAMT) -> list[Statement]:
    return camt_file.read(data)


READ = {"csv": _csv, "bai2": _bai2, "camt053": _camt}
WHOLE = {
    "csv": csv_of(LINES),
    "bai2": bai2_of(LINES, day="2026-11-19", opening=100_00),
    "camt053": camt_of(LINES, first="2026-11-19", last="2026-11-19", opening=100_00),
}


@pytest.mark.parametrize("form", WHOLE)
def test_a_statement_is_read_to_the_cent_each_line_once(form: str) -> None:
    (found,) = READ[form](WHOLE[form])
    assert [line.amount.minor for line in found.lines] == AMOUNTS
    assert {line.booked_on for line in found.lines} == {date(2026, 11, 19)} == {found.first_day, found.last_day}
    assert [line.reference for line in found.lines][:2] == ["R1", "R2"]
    assert "ST-A1B2C3" in found.lines[0].words
    if form != "csv":
        assert (found.opening, found.closing) == (
            Money(100_00, found.currency),
            Money(100_00 + sum(AMOUNTS), found.currency),
        )


@pytest.mark.parametrize("form", WHOLE)
def test_a_file_that_was_cut_off_is_refused_wherever_it_was_cut(form: str) -> None:
    whole, read = WHOLE[form], READ[form]
    taken = []
    for cut in range(1, len(whole) - 3):
        try:
            read(whole[:cut])
        except FhirpayError:
            continue
        taken.append(whole[:cut])
    if form == "csv":  # after a whole line nothing tells that another one should follow
        assert all(one.endswith((b"\r\n", b"\r")) for one in taken)
    elif form == "bai2":  # the last line's end, and the sign that ends its record
        assert all(one.startswith(whole.rstrip(b"/\n")) for one in taken)
    else:
        assert taken == []


def _swap(form: str, old: str, new: str) -> bytes:
    assert old.encode() in WHOLE[form]
    return WHOLE[form].replace(old.encode(), new.encode())


_SAID: dict[str, tuple[str, bytes, str]] = {
    "csv: no amount": ("csv", _swap("csv", '"-25.00"', '"-25.0O"'), "line 3, Amount: this is no amount"),
    "csv: thousands where none are": ("csv", _swap("csv", '"-25.00"', '"-2,5"'), "line 3, Amount: this is no amount"),
    "csv: too many decimals": ("csv", _swap("csv", '"-25.00"', '"-25.001"'), "line 3, Amount: .*more decimals"),
    "csv: another day": (
        "csv",
        _swap("csv", '11/19/2026,"MONTHLY', '19/11/2026,"MONTHLY'),
        "line 3, Date: this is no day",
    ),
    "csv: a column is missing": ("csv", _swap("csv", "Amount", "Betrag"), "line 1: there is no column 'Amount'"),
    "csv: a cell too many": ("csv", _swap("csv", ",R2", ",R2,x"), "line 3: it has 6 columns"),
    "bai2: an amount is no number": ("bai2", _swap("bai2", "475,2500,", "475,25x0,"), r"line \d: this record"),
    "bai2: an amount was changed": ("bai2", _swap("bai2", "475,2500,", "475,2501,"), r"line \d: it doesn't add up"),
    "bai2: a line was lost": ("bai2", _swap("bai2", "16,475,2500,Z,R2,,MONTHLY FEE\n", ""), "it doesn't add up"),
    "bai2: an unknown type": ("bai2", _swap("bai2", "16,475,", "16,999,"), "Type code '999'"),
    "bai2: two files": ("bai2", WHOLE["bai2"] * 2, "line 10: a second file begins here"),
    "bai2: interim": ("bai2", _swap("bai2", "0600,USD,2/", "0600,USD,3/"), "line 3: account …4567: an interim report"),
    "bai2: a deletion": ("bai2", _swap("bai2", "BANK,1,2", "BANK,2,2"), "line 3: .* is not 1"),
    "camt: no direction": ("camt053", _swap("camt053", "DBIT", "DEBIT"), "line 1, CdtDbtInd: "),
    "camt: an amount": ("camt053", _swap("camt053", ">25.00<", ">25,00<"), "line 1, Amt: this is no amount"),
    "camt: another currency inside": (
        "camt053",
        WHOLE["camt053"].replace(b'<Amt Ccy="EUR">25.00', b'<Amt Ccy="USD">25.00'),
        "an entry in USD of an account in EUR",
    ),
    "camt: a report of the day": ("camt053", _swap("camt053", "camt.053", "camt.052"), "no statement .camt.053"),
    "camt: a DOCTYPE": (
        "camt053",
        b'<!DOCTYPE a [<!ENTITY b "bb">]>' + WHOLE["camt053"].replace(b"MONTHLY", b"&b;&b;"),
        "line 1: a document type declaration",
    ),
}


@pytest.mark.parametrize("case", _SAID)
def test_what_can_t_be_read_is_refused_with_its_place_and_without_its_words(case: str) -> None:
    form, data, says = _SAID[case]
    with pytest.raises(FhirpayError, match=says) as refused:
        READ[form](data)
    assert "CANARY" not in str(refused.value)


def test_an_entry_of_several_details_is_one_line_of_money_and_what_is_not_booked_waits() -> None:
    pending = '<Ntry><Amt Ccy="EUR">9.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>PDNG</Sts></Ntry>'
    data = camt_of(LINES, first="2026-11-19", last="2026-11-19", opening=0, more=pending)
    (found,) = camt_file.read(data)
    assert [line.amount.minor for line in found.lines] == AMOUNTS


def test_csv_of_debit_and_credit_columns_with_a_decimal_comma() -> None:
    mapping = BankCsv(
        day="Tag", day_format="%d.%m.%Y", credit="Haben", debit="Soll", decimal_sign=",", delimiter=";",
        skip_lines=2, encoding="cp1252",
    )  # fmt: skip
    account = BankAccount(name="main", format="csv", currency="EUR", csv=mapping)
    head = "Kontoauszug für\r\n\r\nTag;Soll;Haben\r\n"
    text = head + "19.11.2026;1.234,50;\r\n19.11.2026;;7,00\r\n"
    (found,) = csv_file.read(text.encode("cp1252"), account)
    assert [line.amount.minor for line in found.lines] == [-1_234_50, 7_00]
    with pytest.raises(FhirpayError, match="line 4, Haben: one of credit and debit"):
        csv_file.read((head + "19.11.2026;1,00;1,00\r\n").encode("cp1252"), account)


def test_zero_in_the_other_one_of_credit_and_debit_is_as_good_as_nothing() -> None:
    account = BankAccount(
        name="main", format="csv", csv=BankCsv(day="Day", day_format="%Y-%m-%d", credit="In", debit="Out")
    )
    head = "Day,In,Out\n"
    lines = ("12.00,0.00", "0.00,7.00", "$0.00,-3.00", '5.00,"(0.00)"', "0.00,")
    (found,) = csv_file.read((head + "".join(f"2026-11-19,{one}\n" for one in lines)).encode(), account)
    assert [line.amount.minor for line in found.lines] == [12_00, -7_00, -3_00, 5_00, 0]
    for neither in ("1.00,1.00", "0.00,0.00", ","):
        with pytest.raises(FhirpayError, match="line 3, In: one of credit and debit"):
            csv_file.read((head + f"2026-11-19,1.00,0.00\n2026-11-19,{neither}\n").encode(), account)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: BankAccount(name="main", format="csv"),
        lambda: BankAccount(name="main", format="bai2"),
        lambda: BankAccount(name="main", format="bai2", number="1", fee_percent="much"),
        lambda: BankAccount(name="main", format="csv", csv=BankCsv(day="d", credit="c")),
    ],
)
def test_an_account_that_can_t_be_read_is_refused_at_start(wrong: Callable[[], BankAccount]) -> None:
    with pytest.raises(ValueError, match="bank account 'main'"):
        wrong()

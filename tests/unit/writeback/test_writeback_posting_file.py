"""What stands in a posting file, against the files in tests/golden/writeback, and what no layout may say."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fhirpay.config_posting_file import PostingFile
from fhirpay.domain.money import Money
from fhirpay.errors import ConfigInvalid, RuleBroken
from fhirpay.writeback.layout import Layout, load
from fhirpay.writeback.posted import Line, PostedPayment
from fhirpay.writeback.posting_file import Detail, Numbers, details, render

GOLDEN = Path(__file__).parents[2] / "golden" / "writeback"
MADE_AT = datetime(2026, 11, 21, 1, 30, tzinfo=UTC)  # still the 20th there
NUMBERS = {
    1: Numbers("A100", "G555", "V1", "T-9"),
    2: Numbers("A100", "G555", "V1"),
    3: Numbers("B200", "G777"),
    4: Numbers("A100", "G555"),
}


def usd(text: str) -> Money:
    return Money.of(text, "USD")


PAID = PostedPayment(
    id="pay01",
    amount=usd("300.00"),
    at=datetime(2026, 11, 20, 19, 5, tzinfo=UTC),
    zone="America/New_York",
    processor="sim",
    reference="ch_1",
    lines=[
        Line(1, usd("120.00"), None, target="ChargeItem/c1", of_account="Account/a"),
        Line(2, usd("80.00"), None, target="Invoice/i1", of_account="Account/a"),
        Line(3, usd("60.00"), None, target="Invoice/i2", of_account="Account/b"),
    ],
    of_account="Account/a",
    brand="visa",
    facility="maple",
)
BACK = replace(
    PAID,
    id="ref01",
    amount=usd("30.00"),
    reference="re_1",
    lines=[Line(1, usd("30.00"), None, target="ChargeItem/c1", takes_back="pay01-1", of_account="Account/a")],
    refund_of="pay01",
)
PROFILES: dict[str, dict[str, Any]] = {
    "lockbox": {"layout": "lockbox", "receiver": "4711", "media": {"visa": "VI"}},
    "delimited": {"layout": "delimited", "receiver": "4711"},
    "delimited-unsigned": {"layout": "delimited", "sign": "unsigned", "refund_code": "R"},
    "lockbox-negative": {"layout": "lockbox", "sign": "payment_negative"},
}


def receiver(**given: Any) -> PostingFile:
    return PostingFile(**{"name": "epic", "folder": "/x", "zone": "America/New_York", "daily_at": "18:00", **given})


def lines_of(posted: PostedPayment, to: PostingFile, layout: Layout) -> list[Detail]:
    return details(posted, NUMBERS, to, layout)


@pytest.mark.parametrize("name", PROFILES)
def test_golden(name: str) -> None:
    to = receiver(**PROFILES[name])
    layout = load(to.layout)
    parts = [lines_of(one, to, layout) for one in (PAID, BACK)]
    made = render(parts, to, layout, number=7, made_at=MADE_AT, currency="USD")
    path = GOLDEN / f"file-{name}.txt"
    if os.environ.get("FHIRPAY_UPDATE_GOLDEN"):
        path.write_bytes(made.body)
    assert made.body == path.read_bytes()
    assert (made.lines, made.total) == (5, usd("-270.00") if "negative" in name else usd("270.00"))


@given(
    amounts=st.lists(st.lists(st.integers(1, 10**9), min_size=1, max_size=4), max_size=6),
    back=st.integers(0, 63),
    sign=st.sampled_from(["payment_positive", "payment_negative"]),
)
def test_the_trailers_total_is_the_sum_of_the_lines_whatever_they_are(
    amounts: list[list[int]], back: int, sign: str
) -> None:
    to, layout = receiver(sign=sign), load("lockbox")
    parts: list[list[Detail]] = []
    booked = 0
    for number, minors in enumerate(amounts):
        goes_back = bool(back >> number & 1)
        lines = [Line(place, Money(minor, "USD"), None) for place, minor in enumerate(minors, start=1)]
        whole = sum(minors) + number  # what no line claims
        refund_of = "pay00" if goes_back else ""
        posted = replace(PAID, id=f"pay{number}", amount=Money(whole, "USD"), lines=lines, refund_of=refund_of)
        known = {place: Numbers("A", "G") for place in range(1, len(minors) + 2)}
        parts.append(details(posted, known, to, layout))
        booked += -whole if goes_back else whole
    made = render(parts, to, layout, number=1, made_at=MADE_AT, currency="USD")
    records = made.body.decode().splitlines()
    said = sum(int(record[19:34]) for record in records[1:-1])
    assert said == int(records[-1][1:16]) == made.total.minor == (booked if sign == "payment_positive" else -booked)
    assert int(records[-1][16:26]) == len(records) - 2 == made.lines
    assert {len(record) for record in records[1:-1]} <= {102}


def test_nobody_is_named_whatever_a_layout_asks_for() -> None:
    for word in ("name", "patient", "birth_date", "last4", "brand"):
        with pytest.raises(ConfigInvalid, match=f"can't come from '{word}'"):
            own(detail=[*DETAIL, {"name": "x", "from": word}])


DETAIL = [{"name": "n", "from": "transaction"}, {"name": "a", "from": "amount", "as": "decimal"}]


def own(**said: Any) -> Layout:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.yaml"
        path.write_text(json.dumps({"shape": "delimited", "detail": DETAIL, **said}), encoding="utf-8")
        return load(str(path))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"shape": "fixed"}, "'n' needs a width"),
        ({"detail": DETAIL[:1]}, "needs an amount, and the transaction"),
        ({"detail": [*DETAIL, {"name": "d", "from": "paid_at"}]}, "`as` is YYYYMMDD or"),
        ({"detail": [*DETAIL, {"name": "d", "from": "paid_at", "as": "minor"}]}, "`as` is YYYYMMDD or"),
        ({"detail": [*DETAIL, {"name": "d", "from": "account", "as": "minor"}]}, "'d' takes no `as`"),
        ({"detail": [*DETAIL, {"name": "d", "from": "account", "value": "x"}]}, "take one out"),
        ({"detail": [*DETAIL, {"name": "d", "from": "amount", "as": "minor", "cut": "left"}]}, "never cut"),
        ({"detail": [*DETAIL, {"name": "d", "from": "amount", "as": "minor", "pad": "0"}]}, "another one"),
        ({"trailer": [{"name": "d", "from": "account"}]}, "can't come from 'account'"),
        ({"encoding": "ebcdic-x"}, "is no encoding"),
        ({"encoding": "base64"}, "is no encoding"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_a_layout_that_cant_be_meant_is_refused_by_name_and_line(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigInvalid, match=why) as refused:
        own(**said)
    assert str(refused.value).startswith("own.yaml:1")


def test_a_layout_that_isnt_there_is_said_with_those_that_are() -> None:
    with pytest.raises(ConfigInvalid, match="neither lockbox or delimited nor a file"):
        load("lockboxx")


@pytest.mark.parametrize(
    ("column", "posted", "why"),
    [
        ({"from": "reference", "width": 3}, PAID, "has 3 characters, and 4 are needed"),
        ({"from": "charge", "required": True}, PAID, "there is no charge for the column 'c'"),
        ({"from": "reference"}, replace(PAID, reference="ch\n1"), "has control characters"),
        ({"from": "reference"}, replace(PAID, reference="ché"), "ascii, which has no 'é'"),
        ({"from": "amount", "as": "minor", "width": 4}, PAID, "too narrow for 120.00 USD"),
    ],
)
def test_what_a_column_cant_say_is_refused_before_there_is_a_file(
    column: dict[str, Any], posted: PostedPayment, why: str
) -> None:
    with pytest.raises(RuleBroken, match=why):
        lines_of(posted, receiver(), own(detail=[*DETAIL, {"name": "c", **column}]))


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        ({"as": "minor", "width": 8, "align": "right", "pad": "0"}, "-0003000"),
        ({"as": "minor", "width": 8, "align": "right", "pad": "0", "sign": "trailing"}, "0003000-"),
        ({"as": "decimal", "width": 8, "align": "right"}, "  -30.00"),
        ({"as": "decimal", "width": 8}, "-30.00  "),
    ],
)
def test_a_sign_stands_outside_of_what_fills_the_column(column: dict[str, Any], shown: str) -> None:
    columns = [{"name": "n", "from": "transaction", "width": 8}, {"name": "c", "from": "amount", **column}]
    layout = own(shape="fixed", detail=columns)
    to = receiver()
    made = render([lines_of(BACK, to, layout)], to, layout, number=1, made_at=MADE_AT, currency="USD")
    assert made.body.decode() == f"ref01-1 {shown}\r\n"


def test_a_delimiter_in_a_value_is_quoted_and_a_text_may_be_cut_where_the_column_says() -> None:
    cut = [{"name": "l", "from": "account", "width": 2, "cut": "left"}, {"name": "r", "from": "account", "width": 2}]
    layout = own(detail=[*DETAIL, cut[0], {**cut[1], "cut": "right"}, {"name": "x", "from": "reference"}])
    to = receiver()
    made = render(
        [lines_of(replace(BACK, reference="a,b"), to, layout)], to, layout, number=1, made_at=MADE_AT, currency="USD"
    )
    assert made.body == b'ref01-1,-30.00,00,A1,"a,b"\r\n'


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"folder": ""}, "needs a folder to put files into, or sftp"),
        ({"every_min": 5}, "needs daily_at or every_min: one of them"),
        ({"daily_at": ""}, "needs daily_at or every_min: one of them"),
        ({"daily_at": "25:00"}, "is no hour of the day; write 18:00"),
        ({"zone": "Mars/Base"}, "is not an IANA zone"),
        ({"file_name": "payments.txt"}, "can't name files"),
        ({"file_name": "../{number}"}, "can't name files"),
        ({"file_name": ".{number}"}, "can't name files"),
        ({"file_name": "{number.real}"}, "can't name files"),
        ({"file_name": "a{number}{"}, "can't name files"),
        ({"sign": "unsigned"}, "can't tell a refund"),
    ],
)
def test_settings_that_cant_be_meant_are_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        receiver(**said)

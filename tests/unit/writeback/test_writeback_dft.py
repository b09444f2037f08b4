"""What an HL7v2 receiver is given, against the messages in tests/golden/writeback, and by the standard's own tables."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fhirpay.config_destination import Destination
from fhirpay.domain.money import Money
from fhirpay.errors import RuleBroken
from fhirpay.hl7 import strict
from fhirpay.hl7.reader import Message
from fhirpay.writeback.as_received import Chart
from fhirpay.writeback.dft import control_id, encoded, render
from fhirpay.writeback.posted import REST, Line, Posted, PostedAdjustment, PostedPayment, lines_for

GOLDEN = Path(__file__).parents[2] / "golden" / "writeback"
NOW = datetime(2026, 11, 20, 19, 6, 30, tzinfo=UTC)
POSTING = "pst01jz3v9k2m4n6p8q0r2s4t6v8"
CHART = Chart(
    patient=[("100234", "", "", "MAPLE", "MR"), ("77", "", "", ("", "2.16.840.1", "ISO"), "PI")],
    name=("O^Brien", "Ruth & Co", "M"),
    account=("V0001", "", "", "MAPLE", "AN"),
    patient_class="O",
    visit=("4000776", "", "", "MAPLE", "VN"),
)


def usd(text: str) -> Money:
    return Money.of(text, "USD")


PAID = PostedPayment(
    id="pay01",
    amount=usd("300.00"),
    at=datetime(2026, 11, 20, 19, 5, 9, 730, tzinfo=UTC),
    zone="America/New_York",
    processor="sim",
    reference="ch_1",
    lines=[
        Line(1, usd("120.00"), None, target="ChargeItem/c1", of_account="Account/a"),
        Line(2, usd("80.00"), None, target="ChargeItem/c2", of_account="Account/a"),
        Line(3, usd("60.00"), None, target="Invoice/i1", of_account="Account/b"),
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
OFF = PostedAdjustment(
    id="adj01",
    kind="discount",
    at=PAID.at,
    zone=PAID.zone,
    lines=[Line(1, usd("24.00"), None, target="ChargeItem/c1", of_account="Account/a")],
    of_account="Account/a",
    facility="maple",
)
ON_AGAIN = replace(
    OFF,
    id="adj03",
    lines=[
        Line(1, usd("4.00"), None, target="ChargeItem/c1", takes_back="adj02-1", of_account="Account/a"),
        Line(2, usd("6.50"), None, target="ChargeItem/c1", takes_back="adj01-1", of_account="Account/a"),
    ],
    back=True,
)
ALL: dict[str, Posted] = {"payment": PAID, "refund": BACK, "adjustment": OFF, "adjustment-back": ON_AGAIN}
CHARGES = {"ChargeItem/c1": "T-931", "ChargeItem/c2": "T|932"}
# Each as another site would write it.
PROFILES: dict[str, dict[str, Any]] = {
    "plain": {},
    "codes-and-signs": {
        "version": "2.8.2",
        "acknowledge": "both",
        "sign": "payment_negative",
        "adjustment_sign": "negative",
        "adjustment_codes": {"discount": "SPD^Self-pay^99ADJ"},
        "payment_code": "PAY",
        "refund_code": "RFND",
        "media": {"visa": "VI^Visa^99PAY", "default": "CC"},
        "receiving_application": "EPIC^2.16.840.1.2^ISO",
        "receiving_facility": "MAPLE",
        "facility_codes": {"maple": "MPL"},
        "charge_in": "ZPY",
        "patient_name": False,
        "processing": "T",
    },
    "old-and-unsigned": {
        "version": "2.3",
        "acknowledge": "commit",
        "sign": "unsigned",
        "refund_code": "PR",
        "adjustment_sign": "unsigned",
        "adjustment_back_code": "AJR",
        "amount_in": ("FT1-11", "FT1-12"),
        "currency_in_amount": False,
        "sending_facility": "HQ",
        "charge_in": "none",
    },
}


def destination(**profile: Any) -> Destination:
    return Destination(name="engine", host="127.0.0.1", port=2575, **profile)


def message(posted: Posted, profile: Destination, chart: Chart = CHART, of: tuple[int, ...] = (1, 2, REST)) -> str:
    lines = lines_for(posted, of)
    return render(posted, profile, posting_id=POSTING, lines=lines, chart=chart, charges=CHARGES, now=NOW)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("kind", ALL)
def test_golden(name: str, kind: str) -> None:
    text = message(ALL[kind], destination(**PROFILES[name])).replace("\r", "\n")
    path = GOLDEN / f"dft-{kind}-{name}.hl7"
    if os.environ.get("FHIRPAY_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("version", ["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2"])
def test_the_standards_tables_find_nothing_wrong(version: str) -> None:
    # No NTE before 2.5; and the validator's tables of 2.8 lose the FT1 that has one.
    profile = destination(version=version, charge_in="NTE" if version >= "2.5" and version != "2.8" else "ZPY")
    for posted in ALL.values():
        found = [one for one in strict.check(Message.parse(message(posted, profile))) if one.severity == "error"]
        assert found == []


def test_the_whole_is_split_between_accounts_and_nothing_is_lost() -> None:
    one, other, whole = (lines_for(PAID, numbers) for numbers in ((1, 2, REST), (3,), ()))
    assert [line.number for line in one] == [1, 2, 4]  # 4: the rest, an advance
    assert [line.number for line in other] == [3]
    assert whole == sorted(one + other, key=lambda line: line.number)
    assert sum(line.amount.minor for line in whole) == PAID.amount.minor


def test_an_account_of_which_nothing_is_left_says_so() -> None:
    with pytest.raises(RuleBroken, match="nothing to post"):
        message(PAID, destination(), of=(7,))


def test_what_the_chart_says_is_read_back_as_it_was() -> None:
    read = Message.parse(message(PAID, destination()))
    assert read.get("PID-5.1") == "O^Brien"
    assert read.get("PID-5.2") == "Ruth & Co"
    assert read.get("PID-3[2].4.2") == "2.16.840.1"
    assert read.get("PID-18.5") == "AN"
    assert read.get("NTE[2]-3") == "CHARGE T|932"
    assert (read.get("FT1-11.1"), read.get("FT1-11.1.2")) == ("120.00", "USD")


def test_letters_beyond_ascii_are_declared_and_a_charset_without_them_parks() -> None:
    chart = replace(CHART, name=("Žižek", "Ana"))
    utf8 = destination()
    text = message(PAID, utf8, chart)
    assert Message.parse(encoded(text, utf8)).get("PID-5.1") == "Žižek"
    assert text.split("|")[17].startswith("UNICODE UTF-8")
    assert message(PAID, utf8).split("\r")[0].count("|") == 11
    with pytest.raises(RuleBroken, match="8859/1"):
        message(PAID, destination(charset="8859/1"), chart)


def test_a_guarantor_account_is_named_where_it_is_the_account() -> None:
    chart = replace(CHART, guarantor=("G-9", "", "", "MAPLE"), guarantor_name=("Ngata", "Ruth"))
    last = message(PAID, destination(), chart).split("\r")[-2]
    assert last == "GT1|1|G-9^^^MAPLE|Ngata^Ruth"


def test_the_control_id_follows_from_the_posting_and_fits_old_versions() -> None:
    assert control_id(POSTING) == POSTING[-20:]
    assert message(PAID, destination()).split("|")[9] == control_id(POSTING)


def test_a_profile_that_can_not_tell_a_refund_is_refused() -> None:
    with pytest.raises(ValidationError, match="refund_code"):
        destination(sign="unsigned")
    with pytest.raises(ValidationError, match="adjustment_back_code"):
        destination(adjustment_sign="unsigned")
    assert destination(adjustment_sign="unsigned", adjustments=()).adjustments == ()


@pytest.mark.parametrize(
    ("error", "code", "profile", "verdict"),
    [
        ("206", "AE", {}, "retry"),
        ("207", "AE", {}, "doubt"),
        ("204", "AE", {}, "park"),
        ("205", "AE", {}, "there"),
        ("", "AR", {}, "park"),
        ("999", "AE", {}, "park"),
        ("", "AR", {"AR": "retry"}, "retry"),
        ("204", "AE", {"204": "retry", "AE": "park"}, "retry"),
    ],
)
def test_what_a_refusal_means_is_a_table(error: str, code: str, profile: dict[str, Any], verdict: str) -> None:
    assert destination(errors=profile).verdict(error, code) == verdict

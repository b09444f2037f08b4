"""What the gate lets through and by which keys. The acknowledgements themselves: test_inbox_gate_table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.config import Interface
from fhirpay.errors import FhirpayError, RequiredMissing, TooLarge
from fhirpay.inbox.gate import admit

KEY = b"k" * 32
PLAIN = Interface(name="plain", account_key="PID-18")
HEAD = "MSH|^~\\&|ADM|North|PAY|East|20261120||{kind}|M1|P|2.5.1\rEVN|P03|20261120\r"
PID = "PID|1||P1^^^H&1.2.3&ISO^MR~P2^^^OLD^PI~111223333^^^^SS||X^Y|||||||||||||A-77^^^FIN\r"
FT1 = "FT1|1|N-1||20261119||CG|99213|||1|125.50&USD\r"


def message(*segments: str, kind: str = "DFT^P03^DFT_P03") -> bytes:
    return (HEAD.format(kind=kind) + "".join(segments)).encode()


def refusal(data: bytes, interface: Interface = PLAIN) -> tuple[str | None, str, str | None]:
    with pytest.raises(FhirpayError) as caught:
        admit(data, interface, hash_key=KEY)
    return caught.value.ack_code, caught.value.hl7_error, caught.value.location


def test_charge_has_its_lanes_and_topics() -> None:
    admitted = admit(message(PID, FT1, FT1.replace("N-1", "N-2"), FT1), PLAIN, hash_key=KEY)
    account = "account:urn:fhirpay:plain:FIN|A-77"
    patients = ("patient:urn:oid:1.2.3|P1", "patient:urn:fhirpay:plain:OLD|P2")
    charges = tuple(f"charge:ADM|North|urn:fhirpay:plain:FIN|A-77|{number}" for number in ("N-1", "N-2"))
    assert admitted.label == "DFT^P03"
    assert admitted.key == ("ADM", "North", "PAY", "East", "M1")
    assert admitted.lanes == (account, *patients)
    assert admitted.blocks == charges
    assert admitted.needs == (*charges, account, *patients)
    assert admitted.suspends == (account,)
    assert admitted.account_keys == ("urn:fhirpay:plain:FIN|A-77",)
    assert admitted.warnings == ()


def test_charge_without_number_blocks_nothing() -> None:
    assert admit(message(PID, FT1.replace("N-1", "")), PLAIN, hash_key=KEY).blocks == ()


def test_admission_blocks_all_that_is_about_its_account_and_patient() -> None:
    admitted = admit(message(PID, "GT1|1|G1^^^FIN~G2\rGT1|2|G3\r", kind="ADT^A04"), PLAIN, hash_key=KEY)
    site = "guarantor:urn:fhirpay:plain"
    guarantors = (f"{site}:FIN|G1", f"{site}|G2", f"{site}|G3")
    assert admitted.lanes[-3:] == guarantors
    assert admitted.blocks == admitted.needs == admitted.lanes[:-3]


def test_admission_may_lack_an_account_and_even_a_patient() -> None:
    without = PID.replace("A-77^^^FIN", "")
    assert admit(message(without, kind="ADT^A08"), PLAIN, hash_key=KEY).account_keys == ()
    assert admit(message(kind="ADT^A08"), PLAIN, hash_key=KEY).lanes == ("interface:plain",)


def test_number_of_last_resort_is_the_social_security_number() -> None:
    admitted = admit(message("PID|1||111223333^^^^SS\r", kind="ADT^A08"), PLAIN, hash_key=KEY)
    assert admitted.lanes == ("patient:urn:fhirpay:plain|111223333",)


@pytest.mark.parametrize(
    ("account_key", "account"),
    [("PV1-19", "urn:oid:1.9|V-1"), ("PV1-50", "urn:site|H-5"), ("GT1-2", "urn:site|G-1")],
)
def test_account_is_the_field_that_the_profile_names(account_key: str, account: str) -> None:
    interface = Interface.model_validate({"name": "x", "account_key": account_key, "namespace": "urn:site"})
    visit = "PV1|1|O" + "|" * 17 + "V-1^^^&1.9&ISO" + "|" * 31 + "H-5\r"
    admitted = admit(message(PID, visit, "GT1|1|G-1\r", FT1), interface, hash_key=KEY)
    assert admitted.account_keys == (account,)
    place = account_key.replace("GT1", "GT1[1]")
    assert refusal(message(PID, FT1), interface) == ("AE", "101", place)


def test_hash_ignores_what_engines_renew_and_nothing_else() -> None:
    first = admit(message(PID, FT1), PLAIN, hash_key=KEY).body_hash
    renewed = message(PID, FT1).replace(b"|20261120||DFT", b"|20261121|sec|DFT").replace(b"|M1|", b"|M2|")
    assert admit(renewed, PLAIN, hash_key=KEY).body_hash == first
    assert admit(message(PID, FT1).replace(b"\r", b"\n"), PLAIN, hash_key=KEY).body_hash == first
    assert admit(message(PID, FT1.replace("125.50", "125.51")), PLAIN, hash_key=KEY).body_hash != first
    assert admit(message(PID, FT1), PLAIN, hash_key=b"x" * 32).body_hash != first


def test_card_number_is_gone_from_all_that_is_kept() -> None:
    clean = admit(message(PID, FT1, "NTE|1||card\r"), PLAIN, hash_key=KEY)
    admitted = admit(message(PID, FT1, "NTE|1||4111111111111111\r"), PLAIN, hash_key=KEY)
    assert admitted.redactions == ("NTE[1]-3",)
    assert b"NTE|1||XXXXXXXXXXXX1111" in admitted.screened
    assert admitted.message.get("NTE-3") == "XXXXXXXXXXXX1111"
    assert [remark.location for remark in admitted.warnings] == ["NTE[1]-3"]
    assert admitted.body_hash != clean.body_hash
    other = admit(message(PID, FT1, "NTE|1||4012888888881881\r"), PLAIN, hash_key=KEY)
    assert other.body_hash != admitted.body_hash


def test_card_number_in_a_refused_value_is_not_quoted() -> None:
    with pytest.raises(FhirpayError) as caught:
        admit(message(PID, FT1.replace("125.50", "4111-1111-1111-1111")), PLAIN, hash_key=KEY)
    assert "XXXX-XXXX-XXXX-1111" in str(caught.value)
    assert "4111-1111" not in str(caught.value)


def test_number_that_looks_like_a_card_in_an_identifier_field_is_kept() -> None:
    number = "4111111111111111"
    performer = FT1.replace("\r", "|" * 9 + f"{number}^SMITH\r")
    data = message(PID.replace("P1^", f"{number}^").replace("A-77", number), performer.replace("N-1", number))
    admitted = admit(data, PLAIN, hash_key=KEY)
    assert (admitted.redactions, admitted.screened) == ((), data)


@pytest.mark.parametrize("amount", ["", '""', "0", "-5", "+.5", "125.", "10&", "10&USD", "&USD", '""&""'])
def test_amounts_that_parse(amount: str) -> None:
    admit(message(PID, FT1.replace("125.50&USD", amount)), PLAIN, hash_key=KEY)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("125.50", "12..5", ("AE", "102", "FT1[1]-11.1")),
        ("125.50", "1e3", ("AE", "102", "FT1[1]-11.1")),
        ("125.50", "$5", ("AE", "102", "FT1[1]-11.1")),
        ("USD", "usd", ("AE", "103", "FT1[1]-11.1.2")),
        ("|1|125.50&USD", "|x|125.50", ("AE", "102", "FT1[1]-10")),
        ("|125.50&USD", "||12,5", ("AE", "102", "FT1[1]-12.1")),
        ("|125.50&USD", "||5&XX", ("AE", "103", "FT1[1]-12.1.2")),
        ("20261119", "", ("AE", "101", "FT1[1]-4")),
        ("CG", "", ("AE", "101", "FT1[1]-6")),
        ("CG", '""', ("AE", "101", "FT1[1]-6")),
    ],
)
def test_charge_fields_that_are_refused(old: str, new: str, expected: tuple[str, str, str]) -> None:
    assert refusal(message(PID, FT1.replace(old, new))) == expected
    second = tuple(part.replace("FT1[1]", "FT1[2]") for part in expected)
    assert refusal(message(PID, FT1, FT1.replace(old, new))) == second


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("|DFT^P03^DFT_P03|", "||", ("AR", "200", "MSH-9")),
        ("DFT^P03^DFT_P03", "ORU^R01", ("AR", "200", "MSH-9.1")),
        ("DFT^P03^DFT_P03", "DFT^P99", ("AR", "201", "MSH-9.2")),
        ("DFT^P03^DFT_P03|M1", "ADT^A99|M1", ("AR", "201", "MSH-9.2")),
        ("|P|2.5.1", "||2.5.1", ("AR", "202", "MSH-11")),
        ("|P|2.5.1", "|D|2.5.1", ("AR", "202", "MSH-11")),
        ("|P|2.5.1", "|P|", ("AR", "203", "MSH-12")),
        ("|M1|", "||", ("AE", "101", "MSH-10")),
        ("FT1|1|N-1||20261119||CG|99213|||1|125.50&USD\r", "", ("AE", "101", "FT1")),
        ("\rPID", "\rPI", ("AE", "102", "EVN")),
    ],
)
def test_headers_that_are_refused(old: str, new: str, expected: tuple[str, str, str]) -> None:
    data = message(PID, FT1)
    assert old.encode() in data
    assert refusal(data.replace(old.encode(), new.encode())) == expected


def test_test_interface_takes_tests_only() -> None:
    interface = Interface(name="t", account_key="PID-18", processing="T")
    assert refusal(message(PID, FT1), interface)[1] == "202"
    admit(message(PID, FT1).replace(b"|P|2.5.1", b"|T|2.5.1"), interface, hash_key=KEY)


@pytest.mark.parametrize(
    ("required", "place"),
    [
        ("PV1-19", "PV1-19"),
        ("PID-3[4].1", "PID-3[4].1"),
        ("FT1-3", "FT1[1]-3"),
        ("FT1[2]-2", "FT1[2]-2"),
        ("PID-5.3", "PID-5.3"),
    ],
)
def test_fields_that_the_profile_requires(required: str, place: str) -> None:
    interface = Interface(name="r", account_key="PID-18", required=("PID-3.1", "FT1-2", required))
    assert refusal(message(PID, FT1), interface) == ("AE", "101", place)


def test_required_field_is_required_in_every_segment() -> None:
    interface = Interface(name="r", account_key="PID-18", required=("FT1-2", "FT1[1]-2"))
    admit(message(PID, FT1, FT1), interface, hash_key=KEY)
    assert refusal(message(PID, FT1, FT1.replace("N-1", "")), interface)[2] == "FT1[2]-2"


def test_empty_and_oversized() -> None:
    for nothing in (b"", b"\r\n "):
        with pytest.raises(RequiredMissing):
            admit(nothing, PLAIN, hash_key=KEY)
    small = Interface(name="s", account_key="PID-18", max_bytes=100)
    with pytest.raises(TooLarge) as caught:
        admit(message(PID, FT1), small, hash_key=KEY)
    assert caught.value.ack_code == "AE"


@given(st.binary(max_size=80), st.integers(0, 200))
def test_damaged_message_raises_only_what_can_be_answered(noise: bytes, at: int) -> None:
    whole = message(PID, FT1)
    for data in (whole[:at], whole[:at] + noise + whole[at:], noise):
        error = refused(data)
        if error is not None:
            assert error.ack_code in ("AE", "AR")
            assert error.location


def refused(data: bytes) -> FhirpayError | None:
    try:
        admit(data, PLAIN, hash_key=KEY)
    except FhirpayError as error:
        return error
    return None


@pytest.mark.parametrize("bad", ["A\x00B", "A\\X00\\B", "é" * 251])
@pytest.mark.parametrize(
    ("field", "place"),
    [("CTL", "MSH-10"), ("ACCT", "PID-18"), ("MRN", "PID-3"), ("GUAR", "GT1[1]-2"), ("TX", "FT1[1]-2")],
)
def test_id_that_no_database_could_keep_is_refused_where_it_stands(field: str, place: str, bad: str) -> None:
    """PostgreSQL keeps no U+0000, and no index entry beyond 2704 bytes: unanswered, it is sent again for ever."""
    lines = [
        "MSH|^~\\&|A|B|C|D|20261120090000||DFT^P03|CTL|P|2.5.1",
        "PID|1||MRN^^^X||Doe^Ann|||||||||||||ACCT",
        "GT1|1|GUAR",
        "FT1|1|TX||20261120||CG|99213||||10",
    ]
    data = "\r".join(lines).replace(field, bad).encode()
    assert refusal(data) == ("AE", "102", place)


@pytest.mark.parametrize(
    ("more", "location"),
    [
        ("".join(FT1.replace("N-1", f"N-{number}") for number in range(2_000)) + FT1, "FT1[2001]"),
        ("IN1|1|PPO\r" * 201 + FT1, "IN1[201]"),
        ("NK1|1|" + "~".join(["Doe^Ann"] * 201) + "\r" + FT1, "NK1[1]-2"),
        (f"DG1|1||{'~' * 150}\r" * 70 + FT1, "DG1[67]"),
        ("".join(f"GT1|1|{'~'.join(f'G{one}-{two}' for two in range(100))}\r" for one in range(11)) + FT1, "PID"),
    ],
)
def test_what_a_message_may_say_has_bounds(more: str, location: str) -> None:
    assert refusal(message(PID, more)) == ("AE", "102", location)


def test_what_nothing_is_made_of_has_none() -> None:
    remarks = "NTE|1||" + "~" * 20_000 + "\r"
    admit(message(PID, FT1, "OBX|1|ST|1||x\r" * 3_000, remarks), PLAIN, hash_key=KEY)

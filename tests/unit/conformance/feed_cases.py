"""For each kind of finding, how to spoil the clean sample so that it appears."""

from __future__ import annotations

from collections.abc import Callable

from feed_sample import Spoiled

Spoil = Callable[[Spoiled], object]


def _set(name: str, number: int, value: str, message: int | None = 0) -> Spoil:
    return lambda sample: sample.set(name, number, value, message)


def _all(name: str, number: int, value: str) -> Spoil:
    return _set(name, number, value, None)


def _settings(**settings: object) -> Spoil:
    return lambda sample: sample.settings.update(settings)


def _bytes(change: Callable[[bytes], bytes]) -> Spoil:
    def spoil(sample: Spoiled) -> None:
        sample.bytes_of = change

    return spoil


def _both(*spoils: Spoil) -> Spoil:
    return lambda sample: [spoil(sample) for spoil in spoils]


def _marks(marks: str) -> Spoil:
    def spoil(sample: Spoiled) -> None:
        sample.marks = marks

    return spoil


def _messages(count: int) -> Spoil:
    def spoil(sample: Spoiled) -> None:
        del sample.messages[count:]

    return spoil


def _line(**fields: str) -> Spoil:
    """The first FT1 with these fields: `_11="5"`."""
    return lambda sample: sample.segment("FT1").update({int(name[1:]): value for name, value in fields.items()})


def _uninsured(sample: Spoiled) -> None:
    sample.drop("IN1", 0)


def _twice(sample: Spoiled) -> None:
    sample.add("FT1", dict(sample.segment("FT1")))


def _again(sample: Spoiled) -> None:
    sample.messages.append(sample.messages[0])


def _short_marks(sample: Spoiled) -> None:
    for line in sample.each("FT1"):
        line.update({11: line.get(11, "").replace("&USD", ""), 12: line.get(12, "").replace("&USD", "")})
    sample.drop("NTE")
    sample.marks = "|^~"


def _numbered_by_line(sample: Spoiled) -> None:
    for line in sample.each("FT1"):
        line[2] = line[1]


def _whole_amounts(sample: Spoiled) -> None:
    for line in sample.each("FT1"):
        line.update({11: "251&USD", 12: ""})


def _head(number: int, value: str, message: int | None = 0) -> Spoil:
    return _set("MSH", number, value, message)


CASES: dict[str, Spoil] = {
    # wire
    "unreadable": _bytes(lambda data: data + b"PIX|1|\rGARBAGE LINE\r"[6:]),
    "nothing-read": _bytes(lambda _: b""),
    "message-too-large": _settings(max_bytes=300),
    "delimiters-wrong": _bytes(lambda data: data.replace(b"MSH|^~\\&|", b"MSH|^^\\&|", 1)),
    "delimiters-unusual": _bytes(lambda data: data.replace(b"^", b"$")),
    "delimiters-short": _short_marks,
    "escape-unknown": _set("PV1", 10, "C:\\temp"),
    "charset-undeclared": _set("PV1", 10, "Médecine"),
    "charset-unknown": _head(18, "EBCDIC"),
    "charset-wrong": _both(_head(18, "UNICODE UTF-8"), _bytes(lambda data: data.replace(b"Payer Inc", b"Pay\xe9", 1))),
    "charset-ascii-broken": _both(_head(18, "ASCII"), _set("PV1", 10, "Médecine")),
    "byte-order-mark": _bytes(lambda data: b"\xef\xbb\xbf" + data),
    "control-characters": _set("PV1", 10, "a\x01b"),
    "lines-end-in-lf": _bytes(lambda data: data.replace(b"\r", b"\n")),
    "final-cr-missing": _bytes(lambda data: data.rstrip(b"\r")),
    "z-segments": lambda sample: sample.add("ZPY", {1: "25.00"}),
    "segments-unread": lambda sample: sample.messages[0].insert(1, ("SFT", {1: "Vendor"})),
    "card-number": lambda sample: sample.add("NTE", {1: "1", 3: "card 4111111111111111"}),
    "batch-count-wrong": _bytes(lambda data: b"BHS|^~\\&|\r" + data + b"BTS|7\r"),
    "batch-trailer-missing": _bytes(lambda data: b"BHS|^~\\&|\r" + data),
    # header
    "sample-small": _messages(3),
    "no-charges": lambda sample: (_head(9, "ADT^A04", None)(sample), sample.drop("FT1"), sample.drop("NTE")),
    "type-not-taken": _head(9, "ORU^R01"),
    "event-in-evn": lambda sample: (_head(9, "DFT")(sample), sample.messages[0].insert(1, ("EVN", {1: "P03"}))),
    "version-not-taken": _head(12, "3.0"),
    "versions-mixed": _head(12, "2.4"),
    "processing-id-other": _head(11, "T"),
    "control-id-missing": _head(10, ""),
    "control-id-reused": _head(10, "C2"),
    "message-repeated": _again,
    "senders-mixed": _head(4, "OTHER"),
    "sender-unnamed": _both(_head(3, ""), _head(4, "")),
    "ack-wishes": _both(_head(15, "AL"), _head(16, "NE")),
    "ack-never": _both(_head(15, "NE"), _head(16, "NE")),
    "required-empty": _settings(required=("PID-11",)),
    # identity
    "account-key-empty": _set("PID", 18, ""),
    "account-key-shared": _set("PID", 18, "A2^^^LAB^AN"),
    "account-key-other": lambda sample: sample.add(
        "PV1", {1: "1", 2: "O", 19: "V5^^^LAB^VN", 20: "PPO", 44: "20261118"}, 4
    ),
    "account-assigner-missing": _set("PID", 18, "A1"),
    "patient-id-missing": _set("PID", 3, ""),
    "patient-segment-missing": lambda sample: sample.drop("PID", 0),
    "patient-id-untyped": _set("PID", 3, "1001^^^LAB^MR~77^^^LAB"),
    "id-placeholder": _set("PID", 3, "99999^^^LAB^MR"),
    "patient-name-missing": _set("PID", 5, ""),
    "test-patient": _set("PID", 5, "ZZTEST^Somebody"),
    "visit-number-missing": _set("PV1", 19, ""),
    "transaction-id-empty": _line(_2=""),
    "transaction-id-reused": lambda sample: (_again(sample), _differently(sample)),
    "transaction-id-is-set-id": _numbered_by_line,
    "credit-unlinked": lambda sample: sample.segment("FT1", 7).update({2: "T999"}),
    # by the program itself
    "message-waits": _head(9, "BAR^P05"),
    "people-asked": lambda sample: (_again(sample), _differently(sample)),
    "owed-otherwise": lambda sample: (_again(sample), _differently(sample)),
    # amounts
    "transaction-type-unmapped": _line(_6="XX"),
    "transaction-type-missing": _line(_6=""),
    "copay-ambiguous": _settings(co_means="park"),
    "payments-posted": _line(_6="PY"),
    "adjustments-posted": _line(_6="AJ"),
    "lines-wait": _line(_4="2026-11-18"),
    "line-twice": _twice,
    "amount-missing": _line(_11="", _12=""),
    "amount-invalid": _line(_11="$5.00"),
    "amount-mismatch": _line(_10="3"),
    "amount-from-unit-price": _line(_11=""),
    "amounts-without-point": _whole_amounts,
    "amount-zero": _line(_11="0.00&USD", _12=""),
    "amount-large": _line(_11="1251000.00&USD", _12=""),
    "charge-negative": _line(_11="-251.00&USD"),
    "quantity-negative": _line(_10="-2"),
    "credit-signs-mixed": lambda sample: (
        sample.segment("FT1", 7).update({11: "-251.00&USD"}),
        sample.segment("FT1", 6).update({6: "CD"}),
    ),
    "credit-sign-other": _settings(credit_sign="signed"),
    "copay-negative": lambda sample: sample.segment("FT1", 1).update({11: "-25.00&USD"}),
    "currency-missing": _line(_11="251.00", _12="125.50"),
    "currencies-mixed": _line(_11="251.00&EUR", _12="125.50&EUR"),
    "currency-unknown": _line(_11="251.00&XQQ"),
    "currency-conflict": _line(_12="125.50&EUR"),
    "currency-misplaced": _line(_11="251.00^USD", _12="125.50^USD"),
    "amount-repeats": _line(_11="251.00&USD~230.00&EUR"),
    "quantity-units": _line(_10="2^MIN"),
    "quantity-broken": _line(_10="2.5", _11="313.75&USD"),
    "charge-code-missing": _line(_7=""),
    "charge-code-without-system": _line(_7="99213^Office visit"),
    # payers
    "class-missing": _both(_uninsured, _set("PV1", 20, "")),
    "class-unmapped": _both(_uninsured, _set("PV1", 20, "CASH")),
    "self-pay-beside-insurance": _set("PV1", 20, "SP"),
    "coverage-not-declared": _settings(carries_coverage=False),
    "coverage-absent": lambda sample: sample.drop("IN1"),
    "payer-unnamed": _both(_set("IN1", 3, ""), _set("IN1", 4, "")),
    "plan-type-unmapped": _set("IN1", 15, "ZZ"),
    "subscriber-id-missing": _set("IN1", 36, ""),
    "coverage-expired": _set("IN1", 13, "20261101"),
    "minor-without-guarantor": lambda sample: sample.drop("GT1"),
    "guarantors-absent": lambda sample: (sample.drop("GT1"), _set("PID", 7, "19800101", None)(sample)),
    "guarantor-differs": _set("GT1", 11, "SEL", 2),
    "relationship-unmapped": _set("GT1", 11, "QQQ", 2),
    "patient-class-unmapped": _set("PV1", 2, "Z"),
    "account-status-unmapped": _set("PV1", 41, "FROZEN"),
    "sex-unmapped": _set("PID", 8, "Z"),
    # dates
    "times-without-zone": _head(7, "20261119101500", None),
    "zones-mixed": _head(7, "20261119101500"),
    "date-invalid": _set("PV1", 44, "2026-11-18"),
    "service-date-missing": _line(_4=""),
    "service-date-ahead": _line(_4="20261201"),
    "service-date-old": _line(_4="20210101"),
    "message-time-missing": _head(7, ""),
    "message-time-ahead": _head(7, "20270101101500-0500"),
    "birth-date-missing": _set("PID", 7, ""),
    "birth-date-ahead": _set("PID", 7, "20300101"),
    "admission-missing": _set("PV1", 44, ""),
    "discharge-missing": _all("PV1", 45, ""),
    "discharge-before-admission": _set("PV1", 45, "20261101"),
    # what the gate and the maps say themselves
    "refused": _set("GT1", 2, "G" * 600, 2),
    "not-applied": _both(_head(9, "ADT^A04"), _set("PID", 18, "")),
    "left-out": _set("PID", 25, "0"),
}


def _differently(sample: Spoiled) -> None:
    """The last message says another service under the number of the first."""
    header, *rest = sample.messages[-1]
    segments = [(name, dict(fields)) for name, fields in rest]
    segments[-1][1].update({7: "99999^Something else^C4"})
    sample.messages[-1] = [(header[0], {**header[1], 10: "C99"}), *segments]

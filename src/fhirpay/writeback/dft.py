"""A payment, a refund or an adjustment → DFT^P03, by the receiver's profile. Pure; called by usecases/post_dft.py.

One FT1 for each allocation, and for each part of an adjustment: FT1-2 is its identifier, so that it is the same however
often it is sent, and what comes back as an FT1 of ours is known again. FT1-31 can't point outside of its message, so
the charge stands in an NTE or a Z-segment. To change the shape, change it here and look at the difference in
tests/golden/writeback.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from ..config_destination import ADJUSTMENT_CODES, ADJUSTMENT_SIGNS, MONEY_SIGNS, Destination
from ..domain.money import Money
from ..errors import RuleBroken
from ..hl7.charsets import codec_of
from ..hl7.delimiters import DEFAULT
from ..hl7.writer import Field, Repetition, SegmentValues, compose
from .as_received import Chart
from .posted import Line, Posted, PostedAdjustment, allocation_id, takes

MESSAGE_TYPE = "DFT^P03"
_UNKNOWN_CLASS = "U"  # table 0004
_UNSPECIFIED = "U"  # table 0203: CX-5 is required since 2.5, and has no code for a payment's reference
_PSEUDONYM: Field = ("", "", "", "", "", "", "S")  # XPN.7, table 0200: a coded pseudonym
_ACKNOWLEDGED = {"original": ("", ""), "commit": ("AL", "NE"), "both": ("AL", "AL"), "elsewhere": ("AL", "AL")}
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
_CONTROL_ID_MAX = 20  # MSH-10 before 2.7


def control_id(posting_id: str) -> str:
    """MSH-10: it follows from the posting, so that a resend has the same."""
    return posting_id[-_CONTROL_ID_MAX:]


def number_of(allocation: str, profile: Destination) -> str:
    """FT1-2 of an allocation. The short one follows from the long one, so that it is the same however often sent."""
    if profile.transaction_id == "full":
        return allocation
    bits = int.from_bytes(hashlib.sha256(allocation.encode()).digest()[:8], "big")
    return "".join(_LETTERS[bits >> 5 * place & 31] for place in range(12))


def numbers(posted: Posted, lines: Sequence[Line], profile: Destination) -> dict[str, int]:
    """The short FT1-2 of each line → its number, for whoever is to know it again; none where they are full."""
    if profile.transaction_id == "full":
        return {}
    return {number_of(allocation_id(posted.id, line.number), profile): line.number for line in lines}


def render(
    posted: Posted,
    profile: Destination,
    *,
    posting_id: str,
    lines: Sequence[Line],
    chart: Chart,
    charges: Mapping[str, str],
    now: datetime,
) -> str:
    """The message about one account, that of `lines`. `charges` has the FT1-2 of what they pay.

    Raises RuleBroken where there is no line, or its character set can't say what is to be said.
    """
    if not lines:
        raise RuleBroken(f"nothing of {posted.id} is for that account any more: there is nothing to post")
    zone = ZoneInfo(posted.zone)
    segments: list[SegmentValues] = [
        ("EVN", "P03" if _number(profile) < (2, 7) else "", _time(now, zone)),
        _pid(chart, profile),
    ]
    if chart.visit or chart.alternate_visit or chart.patient_class:
        segments.append(
            _at(
                {0: "PV1", 1: "1", 2: chart.patient_class or _UNKNOWN_CLASS, 19: chart.visit}
                | {50: chart.alternate_visit}
            )
        )
    for number, line in enumerate(lines, start=1):
        segments.append(_ft1(posted, profile, line, number, _time(posted.at, zone), _time(now, zone)))
        segments += _beside(posted, profile, line, charges.get(line.target, ""))
    if chart.guarantor:
        segments.append(("GT1", "1", chart.guarantor, chart.guarantor_name))
    return _encodable(segments, profile, posted, control_id(posting_id), _time(now, zone))


def encoded(message: str, profile: Destination) -> bytes:
    """The bytes: always the same for the same message."""
    return message.encode(codec_of(profile.charset) or "utf-8")


def _encodable(segments: list[SegmentValues], profile: Destination, posted: Posted, control: str, time: str) -> str:
    body = compose(segments)
    declared = profile.charset or ("" if body.isascii() else "UNICODE UTF-8")
    head = compose([_msh(profile, posted, control, time, declared)])
    try:
        encoded(head + body, profile)
    except UnicodeEncodeError:
        raise RuleBroken(f"'{profile.name}' reads {profile.charset}, which has no letter for a name in this") from None
    return head + body


def _msh(profile: Destination, posted: Posted, control: str, time: str, charset: str) -> SegmentValues:
    facility = profile.facility_codes.get(posted.facility) or profile.sending_facility or posted.facility
    kind = ("DFT", "P03", "DFT_P03") if _number(profile) >= (2, 3, 1) else ("DFT", "P03")
    accept, application = _ACKNOWLEDGED[profile.acknowledge]
    ends = (_split(profile.receiving_application), _split(profile.receiving_facility))
    head: SegmentValues = ("MSH", _split(profile.sending_application), _split(facility), *ends, time, "", kind, control)
    return (*head, profile.processing, profile.version, "", "", accept, application, "", charset)


def _pid(chart: Chart, profile: Destination) -> SegmentValues:
    name = (chart.name or _PSEUDONYM) if profile.patient_name else _PSEUDONYM
    return _at({0: "PID", 1: "1", 3: chart.patient, 5: name, 18: chart.account})


def _ft1(posted: Posted, profile: Destination, line: Line, number: int, at: str, entered: str) -> SegmentValues:
    code, sign = _code_and_sign(posted, line, profile)
    amount = Money(sign * line.amount.minor, line.amount.currency)
    text = f"{amount.decimal}"
    money: Field = ((text, amount.currency),) if profile.currency_in_amount else text
    fields: dict[int, Field] = {
        0: "FT1",
        1: str(number),
        2: number_of(allocation_id(posted.id, line.number), profile),
        4: at,
        5: entered,
        6: code,
        7: _coded(posted, profile),
        10: "1" if "FT1-12" in profile.amount_in else "",
        **{int(place.removeprefix("FT1-")): money for place in profile.amount_in},
    }
    reference, processor = _reference(posted)
    if reference and profile.reference_in == "FT1-30" and _number(profile) >= (2, 5):
        fields[30] = (reference, "", "", processor, _UNSPECIFIED)
    return _at(fields)


def _beside(posted: Posted, profile: Destination, line: Line, charge: str) -> list[SegmentValues]:
    """What FT1 has no field for: the charge, what is taken back, the reference where the profile wants it so."""
    notes: list[str] = []
    segments: list[SegmentValues] = []
    takes_back = number_of(line.takes_back, profile) if line.takes_back else ""
    if profile.charge_in == "NTE":
        notes += [f"CHARGE {charge}"] if charge else []
        notes += [f"TAKES BACK {takes_back}"] if takes_back else []
    elif profile.charge_in != "none" and (charge or takes_back):
        segments.append((profile.charge_in, "1", charge, takes_back))
    if profile.reference_in == "NTE" and (reference := _reference(posted)[0]):
        notes.append(f"REFERENCE {reference}")
    if notes:  # one NTE: DFT allows no second one for an FT1, and NTE-3 repeats
        segments.insert(0, ("NTE", "1", "", list[Repetition](notes)))
    return segments


def _code_and_sign(posted: Posted, line: Line, profile: Destination) -> tuple[str, int]:
    """FT1-6, and the sign of FT1-11."""
    if isinstance(posted, PostedAdjustment):
        codes, sign = (profile.adjustment_code, profile.adjustment_back_code), ADJUSTMENT_SIGNS[profile.adjustment_sign]
        return codes[posted.back], sign[posted.back]
    back = takes(posted, line)
    return (profile.payment_code, profile.refund_code)[back], MONEY_SIGNS[profile.sign][back]


def _coded(posted: Posted, profile: Destination) -> Field:
    """FT1-7: by what was paid, or why an adjustment was made."""
    if isinstance(posted, PostedAdjustment):
        codes = {**ADJUSTMENT_CODES, **profile.adjustment_codes}
        return _split(codes[posted.kind])
    for key in (posted.brand, posted.method, "default"):
        if key and key in profile.media:
            return _split(profile.media[key])
    return (posted.method, "", "HL70570")


def _reference(posted: Posted) -> tuple[str, str]:
    """The processor's reference, and whose it is. No processor knows of an adjustment."""
    return ("", "") if isinstance(posted, PostedAdjustment) else (posted.reference, posted.processor)


def _at(fields: Mapping[int, Field]) -> SegmentValues:
    return tuple(fields.get(number, "") for number in range(max(fields) + 1))


def _split(text: str) -> Field:
    """A value of the profile: components are separated as they will be."""
    return tuple(text.split(DEFAULT.component)) if DEFAULT.component in text else text


def _number(profile: Destination) -> tuple[int, ...]:
    return tuple(int(part) for part in profile.version.split("."))


def _time(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y%m%d%H%M%S%z")

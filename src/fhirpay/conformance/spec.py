"""A profile as an interface specification: one page that a sender's analyst can read, print and sign."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from .page import Html, code, page, section, table, tag, text
from .profile import Code, FieldProfile, Profile, SegmentProfile

_USAGE = {
    "R": "required: a message without it is refused, or its line waits for a person",
    "RE": "required where the sender knows it; may be empty",
    "O": "optional: may be sent",
    "X": "not wanted: please leave it out",
}


def as_html(profile: Profile, *, on: date) -> str:
    return page(
        f"HL7 v2 interface specification: {profile.interface}",
        tag("h1", f"HL7 v2 interface specification “{profile.interface}”"),
        tag(
            "p",
            f"What fhirpay takes from this feed, and what each message does to what a patient is asked for. Made on "
            f"{on.isoformat()} from the interface's settings and maps; fields are named as in {profile.standard}.",
            of="lead",
        ),
        section("1  Transport", _transport(profile)),
        section("2  What was agreed", _pairs(("setting", "value"), profile.settings)),
        section("3  How things are told apart", _pairs(("what", "by"), profile.identity)),
        section("4  Messages", _messages(profile)),
        section("5  Acknowledgements", _acknowledgements(profile)),
        section("6  What a charge line does (FT1-6)", _transactions(profile)),
        section("7  Segments and fields", _legend(), *_segments(profile)),
        section("8  Rules", _rules(profile)),
        section("9  Codes", *_codes(profile)),
        section("10  Agreed by", _signatures()),
    )


def _pairs(heads: tuple[str, str], rows: tuple[Code, ...]) -> Html:
    return table(heads, [(code(one.code), one.means) for one in rows], wide=(28, 72))


def _transport(profile: Profile) -> Html:
    wire = profile.wire
    rows = [
        ("Transport", wire.transport),
        ("Port", str(wire.port) if wire.port else "none"),
        ("Security", wire.security),
        ("Who may connect", ", ".join(wire.peers) or "everyone who reaches the port"),
        ("Largest message", f"{wire.max_bytes:,} bytes"),
        ("Character set", wire.charset),
        ("Versions (MSH-12)", ", ".join(wire.versions)),
    ]
    return table(("", ""), rows, wide=(28, 72))


def _messages(profile: Profile) -> Html:
    rows = [(code(one.type), code(" ".join(one.structure)), ", ".join(one.makes)) for one in profile.messages]
    words = tag(
        "p",
        "Other segments may be sent; they are kept with the message and nothing is read from them. Every other message "
        "type is answered AR 200 or 201.",
    )
    return Html(
        table(("message", "segments that are read", "what it makes (FHIR R4)"), rows, wide=(16, 40, 44)) + words
    )


def _acknowledgements(profile: Profile) -> Html:
    rows = [(code(one.code) or "none", one.error, one.when) for one in profile.acknowledgements]
    words = tag(
        "p",
        "An acknowledgement leaves only after the message has been stored durably. A message that comes again with the "
        "same MSH-10 and the same content gets the same answer and counts once, so a sender that heard nothing "
        "sends it "
        "again.",
    )
    return Html(table(("MSA-1", "ERR-3", "when"), rows, wide=(16, 10, 74)) + words)


def _transactions(profile: Profile) -> Html:
    rows = [(code(one.code), one.means if one.means != one.code else "", one.effect) for one in profile.transactions]
    return table(("FT1-6", "taken for", "what it does"), rows, wide=(16, 12, 72))


def _rules(profile: Profile) -> Html:
    rows = [
        (code(one.rule), code(one.segment), one.makes, Html(text(one.when) + tag("div", one.why, of="small")))
        for one in profile.rules
    ]
    return table(("rule", "each", "makes", "when, and why"), rows, wide=(20, 8, 18, 54))


def _legend() -> Html:
    return table(("usage", "means"), [(code(usage), says) for usage, says in _USAGE.items()], wide=(16, 84))


def _segments(profile: Profile) -> Iterator[Html]:
    for segment in profile.segments:
        when = f", {segment.condition}" if segment.condition else ""
        yield tag("h3", f"{segment.name} – {segment.usage}, {segment.cardinality}{when}")
        yield _fields(segment)


def _fields(segment: SegmentProfile) -> Html:
    rows = [
        (code(one.address), one.name, one.datatype, code(one.usage), one.cardinality, _note(one))
        for one in segment.fields
    ]
    return table(("field", "name", "type", "usage", "card.", "what it is for"), rows, wide=(9, 20, 7, 7, 7, 50))


def _note(one: FieldProfile) -> Html:
    parts: list[str | Html] = []
    if one.money:
        parts.append(tag("strong", one.money + " "))
    if one.condition:
        parts.append(f"{one.condition[:1].upper()}{one.condition[1:]}. ")
    if one.required_in:
        parts.append(f"Required in {', '.join(one.required_in)}. ")
    if one.codes:
        parts.append(f"Codes: {', '.join(one.codes)}. ")
    elif one.table:
        parts.append(f"Table {one.table}. ")
    if one.becomes:
        parts.append(tag("span", "→ " + ", ".join(one.becomes), of="small"))
    return tag("span", *parts)


def _codes(profile: Profile) -> Iterator[Html]:
    yield tag("p", "A code that isn't listed is kept as sent; where money depends on it, the line waits for a person.")
    for name, rows in profile.tables.items():
        yield tag("h3", name)
        half = (len(rows) + 1) // 2
        left, right = rows[:half], [*rows[half:], None]
        pairs = [
            (code(one.code), one.means, code(other.code) if other else "", other.means if other else "")
            for one, other in zip(left, right, strict=False)
        ]
        yield table(("code", "means", "code", "means"), pairs, wide=(16, 34, 16, 34))


def _signatures() -> Html:
    lines = [("Name", "", ""), ("Role, organisation", "", ""), ("Date", "", ""), ("Signature", "", "")]
    words = tag(
        "p",
        "By signing, the sender says that its messages are as this specification says, and that a change is "
        "told before "
        "it is made; the receiver says that it reads them so.",
    )
    return Html(words + table(("", "for the sender", "for the receiver"), lines, of="sign", wide=(22, 39, 39)))

"""An interface's settings and maps → one machine-readable profile: what is taken, what each field must be and does.

`fhirpay conformance profile` prints it, `spec` makes a page of it, conformance/ keeps the one of the `sample` interface
and the JSON schema of these models. It is derived, never edited: to change it, change a setting or a map.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .. import errors
from ..config import Facility, Interface
from ..hl7.standard import VERSION, field
from ..inbox.gate import KEY_MAX, VERSIONS, events_of
from ..mapping.loader import Maps, load
from .reading import FieldRead, applies, fields_read, transactions
from .words import condition, money, transaction_effect

SCHEMA = "interface-profile.schema.json"
Usage = Literal["R", "RE", "O", "X"]

_ORDER = "MSH EVN PID PD1 MRG PV1 PV2 SCH AIS AIL RGS DG1 PR1 ACC FT1 NTE GT1 IN1 IN2 IN3".split()
_HEADER: dict[str, tuple[Usage, str]] = {
    "MSH-1": ("R", "any punctuation; | is usual"),
    "MSH-2": ("R", "any four punctuation characters; ^~\\& is usual"),
    "MSH-3": ("RE", "part of the name under which a message and a charge are known"),
    "MSH-4": ("RE", "part of the name under which a message and a charge are known"),
    "MSH-5": ("RE", "part of the name under which a message is known"),
    "MSH-6": ("RE", "part of the name under which a message is known"),
    "MSH-7": ("RE", "with the offset from UTC"),
    "MSH-9": ("R", "type and event, such as DFT^P03"),
    "MSH-10": ("R", "another one for each message; a resend repeats it"),
    "MSH-11": ("R", ""),
    "MSH-12": ("R", ""),
    "MSH-15": ("O", "AL, NE, ER or SU ask for enhanced acknowledgements"),
    "MSH-16": ("O", "AL, NE, ER or SU ask for enhanced acknowledgements"),
    "MSH-18": ("RE", "the character set; else UTF-8 is tried, then the fallback"),
}
_SSN = "a social security number: nothing reads it, please leave it out"
_UNWANTED = {"PID-19": _SSN, "GT1-12": _SSN, "IN2-2": _SSN}
_CHARGE = {
    "FT1-2": "where it is empty, a charge that comes again is told from a second one by a person",
    "FT1-11": "FT1-11 or FT1-12 has to be filled, else the line waits for a person",
    "FT1-12": "FT1-11 or FT1-12 has to be filled, else the line waits for a person",
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Code(_Part):
    code: str
    means: str


class FieldProfile(_Part):
    address: str = Field(description="segment and field, such as FT1-11")
    name: str
    datatype: str
    usage: Usage = Field(description="R required, RE required where it is known, O optional, X not wanted")
    cardinality: str = Field(description="how many repetitions are read, such as 0..1 or 1..*")
    messages: tuple[str, ...] = Field(description="the messages whose maps read it; empty: all")
    required_in: tuple[str, ...] = Field(description="message types that are refused without it; empty: all or none")
    condition: str = Field(description="when it is needed, or what holds for it")
    table: str = Field(description="the standard's table; empty: none")
    codes: tuple[str, ...] = Field(description="the code tables below that its codes go through")
    becomes: tuple[str, ...] = Field(description="the FHIR R4 elements that it fills")
    decides: tuple[str, ...] = Field(description="what a condition on it decides about")
    money: str = Field(description="what it does to money; empty: nothing")


class SegmentProfile(_Part):
    name: str
    usage: Usage
    cardinality: str
    condition: str
    fields: tuple[FieldProfile, ...]


class MessageProfile(_Part):
    type: str
    structure: tuple[str, ...] = Field(description="the segments that are read, in their order")
    makes: tuple[str, ...] = Field(description="the FHIR resources that it makes or changes")


class TransactionProfile(_Part):
    code: str = Field(description="FT1-6 as the sender writes it")
    means: str = Field(description="the type of HL7 table 0017 that it is taken for")
    effect: str


class RuleProfile(_Part):
    rule: str
    messages: tuple[str, ...]
    segment: str = Field(description="once for each of these segments; empty: once a message")
    makes: str = Field(description="the resource, what it adds to, or that the line waits")
    when: str = Field(description="the condition, in words; empty: always")
    why: str


class AckRule(_Part):
    code: str
    error: str = Field(description="ERR-3, of HL7 table 0357; empty: none")
    when: str


class Wire(_Part):
    transport: str
    port: int | None
    security: str
    peers: tuple[str, ...]
    max_bytes: int
    charset: str
    versions: tuple[str, ...]


class Profile(_Part):
    interface: str
    standard: str = Field(description="the version whose names of fields are used")
    wire: Wire
    identity: tuple[Code, ...] = Field(description="what names patients, accounts and charges")
    settings: tuple[Code, ...] = Field(description="what was agreed, by setting")
    messages: tuple[MessageProfile, ...]
    segments: tuple[SegmentProfile, ...]
    transactions: tuple[TransactionProfile, ...]
    rules: tuple[RuleProfile, ...] = Field(description="the conditional rules, in their order")
    acknowledgements: tuple[AckRule, ...]
    tables: dict[str, tuple[Code, ...]]


def describe(interface: Interface, facility: Facility, own: Path | None = None) -> Profile:
    """The profile of an interface; `own`: the folder of a site's maps. Raises ConfigInvalid when they are wrong."""
    maps = load(interface.mapping, own=own)
    taken = {label: rules for label, rules in maps.rules.items() if _is_taken(label, interface)}
    read = fields_read(Maps(taken, maps.tables), interface)
    for path in interface.required:
        segment, _, number = path.partition(".")[0].partition("-")
        read.setdefault(f"{segment}-{number}", FieldRead(segment, int(number)))
    segments = tuple(_segments(read, interface))
    used = {name for one in segments for field in one.fields for name in field.codes}
    return Profile(
        interface=interface.name,
        standard=f"HL7 v{VERSION}",
        wire=_wire(interface),
        identity=tuple(_identity(interface)),
        settings=tuple(_settings(interface, facility)),
        messages=tuple(_message(label, read, maps) for label in sorted(taken)),
        segments=segments,
        transactions=tuple(_transactions(Maps(taken, maps.tables), interface)),
        rules=tuple(_rules(Maps(taken, maps.tables), interface)),
        acknowledgements=tuple(_acknowledgements(interface)),
        tables={
            name: tuple(
                Code(code=v2, means=" ".join(filter(None, (one.code, one.display)))) for v2, one in rows.items()
            )
            for name, rows in sorted(maps.tables.items())
            if name in used
        },
    )


def profile_text(profile: Profile) -> str:
    """As kept in conformance/: its schema named first, one line a value."""
    values = {"$schema": SCHEMA, **profile.model_dump(mode="json")}
    return json.dumps(values, ensure_ascii=False, indent=1)


def schema_text() -> str:
    schema = Profile.model_json_schema()
    schema["properties"] = {"$schema": {"type": "string"}, **schema["properties"]}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA}
    return json.dumps(head | schema, ensure_ascii=False, indent=1)


def _is_taken(label: str, interface: Interface) -> bool:
    kind, _, event = label.partition("^")
    return event in events_of(kind, interface)


def _wire(interface: Interface) -> Wire:
    secure = "TLS 1.2 or newer" if interface.tls_cert else "no TLS: a trusted network or a tunnel is needed"
    if interface.tls_client_ca:
        secure += f", a client certificate is {interface.tls_client_cert}"
    return Wire(
        transport="MLLP (VT, the message, FS, CR)" if interface.mllp_port else "HTTP POST /hl7v2, or files",
        port=interface.mllp_port,
        security=secure,
        peers=interface.peers,
        max_bytes=interface.max_bytes,
        charset=f"as MSH-18 says; where it is empty UTF-8, else {interface.charset_fallback}",
        versions=tuple(sorted(VERSIONS)),
    )


def _identity(interface: Interface) -> Iterator[Code]:
    yield Code(code="message", means="MSH-3, MSH-4, MSH-5, MSH-6 and MSH-10 together")
    yield Code(code="patient", means="PID-3, the first repetition, with its assigning authority")
    yield Code(code="account", means=f"{interface.account_key}, with its assigning authority; never another field")
    yield Code(code="charge", means="MSH-3, MSH-4, the account, FT1-2 and whether it is a charge or a credit")
    yield Code(code="without an authority", means=f"identifiers are kept under {interface.system}")
    yield Code(code="length", means=f"an identifier has {KEY_MAX} bytes at most")


def _settings(interface: Interface, facility: Facility) -> Iterator[Code]:
    said = {
        "account_key": interface.account_key,
        "processing": interface.processing,
        "zone": interface.zone or facility.zone,
        "currency": interface.currency,
        "co_means": interface.co_means,
        "credit_sign": interface.credit_sign,
        "negative_charge": interface.negative_charge,
        "correction": interface.correction,
        "segments": interface.segments,
        "payment_sign": interface.payment_sign,
        "payments_from": interface.payments_from,
        "echoes": interface.echoes,
        "adjustment_sign": interface.adjustment_sign,
        "carries_coverage": "yes" if interface.carries_coverage else "no",
        "self_pay_classes": ", ".join(interface.self_pay_classes) or "none",
        "unique_ids": "promised" if interface.unique_ids else "not promised",
        "required": ", ".join(interface.required) or "nothing beyond this profile",
        "charset_fallback": interface.charset_fallback,
    }
    for name, value in said.items():
        yield Code(code=name, means=value)


def _segments(read: dict[str, FieldRead], interface: Interface) -> Iterator[SegmentProfile]:
    addresses = set(_HEADER) | set(read) | {interface.account_key} | set(_UNWANTED)
    names = {address[:3] for address in addresses} - ({"IN2"} - {one.segment for one in read.values()})
    for name in sorted(names, key=lambda one: (_ORDER.index(one) if one in _ORDER else len(_ORDER), one)):
        own = sorted((one for one in addresses if one.startswith(f"{name}-")), key=lambda one: int(one[4:]))
        usage, cardinality, when = _segment_usage(name, interface)
        yield SegmentProfile(
            name=name,
            usage=usage,
            cardinality=cardinality,
            condition=when,
            fields=tuple(_field(one, read.get(one), interface) for one in own),
        )


def _segment_usage(name: str, interface: Interface) -> tuple[Usage, str, str]:
    key = interface.account_key[:3]
    if name in ("MSH", "PID"):
        return "R", "1..1", ""
    if name == "FT1":
        return "R", "1..*", "in DFT"
    if name == key:
        return "R", "1..1", "in DFT: it names the account"
    if name == "IN1":
        covered = "whenever the patient has insurance, in every message"
        return "RE", "0..*", covered if interface.carries_coverage else "whenever it is known"
    if name == "GT1":
        return "RE", "0..*", "whenever someone else than the patient answers for the account; always for minors"
    return "RE", "0..*" if name in ("NTE", "IN2", "IN3", "DG1", "PR1") else "0..1", ""


def _field(address: str, found: FieldRead | None, interface: Interface) -> FieldProfile:
    named = field(address[:3], int(address[4:]))
    usage, required_in, condition = _usage(address, found, interface)
    repeats = found is not None and found.repeats
    return FieldProfile(
        address=address,
        name=named.name,
        datatype=named.datatype,
        usage=usage,
        cardinality="0..0" if usage == "X" else f"{1 if usage == 'R' else 0}..{'*' if repeats else '1'}",
        messages=tuple(sorted(found.messages)) if found is not None else (),
        required_in=required_in,
        condition=condition,
        table=named.table,
        codes=tuple(sorted(found.tables)) if found is not None else (),
        becomes=tuple(sorted(found.becomes)) if found is not None else (),
        decides=tuple(sorted(found.decides)) if found is not None else (),
        money=money(interface).get(address, ""),
    )


def _usage(address: str, found: FieldRead | None, interface: Interface) -> tuple[Usage, tuple[str, ...], str]:
    if any(path.partition(".")[0] == address for path in interface.required):
        return "R", (), "required on this interface"
    if address == interface.account_key:
        return "R", ("DFT",), "names the account"
    if address in ("FT1-4", "FT1-6"):
        return "R", ("DFT",), ""
    if address == "PID-3":
        return "R", (), "the first repetition names the patient"
    if address in _HEADER:
        usage, condition = _HEADER[address]
        return usage, (), f"always {interface.processing}" if address == "MSH-11" else condition
    if address in _UNWANTED:
        return "X", (), _UNWANTED[address]
    return "RE" if found is not None and (found.becomes or found.decides) else "O", (), _CHARGE.get(address, "")


def _message(label: str, read: dict[str, FieldRead], maps: Maps) -> MessageProfile:
    names = {"MSH"} | {one.segment for one in read.values() if label in one.messages}
    makes = {rule.resource for rule in maps.rules[label] if rule.resource}
    return MessageProfile(
        type=label,
        structure=tuple(one for one in _ORDER if one in names) + tuple(sorted(names - set(_ORDER))),
        makes=tuple(sorted(makes)),
    )


def _transactions(maps: Maps, interface: Interface) -> Iterator[TransactionProfile]:
    seen: set[str] = set()
    for rules in maps.rules.values():
        for one in transactions(rules, maps, interface):
            if one.code not in seen:
                seen.add(one.code)
                yield TransactionProfile(code=one.code, means=one.means, effect=transaction_effect(one))


def _rules(maps: Maps, interface: Interface) -> Iterator[RuleProfile]:
    labels: dict[str, list[str]] = {}
    for label, rules in sorted(maps.rules.items()):
        for rule in rules:
            labels.setdefault(rule.name, []).append(label)
    for name, within in labels.items():
        rule = next(one for one in maps.rules[within[0]] if one.name == name)
        when = rule.written.spec.when or {}
        if applies(when, interface):
            yield RuleProfile(
                rule=name,
                messages=tuple(within),
                segment=rule.each or "",
                makes=rule.resource or (f"adds to {rule.into}" if rule.into else "waits" if rule.park else "nothing"),
                when=condition({word: value for word, value in when.items() if word != "interface"}),
                why=rule.why,
            )


_REFUSALS: tuple[tuple[type[errors.FhirpayError], str], ...] = (
    (errors.RequiredMissing, "a required field is empty"),
    (errors.ValueInvalid, "a number, an amount, a date or an identifier can't be read; the message is too large"),
    (errors.CodeInvalid, "a currency or a character set that isn't known"),
    (errors.MessageUnsupported, "a message type that isn't taken"),
    (errors.EventUnsupported, "an event that isn't taken"),
    (errors.ProcessingIdUnsupported, "another MSH-11 than agreed"),
    (errors.VersionUnsupported, "another version than 2.1 to 2.8.2"),
)


def _acknowledgements(interface: Interface) -> Iterator[AckRule]:
    yield AckRule(code="AA", error="0", when="it has been stored, also where a line of it waits for a person")
    for error, when in _REFUSALS:
        yield AckRule(code=error.ack_code or "", error=error.hl7_error, when=f"{when}; nothing was kept")
    if interface.unique_ids:
        yield AckRule(code="AE", error=errors.Conflict.hl7_error, when="MSH-10 came before with another content")
    yield AckRule(code="", error="", when="no answer: nothing could be stored. Keep the message and send it again")
    yield AckRule(code="CA, CE, CR", error="", when="instead, at once, where MSH-15 or MSH-16 ask for enhanced mode")
    yield AckRule(code="AA, AE", error="", when="then, on the same connection, once it was applied, where MSH-16 asks")

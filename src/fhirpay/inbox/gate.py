"""The gate before the commit: the few checks that may answer AE or AR, and the keys by which a message is ordered.

Called by the intake with the bytes of one message; pure, so that it costs the ACK path microseconds. What passes
here is stored and accepted; whatever turns out wrong later parks. A new check belongs here only if the sender can
mend it and storing the message would be worse than refusing it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

from ..config import Interface
from ..domain.money import exponent, parse_decimal
from ..errors import (
    CodeInvalid,
    ConfigInvalid,
    EventUnsupported,
    FhirpayError,
    MessageUnsupported,
    ProcessingIdUnsupported,
    RequiredMissing,
    TooLarge,
    ValueInvalid,
    VersionUnsupported,
)
from ..hl7.ack import Remark
from ..hl7.assigner import assigner_system
from ..hl7.charsets import codec_of
from ..hl7.reader import Message, Segment, compile_path
from ..security.blind_index import keyed_hash
from ..security.pan import screen_hl7, screen_text
from . import bounds, prior

VERSIONS = frozenset("2.1 2.2 2.3 2.3.1 2.3.2 2.4 2.5 2.5.1 2.6 2.7 2.7.1 2.8 2.8.1 2.8.2".split())
TAKEN: dict[str, frozenset[str]] = {
    "DFT": frozenset({"P03", "P11"}),
    "BAR": frozenset("P01 P02 P05 P06 P10 P12".split()),
    "SIU": frozenset("S12 S13 S14 S15 S16 S17 S26".split()),
    "ADT": frozenset("A01 A02 A03 A04 A05 A06 A07 A08 A11 A13 A28 A31".split()) | frozenset(prior.MERGES) | prior.LINKS,
}
KEY_MAX = 500  # bytes of an id; HL7 allows 250 characters, and an index entry of PostgreSQL has room for 2704 bytes
DELETE = '""'  # HL7 for "remove the value": present, but no value


@dataclass(frozen=True, slots=True)
class Admitted:
    """A message that may be stored, and how. `message` and `screened` hold no card number any more."""

    message: Message
    screened: bytes
    redactions: tuple[str, ...]
    body_hash: str  # keyed; of the original without MSH-7, 8, 10, which engines renew on a resend
    key: tuple[str, ...]  # MSH-3, 4, 5, 6, 10 as sent
    label: str  # 'DFT^P03'
    lanes: tuple[str, ...]  # kept in order within each
    joins: tuple[tuple[str, str], ...]  # lanes that keep one order from this message on
    needs: tuple[str, ...]  # topics that hold this message while a parked one blocks them
    blocks: tuple[str, ...]  # topics that this message blocks if it parks
    suspends: tuple[str, ...]  # accounts on which nothing is collected while it is parked
    account_keys: tuple[str, ...]  # 'system|value'
    warnings: tuple[Remark, ...]  # for the acknowledgement


def admit(data: bytes, interface: Interface, *, hash_key: bytes) -> Admitted:
    """Check one message. Raises FhirpayError with `ack_code`, `hl7_error` and `location` for the acknowledgement."""
    try:
        message = _read(data, interface)
        check_header(message, interface)
        if interface.sequence_numbers:
            _check_sequence(message)
        bounds.check(message)
        _check_required(message, interface)
        _check_keys(message, interface)
        if message.type == "DFT":
            _check_charges(message, interface)
        prior.check(message, interface)
    except FhirpayError as error:
        # The text goes back to the sender and perhaps into a log, and it may quote a value.
        error.message = screen_text(error.message)[0]
        raise
    body_hash = _body_hash(message, hash_key)
    screened, redactions = screen_hl7(message, data)
    if redactions:
        message = Message.parse(screened, charset_fallback=interface.charset_fallback, charset=interface.charset)
    accounts, patients = _accounts(message, interface), _patients(message, interface)
    if prior.several(message):  # a barrier on both sides, and on each of its groups
        accounts = _unique(*accounts, *prior.accounts(message, interface))
        patients = _unique(*patients, *prior.patients(message, interface))
    guarantors = _guarantors(message, interface)
    topics = tuple(f"account:{account}" for account in accounts) + patients
    own = _charge_topics(message, accounts)
    lanes = _unique(*topics, *guarantors) or (f"interface:{interface.name}",)
    bounds.check_lanes(lanes)
    return Admitted(
        message=message,
        screened=screened,
        redactions=tuple(redactions),
        body_hash=body_hash,
        key=tuple(map(_msh(message).raw, (3, 4, 5, 6, 10))),
        label=message.label,
        lanes=lanes,
        joins=prior.joins(message, interface),
        needs=_unique(*own, *topics),
        # A parked charge holds back what is about the same charge; a parked ADT all that is about its accounts.
        blocks=_unique(*own) if message.type == "DFT" else _unique(*topics),
        suspends=tuple(f"account:{account}" for account in accounts),
        account_keys=accounts,
        warnings=tuple(
            Remark("a card number was removed; please don't send card numbers", place) for place in redactions
        ),
    )


# ------------------------------------------------------------------ checks


def _read(data: bytes, interface: Interface) -> Message:
    if len(data) > interface.max_bytes:
        raise TooLarge(f"the message is larger than {interface.max_bytes} bytes", location="MSH")
    if not data.strip():
        raise RequiredMissing("the message is empty", location="MSH")
    return Message.parse(data, charset_fallback=interface.charset_fallback, charset=interface.charset)


def check_header(message: Message, interface: Interface) -> None:
    if not message.type:
        raise MessageUnsupported("MSH-9 names no message type", location="MSH-9")
    sent = message.processing_id
    if sent != interface.processing:
        said = f"'{sent[:20]}'" if sent else "nothing"
        raise ProcessingIdUnsupported(
            f"this interface takes processing id {interface.processing}; MSH-11 says {said}", location="MSH-11"
        )
    if message.version not in VERSIONS:
        said = f"version '{message.version[:20]}'" if message.version else "a message without version"
        raise VersionUnsupported(f"{said} isn't taken; taken: 2.1 to 2.8.2", location="MSH-12")
    events = events_of(message.type, interface)
    if not events:
        raise MessageUnsupported(f"messages of type '{message.type[:20]}' aren't taken here", location="MSH-9.1")
    if message.event not in events:
        raise EventUnsupported(
            f"{message.type} event '{message.event[:20]}' isn't taken; taken: {', '.join(sorted(events))}",
            location="MSH-9.2",
        )
    if not message.control_id:
        raise RequiredMissing("the message has no control id", location="MSH-10")


def _check_sequence(message: Message) -> None:
    number = message.get("MSH-13")
    if not number:
        raise RequiredMissing("this interface numbers its messages, and the number is missing", location="MSH-13")
    if not re.fullmatch(r"0|-1|[1-9][0-9]{0,14}", number):
        raise ValueInvalid("a sequence number is a whole number of up to 15 digits", location="MSH-13")


def events_of(kind: str, interface: Interface) -> frozenset[str]:
    """The trigger events of a message type that the interface carries; none: not that type."""
    events = TAKEN.get(kind, frozenset())
    agreed = interface.message_types
    if not agreed or kind in agreed:
        return events
    return frozenset(event for event in events if f"{kind}^{event}" in agreed)


def check_agreed(interface: Interface) -> None:
    """Raises ConfigInvalid for a type that nothing here takes, or a character set: each message would be refused."""
    try:
        codec_of(interface.charset)
        codecs.lookup(interface.charset_fallback)
    except (CodeInvalid, LookupError):
        says = f"interface '{interface.name}': charset and charset_fallback must be character sets that are read here"
        raise ConfigInvalid(f"{says}; write 8859/1 and windows-1252, or UNICODE UTF-8") from None
    for label in interface.message_types:
        kind, _, event = label.partition("^")
        if kind not in TAKEN or (event and event not in TAKEN[kind]):
            known = ", ".join(f"{name}^{one}" for name, events in sorted(TAKEN.items()) for one in sorted(events))
            raise ConfigInvalid(f"interface '{interface.name}': '{label}' isn't taken; taken: {known}")


def _check_required(message: Message, interface: Interface) -> None:
    for path in interface.required:
        key, field, repetition, component, subcomponent = compile_path(path)
        # Without an index the field is required in each segment of that name.
        segments = message.segments(key) if len(key) == 3 and "[" not in path.split("-")[0] else None
        if segments is None:
            if not message.get(path):
                raise RequiredMissing(f"{path} is required on this interface", location=path)
            continue
        if not segments:
            raise RequiredMissing(f"{path} is required on this interface", location=path)
        for segment in segments:
            if not segment.get(field, component + 1, subcomponent + 1, repetition + 1):
                place = segment.address(field, component + 1 if "." in path else 0, 0, repetition + 1)
                raise RequiredMissing(f"{path} is required on this interface", location=place)


def _check_keys(message: Message, interface: Interface) -> None:
    """What a message is found and ordered by must be such that every database can keep it."""
    name, account_field = interface.account_key.split("-")
    mark = message.delimiters.escape or "\x00"
    for key, fields in (
        ("MSH", (3, 4, 5, 6, 10)),
        (name, (int(account_field),)),
        ("PID", (3,)),
        ("MRG", (1, 3, 5, 6)),
        ("GT1", (2,)),
        ("FT1", (2,)),
    ):
        for segment in message.segments(key) if key != "MSH" else [_msh(message)]:
            for field in fields:
                raw = segment.raw(field)
                # As nearly always: so short, and without an escape, that nothing in it can be too long or U+0000.
                if len(raw) > KEY_MAX // 4 or "\x00" in raw or mark in raw:
                    _check_key(segment, field)


def _check_key(segment: Segment, field: int) -> None:
    raws = [segment.raw(field)] if segment.name == "MSH" else []
    for repetition in range(1, segment.repetitions(field) + 1):
        raws += [segment.get(field, 1, 1, repetition), *segment.subcomponents(field, 4, repetition)]
    for text in raws:
        if "\x00" in text or len(text.encode()) > KEY_MAX:
            says = f"an id has {KEY_MAX} bytes at most, and no character U+0000"
            raise ValueInvalid(says, location=segment.address(field))


def _check_charges(message: Message, interface: Interface) -> None:
    if not _account_segment_value(message, interface):
        raise RequiredMissing(
            f"{interface.account_key} names the account on this interface and is empty",
            location=_account_place(message, interface),
        )
    charges = message.segments("FT1")
    if not charges:
        raise RequiredMissing("a DFT needs at least one FT1", location="FT1")
    for charge in charges:
        for field, meaning in ((4, "transaction date"), (6, "transaction type")):
            if charge.get(field) in ("", DELETE):
                raise RequiredMissing(f"the {meaning} is missing", location=charge.address(field))
        _check_value(charge, 10, 0, parse_decimal)
        for amount in (11, 12):
            _check_value(charge, amount, 1, parse_decimal)
            _check_value(charge, amount, 2, exponent)


def _check_value(charge: Segment, field: int, subcomponent: int, check: Callable[[str], object]) -> None:
    """FT1-10 (subcomponent 0), or the quantity (1) or currency (2) of an amount's first component."""
    value = charge.get(field, 1, subcomponent or 1)
    if value in ("", DELETE):
        return
    try:
        check(value)
    except CodeInvalid as error:
        raise CodeInvalid(error.message, location=charge.address(field, 1, subcomponent)) from None
    except ValueInvalid as error:
        raise ValueInvalid(error.message, location=charge.address(field, 1 if subcomponent else 0)) from None


# ------------------------------------------------------------------ keys


def _msh(message: Message) -> Segment:
    return Segment(message, "MSH", 1)


def _body_hash(message: Message, key: bytes) -> str:
    fields = list(message.fields_of("MSH"))
    for renewed in (7, 8, 10):
        if renewed < len(fields):
            fields[renewed] = ""
    body = "\r".join((message.delimiters.field.join(fields), *message.lines[1:]))
    return keyed_hash(key, body.encode())


def _account_segment_value(message: Message, interface: Interface) -> str:
    name, field = interface.account_key.split("-")
    segment = message.first(name)
    value = segment.get(int(field)) if segment else ""
    return "" if value == DELETE else value


def _account_place(message: Message, interface: Interface) -> str:
    name, field = interface.account_key.split("-")
    return (message.first(name) or Segment(message, name, 1)).address(int(field))


def _accounts(message: Message, interface: Interface) -> tuple[str, ...]:
    """The account that the profile's field names; never a fallback to another field."""
    value = _account_segment_value(message, interface)
    if not value:
        return ()
    name, field = interface.account_key.split("-")
    return (f"{assigner_system(Segment(message, name, 1), int(field), 1, interface.system)}|{value}",)


def _identifiers(segment: Segment, field: int, interface: Interface) -> list[tuple[str, str]]:
    """(`system|value`, type) of each repetition of a CX field."""
    found: list[tuple[str, str]] = []
    for repetition in range(1, segment.repetitions(field) + 1):
        value = segment.get(field, 1, 1, repetition)
        if value not in ("", DELETE):
            system = assigner_system(segment, field, repetition, interface.system)
            found.append((f"{system}|{value}", segment.get(field, 5, 1, repetition)))
    return found


def _patients(message: Message, interface: Interface) -> tuple[str, ...]:
    segment = message.first("PID")
    found = _identifiers(segment, 3, interface) if segment else []
    # A social security number is no medical record number, and a lane key is readable: only when it is all there is.
    kept = [key for key, kind in found if kind != "SS"] or [key for key, _ in found]
    return tuple(f"patient:{key}" for key in kept)


def _guarantors(message: Message, interface: Interface) -> tuple[str, ...]:
    return tuple(
        f"guarantor:{key}" for segment in message.segments("GT1") for key, _ in _identifiers(segment, 2, interface)
    )


def _charge_topics(message: Message, accounts: tuple[str, ...]) -> tuple[str, ...]:
    """One topic for each FT1-2: a credit commonly repeats its charge's, and must not overtake it."""
    sender = f"{message.get('MSH-3')}|{message.get('MSH-4')}"
    return tuple(
        f"charge:{sender}|{account}|{number}"
        for account in accounts
        for charge in message.segments("FT1")
        if (number := charge.get(2)) not in ("", DELETE)
    )


def _unique(*keys: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(keys))

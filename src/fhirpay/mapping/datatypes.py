"""HL7 datatypes → FHIR datatypes, by HL7's v2-to-FHIR tables. `as:` in a mapping file names one of `TYPES`.

Each takes a Slot and gives a FHIR value, a list of them, or None when nothing is said. What HL7's tables leave open
or we do otherwise stands at the function. To add one: a function here, a line in `TYPES`, a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from ..domain import fhir_urls as urls
from ..errors import CodeInvalid, ValueInvalid
from ..hl7.assigner import assigner_system, hd_system
from .codes import find
from .context import Context
from .money import amount, fhir_money, number
from .paths import Slot
from .times import fhir_date, fhir_datetime, has_time

_SOCIAL_SECURITY = frozenset({"SS", "SSN", "SB"})
_VERSIONED = re.compile(r"HL7(\d{4})")
_RANK = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_OID = re.compile(r"[0-2](\.\d+)+", re.ASCII)
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Options:
    """What a mapping file says beside `as:`."""

    map: str = ""  # a code table
    table: str = ""  # HL7 table number: the system of a code that names none
    use: str = ""  # use of a telecom that names none


def _object(**elements: Any) -> dict[str, Any] | None:
    """Elements that are there, without trailing underscores of reserved words; None when there are none."""
    found = {name.rstrip("_"): value for name, value in elements.items() if value or value == 0}
    return found or None


def _extension(url: str, **value: Any) -> dict[str, Any]:
    return {"url": url, **value}


def string(slot: Slot, ctx: Context, options: Options) -> str | None:
    return slot.text or None


def code(slot: Slot, ctx: Context, options: Options) -> str | None:
    """Through the code table when one is named. Raises CodeInvalid for a code that it lacks."""
    text = " ".join(slot.text.split())
    if not text or not options.map:
        return text or None
    if found := find(ctx.table(options.map), text):
        return found.code
    raise CodeInvalid(f"'{text[:20]}' is not in the code table {options.map}", location=slot.address)


def boolean(slot: Slot, ctx: Context, options: Options) -> bool | None:
    """HL7 table 0136; some senders write 1 and 0, or T and F."""
    text = slot.text.upper()
    if text in ("Y", "YES", "1", "T", "TRUE"):
        return True
    if text in ("N", "NO", "0", "F", "FALSE"):
        return False
    if text:
        raise CodeInvalid("neither Y nor N", location=slot.address)
    return None


def integer(slot: Slot, ctx: Context, options: Options) -> int | None:
    if not slot.text:
        return None
    if not re.fullmatch(r"\d{1,9}", slot.text, re.ASCII):
        raise ValueInvalid("this is no whole number", location=slot.address)
    return int(slot.text)


def positive_int(slot: Slot, ctx: Context, options: Options) -> int | None:
    value = integer(slot, ctx, options)
    if value == 0:
        raise ValueInvalid("this must be 1 or more", location=slot.address)
    return value


def decimal(slot: Slot, ctx: Context, options: Options) -> Any:
    return number(slot) if slot.text else None


def money(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """CP or NM, exact."""
    return fhir_money(*amount(slot, ctx)) if slot.part(1, 1) else None


def date(slot: Slot, ctx: Context, options: Options) -> str | None:
    return fhir_date(slot.text, slot.address) if slot.text else None


def date_time(slot: Slot, ctx: Context, options: Options) -> str | None:
    return fhir_datetime(slot.text, ctx.zone, slot.address) if slot.text else None


def instant(slot: Slot, ctx: Context, options: Options) -> str | None:
    """A moment; a day alone is none."""
    return date_time(slot, ctx, options) if has_time(slot.text) else None


def birth_time(slot: Slot, ctx: Context, options: Options) -> str | None:
    """PID-7 when it has a time: the patient-birthTime extension's value."""
    return instant(slot, ctx, options)


def _when(slot: Slot, ctx: Context, text: str) -> str | None:
    """A date inside a datatype: a bad one loses itself, not its owner."""
    if not text:
        return None
    try:
        return fhir_datetime(text, ctx.zone, slot.address)
    except ValueInvalid as error:
        ctx.warn(str(error))
        return None


def _period(slot: Slot, ctx: Context, start: str, end: str) -> dict[str, Any] | None:
    if not (start or end):
        return None
    return _object(start=_when(slot, ctx, start), end=_when(slot, ctx, end))


def period(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """DR."""
    return _period(slot, ctx, slot.part(1), slot.part(2))


def identifier(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """CX. Social security numbers are not kept, wherever they stand: nothing in a payment needs one."""
    value, kind = slot.part(1), slot.part(5).upper()
    if not value or kind in _SOCIAL_SECURITY:
        return None
    extensions = []
    if digit := slot.part(2):
        extensions.append(_extension(urls.CHECK_DIGIT, valueString=digit))
    if digit and (scheme := slot.part(3)):
        extensions.append(_extension(urls.CHECK_DIGIT_SCHEME, valueString=scheme))
    return _object(
        extension=extensions,
        type=_identifier_type(slot.part(5)),
        system=assigner_system(slot.segment, slot.field, slot.repetition, ctx.system),
        value=value,
        period=_period(slot, ctx, slot.part(7), slot.part(8)),
        assigner=_object(display=slot.part(4)),
    )


def visit_identifier(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """CX of a visit: of type VN where the sender doesn't say another."""
    found = identifier(slot, ctx, options)
    if found is None or "type" in found:
        return found
    number = {"coding": [{"system": urls.IDENTIFIER_TYPE, "code": "VN"}], "text": "visit number"}
    return {"type": number, **found}


def old_identifier(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """CX, of what has another number now."""
    found = identifier(slot, ctx, options)
    return {"use": "old", **found} if found is not None else None


def _identifier_type(text: str) -> dict[str, Any] | None:
    found = " ".join(text.split())
    return {"coding": [{"system": urls.IDENTIFIER_TYPE, "code": found}]} if found else None


def entity_identifier(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """EI: the namespace parts are components 2 to 4, not one HD component."""
    if not slot.part(1):
        return None
    system = hd_system(slot.part(2), slot.part(3), slot.part(4), ctx.system)
    return _object(system=system, value=slot.part(1), assigner=_object(display=slot.part(2)))


def organization_identifier(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """XON: 10, else 3, assigned by 6."""
    value = slot.part(10) or slot.part(3)
    if not value:
        return None
    system = assigner_system(slot.segment, slot.field, slot.repetition, ctx.system, component=6)
    return _object(type=_identifier_type(slot.part(7)), system=system, value=value)


def organization(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """XON → a logical reference with the name."""
    named = _object(identifier=organization_identifier(slot, ctx, options), display=slot.part(1))
    return {"type": "Organization", **named} if named else None


def department(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """CWE that names a part of the organization (FT1-13) → a logical reference."""
    value = " ".join(slot.part(1).split())
    system = coding_system(slot.part(3), ctx) or f"{ctx.system}:v2-{options.table or 'local'}"
    found = _object(
        identifier=_object(system=system, value=value) if value else None,
        display=slot.part(2) or value,
    )
    return {"type": "Organization", **found} if found else None


def _universal(slot: Slot) -> dict[str, str] | None:
    """HD → the identifier of what it names: its universal id where that is globally unique, else its name."""
    universal, kind = slot.part(2), slot.part(3).upper()
    if universal and kind in ("ISO", "UUID"):
        return {"system": urls.URI, "value": f"urn:{'oid' if kind == 'ISO' else 'uuid'}:{universal}"}
    value = universal or slot.part(1)
    return {"value": value} if value else None


def _named(slot: Slot, kind: str) -> dict[str, Any] | None:
    found = _universal(slot)
    return _object(type=kind, identifier=found, display=slot.part(1)) if found else None


def device(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """HD of an application."""
    return _named(slot, "Device")


def named_organization(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """HD of a facility."""
    return _named(slot, "Organization")


def named_location(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """HD of the place of an event."""
    return _named(slot, "Location")


def endpoint(slot: Slot, ctx: Context, options: Options) -> str | None:
    """HD → where an application is reached: its universal id as HL7's table writes it, else its name under ours."""
    schemes = {"ISO": "urn:oid:", "UUID": "urn:uuid:", "DNS": "urn:dns:", "URI": "urn:uri:"}
    if (scheme := schemes.get(slot.part(3).upper())) and slot.part(2):
        return scheme + slot.part(2)
    return hd_system(slot.part(1), slot.part(2), slot.part(3), ctx.system) if slot.valued else None


def practitioner(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """XCN → a logical reference: a payment needs to name the practitioner, not to keep one."""
    system = assigner_system(slot.segment, slot.field, slot.repetition, ctx.system, component=9)
    if system == urls.NPI_OID or slot.part(13).upper() == "NPI":
        system = urls.NPI
    value, kind = slot.part(1), slot.part(13)
    if kind.upper() in _SOCIAL_SECURITY:
        value = ""
    given = " ".join(part for part in (slot.part(3), slot.part(4)) if part)
    display = " ".join(part for part in (slot.part(6), given, slot.part(2), slot.part(5)) if part)
    found = _object(
        identifier=_object(type=_identifier_type(kind), system=system, value=value) if value else None,
        display=display,
    )
    return {"type": "Practitioner", **found} if found else None


def display_name(slot: Slot, ctx: Context, options: Options) -> str | None:
    """XPN as one reads it aloud."""
    parts = (slot.part(5), slot.part(2), slot.part(3), slot.part(1, 1), slot.part(4))
    return " ".join(part for part in parts if part) or None


def location(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """PL → a named place, most general last: no Location resources are made for a payment."""
    parts = [slot.part(component) for component in (3, 2, 1, 8, 7, 4)]
    text = ", ".join(part for part in parts if part) or slot.part(9)
    return {"type": "Location", "display": text} if text else None


def discharged_to(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """DLD: the place; when the patient goes there is said elsewhere."""
    text = slot.part(1, 2) or slot.part(1)
    return {"type": "Location", "display": text} if text else None


def length_of_stay(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """NM → days."""
    if not slot.text:
        return None
    return {"value": number(slot), "unit": "days", "system": urls.UNITS, "code": "d"}


def xhtml(slot: Slot, ctx: Context, options: Options) -> str | None:
    """Text as FHIR shows it to people; line breaks stay."""
    lines = [escape(line) for line in slot.text.splitlines()]
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{"<br/>".join(lines)}</div>' if slot.text else None


def one_human_name(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """XPN, where FHIR has room for one name."""
    return next(iter(human_name(slot, ctx, options) or ()), None)


def human_name(slot: Slot, ctx: Context, options: Options) -> list[dict[str, Any]] | None:
    """XPN; `called by` (15) is a second name, of use nickname."""
    family = slot.part(1, 1)
    use = find(ctx.table("name-type"), slot.part(7))
    parts = {"own-prefix": 2, "own-name": 3, "partner-prefix": 4, "partner-name": 5}
    extensions = [
        _extension(urls.HUMAN_NAME + name, valueString=value)
        for name, subcomponent in parts.items()
        if family and (value := slot.part(1, subcomponent))
    ]
    name = _object(
        use=use.code if use else None,
        family=family,
        _family=_object(extension=extensions),
        given=[part for part in (slot.part(2), slot.part(3)) if part],
        prefix=[part for part in (slot.part(5),) if part],
        suffix=[part for part in (slot.part(4), slot.part(6), slot.part(14)) if part],
    )
    if name and set(name) - {"use"}:
        start, end = slot.part(12), slot.part(13)
        if not (start or end):  # XPN.10 is the older form of both
            start, end = slot.part(10, 1), slot.part(10, 2)
        if valid := _period(slot, ctx, start, end):
            name["period"] = valid
    else:
        name = None
    called = slot.part(15)
    nickname = {"use": "nickname", "given": [called]} if called else None
    return [found for found in (name, nickname) if found] or None


def address(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """XAD: the street's three parts (SAD), the other designation and the addressee are lines."""
    use, kind = find(ctx.table("address-use"), slot.part(7)), find(ctx.table("address-type"), slot.part(7))
    lines = [slot.part(1, 1), slot.part(1, 2), slot.part(1, 3), slot.part(2), slot.part(19)]
    found = _object(
        use=use.code if use else None,
        type=kind.code if kind else None,
        line=[line for line in lines if line],
        city=slot.part(3),
        district=slot.part(9),
        state=slot.part(4),
        postalCode=slot.part(5),
        country=slot.part(6),
    )
    if not found or not set(found) - {"use", "type"}:
        return None
    start, end = slot.part(13), slot.part(14)
    if not (start or end):
        start, end = slot.part(12, 1), slot.part(12, 2)
    if valid := _period(slot, ctx, start, end):
        found["period"] = valid
    return found


def contact_point(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """XTN. Without an equipment type it is a phone: HL7's table leaves the system unknown there, but the fields that
    we read are phone numbers by name, and a payment link needs to know."""
    equipment = find(ctx.table("telecom-equipment"), slot.part(3))
    digital = slot.part(3).upper() in ("INTERNET", "X.400") or (not slot.part(3) and bool(slot.part(4)))
    if digital:
        # 2.3.1 and older put the address of an Internet contact into the first component.
        value = slot.part(4) or slot.part(1)
    else:
        value = slot.part(12) or _number(slot) or slot.part(1) or slot.part(7)
    if not value:
        return None
    mobile = equipment is not None and equipment.code == "mobile"
    system = "email" if digital else "phone" if mobile or equipment is None else equipment.code
    named = find(ctx.table("telecom-use"), slot.part(2))
    use = "mobile" if mobile else named.code if named else options.use if not slot.part(2) else ""
    rank = slot.part(18)
    return _object(
        system=system,
        value=value,
        use=use,
        rank=int(rank) if _RANK.fullmatch(rank) else None,
        period=_period(slot, ctx, slot.part(13), slot.part(14)),
    )


def _number(slot: Slot) -> str:
    """`+country area local Xextension` from XTN.5 to 8, as HL7's table composes it."""
    country, area, local, extension = (slot.part(component) for component in (5, 6, 7, 8))
    if not (area and local):
        return ""
    return f"{'+' + country + ' ' if country else ''}{area} {local}{' X' + extension if extension else ''}"


def codeable_concept(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """CWE, CE, CNE, IS: up to three codings and the text. A code table's coding comes first, the sender's own stays."""
    own = [found for start in (1, 4, 10) if (found := _coding(slot, ctx, start, options))]
    codings = [found for found in own if "code" in found]
    text = slot.part(9) or next((found["display"] for found in own if "code" not in found), "")
    if options.map and codings:
        mapped = find(ctx.table(options.map), codings[0]["code"])
        if mapped and _same(mapped.coding(), codings[0]):
            codings[0] = {**codings[0], **mapped.coding()}
        elif mapped:
            codings.insert(0, mapped.coding())
    return _object(coding=codings, text=text)


def _same(one: dict[str, str], other: dict[str, str]) -> bool:
    return (one.get("system"), one["code"]) == (other.get("system"), other["code"])


def coding(slot: Slot, ctx: Context, options: Options) -> dict[str, str] | None:
    """One coding: the code table's when it has the code, else the sender's."""
    found = _coding(slot, ctx, 1, options)
    if found is None or "code" not in found:
        return None
    mapped = find(ctx.table(options.map), found["code"]) if options.map else None
    return mapped.coding() if mapped else found


def financial_class(slot: Slot, ctx: Context, options: Options) -> dict[str, Any] | None:
    """FC, whose second component is a date: the code alone."""
    text = " ".join(slot.part(1).split())
    return {"coding": [{"system": f"{urls.TERMINOLOGY}v2-{options.table}", "code": text}]} if text else None


def _coding(slot: Slot, ctx: Context, start: int, options: Options) -> dict[str, str] | None:
    """One triplet of a CWE. A code without a system keeps none (unless `table:` gives the field's own)."""
    value, display = " ".join(slot.part(start).split()), slot.part(start + 1)
    if not value:
        return {"display": display} if display else None
    name, version = slot.part(start + 2), slot.part({1: 7, 4: 8, 10: 13}[start])
    system = coding_system(name, ctx)
    if start == 1 and not name:
        oid = slot.part(14)
        if _OID.fullmatch(oid):
            system = f"urn:oid:{oid}"
        elif options.table:
            system = f"{urls.TERMINOLOGY}v2-{options.table}"
    return _object(system=system, version=version if system else None, code=value, display=display)


def coding_system(name: str, ctx: Context) -> str | None:
    """HL7 table 0396 → the URI that FHIR uses. A name that it lacks is the sender's own, under its namespace."""
    if not name:
        return None
    if found := find(ctx.table("coding-systems"), name):
        return found.code
    if numbered := _VERSIONED.fullmatch(name.upper()):
        return f"{urls.TERMINOLOGY}v2-{numbered[1]}"
    return f"{ctx.system}:codes:{_NOT_IN_A_NAME.sub('_', name)}"


Converter = Callable[[Slot, Context, Options], Any]
TYPES: dict[str, Converter] = {
    "string": string,
    "code": code,
    "boolean": boolean,
    "integer": integer,
    "positiveInt": positive_int,
    "decimal": decimal,
    "money": money,
    "date": date,
    "dateTime": date_time,
    "instant": instant,
    "birthTime": birth_time,
    "Period": period,
    "Identifier": identifier,
    "VisitIdentifier": visit_identifier,
    "OldIdentifier": old_identifier,
    "EntityIdentifier": entity_identifier,
    "OrganizationIdentifier": organization_identifier,
    "Organization": organization,
    "Department": department,
    "Device": device,
    "NamedOrganization": named_organization,
    "NamedLocation": named_location,
    "endpoint": endpoint,
    "Practitioner": practitioner,
    "Location": location,
    "DischargedTo": discharged_to,
    "LengthOfStay": length_of_stay,
    "xhtml": xhtml,
    "displayName": display_name,
    "HumanName": human_name,
    "OneHumanName": one_human_name,
    "Address": address,
    "ContactPoint": contact_point,
    "CodeableConcept": codeable_concept,
    "Coding": coding,
    "FinancialClass": financial_class,
}

"""The closed list of named functions that a mapping file may call, and of words that an identifier key may use.

`{function: charge_total, of: [FT1-11, FT1-12, FT1-10]}` calls `FUNCTIONS["charge_total"]` with the places that the
addresses lead to. What would need arithmetic or a loop in YAML is written and tested here instead. To add one: the
function, a line in `FUNCTIONS` with the number of its arguments, a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ..domain import fhir_urls as urls
from ..errors import Conflict, RequiredMissing, RuleBroken
from ..hl7.reader import Segment
from . import message_functions, money, visit_functions
from .codes import find
from .context import Context
from .datatypes import TYPES, Options
from .identity import full_url, key_value
from .paths import Path, Slot, parse_path

Paths = Sequence[Path]

ADJUSTMENTS = ("contractual", "charity", "bad_debt", "small_balance", "discount")  # each has its account in the ledger
_NUMBER, _TYPE = Path("FT1-2", "FT1", 2), Path("FT1-6", "FT1", 6)
_AMOUNTS = tuple(Path(f"FT1-{field}", "FT1", field) for field in (11, 12, 10))
TAKES_BACK = "PY-back"  # in transaction-type.csv: a code of the site's own for a payment that is taken back
_OURS = re.compile(r"(pay|ref)[0-9a-z]{26}-\d{1,6}", re.IGNORECASE)  # FT1-2 of what we post: writeback/posted.py


def _slots(ctx: Context, paths: Paths) -> list[Slot]:
    """A place for each path; where the segment is absent, one that reads empty."""
    return [ctx.slot(path) or Slot(Segment(ctx.message, path.segment, 10**6), path.field) for path in paths]


# ------------------------------------------------------------------ the account


def account_identifier(ctx: Context, paths: Paths) -> dict[str, Any]:
    """The field that the interface's `account_key` names, and no other: the wrong one bills the wrong account."""
    name, _, field = ctx.interface.account_key.partition("-")
    segment = ctx.segment(name)
    slot = Slot(segment, int(field)) if segment is not None else None
    found = TYPES["Identifier"](slot, ctx, Options()) if slot is not None else None
    if found is None:
        raise RequiredMissing(
            f"{ctx.interface.account_key} is to name the account (account_key of interface '{ctx.interface.name}') "
            "and holds no account number",
            location=slot.address if slot is not None else ctx.interface.account_key,
        )
    return found


def account_named(ctx: Context) -> bool:
    """Whether the field that the interface's `account_key` names says anything."""
    path = parse_path(ctx.interface.account_key)
    return path is not None and ctx.valued([path]) is not None


PRIOR = {"PID-18": 3, "PV1-19": 5, "PV1-50": 6}  # account_key → the field of MRG with the number before


def prior_account(ctx: Context, paths: Paths, kind: str = "Identifier") -> dict[str, Any] | None:
    """The account that MRG names, in the field that belongs to the interface's `account_key`."""
    segment, field = ctx.segment("MRG"), PRIOR.get(ctx.interface.account_key)
    if segment is None or field is None:
        return None
    return TYPES[kind](Slot(segment, field), ctx, Options())


def prior_account_number(ctx: Context, paths: Paths) -> dict[str, Any] | None:
    """The same, as a number that the account had."""
    return prior_account(ctx, paths, "OldIdentifier")


def other_patient(ctx: Context, paths: Paths) -> dict[str, str] | None:
    """The patient of the message's second PID (A24, A37); nothing where that is the first one again."""
    first, second = (_patient_url(ctx, number) for number in (0, 1))
    return {"reference": second} if second and second != first else None


def _patient_url(ctx: Context, number: int) -> str:
    people = ctx.segments("PID")
    for repetition in range(people[number].repetitions(3)) if number < len(people) else ():
        found = TYPES["Identifier"](Slot(people[number], 3, repetition + 1), ctx, Options())
        if found is not None:  # the first is the one that the patient is stored under
            return full_url("Patient", found["system"], found["value"])
    return ""


def facility_owner(ctx: Context, paths: Paths) -> dict[str, str] | None:
    """The Organization of the facility that the feed belongs to: whose policy and merchant apply."""
    organization = ctx.facility.organization
    if not organization:
        return None
    return {"reference": organization if "/" in organization else f"Organization/{organization}"}


def self_pay_stated(ctx: Context, paths: Paths) -> bool | None:
    """Whether this message says that the patient pays: by PV1-20, FT1-18 or the plan, in the site's own words.

    Nothing (not even false) from a feed that doesn't carry coverage, or when nothing is valued: absence of data is
    no statement. A class or plan that is *not* self-pay beside one that is means no: insurance was named.
    """
    financial, patient_type, plan = paths
    if not ctx.interface.carries_coverage:
        return None
    ours = ctx.self_pay_words
    classes = [slot.part(1).upper() for slot in ctx.repetitions(financial) if slot.part(1)]
    plans = _column(ctx, plan)
    types = _column(ctx, patient_type)
    said = [*classes, *plans]
    if not said and (slot := ctx.slot(financial)) is not None and slot.deleted:
        return False  # the class that said so was taken away
    if not (said or any(word in ours for word in types)):
        return None
    if any(word in ours for word in (*said, *types)):
        if others := [word for word in said if word not in ours]:
            where = financial.text if others[0] in classes else plan.text
            ctx.warn(f"{where}: a class or plan that isn't self-pay stands beside one that is; not taken as self-pay")
            return False
        return True
    return False


def _column(ctx: Context, path: Path) -> list[str]:
    """The field's value in every segment of its kind, in upper case; not of an insurance that is taken out (IN1-55)."""
    slots = (
        Slot(segment, path.field, 1, path.component, path.subcomponent)
        for segment in ctx.segments(path.segment)
        if path.segment != "IN1" or segment.get(55) != "D"
    )
    return [text.upper() for slot in slots if (text := slot.text)]


def coverage_type(ctx: Context, paths: Paths) -> dict[str, Any] | None:
    """IN1-15 or IN1-47 through the site's table; `pay` for a plan that the interface maps to self-pay."""
    *types, plan = paths
    if ctx.text(plan).upper() in ctx.self_pay_words:
        return {"coding": [{"system": urls.COVERAGE_SELF_PAY, "code": "pay", "display": "Pay"}]}
    slot = ctx.valued(types)
    return TYPES["CodeableConcept"](slot, ctx, Options(map="coverage-type", table="0086")) if slot else None


# ------------------------------------------------------------------ the visit


def encounter_status(ctx: Context, paths: Paths) -> str:
    """Where the visit stands by the event, else by class and discharge: those are a guess, never laid over what an
    event has said, but for the discharge."""
    visit_class, discharged = paths
    event = find(ctx.table("encounter-event"), ctx.message.event)
    if event is not None and event.code != "class":
        return event.code
    if ctx.valued([discharged]) is not None:
        return "finished"
    if event is None:
        ctx.notes.assumed.add("status")
    coded = find(ctx.table("encounter-status"), ctx.text(visit_class))
    return coded.code if coded is not None else "unknown"


def account_ended(ctx: Context, paths: Paths) -> Any:
    """When the account ended, by the event: laid down only where no end is known."""
    slot = ctx.valued(paths)
    ended = TYPES["dateTime"](slot, ctx, Options()) if slot is not None else None
    if ended is not None:
        ctx.notes.assumed.add("servicePeriod.end")
    return ended


def appointment_status(ctx: Context, paths: Paths) -> str:
    """By the event (cancelled, noshow, …), else by SCH-25, else booked: a guess unless the event books."""
    (stated,) = paths
    for found in (
        find(ctx.table("appointment-event"), ctx.message.event),
        find(ctx.table("appointment-status"), ctx.text(stated)),
    ):
        if found is not None:
            return found.code
    if ctx.message.event == "S14":
        ctx.notes.assumed.add("status")
    return "booked"


def booked_at(ctx: Context, paths: Paths) -> str | None:
    """When it was booked, by the message that books it: sent again later it doesn't change."""
    slot = ctx.valued(paths) if ctx.message.event == "S12" else None
    ctx.notes.assumed.add("created")
    return TYPES["dateTime"](slot, ctx, Options()) if slot is not None else None


def appointment_visit(ctx: Context, paths: Paths) -> str:
    """The visit of an appointment: off with it, else planned, which doesn't call back one that has begun."""
    status = appointment_status(ctx, paths)
    if status in ("cancelled", "noshow"):
        return "cancelled"
    if status == "entered-in-error":
        return status
    if ctx.message.event != "S13":  # a new time is given to what was called off, too
        ctx.notes.assumed.add("status")
    return "planned"


def appointment_end(ctx: Context, paths: Paths) -> str | None:
    """SCH-11.5, else the start and the duration (AIS-7 in AIS-8, SCH-9 in SCH-10), in minutes where no unit is said."""
    end, *rest = paths
    starts, durations = rest[:2], rest[2:]
    if (slot := ctx.valued([end])) is not None:
        return TYPES["instant"](slot, ctx, Options())
    start = ctx.valued(starts)
    said = next(((ctx.text(amount), unit) for amount, unit in pairwise_of(durations) if ctx.text(amount)), None)
    if start is None or said is None or not said[0].isdecimal() or len(said[0]) > 5:
        return None
    begins = TYPES["instant"](start, ctx, Options())
    unit = _UNITS.get(ctx.text(said[1]).upper()[:1] or "M")
    if begins is None or unit is None:
        return None
    return (datetime.fromisoformat(begins) + unit * int(said[0])).isoformat()


_UNITS = {"S": timedelta(seconds=1), "M": timedelta(minutes=1), "H": timedelta(hours=1)}


def pairwise_of(paths: Paths) -> Iterator[tuple[Path, Path]]:
    return zip(paths[::2], paths[1::2], strict=True)


# ------------------------------------------------------------------ FT1


def charge_total(ctx: Context, paths: Paths) -> dict[str, Any]:
    """FT1-11, else FT1-12 × FT1-10, signed by what the interface says of negative charges."""
    total, currency, _ = _charge(ctx, paths)
    return money.fhir_money(total, currency)


def _charge(ctx: Context, paths: Paths) -> tuple[Decimal, str, bool]:
    return ctx.once(money.charge, paths, *_slots(ctx, paths))


def credit_total(ctx: Context, paths: Paths) -> dict[str, Any]:
    return money.fhir_money(*money.credit(ctx, *_slots(ctx, paths)))


def copay_total(ctx: Context, paths: Paths) -> dict[str, Any]:
    """The amount of a CO that is due. Raises Conflict for a second one of the same FT1-2 in this message."""
    standing = ctx.segment("FT1")
    for line in ctx.segments("FT1") if standing is not None else ():
        if standing is None or line.index >= standing.index:
            break
        same = all(Slot(line, field).text == Slot(standing, field).text for field in (2, 6))
        if same and Slot(line, 2).text:
            raise Conflict(
                f"the same transaction id as {line.address()}: a second copay, or the same one again?",
                location=standing.address(2),
            )
    return money.fhir_money(*money.copay(ctx, *_slots(ctx, paths)))


def payment_total(ctx: Context, paths: Paths) -> dict[str, Any]:
    """What was paid; negative where the line takes a payment back."""
    return money.fhir_money(*_payment(ctx, paths))


def _payment(ctx: Context, paths: Paths) -> tuple[Decimal, str]:
    number = ctx.text(_NUMBER)
    takes_back = _kind(ctx) == TAKES_BACK
    slots = _slots(ctx, paths)
    known = ctx.interface.payment_sign in ("positive", "negative")
    if not known and (ours := _OURS.fullmatch(number)) is not None:  # however the sender signs what it repeats
        total, currency, _ = money.line_total(ctx, *slots)
        sign = -1 if ours[1].lower() == "ref" else 1
        return sign * total.copy_abs() if total else total.copy_abs(), currency
    return money.payment(ctx, *slots, takes_back=takes_back)


def adjustment_total(ctx: Context, paths: Paths) -> dict[str, Any]:
    """What an AJ takes off; negative where it takes an adjustment back. Raises RuleBroken where nobody said which."""
    return money.fhir_money(*_adjustment(ctx, paths))


def _adjustment(ctx: Context, paths: Paths) -> tuple[Decimal, str]:
    return money.adjustment(ctx, *_slots(ctx, paths))


def adjustment_kind(ctx: Context, paths: Paths) -> str:
    """What is written off, by FT1-7 in the site's codes/adjustment-kind.csv. Raises RuleBroken for a code it lacks."""
    (path,) = paths
    coded = find(ctx.table("adjustment-kind"), " ".join(ctx.text(path).split()))
    if coded is None:
        slot = ctx.slot(path)
        raise RuleBroken(
            "what is written off here? Say it in the site's codes/adjustment-kind.csv: contractual, charity, bad_debt, "
            "small_balance or discount",
            location=slot.address if slot else path.text,
        )
    return _one_of(ADJUSTMENTS, coded.code, "adjustment-kind")


def _one_of(known: Sequence[str], code: str, table: str) -> str:
    if code not in known:
        raise RuleBroken(f"codes/{table}.csv says '{code}': write one of {', '.join(known)}")
    return code


def adjustment_taken_back(ctx: Context, paths: Paths) -> dict[str, str] | None:
    """The adjustment that had this FT1-2, of a line that takes one back."""
    return _before(ctx, "AJ") if _adjustment(ctx, paths)[0] < 0 else None


def _before(ctx: Context, direction: str) -> dict[str, str] | None:
    own = ctx.text(_NUMBER)
    if not own:
        return None
    value = key_of(ctx, [KEY_WORDS["sender"], KEY_WORDS["account"], lambda _: own, lambda _: direction])
    return {"system": f"{ctx.system}:payment", "value": value}


def _kind(ctx: Context) -> str:
    """What the site's table says of FT1-6."""
    coded = find(ctx.table("transaction-type"), ctx.text(_TYPE))
    return coded.code if coded is not None else ""


def paid_by(ctx: Context, paths: Paths) -> str:
    """Who paid: by FT1-7 in the site's codes/paid-by.csv, else by a plan in FT1-14, else as the interface says.

    Raises RuleBroken where nothing says it: what an insurer paid is not to be taken for the patient's.
    """
    medium, plan = paths
    if _OURS.fullmatch(ctx.text(_NUMBER)) or _kind(ctx) == "CO":
        return "patient"
    if (coded := find(ctx.table("paid-by"), " ".join(ctx.text(medium).split()))) is not None:
        return _one_of(("patient", "insurance"), coded.code, "paid-by")
    if ctx.text(plan):
        return "insurance"
    if ctx.interface.payments_from == "park":
        slot = ctx.slot(medium)
        raise RuleBroken(
            "who paid this, the patient or an insurance? Say it in the site's codes/paid-by.csv, or in the interface "
            "(payments_from)",
            location=slot.address if slot else medium.text,
        )
    return ctx.interface.payments_from


def charge_paid_for(ctx: Context, paths: Paths) -> dict[str, str] | None:
    """The charge of this message whose Set ID a payment names (FT1-31)."""
    (reference,) = paths
    wanted = ctx.text(reference)
    for line in ctx.segments("FT1") if wanted else ():
        if Slot(line, 1).text == wanted:
            with ctx.at(line):
                entry = ctx.entry("charge", "FT1")
            if entry is not None:
                return {"reference": entry.full_url}
    if wanted and (slot := ctx.slot(reference)) is not None:
        ctx.warn(f"{slot.address}: no charge in this message has that Set ID; the payment is for the account")
    return None


def payment_taken_back(ctx: Context, paths: Paths) -> dict[str, str] | None:
    """The payment that had this FT1-2, of a line that takes one back."""
    return _before(ctx, "PY") if _payment(ctx, paths)[0] < 0 else None


def charge_direction(ctx: Context, paths: Paths) -> str | None:
    """`credit` for a negative charge that the interface reads as one; a charge has no direction to state."""
    return "credit" if _charge(ctx, paths)[2] else None


def magnitude(ctx: Context, paths: Paths) -> Any:
    """A quantity without its sign: the direction is said elsewhere."""
    (slot,) = _slots(ctx, paths)
    return money.number(slot).copy_abs() if slot.text else None


def charge_code(ctx: Context, paths: Paths) -> dict[str, Any]:
    """FT1-7 with FT1-25 and FT1-41 as further codings; text from FT1-8 or FT1-9 (before 2.7) where it has none.

    A charge without any code is still money: it keeps a text that says so, with a warning.
    """
    code, procedure, revenue, *descriptions = paths
    found: dict[str, Any] = {}
    for path, options in ((code, Options()), (procedure, Options()), (revenue, Options(table="0456"))):
        slot = ctx.valued([path])
        concept = TYPES["CodeableConcept"](slot, ctx, options) if slot else None
        for coding in (concept or {}).get("coding", ()):
            codings = found.setdefault("coding", [])
            if all((coding.get("system"), coding["code"]) != (had.get("system"), had["code"]) for had in codings):
                codings.append(coding)
        if concept and "text" in concept:
            found.setdefault("text", concept["text"])
    withdrawn = ctx.version >= (2, 7)  # what stands there is no description any more
    if text := next((text for path in descriptions if not withdrawn and (text := ctx.text(path))), ""):
        found.setdefault("text", text)
    if not found:
        slot = ctx.slot(code)
        ctx.warn(f"{slot.address if slot else code.text}: the charge has no code")
        return {"text": "charge without a code"}
    return found


def credited_charge(ctx: Context, paths: Paths) -> dict[str, Any] | None:
    """The charge that a credit takes back: by FT1-31 (a Set ID in this message), by the same FT1-2 in this message,
    else a logical reference to the charge that had this FT1-2."""
    reference, transaction = paths
    lines = ctx.segments("FT1")
    standing = ctx.segment("FT1")
    wanted, own = ctx.text(reference), ctx.text(transaction)
    for line in lines:
        by_set_id = wanted and Slot(line, 1).text == wanted
        by_number = not wanted and own and Slot(line, 2).text == own
        if (by_set_id or by_number) and standing is not None and line.index != standing.index:
            with ctx.at(line):
                entry = ctx.entry("charge", "FT1")
            if entry is not None and entry.value.endswith("|CG"):
                return {"reference": entry.full_url}
    slot = ctx.slot(reference)
    if wanted and slot is not None:
        ctx.warn(f"{slot.address}: no charge in this message has that Set ID; the credit stands by itself")
    if wanted or not own:
        return None
    value = key_of(ctx, [KEY_WORDS["sender"], KEY_WORDS["account"], lambda _: own, lambda _: "CG"])
    return {"type": "ChargeItem", "identifier": {"system": f"{ctx.system}:charge", "value": value}}


def charge_taken_back(ctx: Context, paths: Paths) -> dict[str, Any] | None:
    """As `credited_charge`, of a charge line that its sign makes a credit."""
    return credited_charge(ctx, paths) if _direction(ctx) == "CD" else None


def following_notes(ctx: Context, paths: Paths) -> list[dict[str, str]] | None:
    """NTE-3 of the notes right after the segment we stand on, up to the next one of its kind."""
    standing = ctx.segment("FT1")
    notes: list[dict[str, str]] = []
    inside = False
    for segment in ctx.message.all_segments():
        if segment.name == "FT1":
            inside = standing is not None and segment.index == standing.index
        elif segment.name == "NTE" and inside:
            lines = [Slot(segment, 3, number + 1).text for number in range(segment.repetitions(3))]
            if text := "\n".join(line for line in lines if line):
                notes.append({"text": text})
        elif segment.name != "NTE":
            inside = False
    return notes or None


def payment_notes(ctx: Context, paths: Paths) -> list[dict[str, str]] | None:
    """The same, as notes of a PaymentReconciliation."""
    notes = following_notes(ctx, paths)
    return [{"type": "display", **note} for note in notes] if notes else None


# ------------------------------------------------------------------ conditions


def is_self(ctx: Context, path: Path) -> bool:
    """The guarantor or the insured is the patient (`codes/self-relationship.csv`)."""
    return find(ctx.table("self-relationship"), ctx.text(path)) is not None


@dataclass(frozen=True, slots=True)
class Function:
    call: Callable[[Context, Paths], Any]
    arguments: int
    strict: bool = False  # what it raises parks the line, or the message: never "left out with a warning"


FUNCTIONS: dict[str, Function] = {
    "account_identifier": Function(account_identifier, 0, strict=True),
    "prior_account": Function(prior_account, 0),
    "prior_account_number": Function(prior_account_number, 0),
    "other_patient": Function(other_patient, 0),
    "facility_owner": Function(facility_owner, 0),
    "self_pay_stated": Function(self_pay_stated, 3),
    "encounter_status": Function(encounter_status, 2),
    "account_ended": Function(account_ended, 2),
    "appointment_status": Function(appointment_status, 1),
    "booked_at": Function(booked_at, 1),
    "appointment_visit": Function(appointment_visit, 1),
    "appointment_end": Function(appointment_end, 7),
    "coverage_type": Function(coverage_type, 3),
    "charge_total": Function(charge_total, 3, strict=True),
    "credit_total": Function(credit_total, 3, strict=True),
    "copay_total": Function(copay_total, 3, strict=True),
    "payment_total": Function(payment_total, 3, strict=True),
    "paid_by": Function(paid_by, 2, strict=True),
    "adjustment_total": Function(adjustment_total, 3, strict=True),
    "adjustment_kind": Function(adjustment_kind, 1, strict=True),
    "adjustment_taken_back": Function(adjustment_taken_back, 3, strict=True),
    "charge_paid_for": Function(charge_paid_for, 1),
    "payment_taken_back": Function(payment_taken_back, 3, strict=True),
    "charge_direction": Function(charge_direction, 3, strict=True),
    "magnitude": Function(magnitude, 1, strict=True),
    "charge_code": Function(charge_code, 5),
    "credited_charge": Function(credited_charge, 2),
    "charge_taken_back": Function(charge_taken_back, 2),
    "following_notes": Function(following_notes, 0),
    "numbered": Function(visit_functions.numbered, 0),
    "numbered_reference": Function(visit_functions.numbered_reference, 0),
    "coded_with_text": Function(visit_functions.coded_with_text, 2),
    "performed_at": Function(visit_functions.performed_at, 2),
    "performed_period": Function(visit_functions.performed_period, 2),
    "message_identifier": Function(message_functions.message_identifier, 1),
    "message_type": Function(message_functions.message_type, 1),
    "message_said": Function(message_functions.message_said, 0),
    "event_said": Function(message_functions.event_said, 0),
    "all_that_it_says": Function(message_functions.all_that_it_says, 0),
    "the_patient": Function(message_functions.the_patient, 0),
    "unknown_where_empty": Function(message_functions.unknown_where_empty, 2),
    "now": Function(message_functions.now, 0),
    "case_manager": Function(visit_functions.case_manager, 0),
    "case_manager_reference": Function(visit_functions.case_manager_reference, 0),
    "payment_notes": Function(payment_notes, 0),
}


# ------------------------------------------------------------------ identifier keys

KeyPart = Callable[[Context], str]


def _sender(ctx: Context) -> str:
    return f"{ctx.message.get('MSH-3').strip()}/{ctx.message.get('MSH-4').strip()}"


def _transaction(ctx: Context) -> str:
    """FT1-2; where it is empty the message's id and the line's Set ID, which a resend under a new id would double."""
    segment = ctx.segment("FT1")
    assert segment is not None  # only rules on FT1 use the word: compile checks
    if own := Slot(segment, 2).text:
        return own
    ctx.warn(
        f"{segment.address(2)}: empty; this line is known by its message's id and Set ID alone, so the same line under "
        "another message id would look like a second one"
    )
    return f"{ctx.message.control_id}.{Slot(segment, 1).text or segment.index}"


def _direction(ctx: Context) -> str:
    return "CD" if _charge(ctx, _AMOUNTS)[2] else "CG"


def _payment_direction(ctx: Context) -> str:
    return "PY" if _payment(ctx, _AMOUNTS)[0] >= 0 else "PYR"


def _adjustment_direction(ctx: Context) -> str:
    return "AJ" if _adjustment(ctx, _AMOUNTS)[0] >= 0 else "AJR"


def _made(rule: str) -> KeyPart:
    def value(ctx: Context) -> str:
        entry = ctx.entry(rule, None)
        return entry.value if entry is not None else ""

    return value


KEY_WORDS: dict[str, KeyPart] = {
    "sender": _sender,  # MSH-3/MSH-4
    "account": _made("account"),
    "patient": _made("patient"),
    "transaction": _transaction,
    "direction": _direction,  # CG or CD
    "adjustment-direction": _adjustment_direction,  # AJ, or AJR for one that takes an adjustment back
    "payment-direction": _payment_direction,  # PY, or PYR for one that takes a payment back
}


def key_of(ctx: Context, parts: Sequence[KeyPart]) -> str:
    """The parts as one value; '' when one of them is empty, since half a key is another thing's key."""
    values = [part(ctx) for part in parts]
    return key_value(values) if all(values) else ""

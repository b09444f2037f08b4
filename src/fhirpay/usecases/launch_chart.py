"""What a session shows: to staff the accounts of the patient in its context, to a patient what they owe themselves.

    chart   what is owed on each account and why, what holds it, what waits for insurance, payments, and what waits for
            a person; the accounts of the visit in context come first
    own     the obligations that this person is to pay, on whatever account, and what they paid; nothing of the others

All of it is read from what is kept here: no scope of a launch reaches a PaymentReconciliation. Whatever is asked for
by its id is looked for among these again, so that a session never shows more. Called by web/launch/ in read units.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..billing import money as billing
from ..billing import store as obligations
from ..billing.reach import accounts_of
from ..billing.rows import ENDS, ObligationView
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payment import PaymentState
from ..errors import NotFound
from ..fhir import replaced, store
from ..payments import store as payments
from ..payments.records import Payment
from ..smart.launch_store import Session
from . import desk_list
from .desk_list import Line
from .explain import Chain, explain

_PAGE_OPEN = (PaymentState.CREATED, PaymentState.REQUIRES_ACTION)


@dataclass(frozen=True, slots=True)
class Owed:
    """An obligation, with the day of what it is for where that says one."""

    view: ObligationView
    day: str


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment. `page` is where it can be paid, while it can; `amount` is the part of it that concerns the viewer, and
    `given_back` what of that was refunded."""

    payment: Payment
    amount: Money
    given_back: Money
    page: str


@dataclass(frozen=True, slots=True)
class Account:
    """`number` is its own; empty for what names no account. `askable` is by currency, `ended` what counts no more."""

    ref: str
    number: str
    in_context: bool
    owed: tuple[Owed, ...]
    ended: tuple[Owed, ...]
    askable: tuple[Money, ...]
    pending: tuple[Money, ...]
    credit: tuple[Money, ...]
    paid: tuple[Paid, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """`visit`: whether the EHR named one; `visit_known`: whether it is one of ours."""

    name: str
    birth_date: str
    visit: bool
    visit_known: bool
    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class Own:
    """What one person is to pay."""

    name: str
    accounts: tuple[Account, ...]


def chart(tx: Tx, session: Session) -> Chart:
    """For staff."""
    patient = _patient(tx, session)
    here = _of_visit(tx, session)
    found = [_account(tx, ref, ref in here) for ref in _accounts(tx, patient)]
    shown = [one for one in found if one.owed or one.ended or one.paid or one.lines]
    shown.sort(key=lambda one: (not one.in_context, not one.askable, one.ref))
    return Chart(
        _name(patient), patient.get("birthDate", ""), session.encounter_said, bool(session.encounter_ref), tuple(shown)
    )


def own(tx: Tx, session: Session) -> Own:
    """For a patient."""
    patient = _patient(tx, session)
    mine = obligations.owed_by(tx, [f"Patient/{patient['id']}"])
    accounts: dict[str, list[ObligationView]] = {}
    for one in mine:
        accounts.setdefault(one.account_ref, []).append(one)
    found = [_account_of(tx, ref, False, owed, _paid_for(tx, owed)) for ref, owed in sorted(accounts.items())]
    return Own(_name(patient), tuple(one for one in found if one.owed or one.paid))


def chain(tx: Tx, session: Session, obligation_id: str) -> Chain:
    """The whole chain of an obligation, for staff. Raises NotFound for one that isn't shown to them."""
    if not any(obligation_id == one.obligation_id for one in _shown(tx, session)):
        raise NotFound("that isn't part of this chart")
    return explain(tx, obligation_id)


def owed_on(tx: Tx, session: Session, account_ref: str) -> list[ObligationView]:
    """What is shown of an account to whoever this is; nothing of one that isn't shown to them."""
    return [one for one in _shown(tx, session) if one.account_ref == account_ref]


def payment(tx: Tx, session: Session, payment_id: str) -> Paid:
    """A payment by its id. Raises NotFound for one that isn't shown to whoever this is."""
    patient = _patient(tx, session)
    if session.kind == "staff":
        seen = [one for ref in _accounts(tx, patient) for one in _of_account(tx, ref)]
    else:
        seen = _paid_for(tx, obligations.owed_by(tx, [f"Patient/{patient['id']}"]))
    found = next((one for one in seen if one.payment.payment_id == payment_id), None)
    if found is None:
        raise NotFound("there is no such payment here")
    return found


# ── whose ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _patient(tx: Tx, session: Session) -> dict[str, Any]:
    found = store.get(tx, *replaced.survivor(tx, session.patient_ref).split("/"))
    if found is None:
        raise NotFound("this patient isn't kept here any more")
    return found.resource


def _shown(tx: Tx, session: Session) -> list[ObligationView]:
    patient = _patient(tx, session)
    if session.kind == "staff":
        return [one for ref in _accounts(tx, patient) for one in obligations.obligations_of(tx, ref)]
    return obligations.owed_by(tx, [f"Patient/{patient['id']}"])


def _accounts(tx: Tx, patient: dict[str, Any]) -> list[str]:
    return sorted(accounts_of(tx, patient))


def _of_visit(tx: Tx, session: Session) -> set[str]:
    if not session.encounter_ref:
        return set()
    found = store.get(tx, *replaced.survivor(tx, session.encounter_ref).split("/"))
    return accounts_of(tx, found.resource) if found else set()


# ── what ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _account(tx: Tx, ref: str, in_context: bool) -> Account:
    lines = desk_list.read(tx, account_ref=ref).lines
    return _account_of(tx, ref, in_context, obligations.obligations_of(tx, ref), _of_account(tx, ref), lines)


def _account_of(
    tx: Tx,
    ref: str,
    in_context: bool,
    owed: Sequence[ObligationView],
    paid: Sequence[Paid],
    lines: tuple[Line, ...] | None = None,
) -> Account:
    """`lines` are for staff; None: neither they nor whose credit there is are shown."""
    kept = store.get(tx, *ref.split("/")) if ref.startswith("Account/") else None
    numbers = [str(one["value"]) for one in (kept.resource.get("identifier") or () if kept else ()) if "value" in one]
    credit = [one.amount for one in billing.credits_of(tx, ref)] if lines is not None else []
    return Account(
        ref,
        numbers[0] if numbers else (kept.id if kept else ""),
        in_context,
        tuple(Owed(one, _day(tx, one)) for one in owed if one.state not in ENDS),
        tuple(Owed(one, _day(tx, one)) for one in owed if one.state in ENDS),
        _sums(one.askable for one in owed),
        _sums(one.pending for one in owed if one.state not in ENDS),
        _sums(credit),
        tuple(paid),
        lines or (),
    )


def _of_account(tx: Tx, ref: str) -> list[Paid]:
    found = payments.of_account(tx, ref)
    return [Paid(one, one.captured or one.amount, one.refunded, _page(one, tx.now)) for one in found]


def _paid_for(tx: Tx, owed: Iterable[ObligationView]) -> list[Paid]:
    """The payments of these obligations, each with its part for them: what else it paid is nobody's business here."""
    mine = {one.obligation_id for one in owed}
    ids = {share.payment_id for one in sorted(mine) for share in payments.allocations_to(tx, one)}
    found: list[Paid] = []
    for payment_id in sorted(ids):
        one, shares = payments.get(tx, payment_id), payments.allocations(tx, payment_id)
        theirs = [share for share in shares if share.obligation_id in mine]
        part = sum((share.paid or share.reserved for share in theirs), Money.zero(one.currency))
        back = min(one.refunded, sum((share.refunded for share in theirs), Money.zero(one.currency)))
        found.append(Paid(one, part, back, _page(one, tx.now) if len(theirs) == len(shares) else ""))
    return found


def _page(one: Payment, now: datetime) -> str:
    lives = one.hosted_until is None or one.hosted_until > now
    url = one.hosted_url or ""
    return url if one.state in _PAGE_OPEN and lives and url.startswith(("https://", "http://")) else ""


def _sums(amounts: Iterable[Money]) -> tuple[Money, ...]:
    sums: dict[str, Money] = {}
    for one in amounts:
        sums[one.currency] = sums.get(one.currency, Money.zero(one.currency)) + one
    return tuple(one for _, one in sorted(sums.items()) if one)


def _day(tx: Tx, one: ObligationView) -> str:
    """When it was: of the Invoice, the charge, the visit."""
    for reference in (one.basis_key, *one.targets):
        kind, slash, id = reference.partition("/")
        found = store.get(tx, kind, id) if slash and "/" not in id else None
        content = found.resource if found else {}
        period = content.get("occurrencePeriod") or content.get("period") or {}
        said = content.get("date") or content.get("occurrenceDateTime") or content.get("start") or period.get("start")
        if said:
            return str(said)[:10]
    return ""


def _name(patient: dict[str, Any]) -> str:
    """As it is usually written; of several names the official or first one."""
    names = patient.get("name") or [{}]
    chosen = next((one for one in names if one.get("use") in ("usual", "official")), names[0])
    return chosen.get("text") or " ".join([*chosen.get("given", ()), chosen.get("family", "")]).strip()

"""What happens to what is owed: nothing, a request, or the stored method. Pure; called by use cases after `reassess`.

Policy is a facility's, as data (config.Facility). `autopay` needs a stored method, a recorded consent and a cap, and
never takes money straight from a charge: FT1 lines are gross and followed by late charges and credits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..config import Facility
from ..domain.money import Money, parse_decimal
from ..domain.obligation import ObligationState
from .assessment import Basis
from .rows import ObligationView

AUTOPAY_FROM = frozenset({Basis.COPAY, Basis.INVOICE})


@dataclass(frozen=True, slots=True)
class Consent:
    """A stored method with what its owner agreed to. `cap` is theirs; the facility has its own."""

    method_id: str
    debtor_ref: str
    cap: Money
    notice_days: int = 0


@dataclass(frozen=True, slots=True)
class RequestPayment:
    """Put it on the desk's list, or send a link. `why_not_autopay` says why a person has to be asked."""

    obligations: tuple[str, ...]
    amount: Money
    debtor_ref: str
    due_at: datetime
    why_not_autopay: str = ""


@dataclass(frozen=True, slots=True)
class AutopayDue:
    """Take it from the stored method at `due_at`, if it may be asked for then: it is read again in that unit."""

    obligations: tuple[str, ...]
    amount: Money
    method_id: str
    due_at: datetime


Action = RequestPayment | AutopayDue


def decide(
    owed: Iterable[ObligationView], facility: Facility, at: datetime, *, consents: Sequence[Consent] = ()
) -> list[Action]:
    """What to do about these obligations of one account. Those not yet due give an action for when they are."""
    if facility.policy == "hold":
        return []
    groups: dict[tuple[str, str, datetime, bool], list[ObligationView]] = {}
    for one in owed:
        if one.collectable_from is None or not _open(one, at):
            continue
        due = max(at, one.collectable_from)
        autopay = facility.policy == "autopay" and one.basis_kind in AUTOPAY_FROM
        groups.setdefault((one.debtor_ref, one.patient.currency, due, autopay), []).append(one)
    return [_action(key, members, facility, consents, at) for key, members in sorted(groups.items())]


def _open(one: ObligationView, at: datetime) -> Money | None:
    """What is to be paid of it: what may be asked now, or all that is open when its day comes."""
    if one.state not in {ObligationState.COLLECTABLE, ObligationState.IN_FLIGHT} or one.hold:
        return None
    if one.collectable_from is not None and one.collectable_from > at:
        rest = one.patient - one.paid - one.in_flight
        return rest if rest.minor > 0 else None
    return one.askable if one.askable else None


def _action(
    key: tuple[str, str, datetime, bool],
    members: list[ObligationView],
    facility: Facility,
    consents: Sequence[Consent],
    at: datetime,
) -> Action:
    debtor, currency, due, autopay = key
    amount = sum((_open(one, at) or Money.zero(currency) for one in members), Money.zero(currency))
    obligations = tuple(one.obligation_id for one in members)
    if facility.policy != "autopay":
        return RequestPayment(obligations, amount, debtor, due)
    if not autopay:
        return RequestPayment(obligations, amount, debtor, due, "charges are gross until they are invoiced")
    why = "there is no stored method with a recorded consent"
    for consent in consents:
        if consent.debtor_ref not in {"", debtor}:
            continue
        if consent.cap.currency != currency or amount > consent.cap:
            why = f"{amount} is above the {consent.cap} that was consented to"
        elif amount.decimal > parse_decimal(facility.autopay_cap):
            why = f"{amount} is above the facility's cap of {facility.autopay_cap}"
        else:
            notice = timedelta(days=max(facility.autopay_notice_days, consent.notice_days))
            return AutopayDue(obligations, amount, consent.method_id, due + notice)
    return RequestPayment(obligations, amount, debtor, due, why)

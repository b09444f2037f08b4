"""What happens to what is owed: nothing, a request, or the stored method. Pure; called by use cases after `reassess`.

Policy is a facility's, as data (config.Facility). `autopay` needs a stored method, a recorded consent and a cap, and
never takes money straight from a charge: FT1 lines are gross and followed by late charges and credits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..config import Facility
from ..domain.local_days import days_later
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
    """Take it from the stored method at `due_at`: when its notice has run, counted from the first time this is decided.

    Whether it may be asked for (from `not_before` on) is read again in the unit that takes it.
    """

    obligations: tuple[str, ...]
    amount: Money
    method_id: str
    debtor_ref: str
    not_before: datetime
    due_at: datetime


Action = RequestPayment | AutopayDue


def decide(
    owed: Iterable[ObligationView],
    facility: Facility,
    at: datetime,
    *,
    consents: Sequence[Consent] = (),
    tried: Collection[str] = (),
) -> list[Action]:
    """What to do about these obligations of one account. Those not yet due give an action for when they are.

    `tried`: the obligations for which a stored method was charged in vain. It isn't tried again by itself.
    """
    if facility.policy == "hold":
        return []
    groups: dict[tuple[str, str, datetime, str], list[ObligationView]] = {}
    for one in owed:
        if one.collectable_from is None or not _open(one, at):
            continue
        due = max(at, one.collectable_from)
        why = _why_not(one, facility, tried)
        groups.setdefault((one.debtor_ref, one.patient.currency, due, why), []).append(one)
    return [_action(key, members, facility, consents, at) for key, members in sorted(groups.items())]


def _why_not(one: ObligationView, facility: Facility, tried: Collection[str]) -> str:
    """Why a person has to ask for this, by what it is."""
    if facility.policy != "autopay":
        return ""
    if one.basis_kind not in AUTOPAY_FROM:
        return "charges are gross until they are invoiced"
    return "the stored method was tried and did not pay it" if one.obligation_id in tried else ""


def _open(one: ObligationView, at: datetime) -> Money | None:
    """What is to be paid of it: what may be asked now, or all that is open when its day comes."""
    if one.state not in {ObligationState.COLLECTABLE, ObligationState.IN_FLIGHT} or one.hold:
        return None
    if one.collectable_from is not None and one.collectable_from > at:
        rest = one.patient - one.paid - one.in_flight
        return rest if rest.minor > 0 else None
    return one.askable if one.askable else None


def _action(
    key: tuple[str, str, datetime, str],
    members: list[ObligationView],
    facility: Facility,
    consents: Sequence[Consent],
    at: datetime,
) -> Action:
    debtor, currency, due, why = key
    amount = sum((_open(one, at) or Money.zero(currency) for one in members), Money.zero(currency))
    obligations = tuple(one.obligation_id for one in members)
    if why or facility.policy != "autopay":
        return RequestPayment(obligations, amount, debtor, due, why)
    why = "there is no stored method with a recorded consent"
    for consent in consents:
        if consent.debtor_ref not in {"", debtor}:
            continue
        if consent.cap.currency != currency or amount > consent.cap:
            why = f"{amount} is above the {consent.cap} that was consented to"
        elif amount.decimal > parse_decimal(facility.autopay_cap):
            why = f"{amount} is above the facility's cap of {facility.autopay_cap}"
        else:
            notice = max(facility.autopay_notice_days, consent.notice_days)
            charged_at = days_later(due, notice, facility.zone)
            return AutopayDue(obligations, amount, consent.method_id, debtor, due, charged_at)
    return RequestPayment(obligations, amount, debtor, due, why)

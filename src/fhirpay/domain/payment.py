"""Payment: its state is a fold over what is known of it, by rank and never by arrival.

Facts come from operation outcomes and from processor events. The same set of facts in any order, with any repeats,
gives the same state, amounts and anomalies. Commands ask the table of legal moves first (`move`); the fold walks its
path by the same table. Called by payments/ and usecases/settle_outcome.py.

What the facts can't explain is an `Anomaly`: a break for a person, never a silent skip and never a lost amount.
To add a kind of fact: a member of `FactKind` (its place there is its rank) and a row in `LEADS_TO`; a kind that
undoes another fact (a void its capture) also goes into `UNDOES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from ..errors import InvariantBroken
from .money import Money
from .states import Moves


class PaymentState(StrEnum):
    """Settlement, refunds and disputes are amounts beside the state, not states."""

    CREATED = "created"
    REQUIRES_ACTION = "requires_action"
    IN_REVIEW = "in_review"
    AUTHORIZED = "authorized"
    CAPTURE_PENDING = "capture_pending"
    PROCESSING = "processing"
    CAPTURED = "captured"
    VOIDED = "voided"
    RETURNED = "returned"
    DECLINED = "declined"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


_S = PaymentState

MOVES: Moves[PaymentState] = Moves(
    "payment",
    {
        _S.CREATED: (
            _S.REQUIRES_ACTION,
            _S.IN_REVIEW,
            _S.AUTHORIZED,
            _S.PROCESSING,
            _S.CAPTURED,
            _S.DECLINED,
            _S.CANCELED,
            _S.EXPIRED,
        ),
        _S.REQUIRES_ACTION: (
            _S.IN_REVIEW,
            _S.AUTHORIZED,
            _S.PROCESSING,
            _S.CAPTURED,
            _S.DECLINED,
            _S.CANCELED,
            _S.EXPIRED,
        ),
        _S.IN_REVIEW: (_S.AUTHORIZED, _S.CAPTURED, _S.DECLINED, _S.CANCELED, _S.EXPIRED),
        _S.AUTHORIZED: (_S.CAPTURE_PENDING, _S.CAPTURED, _S.CANCELED, _S.EXPIRED),
        _S.CAPTURE_PENDING: (_S.CAPTURED, _S.AUTHORIZED, _S.CANCELED, _S.EXPIRED),
        _S.PROCESSING: (_S.CAPTURED, _S.FAILED, _S.CANCELED),
        _S.CAPTURED: (_S.VOIDED, _S.RETURNED),
        _S.RETURNED: (_S.CAPTURED,),
        # A verified late success only: booked as unapplied credit, with the break `late_success`.
        _S.DECLINED: (_S.CAPTURED,),
        _S.FAILED: (_S.CAPTURED,),
        _S.CANCELED: (_S.CAPTURED,),
        _S.EXPIRED: (_S.CAPTURED,),
        _S.VOIDED: (_S.CAPTURED,),
    },
)
CLOSED = frozenset({_S.DECLINED, _S.FAILED, _S.CANCELED, _S.EXPIRED, _S.VOIDED})
move = MOVES.move


class FactKind(StrEnum):
    """What can be known of a payment. The order of this list is the rank in which the fold walks."""

    REQUIRES_ACTION = "requires_action"
    IN_REVIEW = "in_review"
    DECLINED = "declined"
    AUTHORIZED = "authorized"
    PROCESSING = "processing"
    CAPTURE_PENDING = "capture_pending"
    CAPTURE_REFUSED = "capture_refused"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    CAPTURED = "captured"
    VOIDED = "voided"
    RETURNED = "returned"
    RETURN_REVERSED = "return_reversed"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"


_K = FactKind
_RANK = {kind: rank for rank, kind in enumerate(FactKind)}

LEADS_TO: Mapping[FactKind, PaymentState] = {
    _K.REQUIRES_ACTION: _S.REQUIRES_ACTION,
    _K.IN_REVIEW: _S.IN_REVIEW,
    _K.DECLINED: _S.DECLINED,
    _K.AUTHORIZED: _S.AUTHORIZED,
    _K.PROCESSING: _S.PROCESSING,
    _K.CAPTURE_PENDING: _S.CAPTURE_PENDING,
    _K.CAPTURE_REFUSED: _S.AUTHORIZED,
    _K.FAILED: _S.FAILED,
    _K.CANCELED: _S.CANCELED,
    _K.EXPIRED: _S.EXPIRED,
    _K.CAPTURED: _S.CAPTURED,
    _K.VOIDED: _S.VOIDED,
    _K.RETURNED: _S.RETURNED,
    _K.RETURN_REVERSED: _S.CAPTURED,
}
UNDOES: Mapping[FactKind, FactKind] = {
    _K.CAPTURE_REFUSED: _K.CAPTURE_PENDING,
    _K.VOIDED: _K.CAPTURED,
    _K.RETURN_REVERSED: _K.RETURNED,
    _K.REFUND_FAILED: _K.REFUNDED,
}
_UNDONE_BY = {undone: undoing for undoing, undone in UNDOES.items()}
# Where two sources state one fact with two amounts: money that came in is the least that both agree on, money that
# went out the most.
_OUT = frozenset({_K.RETURNED, _K.REFUNDED})
_MONEY = frozenset({_K.AUTHORIZED, _K.CAPTURED, _K.RETURNED, _K.REFUNDED})  # they carry an amount and a reference


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """One thing known. The same `kind` and `reference` is the same fact, whoever tells it (`source`).

    `reference` is the processor's id of this authorization, capture, return or refund: an operation outcome and the
    event about it have to carry the same one. `undoes` is the reference of the fact that this one takes back (a void
    its capture, a failed refund its refund); empty means all of that kind.
    """

    kind: FactKind
    occurred_at: datetime
    source: str  # "operation:…" or "event:…"
    amount: Money | None = None
    reference: str = ""
    undoes: str = ""

    def __post_init__(self) -> None:
        if self.kind in _MONEY and (self.amount is None or self.amount.minor < 0 or not self.reference):
            raise InvariantBroken(f"a fact '{self.kind}' has a reference and an amount that is not negative")


class AnomalyKind(StrEnum):
    LATE_SUCCESS = "late_success"  # captured after the payment had been closed
    ILLEGAL_MOVE = "illegal_move"  # not in the table; the state stays where it was
    UNMATCHED = "unmatched"  # takes back something that we have not seen (yet)
    AMOUNTS_DISAGREE = "amounts_disagree"  # two sources, one fact, two amounts
    OTHER_CURRENCY = "other_currency"  # not counted in the amounts
    OVER_CAPTURED = "over_captured"
    OVER_REFUNDED = "over_refunded"


_A = AnomalyKind


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A break to open. `key` is stable, so folding again finds the same break and not a second one. `amount` is what it
    is about, where it is about an amount."""

    kind: AnomalyKind
    says: str
    reference: str = ""
    amount: Money | None = None

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.reference}" if self.reference else str(self.kind)


@dataclass(frozen=True, slots=True)
class Folded:
    """What a set of facts amounts to. `captured` is without voids, `returned` without reversals of returns."""

    state: PaymentState
    path: tuple[PaymentState, ...]
    authorized: Money
    captured: Money
    voided: Money
    returned: Money
    refunded: Money
    anomalies: tuple[Anomaly, ...]

    @property
    def net(self) -> Money:
        """What of this payment is still with us."""
        return self.captured - self.returned - self.refunded


def fold(facts: Iterable[PaymentFact], *, currency: str) -> Folded:
    """State and amounts of a payment in `currency`. A pure function of the *set* of facts."""
    known, anomalies = _merge(facts, currency)
    live, undone, unmatched = _pair(known)
    anomalies += [
        Anomaly(_A.UNMATCHED, f"{fact.kind} takes back {fact.undoes or 'a fact'} that is not known", _name(fact))
        for fact in unmatched
    ]
    path = _walk(_steps(live, undone), anomalies)

    def total(kind: FactKind, among: Iterable[PaymentFact]) -> Money:
        return sum((f.amount for f in among if f.kind is kind and f.amount is not None), Money.zero(currency))

    amounts = {kind: total(kind, live) for kind in _MONEY}
    held = amounts[_K.CAPTURED] or amounts[_K.AUTHORIZED]
    anomalies = [replace(one, amount=held or None) if one.kind is _A.LATE_SUCCESS else one for one in anomalies]
    _check_laws(amounts, anomalies)
    return Folded(
        state=path[-1],
        path=tuple(path),
        authorized=amounts[_K.AUTHORIZED],
        captured=amounts[_K.CAPTURED],
        voided=total(_K.CAPTURED, undone),
        returned=amounts[_K.RETURNED],
        refunded=amounts[_K.REFUNDED],
        anomalies=tuple(anomalies),
    )


def _name(fact: PaymentFact) -> str:
    return f"{fact.kind}/{fact.reference or fact.undoes}".rstrip("/")


def _merge(facts: Iterable[PaymentFact], currency: str) -> tuple[list[PaymentFact], list[Anomaly]]:
    """One fact for each kind, reference and thing undone, in order of rank."""
    groups: dict[tuple[FactKind, str, str], list[PaymentFact]] = {}
    for fact in facts:
        undoes = fact.undoes if fact.kind in UNDOES else ""
        groups.setdefault((fact.kind, fact.reference, undoes), []).append(fact)
    merged: list[PaymentFact] = []
    anomalies: list[Anomaly] = []
    for (kind, reference, undoes), told in sorted(groups.items(), key=lambda g: (_RANK[g[0][0]], *g[0][1:])):
        first = min(told, key=lambda f: (f.occurred_at, f.source))
        stated = {f.amount for f in told if f.amount is not None}
        amounts = {amount.minor for amount in stated if amount.currency == currency}
        name = _name(first)
        if others := sorted({amount.currency for amount in stated} - {currency}):
            says = f"{kind} in {', '.join(others)} on a payment in {currency}"
            anomalies.append(Anomaly(_A.OTHER_CURRENCY, says, name))
        if len(amounts) > 1:
            listed = ", ".join(str(Money(minor, currency)) for minor in sorted(amounts))
            anomalies.append(Anomaly(_A.AMOUNTS_DISAGREE, f"{kind} was stated as {listed}", name))
        least_or_most = max if kind in _OUT else min
        amount = Money(least_or_most(amounts, default=0), currency) if stated else None
        merged.append(PaymentFact(kind, first.occurred_at, first.source, amount, reference, undoes))
    return merged, anomalies


def _pair(known: list[PaymentFact]) -> tuple[list[PaymentFact], list[PaymentFact], list[PaymentFact]]:
    """What stands, what was taken back, and what takes back something that isn't there."""
    gone: set[PaymentFact] = set()
    unmatched: list[PaymentFact] = []
    for fact in known:
        if undoes := UNDOES.get(fact.kind):
            hit = [f for f in known if f.kind is undoes and fact.undoes in ("", f.reference)]
            # A capture that was refused at once never was pending: there is nothing to match.
            if not hit and fact.kind is not _K.CAPTURE_REFUSED:
                unmatched.append(fact)
            gone.update(hit)
    live = [f for f in known if f not in gone and f not in unmatched]
    return live, [f for f in known if f in gone], unmatched


def _steps(live: list[PaymentFact], undone: list[PaymentFact]) -> list[tuple[FactKind, str]]:
    """The walk: by rank, but what was taken back is walked there and back before what stands."""
    steps: list[tuple[FactKind, str]] = []
    for kind in FactKind:
        if kind in LEADS_TO and kind not in UNDOES:
            there = [(kind, _name(fact)) for fact in undone if fact.kind is kind]
            steps += there + [(_UNDONE_BY[kind], name) for _, name in there]
            steps += [(kind, _name(fact)) for fact in live if fact.kind is kind]
        elif kind is _K.CAPTURE_REFUSED and not any(fact.kind is _K.CAPTURE_PENDING for fact in undone):
            steps += [(kind, _name(fact)) for fact in live if fact.kind is kind]
    return steps


def _walk(steps: list[tuple[FactKind, str]], anomalies: list[Anomaly]) -> list[PaymentState]:
    path = [_S.CREATED]
    for kind, name in steps:
        current, new = path[-1], LEADS_TO[kind]
        if new is current:
            continue  # a second capture or a second notice moves amounts, not the state
        if not MOVES.allows(current, new):
            anomalies.append(Anomaly(_A.ILLEGAL_MOVE, f"{kind} can't follow {current}", name))
            continue
        if current in CLOSED:
            anomalies.append(Anomaly(_A.LATE_SUCCESS, f"{kind} after the payment was {current}", name))
        path.append(new)
    return path


def _check_laws(amounts: Mapping[FactKind, Money], anomalies: list[Anomaly]) -> None:
    authorized, captured = amounts[_K.AUTHORIZED], amounts[_K.CAPTURED]
    if authorized and captured > authorized:
        says = f"captured {captured}, authorized {authorized}"
        anomalies.append(Anomaly(_A.OVER_CAPTURED, says, amount=captured - authorized))
    out = amounts[_K.REFUNDED] + amounts[_K.RETURNED]
    if out > captured:
        says = f"refunded and returned {out}, captured {captured}"
        anomalies.append(Anomaly(_A.OVER_REFUNDED, says, amount=out - captured))

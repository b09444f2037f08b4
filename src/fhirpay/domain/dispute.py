"""Dispute: a payer's bank takes a payment back. Its state is a fold over what was seen of it, by rank, not by arrival.

Called by payments/disputes.py. What a processor shows of a dispute is a sample: what lies between two samples is walked
by the shortest legal path, and what no path leads to is an `Anomaly`, a break for a person. A dispute that is won and
taken up again is in its second `round`; within a round the order of `DisputeState` is the rank, so the same samples in
any order, with any repeats, give the same state. Beside the state stand the funds: money lines of their own, in any
order, of any part of the amount. How much of it is lost is read off the same facts, so the books follow from the set
of facts alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ..errors import InvariantBroken
from .money import Money
from .states import Moves


class DisputeState(StrEnum):
    """The order of this list is the rank within a round."""

    INQUIRY = "inquiry"  # the bank asks; no money has moved
    INQUIRY_CLOSED = "inquiry_closed"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    LOST = "lost"
    ACCEPTED = "accepted"  # lost by our own decision: processors report it as lost
    WON = "won"


_S = DisputeState
_RANK = {state: rank for rank, state in enumerate(DisputeState)}

MOVES: Moves[DisputeState] = Moves(
    "dispute",
    {
        _S.INQUIRY: (_S.INQUIRY_CLOSED, _S.NEEDS_RESPONSE),
        _S.NEEDS_RESPONSE: (_S.UNDER_REVIEW, _S.ACCEPTED, _S.LOST),
        _S.UNDER_REVIEW: (_S.WON, _S.LOST),
        _S.WON: (_S.NEEDS_RESPONSE,),  # the second round
        _S.LOST: (_S.WON,),  # reversed late
    },
)
BEGINS = (_S.INQUIRY, _S.NEEDS_RESPONSE)
OPEN = frozenset({_S.INQUIRY, _S.NEEDS_RESPONSE, _S.UNDER_REVIEW})
GONE = frozenset({_S.LOST, _S.ACCEPTED})  # its money is the payer's
ENDS = frozenset(DisputeState) - OPEN
BY_HAND = "by_hand"  # `reference` of a state that a person has stated, where the processor told no end


class Funds(StrEnum):
    """Where the money is, whatever the state says."""

    NONE = "none"
    WITHDRAWN = "withdrawn"
    REINSTATED = "reinstated"


class MoneyKind(StrEnum):
    WITHDRAWN = "withdrawn"
    REINSTATED = "reinstated"


@dataclass(frozen=True, slots=True)
class DisputeFact:
    """One thing known: a state in which the dispute was seen, or a line of money. `kind` says which.

    `reference` is the processor's id of the line, or BY_HAND; `fee` its fee, below zero where one is given back.
    """

    kind: DisputeState | MoneyKind
    round: int
    occurred_at: datetime
    source: str
    reference: str = ""
    amount: Money | None = None
    fee: Money | None = None

    def __post_init__(self) -> None:
        if self.round < 1:
            raise InvariantBroken("a dispute's rounds are counted from 1")
        if isinstance(self.kind, MoneyKind) and (self.amount is None or self.amount.minor <= 0 or not self.reference):
            raise InvariantBroken(f"money that is {self.kind} has a reference and an amount above zero")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of money, merged from all that was said of it."""

    kind: MoneyKind
    reference: str
    round: int
    amount: Money
    fee: Money
    at: datetime


class AnomalyKind(StrEnum):
    ILLEGAL_MOVE = "illegal_move"  # no path leads there; the state stays where it was
    UNMATCHED = "unmatched"  # more came back than was taken: not counted
    AMOUNTS_DISAGREE = "amounts_disagree"  # one line, two amounts
    OTHER_CURRENCY = "other_currency"  # not counted
    BY_HAND_DIFFERS = "by_hand_differs"  # a person had stated another end than the processor: the processor's counts


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A break to open. `key` is stable, so folding again finds the same break."""

    kind: AnomalyKind
    says: str
    about: str

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.about}"


@dataclass(frozen=True, slots=True)
class Folded:
    """What a set of facts amounts to. `lines` are those that count, in order; `lost` is what was withdrawn in rounds
    that were lost, less what was reinstated in them."""

    state: DisputeState
    round: int
    path: tuple[DisputeState, ...]
    lines: tuple[Line, ...]
    withdrawn: Money
    reinstated: Money
    lost: Money
    fees: Money
    anomalies: tuple[Anomaly, ...]

    @property
    def out(self) -> Money:
        """What the processor holds back at present."""
        return self.withdrawn - self.reinstated

    @property
    def funds(self) -> Funds:
        if not self.withdrawn:
            return Funds.NONE
        return Funds.WITHDRAWN if self.out.minor > 0 else Funds.REINSTATED


def fold(facts: Iterable[DisputeFact], *, currency: str) -> Folded:
    """State and money of a dispute in `currency`. A pure function of the *set* of facts, one of which is a state."""
    known = list(facts)
    anomalies: list[Anomaly] = []
    seen = _states(known, anomalies)
    path, state, round_ = _walk(seen, anomalies)
    lines = _matched(_lines(known, currency, anomalies), anomalies)
    lost_in = {where for where, what in seen if what in GONE}
    zero = Money.zero(currency)

    def total(kind: MoneyKind, rounds: Collection[int] | None = None) -> Money:
        counted = (one.amount for one in lines if one.kind is kind and (rounds is None or one.round in rounds))
        return sum(counted, zero)

    return Folded(
        state=state,
        round=round_,
        path=tuple(path),
        lines=tuple(lines),
        withdrawn=total(MoneyKind.WITHDRAWN),
        reinstated=total(MoneyKind.REINSTATED),
        lost=total(MoneyKind.WITHDRAWN, lost_in) - total(MoneyKind.REINSTATED, lost_in),
        fees=sum((one.fee for one in lines), zero),
        anomalies=tuple(anomalies),
    )


def _states(known: Iterable[DisputeFact], anomalies: list[Anomaly]) -> list[tuple[int, DisputeState]]:
    """The states that were seen, by round and rank. One that we accepted is what the processor reports as lost; the end
    of a round that a person has stated gives way to one that the processor tells."""
    states = [(one.round, one.kind, one.reference) for one in known if isinstance(one.kind, DisputeState)]
    found = {(where, what) for where, what, said in states if said != BY_HAND}
    for where, what in sorted({(where, what) for where, what, said in states if said == BY_HAND}):
        told = sorted(theirs for round_, theirs in found if round_ == where and theirs in ENDS)
        if not told:
            found.add((where, what))
        elif what not in told:
            says = f"a person has stated that it was {what}, and the processor says {', '.join(told)}"
            anomalies.append(Anomaly(AnomalyKind.BY_HAND_DIFFERS, says, f"{what}/{where}"))
    found -= {(where, _S.LOST) for where, what in found if what is _S.ACCEPTED}
    if not found:
        raise InvariantBroken("a dispute of which no state was ever seen")
    return sorted(found, key=lambda one: (one[0], _RANK[one[1]]))


def _walk(
    seen: Sequence[tuple[int, DisputeState]], anomalies: list[Anomaly]
) -> tuple[list[DisputeState], DisputeState, int]:
    path: list[DisputeState] = []
    at = 1
    for round_, state in seen:
        way = _way(path[-1] if path else None, state)
        if way is None:
            says = f"{state} can't follow {path[-1]}"
            anomalies.append(Anomaly(AnomalyKind.ILLEGAL_MOVE, says, f"{state}/{round_}"))
            continue
        path += way
        at = round_
    return path, path[-1], at


def _way(current: DisputeState | None, to: DisputeState) -> list[DisputeState] | None:
    """The shortest legal way there, one step at least; None: there is none."""
    return MOVES.way(BEGINS if current is None else MOVES.next(current), to)


def _lines(known: Iterable[DisputeFact], currency: str, anomalies: list[Anomaly]) -> list[Line]:
    """One line for each reference. Of two amounts the most went out and the least came back."""
    groups: dict[tuple[MoneyKind, str], list[DisputeFact]] = {}
    for fact in known:
        if isinstance(fact.kind, MoneyKind):
            groups.setdefault((fact.kind, fact.reference), []).append(fact)
    lines: list[Line] = []
    for (kind, reference), told in sorted(groups.items()):
        name = f"{kind}/{reference}"
        stated = {fact.amount for fact in told if fact.amount is not None}
        amounts = sorted(amount.minor for amount in stated if amount.currency == currency)
        if others := sorted({amount.currency for amount in stated} - {currency}):
            says = f"{kind} in {', '.join(others)} on a dispute in {currency}"
            anomalies.append(Anomaly(AnomalyKind.OTHER_CURRENCY, says, name))
        if not amounts:
            continue
        if len(amounts) > 1:
            listed = ", ".join(str(Money(minor, currency)) for minor in amounts)
            anomalies.append(Anomaly(AnomalyKind.AMOUNTS_DISAGREE, f"{kind} was stated as {listed}", name))
        fees = [fact.fee.minor for fact in told if fact.fee is not None and fact.fee.currency == currency]
        minor = amounts[-1] if kind is MoneyKind.WITHDRAWN else amounts[0]
        first = min(told, key=lambda fact: (fact.occurred_at, fact.round, fact.source))
        fee = Money(max(fees, default=0), currency)
        lines.append(
            Line(kind, reference, min(fact.round for fact in told), Money(minor, currency), fee, first.occurred_at)
        )
    return sorted(lines, key=lambda one: (one.round, one.kind is MoneyKind.REINSTATED, one.at, one.reference))


def _matched(lines: list[Line], anomalies: list[Anomaly]) -> list[Line]:
    """Without what came back of nothing: a reinstatement counts once that much was withdrawn, up to its round."""
    kept: list[Line] = []
    for line in lines:
        if line.kind is MoneyKind.REINSTATED:
            out = sum(one.amount.minor if one.kind is MoneyKind.WITHDRAWN else -one.amount.minor for one in kept)
            if line.amount.minor > out:
                says = f"{line.amount} came back, of which {Money(out, line.amount.currency)} had been withdrawn"
                anomalies.append(Anomaly(AnomalyKind.UNMATCHED, says, line.reference))
                continue
        kept.append(line)
    return kept

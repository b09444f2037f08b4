"""From how an account's amounts stood to how they should stand: which ledger entries lead there. Pure.

Called by store.reassess. Each charge is a bucket: its price lies in `ar_pending` until a source draws on it (itself
as self-pay, a copay, an Invoice), which puts that part into the drawing obligation's `ar_patient`. What an Invoice
asks for a charge that has not come in is drawn from that charge's bucket all the same: when it comes, nothing is
posted. So a change is a change of one bucket at a time, and the entries follow from its old and new amounts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from ..domain.money import Money
from ..errors import InvariantBroken
from ..ledger import rules
from ..ledger.entry import Entry
from .assessment import Basis


@dataclass(frozen=True, slots=True)
class Position:
    """One obligation's amounts as they are in the books, in minor units of one currency."""

    obligation_id: str
    kind: str
    key: str
    currency: str
    pending: int = 0
    discount: int = 0
    draws: Mapping[str, int] = field(default_factory=dict[str, int])
    relief: Mapping[str, int] = field(default_factory=dict[str, int])  # as `Desired` has it
    written_off: Mapping[str, int] = field(default_factory=dict[str, int])  # of `draws`, by kind


@dataclass(frozen=True, slots=True)
class Step:
    """One entry to post. `bucket` is the charge (or Invoice) that it is about."""

    rule: str
    obligation: str
    minor: int
    currency: str
    bucket: str
    other: str = ""  # the obligation on the other leg, where it isn't the same
    relief: str = ""  # of relief: where it is taken from, and what it is; of a write-off: its kind
    came_from: tuple[str, str, str] = ("", "", "")  # of what was refunded and returned: payment, merchant and return

    def entry(self, account_ref: str, *, occurred_at: datetime, business_date: date) -> Entry:
        amount = Money(self.minor, self.currency)
        when = rules.When(occurred_at=occurred_at, business_date=business_date, refs={"basis": self.bucket})
        to = (self.obligation, account_ref, amount)
        match self.rule:
            case "charge_pending":
                return rules.charge_pending(*to, **when)
            case "charge_self_pay":
                return rules.charge_self_pay(*to, **when)
            case "credited_pending":
                return rules.charge_credited(*to, stands_in="ar_pending", **when)
            case "credited_patient":
                return rules.charge_credited(*to, stands_in="ar_patient", **when)
            case "share_known":
                return rules.share_known(*to, from_obligation=self.other, **when)
            case "share_withdrawn":
                return rules.share_withdrawn(*to, to_obligation=self.other, **when)
            case "invoice_unseen":
                return rules.invoice_unseen(*to, **when)
            case "invoice_unseen_cancelled":
                return rules.invoice_unseen_cancelled(*to, **when)
            case "opening":
                return rules.opening_receivable(*to, **when)
            case "opening_taken_back":
                return rules.opening_taken_back(*to, **when)
            case "recoverable" | "recoverable_set_off":
                payment, merchant, returned = self.came_from
                back = self.rule == "recoverable_set_off"
                return rules.return_recoverable(
                    payment,
                    merchant,
                    self.obligation,
                    amount,
                    account_ref=account_ref,
                    returned=returned,
                    back=back,
                    **when,
                )
            case "relief" | "relief_withdrawn":
                where, _, kind = self.relief.partition("/")
                back = self.rule == "relief_withdrawn"
                return rules.relief(*to, kind=kind, stands_in=f"ar_{where}", back=back, **when)
            case "written_off" | "recovered":
                return rules.written_off(*to, kind=self.relief, back=self.rule == "recovered", **when)
            case "discount":
                return rules.self_pay_discount(*to, **when)
            case "discount_withdrawn":
                return rules.self_pay_discount_withdrawn(*to, **when)
            case _:
                raise InvariantBroken(f"there is no rule '{self.rule}'")


@dataclass(slots=True)
class _Bucket:
    """A charge's amounts before and after. `owner` is its own obligation, when the charge has come in."""

    name: str
    currency: str
    owner: str = ""
    opening: bool = False  # taken over from other books: its contra is their opening balance
    recovery: bool = False  # refunded and returned: its contra is what the processor took from us
    pending: list[int] = field(default_factory=lambda: [0, 0])
    discount: list[int] = field(default_factory=lambda: [0, 0])
    patient: dict[str, list[int]] = field(default_factory=dict[str, list[int]])  # before any discount or relief
    relief: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def rule(self, charge: str, opening: str, recovery: str, unseen: str) -> str:
        """Of these rules the one for what this is: a charge, an opening balance, a recovery, or a charge that has not
        come in."""
        if self.recovery:
            return recovery
        return charge if self.owner else opening if self.opening else unseen

    def gross(self, at: int) -> int:
        return self.pending[at] + sum(amounts[at] for amounts in self.patient.values())


def steps(before: Iterable[Position], after: Iterable[Position]) -> list[Step]:
    """The entries that lead from the one to the other. What stays the same posts nothing."""
    buckets: dict[tuple[str, str], _Bucket] = {}
    given_up: dict[tuple[str, str], tuple[Position, list[int]]] = {}
    for at, positions in enumerate((before, after)):
        for position in positions:
            _put(buckets, position, at)
            for kind, minor in position.written_off.items():
                given_up.setdefault((position.obligation_id, kind), (position, [0, 0]))[1][at] = minor
    moves = [
        Step("written_off" if now > was else "recovered", of, abs(now - was), one.currency, one.key, relief=kind)
        for (of, kind), (one, (was, now)) in sorted(given_up.items())
        if now != was
    ]
    # What was given up comes back before its charge is credited, and goes after it is there.
    return [
        *(move for move in moves if move.rule == "recovered"),
        *(step for _, bucket in sorted(buckets.items()) for step in _of(bucket)),
        *(move for move in moves if move.rule == "written_off"),
    ]


def _put(buckets: dict[tuple[str, str], _Bucket], position: Position, at: int) -> None:
    def bucket(name: str) -> _Bucket:
        return buckets.setdefault((name, position.currency), _Bucket(name, position.currency))

    if position.kind == Basis.CHARGE:
        own = bucket(position.key)
        own.pending[at] += position.pending
        own.discount[at] += position.discount
        if position.pending or position.discount or position.draws or position.relief or not own.owner:
            own.owner = position.obligation_id
        for key, minor in position.relief.items():
            own.relief.setdefault(key, [0, 0])[at] += minor
            if key.startswith("pending/"):
                own.pending[at] += minor
            else:
                own.patient.setdefault(position.obligation_id, [0, 0])[at] += minor
        if position.discount:
            own.patient.setdefault(position.obligation_id, [0, 0])[at] += position.discount
    if position.kind == Basis.OPENING:
        bucket(position.key).opening = True
    if position.kind == Basis.RECOVERY:
        bucket(position.key).recovery = True
    for name, minor in position.draws.items():
        bucket(name).patient.setdefault(position.obligation_id, [0, 0])[at] += minor


def _of(bucket: _Bucket) -> Iterator[Step]:
    def step(rule: str, obligation: str, minor: int, other: str = "") -> Step:
        return Step(rule, obligation, minor, bucket.currency, bucket.name, other)

    down, up = max(0, bucket.gross(0) - bucket.gross(1)), max(0, bucket.gross(1) - bucket.gross(0))
    discount = bucket.discount[1] - bucket.discount[0]
    if discount < 0:
        yield step("discount_withdrawn", bucket.owner, -discount)
    for key, (was, now) in sorted(bucket.relief.items()):
        if was > now:
            yield replace(step("relief_withdrawn", bucket.owner, was - now), relief=key)
    through = bucket.owner
    for obligation, (was, now) in sorted(bucket.patient.items()):
        less = was - now
        if less <= 0:
            continue
        gone = min(less, down)
        down -= gone
        if gone:
            yield step(
                bucket.rule(
                    "credited_patient", "opening_taken_back", "recoverable_set_off", "invoice_unseen_cancelled"
                ),
                obligation,
                gone,
            )
        if less > gone:
            through = through or obligation
            yield step("share_withdrawn", obligation, less - gone, through)
    more = {one: now - was for one, (was, now) in sorted(bucket.patient.items()) if now > was}
    for obligation in more:
        new = min(up, more[obligation]) if obligation == bucket.owner or not bucket.owner else 0
        if new:
            yield step(bucket.rule("charge_self_pay", "opening", "recoverable", "invoice_unseen"), obligation, new)
            more[obligation] -= new
            up -= new
    if up:
        yield step("charge_pending", bucket.owner, up)
    for obligation, minor in more.items():
        if minor:
            yield step("share_known", obligation, minor, through or obligation)
    if down:
        yield step("credited_pending", bucket.owner, down)
    if discount > 0:
        yield step("discount", bucket.owner, discount)
    for key, (was, now) in sorted(bucket.relief.items()):
        if now > was:
            yield replace(step("relief", bucket.owner, now - was), relief=key)

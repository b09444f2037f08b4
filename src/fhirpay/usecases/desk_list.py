"""Everything that waits for a person, in one list: the worklist, breaks of payments, outcomes that nobody knows.

Called by web/api/staff.py and `fhirpay worklist`. Parked messages and parked calls are lines of the worklist. Oldest
first, page by page. To add a kind of line: open it where it is found, and give it a row in reconciliation/kinds.toml.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..billing import worklist
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound, RuleBroken
from ..flow import lane
from ..outbox import QUEUE
from ..payments import store, unattended
from ..payments.records import Break
from ..reconciliation.gaps import PAYOUT_SUM
from ..reconciliation.kinds import kind as kind_of
from .apply_message import PARKED
from .parked import KIND as PARKED_CALL
from .rollout import TO_CONFIRM
from .settle_outcome import unknown_key

PAGE = 100
UNKNOWN = "unknown_outcome"
TO_PAYER = "payer_must_confirm"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing for a person. `amount` where money is at stake; `merchant` where it is of one."""

    line_id: str
    kind: str
    subject: str
    says: str
    account_ref: str
    amount: Money | None
    since: datetime
    merchant: str = ""

    @property
    def next(self) -> str:
        return kind_of(self.kind).next

    @property
    def owner(self) -> str:
        return kind_of(self.kind).owner

    @property
    def command(self) -> str:
        ids = {"line": self.line_id, "subject": self.subject, "account": self.account_ref, "merchant": self.merchant}
        return kind_of(self.kind).command_for(ids)


@dataclass(frozen=True, slots=True)
class Lines:
    """A page. `last` leads to the next one; None: this is the last."""

    lines: tuple[Line, ...]
    last: tuple[datetime, str] | None


def read(
    tx: Tx,
    *,
    account_ref: str | None = None,
    kind: str | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int = PAGE,
) -> Lines:
    """What is open, oldest first; `after` is the moment and id of the last one seen."""
    most = limit + 1
    found = [
        Line(one.item_id, one.kind, one.subject, one.says, one.account_ref, one.amount, one.created_at)
        for one in worklist.list_open(tx, account_ref=account_ref, kind=kind, after=after, limit=most)
    ]
    found += [_of_break(one) for one in store.breaks(tx, account_ref=account_ref, kind=kind, after=after, limit=most)]
    if kind in (None, UNKNOWN):
        found += [one for one in _unknown(tx, account_ref) if after is None or (one.since, one.line_id) > after]
    if kind in (None, TO_PAYER):
        found += [one for one in _to_payers(tx, account_ref) if after is None or (one.since, one.line_id) > after]
    found.sort(key=lambda one: (one.since, one.line_id))
    page = tuple(found[:limit])
    return Lines(page, (page[-1].since, page[-1].line_id) if len(found) > limit else None)


def _of_break(one: Break) -> Line:
    amount, subject = one.amount or None, one.subject or one.payment_id
    says = one.says
    if one.kind == PAYOUT_SUM and one.payment_id:
        says += f"; {one.payment_id}, of which the lines have not what the books have, is told here alone"
    if one.balance:
        says += f"; so is {one.balance} by which the processor's balance and the books differ"
    return Line(one.break_key, one.kind, subject, says, one.account_ref, amount, one.opened_at, one.merchant)


def _unknown(tx: Tx, account_ref: str | None) -> list[Line]:
    """Outcomes that nobody knows and of which nobody has been told yet by a break: those come first of all."""
    told = {one.break_key for one in store.breaks(tx, kind=UNKNOWN)}
    lines: list[Line] = []
    for one in store.unknown_operations(tx):
        if unknown_key(one) in told:
            continue
        account = store.get(tx, one.payment_id).account_ref
        if account_ref in (None, account):
            says = f"nobody knows yet what became of {one.kind} {one.operation_id}: {one.says or 'no answer came'}"
            since = one.sent_at or one.created_at
            lines.append(Line(one.operation_id, UNKNOWN, one.payment_id, says, account, one.amount, since))
    return lines


def _to_payers(tx: Tx, account_ref: str | None) -> list[Line]:
    """Pages on which a payer has to confirm or pay what a stored method could not be charged with."""
    lines: list[Line] = []
    for one in unattended.waiting_for_payers(tx, account_ref):
        until = f" until {one.hosted_until:%Y-%m-%d %H:%M} UTC" if one.hosted_until else ""
        says = f"the payer's bank wants the payer to confirm {one.amount}, at {one.hosted_url}{until}"
        lines.append(Line(one.payment_id, TO_PAYER, one.payment_id, says, one.account_ref, one.amount, one.created_at))
    return lines


def done(tx: Tx, line_id: str, *, by: str, why: str) -> None:
    """A person has dealt with it. Raises NotFound when it isn't on the list, RuleBroken where that is not enough."""
    if not why.strip():
        raise RuleBroken("say why it is done: it is kept with the line")
    if (line_id.startswith("opn") and ":" not in line_id) or ":unknown:" in line_id:
        raise RuleBroken("an outcome that nobody knows ends when it is said what it was: fhirpay processor found ID")
    if line_id.startswith("pay") and ":" not in line_id:
        raise RuleBroken("a link that waits for its payer ends when it is paid or has expired; or void the payment")
    item = worklist.find(tx, line_id)
    if item is None:
        if not store.accept_break(tx, line_id, by=by, why=why):
            raise NotFound(f"{line_id} is not on the worklist")
        return
    if item.kind == PARKED:
        raise RuleBroken(f"a parked message is replayed or set aside: fhirpay replay {item.subject} [--ignore REASON]")
    if item.kind == TO_CONFIRM:
        raise RuleBroken(f"a posting is confirmed or rejected: fhirpay writeback confirm {item.subject}, or reject")
    if item.kind == PARKED_CALL:
        _discard(tx, item.subject, why)
    worklist.done(tx, line_id, by=by, why=why)


def _discard(tx: Tx, work_id: str, why: str) -> None:
    """The call is not to be made any more: a person did what it was for."""
    work = next((one for one in lane.parked(tx, QUEUE) if one.work_id == work_id), None)
    if work is not None and work.kind.startswith(("payment.", "refund.", "dispute.")):
        raise RuleBroken(f"a call that moves money is tried again, never dropped: fhirpay replay {work_id}")
    if work is not None:
        lane.discard(tx, work_id, reason=why)

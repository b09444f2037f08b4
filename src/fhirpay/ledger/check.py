"""Reads a chain entry by entry, from stored texts and hashes, and the rows that repeat them where there are any.

Pure; used by verify.py, online and offline.

What it finds is a list of problems; it never raises for what is wrong in the books. To add a control equation: a line
in `CONTROLS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .chain import GENESIS, Head, Mark, canonical, digest
from .chart import CHART, Side
from .spelling import DIMS, EntryRow, PostingRow, spells

# account → along what it may never be below zero
CONTROLS = {
    "ar_patient": "obligation",
    "ar_pending": "account_ref",  # a copay's share comes out of the charges' pending amount
    "unapplied_credit": "payment",
    "refunds_payable": "refund",
    "dispute_receivable": "payment",
}
# account → where in a row of postings that stands, and the side on which its balance grows
_KEPT = {account: (PostingRow._fields.index(by), CHART[account].normal.value) for account, by in CONTROLS.items()}
_REPEATED = ("entry_id", "key", "kind", "business_date", "occurred_at", "recorded_at")
_BODY = frozenset("v tenant seq prev entry_id kind key occurred_at recorded_at business_date refs postings".split())


@dataclass(frozen=True, slots=True)
class Problem:
    """`kind`: chain, balance, control, repeat (rows that differ from what was hashed), period, head, signature."""

    kind: str
    says: str
    seq: int | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.says}" if self.seq is None else f"{self.kind} at {self.seq}: {self.says}"


@dataclass(frozen=True, slots=True)
class Report:
    entries: int
    head: Head
    problems: tuple[Problem, ...]
    step: Head  # the last one that closed a period or opened it again

    @property
    def mark(self) -> Mark:
        """The head as it is printed."""
        return Mark(self.head, self.step)

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(slots=True)
class Reader:
    """Walks the chain entry by entry: `take` from its text alone, `take_stored` from its text and its rows."""

    tenant: str
    known: Iterable[Head] = ()
    seq: int = 0  # of the last entry, with its hash
    hash: str = GENESIS
    entries: int = 0
    problems: list[Problem] = field(default_factory=list[Problem])
    sums: dict[tuple[str, str, str], int] = field(default_factory=dict[tuple[str, str, str], int])
    _printed: dict[int, set[str]] = field(init=False, default_factory=dict[int, set[str]])

    def __post_init__(self) -> None:
        known, self.known = self.known, set[Head]()
        for head in known:
            self.expect(head)

    def expect(self, head: Head) -> None:
        """It was printed: the chain went through it, or does when it comes there."""
        if head.seq:  # before the first entry all ledgers are alike
            self.known = {*self.known, head}
            self._printed.setdefault(head.seq, set()).add(head.hash)

    @property
    def head(self) -> Head:
        """Where it stands."""
        return Head(self.seq, self.hash)

    def take_stored(self, entry: EntryRow, postings: Sequence[PostingRow]) -> None:
        """An entry with the rows that repeat it, as they come from the driver."""
        if self.take_rows(entry, postings):
            return
        row = EntryRow._make(entry)
        body = self.take(row.seq, row.body, row.hash)
        if body is not None and not (
            all(getattr(row, name) == body[name] for name in _REPEATED) and _repeat(postings, body["postings"])
        ):
            self.says("repeat", "its rows say something else than its text", row.seq)

    def take_rows(self, entry: EntryRow, postings: Sequence[PostingRow]) -> bool:
        """Whether the entry is whole and its rows repeat it: then it is taken. If not, nothing is; `take` says what.

        It is the short way: what it takes, the long one would find nothing in.
        """
        seq, stored_hash = entry[0], entry[-1]
        if not spells(entry, postings, self.tenant, self.seq, self.hash) or digest(entry[-2]) != stored_hash:
            return False
        if not _balances(postings):
            return False
        for leg in postings:
            if kept := _KEPT.get(leg[2]):
                at, grows = kept
                key = (leg[2], str(leg[at] or ""), leg[5])
                self.sums[key] = self.sums.get(key, 0) + (leg[4] if leg[3] == grows else -leg[4])
        self._stands(seq, stored_hash)
        return True

    def take(self, seq: int, text: str, stored_hash: str) -> dict[str, Any] | None:
        """The body, when it can be read. Goes on after a problem, so that each one is found once."""
        if seq != self.seq + 1:
            self.says("chain", f"entry {self.seq + 1} should stand here", seq)
        body = _read(text)
        if body is None or digest(text) != stored_hash:
            self.says("chain", "the text has been changed since it was hashed", seq)
        if body is not None:
            if body["seq"] != seq or body["tenant"] != self.tenant:
                self.says("chain", f"the text is of entry {body['seq']} of tenant '{body['tenant']}'", seq)
            if body["prev"] != self.hash:
                self.says("chain", "it does not follow the entry before it", seq)
            self._add_up(body, seq)
        self._stands(seq, stored_hash)
        return body

    def _stands(self, seq: int, stored_hash: str) -> None:
        self.seq, self.hash = seq, stored_hash
        self.entries += 1
        if self._printed and self._printed.get(seq, {stored_hash}) != {stored_hash}:
            self.says("head", "another head was printed here", seq)

    def finish(self, stated: Mark) -> Report:
        if stated.head != self.head:
            self.says("head", f"the head says {stated.head}, the last entry {self.head}")
        for head in sorted(self.known):
            if head.seq > self.head.seq:
                self.says("head", f"a head was printed at {head.seq}, the entries end at {self.head.seq}")
        for (account, value, currency), minor in sorted(self.sums.items()):
            if minor < 0:
                self.says("control", f"{account} of {CONTROLS[account]} {value} is {minor} {currency} (minor units)")
        return Report(self.entries, self.head, tuple(self.problems), stated.step)

    def says(self, kind: str, says: str, seq: int | None = None) -> None:
        self.problems.append(Problem(kind, says, seq))

    def _add_up(self, body: dict[str, Any], seq: int) -> None:
        off: dict[str, int] = {}
        for leg in body["postings"]:
            account, currency, minor = leg["account"], leg["currency"], leg["minor"]
            if minor < 0:
                self.says("balance", f"a posting to {account} is negative", seq)
            debit = minor if leg["side"] == Side.DEBIT else -minor
            off[currency] = off.get(currency, 0) + debit
            if by := CONTROLS.get(account):
                key = (account, leg["dims"].get(by, ""), currency)
                normal = debit if CHART[account].normal is Side.DEBIT else -debit
                self.sums[key] = self.sums.get(key, 0) + normal
        for currency, minor in off.items():
            if minor:
                self.says("balance", f"debits less credits are {minor} {currency} (minor units)", seq)


def _repeat(postings: Sequence[PostingRow], legs: Sequence[dict[str, Any]]) -> bool:
    return [tuple(one[1:]) for one in postings] == [
        (line, leg["account"], leg["side"], leg["minor"], leg["currency"], *map(leg["dims"].get, DIMS))
        for line, leg in enumerate(legs, start=1)
    ]


def _balances(postings: Sequence[PostingRow]) -> bool:
    if len(postings) == 2:  # as nearly all
        one, other = postings
        return one[3] != other[3] and one[4] == other[4] and one[5] == other[5]
    off: dict[str, int] = {}
    for leg in postings:
        off[leg[5]] = off.get(leg[5], 0) + (leg[4] if leg[3] == "debit" else -leg[4])
    return not any(off.values())


def _read(text: str) -> dict[str, Any] | None:
    """The body that this text is, or None where it isn't what the store writes."""
    try:
        body = json.loads(text)
        whole = canonical(body) == text and body.keys() >= _BODY and all(map(_is_leg, body["postings"]))
        return body if whole else None
    except (ValueError, AttributeError, TypeError):
        return None


def _is_leg(leg: Any) -> bool:
    match leg:
        case {"account": str(), "side": "debit" | "credit", "minor": int(), "currency": str(), "dims": dict()}:
            return True
        case _:
            return False

"""Reads a chain entry by entry, from stored texts and hashes alone. Pure; used by verify.py, online and offline.

What it finds is a list of problems; it never raises for what is wrong in the books. To add a control equation: a line
in `CONTROLS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .chain import Head, canonical, digest
from .chart import CHART, Side

# account → along what it may never be below zero
CONTROLS = {
    "ar_patient": "obligation",
    "ar_pending": "account_ref",  # a copay's share comes out of the charges' pending amount
    "unapplied_credit": "payment",
    "refunds_payable": "refund",
    "dispute_receivable": "payment",
}
_BODY = frozenset("v tenant seq prev entry_id kind key occurred_at recorded_at business_date refs postings".split())


@dataclass(frozen=True, slots=True)
class Problem:
    """`kind` is one of chain, balance, control, repeat (rows that differ from what was hashed), head, signature."""

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

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(slots=True)
class Reader:
    """Walks the chain entry by entry, from stored texts and hashes alone."""

    tenant: str
    known: Iterable[Head] = ()
    head: Head = field(default_factory=Head)
    entries: int = 0
    problems: list[Problem] = field(default_factory=list[Problem])
    sums: dict[tuple[str, str, str], int] = field(default_factory=dict[tuple[str, str, str], int])

    def __post_init__(self) -> None:
        self.known = {head for head in self.known if head.seq}  # before the first entry all ledgers are alike

    def take(self, seq: int, text: str, stored_hash: str) -> dict[str, Any] | None:
        """The body, when it can be read. Goes on after a problem, so that each one is found once."""
        if seq != self.head.seq + 1:
            self.says("chain", f"entry {self.head.seq + 1} should stand here", seq)
        body = _read(text)
        if body is None or digest(text) != stored_hash:
            self.says("chain", "the text has been changed since it was hashed", seq)
        if body is not None:
            if body["seq"] != seq or body["tenant"] != self.tenant:
                self.says("chain", f"the text is of entry {body['seq']} of tenant '{body['tenant']}'", seq)
            if body["prev"] != self.head.hash:
                self.says("chain", "it does not follow the entry before it", seq)
            self._add_up(body, seq)
        self.head = Head(seq, stored_hash)
        self.entries += 1
        if any(head.seq == seq and head.hash != stored_hash for head in self.known):
            self.says("head", "another head was printed here", seq)
        return body

    def finish(self, stated: Head) -> Report:
        if stated != self.head:
            self.says("head", f"the head says {stated}, the last entry {self.head}")
        for head in sorted(self.known):
            if head.seq > self.head.seq:
                self.says("head", f"a head was printed at {head.seq}, the entries end at {self.head.seq}")
        for (account, value, currency), minor in sorted(self.sums.items()):
            if minor < 0:
                self.says("control", f"{account} of {CONTROLS[account]} {value} is {minor} {currency} (minor units)")
        return Report(self.entries, self.head, tuple(self.problems))

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

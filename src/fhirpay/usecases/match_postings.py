"""What an EHR says was posted is matched with what we have posted there: after each reading, and hourly by the outbox.

    what we posted ─▶ kept by account (writeback/held.py) ┐
    what it says, by message, search or report ───────────┴▶ by number in SQL ─▶ rules (ehr_match.py) ─▶ breaks

One unit for a receiver and a source. It is decided anew each time, so it depends on no order, and what is no longer so
goes by itself. Of what comes by message nothing is told here: echoes.py and external_payments.py have. What a report
or a search says of an EHR's own payment is known where a message has told of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from ..billing import worklist
from ..config import Connection, Destination, PostingFile, Tenant
from ..db.unit import Tx, Units
from ..domain.money import Money
from ..errors import FhirpayError
from ..fhir import replaced
from ..flow.lane import Work, retry
from ..log import Log
from ..outbox import add
from ..writeback import dft, ehr_match, held, oracle_basic, posting_file, said, said_matches, store
from ..writeback.ehr_match import Known, Says
from ..writeback.payment_reconciliation import RESOURCE_TYPE
from ..writeback.said import Entry
from ..writeback.said_matches import Ours, Sums
from .posted_facts import facts_of
from .rollout import zone_of

log = Log("writeback")

KIND = "ehr.match"  # in the outbox; its work is about a receiver
EVERY = timedelta(hours=1)
MISSING = "missing_posting"  # on the worklist, all of them
TWICE = "posted_twice"
DIFFERS = "posting_amount_differs"
UNKNOWN = "ehr_payment_unknown"
AMBIGUOUS = "ehr_posting_ambiguous"
KINDS = (MISSING, TWICE, DIFFERS, UNKNOWN, AMBIGUOUS)
LOOKED_BACK = timedelta(days=120)
_FACTS_MAX = 2000  # postings in one unit
_POSTED = (RESOURCE_TYPE, oracle_basic.RESOURCE_TYPE, dft.MESSAGE_TYPE, posting_file.RESOURCE_TYPE)
_WHERE = {"read_back": "what was read back", "report": "its report"}

Read = Literal["read_back", "report"]
Receiver = Connection | Destination | PostingFile


@dataclass(frozen=True, slots=True)
class Matched:
    """How many are the same as ours by a rule, and how many are for a person."""

    by_rule: int = 0
    breaks: int = 0


NOTHING = Matched()


def schedule(tx: Tx, tenant: Tenant) -> None:
    """Have each receiver matched that says what it has. At the start of the worker role; once for all."""
    for one in tenant.receivers:
        if sources_of(one):
            add(tx, KIND, one.name, [f"{KIND}:{one.name}"], tx.now + EVERY, once_key=one.name)


def sources_of(to: Receiver) -> list[Read]:
    """By which ways it says what it has, all of it."""
    back: list[Read] = ["read_back"] if isinstance(to, Connection) and to.read_back else []
    return [*back, "report"] if to.report else back


class MatchPostings:
    """The outbox handler of kind `ehr.match`; `work.ref` is the receiver."""

    def __init__(self, units: Units, tenant: Tenant) -> None:
        self._units, self._tenant = units, tenant

    async def run(self, work: Work) -> None:
        await self._units.write(self._run, work)

    def _run(self, tx: Tx, work: Work) -> None:
        for to in self._tenant.receivers:
            for source in sources_of(to) if to.name == work.ref else ():
                match_source(tx, self._tenant, source, to.name)
        retry(tx, work, after=EVERY, error="")


def match_source(tx: Tx, tenant: Tenant, source: Read, receiver: str) -> Matched:
    """Match what can be, tell what can't. Again, it changes nothing."""
    to = next(one for one in tenant.receivers if one.name == receiver)
    if not _keep_facts(tx, tenant, receiver):
        return NOTHING  # what isn't compared yet isn't told of
    look = _Look(tx, source, to, to.heard_on or tuple(one.name for one in tenant.interfaces))
    said_matches.match_exactly(tx, source, receiver, receiver, look.feeds)
    entries = said_matches.residue(tx, source, receiver, look.since)
    stands = replaced.survivors(tx, {one.account_ref for one in entries})
    found = ehr_match.decide(
        [Says(one.entry_id, stands[one.account_ref], one.amount, one.day, one.number) for one in entries],
        look.known(set(stands.values()) - {""}),
    )
    said_matches.match(tx, found.matches)
    told = _tell(look, found, {one.entry_id: one for one in entries})
    return Matched(len(found.matches), told)


def _keep_facts(tx: Tx, tenant: Tenant, receiver: str) -> bool:
    """What was posted of each account, as it was posted: so that it can be matched as a set. Whether that is all."""
    ids = said_matches.without_facts(tx, receiver, tx.now - LOOKED_BACK, _POSTED, _FACTS_MAX)
    for posting_id in ids:
        posting = store.get(tx, posting_id)
        try:
            posted = facts_of(tx, posting, tenant)
        except FhirpayError:  # voided since, or of a facility that is gone: there is nothing to compare
            continue
        held.keep(tx, held.said_by(posting_id, posted, posting.numbers, zone_of(tenant, receiver)))
    return len(ids) < _FACTS_MAX


class _Look:
    """One source of one receiver."""

    source: Read

    def __init__(self, tx: Tx, source: Read, to: Receiver, feeds: Collection[str]) -> None:
        self.source = source
        self.tx, self.to, self.feeds = tx, to, feeds
        self.name = to.name
        self.since = (tx.now - LOOKED_BACK).date()
        self.days = said.days_read(tx, source, to.name)

    def known(self, accounts: Collection[str]) -> list[Known]:
        """What is known here of these accounts, and of those that were merged into them."""
        refs = _all_numbers(self.tx, accounts)
        at: tuple[Tx, Read, str] = (self.tx, self.source, self.name)
        ours = said_matches.ours_on(*at, self.name, self.since, refs)
        heard = said_matches.heard_alone(*at, self.feeds, refs)
        stands = replaced.survivors(self.tx, {*refs})
        return [
            *(Known(one.subject, stands[one.account_ref], one.amount, one.day, there=one.named) for one in ours),
            *(Known(one.entry_id, stands[one.account_ref], one.amount, one.day, heard=True) for one in heard),
        ]

    def has_days(self, one: Ours) -> bool:
        """Whether this source would show it by now."""
        if self.source == "read_back":
            return self._whole(one.posted_at.date())
        lag = self.to.report.lag_days if self.to.report else 0
        return all(self._whole(one.day + timedelta(days=more)) for more in range(lag + 1))

    def _whole(self, day: date) -> bool:
        return any(first <= day <= last for first, last in self.days)


def _all_numbers(tx: Tx, accounts: Collection[str]) -> set[str]:
    """These accounts, and all that they stand for."""
    found, left = set(accounts), list(accounts)
    while left:
        older = [one for one in replaced.merged_into(tx, left.pop()) if one not in found]
        found |= set(older)
        left += older
    return found


# ── what is for a person ──────────────────────────────────────────────────────────────────────────────────────────


def _tell(look: _Look, found: ehr_match.Found, entries: Mapping[str, Entry]) -> int:
    tx, where = look.tx, f"{_WHERE[look.source]} of '{look.name}'"
    prefix = f"{look.source}:{look.name}:"
    told: dict[str, set[str]] = {kind: set() for kind in KINDS}

    def tell(kind: str, subject: str, says: str, amount: Money, account_ref: str) -> None:
        told[kind].add(prefix + subject)
        more = {"account_ref": account_ref, "amount": amount, "standing": True}
        worklist.open_item(tx, kind=kind, subject=prefix + subject, says=says, **more)

    for one, ours in found.twice:
        says = (
            f"{where} has {_shown(entries[one.entry_id])} beside {ours.subject}, which was posted with that amount on"
        )
        tell(TWICE, one.entry_id, f"{says} {ours.day}: the same money, or two payments?", one.amount, one.account_ref)
    for one in found.unknown:
        says = f"{where} has {_shown(entries[one.entry_id])}, of which nothing is known here"
        tell(UNKNOWN, one.entry_id, says, one.amount, one.account_ref)
    for theirs, ours in found.ambiguous:
        says = f"{where} has {', '.join(_shown(entries[one.entry_id]) for one in theirs)}: which of"
        says += f" {', '.join(sorted(one.subject for one in ours))} is it?"
        tell(AMBIGUOUS, theirs[0].entry_id, says, theirs[0].amount, theirs[0].account_ref)
    at: tuple[Tx, Read, str] = (tx, look.source, look.name)
    for sums in said_matches.differing(*at, look.name, look.since):
        kind, says, amount = _differs(where, sums)
        tell(kind, sums.subject, says, amount, sums.account_ref)
    for sums in said_matches.differing_heard(*at, look.since):
        says = f"{where} has {sums.theirs} under the number of a payment that a message told of as {sums.ours}"
        tell(DIFFERS, sums.subject, says, _off(sums), sums.account_ref)
    taken = {one.subject for one in found.matches}
    taken |= {one.subject for _, ours in found.ambiguous for one in ours}
    for subject, parts in _by_subject(said_matches.ours_alone(*at, look.name, look.since)).items():
        if subject not in taken and all(look.has_days(one) for one in parts):
            total = sum((one.amount for one in parts[1:]), parts[0].amount)
            says = (
                f"'{look.name}' has taken {subject} of {total} on {parts[0].posted_at:%Y-%m-%d}, and {where} hasn't it"
            )
            tell(MISSING, subject, says, total, parts[0].account_ref)
    for kind, subjects in told.items():
        for item in worklist.list_open(tx, kind=kind, limit=None):
            if item.subject.startswith(prefix) and item.subject not in subjects:
                worklist.settled(tx, kind, item.subject)
    return sum(len(subjects) for subjects in told.values())


def _shown(one: Entry) -> str:
    number = f" under number {one.number}" if one.number else ""
    account = "" if one.account_ref else " of an account that isn't known here"
    return f"{one.amount} of {one.day}{number} ({one.said_at}){account}"


def _differs(where: str, sums: Sums) -> tuple[str, str, Money]:
    """What there is more than once is told as such."""
    times, rest = divmod(sums.theirs.minor, sums.ours.minor) if sums.ours.minor else (0, 1)
    if sums.theirs.currency == sums.ours.currency and times >= 2 and not rest:
        return TWICE, f"{where} has {sums.subject} of {sums.ours} {times} times", sums.theirs - sums.ours
    return DIFFERS, f"{where} has {sums.subject} with {sums.theirs}, which was posted with {sums.ours}", _off(sums)


def _off(sums: Sums) -> Money:
    return sums.theirs - sums.ours if sums.theirs.currency == sums.ours.currency else sums.theirs


def _by_subject(ours: Iterable[Ours]) -> dict[str, list[Ours]]:
    found: dict[str, list[Ours]] = defaultdict(list)
    for one in ours:
        found[one.subject].append(one)
    return found

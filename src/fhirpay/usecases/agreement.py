"""Would we have posted what staff have posted? What each receiver was or would have been told, against its EHR's words.

Called by `fhirpay writeback agreement`, the API and `fhirpay doctor`; it changes nothing. Ours is what postings say,
account by account, the kept ones as they were kept; theirs are the payments and adjustments (FT1-6 PY, CO, AJ) that
came in on the receiver's feeds, whoever's they are: typed in by staff, or ours that came back. Accounts are compared as
they are by now, after merges.

What is younger than two days is not judged: staff may post it tomorrow, and its feed may be late. What we have sent and
never heard of says nothing either way: many EHRs don't send ours on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from ..billing.ehr_payments import ADJUSTMENT, PATIENT, Said, said_of
from ..config import Connection, Destination, PostingFile, Tenant
from ..db.unit import Tx
from ..domain import fhir_urls as urls
from ..domain.money import Money
from ..errors import FhirpayError, NotFound
from ..fhir import replaced
from ..fhir import store as fhir
from ..writeback import held, store
from ..writeback.agreement import NEAR_DAYS, Item, Paired, pair, why_missed
from ..writeback.payment_reconciliation import RESOURCE_TYPE
from ..writeback.renderers import FOLLOWS
from ..writeback.store import HELD, Posting
from .posted_facts import facts_of
from .rollout import zone_of

ENOUGH = 200  # postings of ours, before a share of them says anything
GOOD_PERCENT = 98
_SETTLES = timedelta(days=2)
_NEAR = timedelta(days=NEAR_DAYS)


@dataclass(frozen=True, slots=True)
class Miss:
    """What only one side has, and what of the other's is most like it."""

    item: Item
    says: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of the days `since` to `until`, both included. `recent` and `unheard` are of ours, and not counted."""

    receiver: str
    since: date | None
    until: date
    matched: tuple[tuple[Item, Item], ...]
    ours: tuple[Miss, ...]
    theirs: tuple[Miss, ...]
    recent: int
    unheard: int

    @property
    def compared(self) -> int:
        """How many postings of ours were judged."""
        return len(self.matched) + len(self.ours)

    @property
    def enough(self) -> bool:
        return self.compared >= ENOUGH

    @property
    def permille(self) -> int | None:
        """What both have, of all that either has, never rounded up; None: there is nothing yet."""
        total = self.compared + len(self.theirs)
        return len(self.matched) * 1000 // total if total else None

    def good(self, percent: int = GOOD_PERCENT) -> bool:
        """Whether it is known, and at least that."""
        total = self.compared + len(self.theirs)
        return self.enough and len(self.matched) * 100 >= percent * total


def agreement(tx: Tx, receiver: str, tenant: Tenant, *, since: date | None = None) -> Agreement:
    """Without `since`: since the first posting for it. Raises NotFound for a receiver that isn't defined."""
    to = next((one for one in tenant.receivers if one.name == receiver), None)
    if to is None:
        known = ", ".join(one.name for one in tenant.receivers) or "none"
        raise NotFound(f"there is no connection or destination '{receiver}'; defined: {known}")
    known = (one for one in store.of_connection(tx, receiver) if one.resource_type not in FOLLOWS and not one.is_payout)
    postings = {one.posting_id: one for one in known}
    ours = _ours(tx, postings.values(), tenant)
    since = since or min((one.day for one in ours), default=None)
    until = tx.now.date() - _SETTLES
    theirs = _theirs(tx, to, tenant, {one.kind for one in ours}) if since else []
    # What is next to the days that are judged may belong to what is in them.
    found = pair(*(_between(items, since, until, more=_NEAR) for items in (ours, theirs)))
    return _judged(receiver, postings, ours, found, since, until)


def _judged(
    receiver: str, postings: dict[str, Posting], ours: list[Item], found: Paired, since: date | None, until: date
) -> Agreement:
    missed = _between(found.ours, since, until)
    unheard = [one for one in missed if _posting(one, postings).state not in HELD]
    return Agreement(
        receiver=receiver,
        since=since,
        until=until,
        matched=tuple(one for one in found.pairs if _between(one[:1], since, until)),
        ours=tuple(
            Miss(one, _why(one, postings) or why_missed(one, found.theirs, whose="the EHR"))
            for one in missed
            if one not in unheard
        ),
        theirs=tuple(
            Miss(one, why_missed(one, found.ours, whose="fhirpay")) for one in _between(found.theirs, since, until)
        ),
        recent=sum(one.day > until for one in ours),
        unheard=len(unheard),
    )


def _between(items: Iterable[Item], since: date | None, until: date, *, more: timedelta = timedelta(0)) -> list[Item]:
    return [one for one in items if since is not None and since - more <= one.day <= until + more]


def _why(one: Item, postings: dict[str, Posting]) -> str:
    posting = _posting(one, postings)
    return f"rejected by {posting.decided_by}: {posting.decided_why}" if posting.state == "rejected" else ""


def _posting(one: Item, postings: dict[str, Posting]) -> Posting:
    return postings[one.id.partition("|")[0]]


# ── the two lists ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _ours(tx: Tx, postings: Iterable[Posting], tenant: Tenant) -> list[Item]:
    postings = list(postings)
    kept = held.kept_of(tx, (one.posting_id for one in postings))
    facts = [fact for one in postings for fact in kept.get(one.posting_id) or _as_known(tx, one, tenant)]
    subjects = {one.posting_id: one.subject for one in postings}
    stands = replaced.survivors(tx, {one.account_ref for one in facts})
    return [
        Item(
            f"{one.posting_id}|{number}",
            stands[one.account_ref],
            one.kind,
            one.amount,
            one.day,
            f"{subjects[one.posting_id]}, {one.posting_id}",
        )
        for number, one in enumerate(facts)
        if one.amount
    ]


def _as_known(tx: Tx, posting: Posting, tenant: Tenant) -> Iterable[held.Kept]:
    """Of what was sent, or is to be: nothing was kept beside it."""
    if posting.state in HELD:
        return ()
    try:
        posted = facts_of(tx, posting, tenant)
    except FhirpayError:  # voided since, or of a facility that is gone: there is nothing to compare
        return ()
    return held.said_by(posting.posting_id, posted, posting.numbers, zone_of(tenant, posting.connection))


def _theirs(tx: Tx, to: Connection | Destination | PostingFile, tenant: Tenant, kinds: set[str]) -> list[Item]:
    """What came in; of what came back of ours, the lines of one posting are one. Adjustments only where it is told."""
    feeds = {one.system for one in tenant.interfaces if one.name in to.heard_on}
    told = isinstance(to, Destination) and bool(to.adjustments or "adjustment" in kinds)
    said = [
        (one, account)
        for one, account in _said(tx)
        if (one.paid_by == PATIENT or (told and one.paid_by == ADJUSTMENT)) and (not feeds or one.feed in feeds)
    ]
    stands = replaced.survivors(tx, {account for _, account in said})
    items: dict[str, Item] = {}
    for one, account in said:
        item = _item(one, stands[account])
        key = f"{one.echo_of}|{stands[account]}|{item.kind}|{one.day}" if _is_our_line(tx, one) else one.ref
        known = items.get(key)
        if known is not None and known.amount.currency == one.amount.currency:
            item = Item(known.id, known.account_ref, known.kind, known.amount + one.amount, known.day, known.label)
        items[key] = item
    return list(items.values())


def _said(tx: Tx) -> Iterator[tuple[Said, str]]:
    for stored in fhir.having(tx, RESOURCE_TYPE, "account"):
        if (said := said_of(stored.resource)) is not None:
            yield said, _account(stored.resource)


def _account(resource: dict[str, Any]) -> str:
    named = (one for one in resource.get("extension", ()) if one.get("url") == urls.ACCOUNT)
    return str(next(named, {}).get("valueReference", {}).get("reference", ""))


def _is_our_line(tx: Tx, one: Said) -> bool:
    """It came back with our own FT1-2, which stands for an allocation: staff type a payment as a whole."""
    label = one.label.strip()
    return bool(one.echo_of) and (label.lower().startswith(f"{one.echo_of}-") or store.line_of(tx, label) is not None)


def _item(one: Said, account: str) -> Item:
    kind = "adjustment" if one.paid_by == ADJUSTMENT else "payment" if one.amount.minor > 0 else "refund"
    return Item(one.ref, account, kind, one.amount, one.day, one.label)


def total(items: Iterable[Miss]) -> list[Money]:
    """Their amounts by currency."""
    sums: dict[str, int] = {}
    for one in items:
        sums[one.item.amount.currency] = sums.get(one.item.amount.currency, 0) + one.item.amount.minor
    return [Money(minor, currency) for currency, minor in sorted(sums.items())]

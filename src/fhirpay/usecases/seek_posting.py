"""Is a posting at the EHR? Called by post_back.py before anything is sent; it only reads.

What was never sent is looked for where looking is cheap. What may have arrived is sent again only when one of these
shows that it hasn't:

- it went by PUT, its id is empty, and this EHR keeps the ids that it is given: sending it twice is sending it once;
- its search has had the time to settle, shows something that the EHR took *later*, and doesn't show this one. A search
  that has shown nothing later may lag for hours, be broken, or know our identifiers by other names: it proves nothing.

Without that it is unknown, for a person, until a later posting lets the question be asked again (post_back.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..db.unit import Tx, Units
from ..fhir.client import EhrRefused, FhirClient, Remote
from ..fhir.json import loads
from ..fhir.statement import Capability
from ..writeback import store
from ..writeback.profile import Way
from ..writeback.renderers import renderer_of
from ..writeback.store import Posting
from .postings import PostingUnknown

_LOOK_AGAIN = timedelta(seconds=5)
_LOOKS_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """One of three: it is there; it isn't, and may be sent by these ways; it is too early to say."""

    found: Remote | None = None
    ways: tuple[Way, ...] = ()
    wait: timedelta | None = None
    put_again: bool = False  # not proved absent: another way only when the same PUT is refused as such


@dataclass(frozen=True, slots=True)
class _Seen:
    found: Remote | None = None
    taken: bool = False  # something else stands at its id
    empty: bool = False  # nothing stands, or ever stood, at its id
    searched: bool = False  # all that matches was seen


async def before_first(client: FhirClient, posting: Posting, ways: tuple[Way, ...]) -> Answer:
    """It was never sent: found all the same (our records may be older than the EHR's), or the ways to send it. Raises
    EhrRefused where there is none, since something else stands at its id."""
    seen = await look(client, posting, by_id=Way.PUT in ways, search=ways[0] is Way.SEARCH)
    left = tuple(way for way in ways if way is not Way.PUT or not seen.taken)
    if not left and not seen.found:
        says = f"something else stands at {posting.resource_type}/{posting.subject} of '{client.name}'"
        raise EhrRefused(says, status=409, connection=client.name)
    return Answer(found=seen.found, ways=left)


async def in_doubt(
    units: Units,
    client: FhirClient,
    posting: Posting,
    ways: tuple[Way, ...],
    capability: Capability,
    settles: timedelta,
) -> Answer:
    """It may have arrived. Raises PostingUnknown."""
    known = await units.read(_known, posting)
    # What came later first: once the search shows that, it must show this one too.
    later_shows = known.later is not None and capability.search and await _shows(client, known.later)
    by_put = posting.way == Way.PUT
    seen = await look(client, posting, by_id=by_put, search=capability.search)
    if seen.found:
        return Answer(found=seen.found)
    if seen.taken:
        raise _unknown(posting, "something else stands at its id")
    put_again = Answer(ways=ways, put_again=True) if seen.empty and ways[0] is Way.PUT else None
    if put_again and known.keeps_ids:
        return put_again
    if not seen.searched:
        raise _unknown(posting, "it lets nobody look it up")
    assert posting.sent_at is not None
    if (left := posting.sent_at + settles - known.now) > timedelta(0):
        return Answer(wait=left)
    if later_shows:
        return Answer(ways=ways)
    if known.later is not None and known.later.posted_at is not None:
        since = known.now - known.later.posted_at
        if since < _LOOKS_FOR:
            return Answer(wait=max(settles, _LOOK_AGAIN, since))
        raise _unknown(posting, "its search doesn't show what it has taken")
    if put_again and known.keeps_ids is None:  # nothing says that it doesn't do what it announces
        return put_again
    raise _unknown(posting, "its search has shown nothing since then that would prove it")


async def look(client: FhirClient, posting: Posting, *, by_id: bool, search: bool) -> _Seen:
    """Our posting, by its id and by its identifier. Raises EhrRefused when it is there more than once.

    What may have arrived and was deleted there raises PostingUnknown: those who deleted it had a reason. An EHR that
    refuses to be read or searched shows nothing: it may have announced more than it does.
    """
    taken = empty = False
    if by_id:
        try:
            found = await client.read(posting.resource_type, posting.subject)
        except EhrRefused as error:
            if error.status == 410 and posting.sent_at:
                raise _unknown(posting, "it was there and has been deleted") from None
        else:
            if found and (is_ours_by(found, posting) if posting.sent_at else _is_ours(found, posting)):
                return _Seen(found)
            taken, empty = found is not None, found is None
    if not search:
        return _Seen(taken=taken, empty=empty)
    try:
        ours, complete = await _matches(client, posting)
    except EhrRefused:
        return _Seen(taken=taken, empty=empty)
    if len(ours) > 1:
        ids = ", ".join(one.id for one in ours)
        raise EhrRefused(
            f"'{client.name}' has {posting.subject} {len(ours)} times ({ids}): all but one have to go there",
            status=409,
            connection=client.name,
        )
    return _Seen(ours[0] if ours else None, taken, empty, searched=complete)


async def is_it(client: FhirClient, remote: Remote, posting: Posting) -> bool:
    """Whether what a conditional create answered with is our posting: a condition that isn't understood matches all."""
    if not remote.resource:
        try:
            read = await client.read(remote.type, remote.id)
        except EhrRefused:
            return False
        return read is not None and _is_ours(read, posting)
    return _is_ours(remote, posting)


def condition(posting: Posting) -> str:
    """By which an EHR finds it, as a query."""
    return "&".join(f"{name}={value}" for name, value in renderer_of(posting).sought(posting).items())


@dataclass(frozen=True, slots=True)
class _Known:
    now: datetime
    later: Posting | None  # what the EHR took after this one was sent
    keeps_ids: bool | None


def _known(tx: Tx, posting: Posting) -> _Known:
    assert posting.sent_at is not None
    later = store.first_after(tx, posting.connection, posting.resource_type, posting.sent_at)
    return _Known(tx.now, later, store.keeps_ids(tx, posting.connection, posting.resource_type, Way.PUT))


async def _shows(client: FhirClient, posting: Posting) -> bool:
    try:
        ours, _ = await _matches(client, posting)
    except EhrRefused:
        return False
    return bool(ours)


async def _matches(client: FhirClient, posting: Posting) -> tuple[list[Remote], bool]:
    # Some servers answer with everything when they don't know a parameter.
    matches = await client.search(posting.resource_type, renderer_of(posting).sought(posting))
    return [one for one in matches.found if _is_ours(one, posting)], matches.complete


def is_ours_by(remote: Remote, posting: Posting) -> bool:
    """By our identifier, or (an EHR may put its own in place of ours) by content, such as amount and date."""
    return renderer_of(posting).same(remote.resource, loads(posting.body or "{}")) or _is_ours(remote, posting)


def _is_ours(remote: Remote, posting: Posting) -> bool:
    return renderer_of(posting).has_mark(remote.resource, posting)


def _unknown(posting: Posting, why: str) -> PostingUnknown:
    return PostingUnknown(
        f"the EHR '{posting.connection}' may have {posting.subject} or not, and {why}: ask its staff",
        posting_id=posting.posting_id,
    )


def nobody_knows(posting: Posting) -> PostingUnknown:
    return _unknown(posting, "it lets nobody look it up")

"""What staff say of a posting that waits for them (rollout.py): it is posted, or never.

Called by `fhirpay writeback confirm` and `reject`, and the staff API. Also what was kept in shadow, and nothing else
ever sends, goes out by a person's word, each by its id. Who said so, when and why is kept with the posting.
"""

from __future__ import annotations

from ..billing import adjustments, worklist
from ..config import Tenant
from ..db.unit import Tx
from ..errors import NotFound, RuleBroken
from ..flow.lane import release
from ..log import Log
from ..writeback import held, store
from ..writeback.store import HELD, Held, Posting
from .payout_facts import note_posted
from .rollout import TO_CONFIRM, stage_of, taken_back_by, why_not

log = Log("writeback")

_OPEN: tuple[Held, ...] = ("proposed", "shadow")
_REJECTED, _BACK_REJECTED = "staff rejected it", "staff rejected what it takes back"


def confirm(tx: Tx, some_id: str, *, connection: str = "", by: str, why: str, tenant: Tenant) -> Posting:
    """It is to be posted; the posting. `some_id` is the posting's, or that of what it posts.

    Confirmed twice, it is sent once, and the first one's name stays. Raises NotFound; RuleBroken where there is
    nothing to confirm, nothing may be sent there, or what it takes back isn't there.
    """
    _named(by)
    posting = _meant(tx, some_id, connection)
    if posting.decided_by and posting.state not in HELD:
        return posting
    if posting.state not in _OPEN:
        raise _nothing_to_decide(posting)
    if reason := _why_not(tx, posting, tenant):
        raise RuleBroken(reason, posting_id=posting.posting_id)
    if not held.decide(tx, posting.posting_id, "pending", was=_OPEN, by=by, why=why, reason=None):
        after = store.get(tx, posting.posting_id)
        if after.decided_by and after.state not in HELD:  # somebody else was faster
            return after
        raise _nothing_to_decide(after)
    worklist.settled(tx, TO_CONFIRM, posting.posting_id)
    # Ready anyway where it hasn't been looked at yet; what is said here is read before anything leaves.
    release(tx, posting.work_id)
    log.info("posting.confirmed", posting_id=posting.posting_id, connection=posting.connection)
    return store.get(tx, posting.posting_id)


def confirm_all(tx: Tx, *, connection: str = "", by: str, why: str, tenant: Tenant) -> list[Posting]:
    """All that waits for staff and may be sent, in the order in which it came; those that were confirmed."""
    _named(by)
    done: list[Posting] = []
    for one in store.proposed(tx, connection):
        if _why_not(tx, one, tenant) is None:
            done.append(confirm(tx, one.posting_id, by=by, why=why, tenant=tenant))
    return done


def reject(tx: Tx, some_id: str, *, connection: str = "", by: str, why: str) -> Posting:
    """It is never posted, nor what takes it back; the posting. Raises NotFound, RuleBroken."""
    _named(by)
    if not why.strip():
        raise RuleBroken("say why it is rejected: it is kept with the posting")
    posting = _meant(tx, some_id, connection)
    if not _rejected(tx, posting, by, why, _REJECTED):
        raise _nothing_to_decide(store.get(tx, posting.posting_id))
    for other in _takes_back(tx, posting):
        if all(one.state == "rejected" for one in taken_back_by(tx, other)):
            _rejected(tx, other, by, why, _BACK_REJECTED)
    if posting.is_payout:
        note_posted(tx, posting)  # it may be all that was waited for
    log.info("posting.rejected", posting_id=posting.posting_id, connection=posting.connection)
    return store.get(tx, posting.posting_id)


def _rejected(tx: Tx, posting: Posting, by: str, why: str, reason: str) -> bool:
    done = held.decide(tx, posting.posting_id, "rejected", was=("proposed",), by=by, why=why, reason=reason)
    if done:
        worklist.settled(tx, TO_CONFIRM, posting.posting_id)
    return done


def _takes_back(tx: Tx, posting: Posting) -> list[Posting]:
    """The postings there that take this one back, and wait for staff too."""
    if posting.is_refund:
        return []
    if not posting.is_adjustment:
        known = store.of_payment(tx, posting.payment_id)
    else:
        made = adjustments.of_obligations(tx, [adjustments.get(tx, posting.subject).obligation_id])
        known = [other for one in made if one.takes_back for other in store.of_subject(tx, one.adjustment_id)]
    here = [one for one in known if one.connection == posting.connection and one.state == "proposed"]
    return [one for one in here if posting.posting_id in {back.posting_id for back in taken_back_by(tx, one)}]


def _why_not(tx: Tx, posting: Posting, tenant: Tenant) -> str | None:
    name = posting.connection
    if stage_of(tenant, name) is None:
        return f"'{name}' is not configured any more: nothing can be posted there"
    if stage_of(tenant, name) == "shadow":
        return f"'{name}' is at stage 'shadow', where nothing is posted: raise its stage first"
    back = taken_back_by(tx, posting)
    if why := why_not(tx, tenant, name, back, confirmed=True):
        first = next((one.posting_id for one in back if one.state == why.state), "")
        return f"{why.says}: {first}"
    return None


def _meant(tx: Tx, some_id: str, connection: str) -> Posting:
    known = [one for one in store.find(tx, some_id) if some_id in (one.posting_id, one.subject)]
    known = [one for one in known if connection in ("", one.connection)]
    if not known:
        raise NotFound(f"there is no posting of {some_id}")
    open_ = [one for one in known if one.state in HELD] or known
    if len(open_) > 1:
        said = ", ".join(f"{one.posting_id} at '{one.connection}'" for one in open_)
        raise RuleBroken(f"{some_id} has several postings; say which: {said}")
    return open_[0]


def _nothing_to_decide(posting: Posting) -> RuleBroken:
    said = f", by {posting.decided_by}" if posting.decided_by else ""
    return RuleBroken(
        f"posting {posting.posting_id} is {posting.state}{said}: there is nothing to decide",
        posting_id=posting.posting_id,
    )


def _named(by: str) -> None:
    if not by.strip():
        raise RuleBroken("this needs a name: say who decides; it is kept")

"""Whether a payout is to be posted, and where: to connections with `payout_target` alone, once each, and none
that was made before `payouts_from`: somebody has typed those in there.

Called by book_settlement.py whenever a payout is heard of, and by match_bank.py once the bank's line is found. It is
posted when all of its lines are here, come to its amount and say whose they are (of those that nobody knows a day is
waited for), and the bank has it: a payout that is paid may yet not arrive. Where nobody reads the bank's files (no bank
account for that merchant and currency), or nothing comes to the bank since it is of nothing, what the processor says
has to do. One that comes back after it was posted is taken back by a posting of its own.

Batches are never posted: their fees are told by nobody, and a deposit may be of several, so that none would come to
what the bank has.
"""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from ..config import Tenant
from ..db.unit import Tx
from ..domain.payout import BATCH, CAME_BACK, PayoutState, fold
from ..settlement import store as settlement
from ..settlement.store import LineState, Payout
from ..writeback import store
from . import postings
from .payout_facts import BACK, lines_of, note_posted, zone_of

_PATIENCE = timedelta(days=1)


def consider(tx: Tx, tenant: Tenant, payout: Payout) -> list[str]:
    """The postings of it that there are now. Again, it changes nothing."""
    made_on = payout.created_at.astimezone(ZoneInfo(zone_of(tenant, payout))).date()
    taking = [one for one in tenant.connections if one.payout_target]
    targets = {one.name for one in taking if one.payouts_from is None or one.payouts_from <= made_on}
    if not taking:
        return []
    known = store.of_subject(tx, payout.payout_id)
    if payout.state in CAME_BACK:
        if not known:
            return []
        there = {one.connection for one in known}
        return postings.enqueue_payout(tx, payout.payout_id, tenant=tenant, subject=payout.payout_id + BACK, to=there)
    if targets <= {one.connection for one in known}:  # it is heard of every hour
        if known and payout.state is PayoutState.BANK_MATCHED:  # it may have been posted before
            note_posted(tx, known[0])
        return [one.posting_id for one in known]
    if not _arrived(tx, tenant, payout) or not _is_told_whole(tx, payout):
        return []
    return postings.enqueue_payout(tx, payout.payout_id, tenant=tenant, subject=payout.payout_id, to=targets)


def _arrived(tx: Tx, tenant: Tenant, payout: Payout) -> bool:
    path = fold(settlement.states_of(tx, payout.payout_id)).path
    if BATCH & set(path):
        return False
    at_bank = payout.state in (PayoutState.BANK_MATCHED, PayoutState.POSTED)
    return at_bank or (payout.state is PayoutState.PAID and not _is_seen_at_bank(tenant, payout))


def _is_seen_at_bank(tenant: Tenant, payout: Payout) -> bool:
    """Whether a bank's file would show it."""
    return bool(payout.amount) and any(
        one.currency == payout.amount.currency and payout.merchant in (one.merchants or (payout.merchant,))
        for one in tenant.bank_accounts
    )


def _is_told_whole(tx: Tx, payout: Payout) -> bool:
    if not (payout.itemised and payout.complete):
        return False
    _, net = settlement.net_of(tx, payout)
    if net != payout.amount:
        return False
    waits = any(one.state is LineState.WAITING for one in lines_of(tx, payout))
    return not waits or tx.now - payout.created_at > _PATIENCE
